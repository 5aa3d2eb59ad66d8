"""What crosses the storage seam about external tasks: completions, by task and key, and their answers.

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
    """An external task completed for one key, with a `value` or a `failure`. It counts under the task's name and its
    `aliases` alike; its own `id` tells a call that was sent again from another one. `retention` (milliseconds) is the
    task's own."""

    id: str
    task_name: str
    key: str
    value: str | None = None
    failure: str | None = None
    aliases: tuple[str, ...] = ()
    retention: int | None = None


class Answered(msgspec.Struct, frozen=True):
    """Answer to a completion: the one that stands, whether that is the one given (`first`), and which executions fell
    due by it."""

    completion: Completion
    first: bool
    woken: tuple[str, ...] = ()
