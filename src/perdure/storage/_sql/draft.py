"""Rows being changed: loaded once, changed in memory, written back in sets.

A `Draft` belongs to one operation inside one transaction. It holds at most one `Work` per execution, so that several
changes of one row (a parent whose children settle in one batch) become one write; writes go in ascending order of ids
(R13), and each is bound to the token that was loaded (R2). Whoever asks the database while changes are pending must
`flush` first. It must never decide what changes: that is `moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from perdure.model.records import Entry
from perdure.model.status import Status
from perdure.storage._sql.session import OvertakenError, Session, Value

OPEN_IDLE: Final = frozenset({"pending", "waiting"})
SUSPICIOUS: Final = 2
"""So many crashes in a row make an execution a suspect: a worker holds at most one (R11)."""

HAS_ENTRIES, WAS_SUSPENDED, CHILD_REOPENED, WAKES_AT_FAILURE = 1, 2, 4, 8
"""Bits of `marks`."""

LATER, DUE, SUSPECT, ASLEEP = 0, 1, 2, 3
PLACES: Final = {"running": 4, "completed": 5, "failed": 6, "timed_out": 6, "cancelled": 6}
"""Where executions are found: the column `place`."""

NEWS, PASS, COUNTS, ALL = 1, 2, 4, 8
"""What changed of a row, as bits: crashes, marks, signals and the note for people; how its pass ended (and news, but for
signals); counters of children, closing and when it is due; anything."""


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
    created_at: int
    was: int = 0

    def place(self, now: int) -> int:
        """Where it is found from now on; a claim looks at `DUE` and `SUSPECT` only."""
        if self.status not in OPEN_IDLE:
            return PLACES[self.status]
        if self.due_at is None:
            return ASLEEP
        return LATER if self.due_at > now else SUSPECT if self.crashes >= SUSPICIOUS else DUE

    def expires_at(self) -> int | None:
        """When its tree may be removed."""
        if self.closed_at is None or self.retention is None or self.parent_id is not None:
            return None
        return self.closed_at + self.retention


class Draft:
    """The rows of one operation. Read `rows`; after changing a `Work`, `touch` it."""

    def __init__(self, session: Session, now: int) -> None:
        self.session, self.now = session, now
        self.rows: dict[str, Work] = {}
        self.before_flush: Callable[[], None] | None = None
        """Writes what must be written while rows still are as they were loaded."""
        self._touched: dict[str, int] = {}
        self._entries: list[Sequence[Value]] = []
        self._drops: list[tuple[str, str, str, int]] = []
        self._completed: list[tuple[str, int, str]] = []

    def load(self, ids: Iterable[str]) -> None:
        """Loads executions that are not loaded yet; unknown ids are left out."""
        missing = [id for id in dict.fromkeys(ids) if id not in self.rows]
        if missing:
            self.adopt("load", missing)

    def load_up(self, ids: Iterable[str]) -> None:
        """Loads executions that may settle, spawn or open again, and at least their parents. A database that many write to
        holds their roots too: so who changes a tree keeps others from changing it."""
        if found := list(dict.fromkeys(ids)):
            self.adopt("load_up", found)

    def held(self, holders: Mapping[str, str]) -> Iterator[Work]:
        """Loads executions that may settle; gives, in order of ids, those that these workers still hold."""
        self.load_up(holders)
        for id in sorted(holders):
            work = self.rows.get(id)
            if work is not None and work.status == "running" and work.worker_id == holders[id]:
                yield work

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

    def touch(self, work: Work, what: int = ALL) -> None:
        """The row changed; `what` says in which respects."""
        self._touched[work.id] = self._touched.get(work.id, 0) | what

    def record(self, work: Work, entries: Iterable[Entry]) -> None:
        """Adds to the journal of a running execution."""
        self._entries += [(work.id, *msgspec.structs.astuple(entry), work.was) for entry in entries]

    def drop(self, work: Work, prefix: str) -> None:
        """Removes from the journal of a running execution what is recorded so far under a prefix of keys."""
        self._entries = [each for each in self._entries if each[0] != work.id or not _dropped(each, prefix)]
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        self._drops.append((work.id, prefix, after, work.was))

    def complete(self, work: Work, result: str) -> None:
        """The row was running and completed; its other changes, if any, are touched too."""
        self._completed.append((work.id, work.was, result))

    def flush(self) -> None:
        """Writes what is pending. Raises `StorageError` when a row is not as it was loaded."""
        if self.before_flush is not None:
            self.before_flush()
        for each in self._drops:
            self.session.do("drop_entries", *each)
        self._drops.clear()
        if self._entries:
            self.session.give("record", self._entries)
            self._entries.clear()
        if self._completed:
            self._expect("complete", (self.now,), sorted(self._completed))
            self._completed.clear()
        if self._touched:
            self._write()

    def _write(self) -> None:
        """Writes changed rows, each by the narrowest statement that has what changed."""
        touched, self._touched = sorted(self._touched.items()), {}
        for name, values in (("note", _news), ("end_pass", _pass), ("count_children", _counts), ("write", _all)):
            if works := [self.rows[id] for id, what in touched if STATEMENTS.get(what, "write") == name]:
                self._expect(name, (), [values(work, self.now) for work in works])
        for id, _ in touched:
            work = self.rows[id]
            work.was = work.token

    def _expect(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> None:
        self.session.notable = self.session.notable or name != "note"
        if self.session.put(name, head, rows) != len(rows):
            raise OvertakenError


def _first(row: Sequence[Any]) -> str:
    return str(row[0])


def _dropped(entry: Sequence[Value], prefix: str) -> bool:
    """Whether an entry that is to be written falls under a prefix that is dropped; a signal that was taken stays."""
    _, key, _, _, kind, _, value, *_ = entry
    return str(key).startswith(prefix) and (kind != "signal" or value is None)


STATEMENTS: Final = {NEWS: "note", PASS: "end_pass", PASS | NEWS: "end_pass", COUNTS: "count_children"}
"""Which statement writes what; any other mixture takes the one that writes all."""


def _news(work: Work, now: int) -> Sequence[Value]:  # noqa: ARG001 - all of these have one shape
    return (work.id, work.was, work.crashes, work.marks, work.signals, work.progress)


def _pass(work: Work, now: int) -> Sequence[Value]:
    return (
        work.id, work.was, work.status, work.place(now), work.attempt, work.drifts, work.due_at, work.failure, work.waits,
        work.wake_any, work.wake_all, work.rest_until, work.wake_signals, work.marks, work.progress,
    )  # fmt: skip


def _counts(work: Work, now: int) -> Sequence[Value]:
    return (
        work.id, work.was, work.place(now), work.due_at, work.children_total, work.children_settled,
        work.children_closed, work.closed_at, work.expires_at(),
    )  # fmt: skip


def _all(work: Work, now: int) -> Sequence[Value]:
    return (
        work.id, work.was, work.status, work.place(now), work.token, work.worker_id, work.generation, work.attempt,
        work.crashes, work.drifts, work.due_at, work.deadline_at, work.cancel_reason, work.failure, work.waits,
        work.wake_any, work.wake_all, work.rest_until, work.wake_signals, work.finished_at, work.closed_at,
        work.expires_at(), work.children_total, work.children_settled, work.children_closed, work.marks, work.signals,
        work.stale, work.progress,
    )  # fmt: skip
