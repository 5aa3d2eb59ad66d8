"""What a storage itself says: the failures it writes when it settles something, and the small texts it keeps.

A storage settles an execution without any worker in three cases: a cancel, a worker that died too often, a deadline
that passed. The records of those failures, the stored form of waits, and the cursor of a search are made here and
nowhere else, so that every storage writes the same bytes and can be compared with the reference model.

This module must never decide *whether* something settles or wakes: that is each storage's own work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from perdure.errors import Failure
from perdure.model.execution import moment
from perdure.model.records import Wait

_CURSOR: Final = re.compile(r"(-?[0-9]+):(.+)", re.DOTALL)
_WAITS: Final = msgspec.json.Decoder(tuple[Wait, ...])


def cancelled_failure(reason: str) -> str:
    """The failure of an execution cancelled for `reason`, as JSON text."""
    return _text(Failure(kind="cancelled", type="Cancelled", message=reason, retryable=False))


def worker_lost_failure(crashes: int) -> str:
    """The failure of an execution whose worker died `crashes` times in a row without progress, as JSON text (R11)."""
    times = "once" if crashes == 1 else f"{crashes} times in a row"
    message = f"its worker died {times} without one new journal entry in between"
    return _text(Failure(kind="worker_lost", type="WorkerLost", message=message, retryable=False))


def deadline_failure(deadline_at: int) -> str:
    """The failure of an execution that was not running when its deadline passed, as JSON text."""
    when = moment(deadline_at).isoformat(timespec="milliseconds")
    return _text(
        Failure(kind="timed_out", type="DeadlinePassed", message=f"its deadline, {when}, has passed", retryable=False)
    )


def parent_reason(status: str) -> str:
    """Why something below is cancelled when its parent settles as `status`."""
    return f"parent {status}"


def dump_waits(waits: Sequence[Wait]) -> str:
    """Waits as they are stored: JSON text."""
    return msgspec.json.encode(waits).decode()


def load_waits(text: str | None) -> tuple[Wait, ...]:
    """The waits that `dump_waits` stored; none for `None`."""
    return () if text is None else _WAITS.decode(text)


def cursor(created_at: int, id: str) -> str:
    """The place of an execution in the order of a search."""
    return f"{created_at}:{id}"


def read_cursor(text: str) -> tuple[int, str]:
    """The creation time and id that `cursor` wrote. Raises `ValueError` for a text that is no cursor."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no cursor of a search; pass `after` of an earlier answer unchanged")
    return int(match[1]), match[2]


def _text(failure: Failure) -> str:
    return msgspec.json.encode(failure).decode()
