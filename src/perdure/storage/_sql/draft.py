"""Rows being changed: loaded once, changed in memory, written back in sets.

A `Draft` belongs to one operation inside one transaction. It holds at most one `Work` per execution, so that several
changes of one row (a parent whose children settle in one batch) become one write; writes go in ascending order of ids
(R13), and each is bound to the token that was loaded (R2). Whoever asks the database while changes are pending must
`flush` first. It must never decide what changes: that is `moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from perdure.errors import StorageError
from perdure.model.records import Entry
from perdure.model.status import Status
from perdure.storage._sql.session import Session, Value

OPEN_IDLE: Final = frozenset({"pending", "waiting"})
SUSPECT: Final = 2
"""So many crashes in a row make an execution a suspect: a worker holds at most one (R11)."""

HAS_ENTRIES, WAS_SUSPENDED = 1, 2
"""Bits of `marks`."""


class Work(msgspec.Struct):
    """An execution as far as changes need it; fields in the order of the statement `load`."""

    id: str
    status: Status
    token: int
    worker_id: str | None
    generation: int
    attempt: int
    crashes: int
    drifts: int
    due_at: int | None
    deadline_at: int | None
    cancel_reason: str | None
    failure: str | None
    waits: str | None
    wake_any: int | None
    wake_all: int | None
    rest_until: int | None
    wake_signals: str | None
    finished_at: int | None
    closed_at: int | None
    children_total: int
    children_settled: int
    children_closed: int
    marks: int
    signals: int
    stale: int
    progress: str | None
    parent_id: str | None
    retention: int | None
    max_crashes: int
    was: int = 0

    def ready(self, now: int) -> int | None:
        """The column by which claims find it."""
        if self.status not in OPEN_IDLE or self.due_at is None:
            return None
        if self.due_at > now:
            return 0
        return 2 if self.crashes >= SUSPECT else 1

    def expires_at(self) -> int | None:
        """When its tree may be removed."""
        if self.closed_at is None or self.retention is None or self.parent_id is not None:
            return None
        return self.closed_at + self.retention


class Draft:
    """The rows of one operation. Read `rows`; after changing a `Work`, `touch` it (or `note`, for small news)."""

    def __init__(self, session: Session, now: int) -> None:
        self.session, self.now = session, now
        self.rows: dict[str, Work] = {}
        self.before_flush: Callable[[], None] | None = None
        """Writes what must be written while rows still are as they were loaded."""
        self._touched: set[str] = set()
        self._noted: set[str] = set()
        self._entries: list[Sequence[Value]] = []
        self._completed: list[tuple[str, int, str]] = []

    def load(self, ids: Iterable[str]) -> None:
        """Loads executions that are not loaded yet; unknown ids are left out."""
        missing = [id for id in dict.fromkeys(ids) if id not in self.rows]
        if missing:
            self.adopt("load", missing)

    def adopt(self, name: str, *parameters: Value | Sequence[Value]) -> list[Work]:
        """Loads what a statement answers and gives it in order of ids; rows loaded before stay as they are now."""
        found = sorted(self.session.read(name, *parameters), key=_first)
        for row in found:
            if row[0] not in self.rows:
                work = self.rows[row[0]] = Work(*row)
                work.was = work.token
        return [self.rows[row[0]] for row in found]

    def need(self, id: str) -> Work:
        """One execution that is known to exist."""
        if id not in self.rows:
            self.load((id,))
        return self.rows[id]

    def touch(self, work: Work) -> None:
        """The row changed in any way."""
        self._touched.add(work.id)

    def note(self, work: Work) -> None:
        """Only the row's crashes, marks, signals or progress changed."""
        self._noted.add(work.id)

    def record(self, work: Work, entries: Iterable[Entry]) -> None:
        """Adds to the journal of a running execution."""
        self._entries += [(work.id, *msgspec.structs.astuple(entry), work.was) for entry in entries]

    def complete(self, work: Work, result: str) -> None:
        """The row was running and completed; its other changes, if any, are touched too."""
        self._completed.append((work.id, work.was, result))

    def flush(self) -> None:
        """Writes what is pending. Raises `StorageError` when a row is not as it was loaded."""
        if self.before_flush is not None:
            self.before_flush()
        if self._entries:
            self.session.put("record", (), self._entries)
            self._entries.clear()
        if self._completed:
            self._expect("complete", (self.now,), sorted(self._completed))
            self._completed.clear()
        if noted := sorted(self._noted - self._touched):
            self._expect("note", (), [_news(self.rows[id]) for id in noted])
        if self._touched:
            works = [self.rows[id] for id in sorted(self._touched)]
            self._expect("write", (), [_all(work, self.now) for work in works])
            for work in works:
                work.was = work.token
        self._noted.clear()
        self._touched.clear()

    def _expect(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> None:
        self.session.notable = self.session.notable or name != "note"
        if self.session.put(name, head, rows) != len(rows):
            raise StorageError("executions were changed by somebody else meanwhile; try again", retryable=True)


def _first(row: list[str]) -> str:
    return row[0]


def _news(work: Work) -> Sequence[Value]:
    return (work.id, work.was, work.crashes, work.marks, work.signals, work.progress)


def _all(work: Work, now: int) -> Sequence[Value]:
    return (
        work.id, work.was, work.status, work.ready(now), work.token, work.worker_id, work.generation, work.attempt,
        work.crashes, work.drifts, work.due_at, work.deadline_at, work.cancel_reason, work.failure, work.waits,
        work.wake_any, work.wake_all, work.rest_until, work.wake_signals, work.finished_at, work.closed_at,
        work.expires_at(), work.children_total, work.children_settled, work.children_closed, work.marks, work.signals,
        work.stale, work.progress,
    )  # fmt: skip
