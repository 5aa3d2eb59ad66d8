"""What crosses the storage seam about external tasks: completions, by task (its first name) and key, and their answers.

As in `records`, all are frozen, payloads are JSON text and instants integer milliseconds UTC.
"""

from __future__ import annotations

import msgspec


class Completion(msgspec.Struct, frozen=True):
    """How an external task was completed for one key: with a `value`, or with a `failure`; both are JSON text."""

    value: str | None
    failure: str | None
    completed_at: int


class NewCompletion(msgspec.Struct, frozen=True):
    """An external task completed for one key, with a `value` or a `failure`. `origin` is the task's first name, the same
    before and after it was renamed; its own `id` tells a call that was sent again from another one. `retention`
    (milliseconds) is the task's own."""

    id: str
    origin: str
    key: str
    value: str | None = None
    failure: str | None = None
    retention: int | None = None


class Answered(msgspec.Struct, frozen=True):
    """Answer to a completion: the one that stands, whether that is the one given (`first`), and which executions fell
    due by it."""

    completion: Completion
    first: bool
    woken: tuple[str, ...] = ()
