"""The rules by which executions settle, wake, close and open again: R7, R8, R9 and R10, for one moment in time.

Whatever settles an execution (an outcome, a cancel, a lost worker, a deadline) comes through here, so that counters of
parents, wake-ups, cancels below and closing cannot be forgotten. Each move of a status is looked up in the table of
legal transitions. This module must never ask for a token: who may move is decided by those who call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from perdure.model.records import Row, Suspended
from perdure.model.status import SETTLED, TRANSITIONS, UNSUCCESSFUL, Status
from perdure.storage.memory.tables import OPEN_IDLE, Tables
from perdure.storage.settling import cancelled_failure, parent_reason


class End(msgspec.Struct, frozen=True):
    """How an execution is to settle."""

    id: str
    status: Status
    result: str | None = None
    failure: str | None = None
    reason: str | None = None


class Moves:
    """Moves at `now`. `touched` collects executions that fell due by them; see `woken`."""

    def __init__(self, tables: Tables, now: int) -> None:
        self.tables, self.now = tables, now
        self.touched: dict[str, bool] = {}

    @property
    def woken(self) -> tuple[str, ...]:
        """Executions that fell due by these moves and still wait, in order of id."""
        rows = self.tables.rows
        return tuple(sorted(id for id in self.touched if rows[id].status == "waiting"))

    def move(self, id: str, status: Status, **changes: object) -> Row:
        """Moves an execution along the table of transitions; conditions of an earlier wait are gone after it."""
        row = self.tables.rows[id]
        assert (row.status, status) in TRANSITIONS, f"{id} cannot go from {row.status} to {status}"
        self.tables.drop(self.tables.wakes, id)
        self.tables.drop(self.tables.reopened, id)
        return self.tables.change(id, status=status, waits=None, **changes)

    def suspend(self, id: str, outcome: Suspended, waits: str) -> Row:
        """Lets a running execution wait, unless what it waits for is there already: then it is due at once (R8)."""
        due_at = min(self._ready(id, outcome), default=None)
        self.tables.set(self.tables.suspended, id, True)
        self.move(id, "waiting", worker_id=None, due_at=due_at)
        self.tables.set(self.tables.wakes, id, outcome)
        return self.tables.change(id, waits=waits)

    def wake(self, id: str, at: int) -> None:
        """Makes a waiting execution due at a moment, if it is not due earlier."""
        row = self.tables.rows[id]
        if row.status == "waiting" and (row.due_at is None or row.due_at > at):
            self.tables.change(id, due_at=at)
            if at <= self.now:
                self.touched[id] = True

    def settle(self, ends: Iterable[End]) -> None:
        """Settles executions together; what is open below those without success is cancelled after all of them."""
        below: list[End] = []
        for end in ends:
            self._finish(end)
            if end.status in UNSUCCESSFUL:
                below.append(end)
        for end in below:
            self.cancel_below(end.id, parent_reason(end.status))

    def cancel(self, id: str, reason: str) -> None:
        """Cancels one open execution: settled at once where nobody runs it, else flagged. The first reason stands."""
        row = self.tables.rows[id]
        if row.status in OPEN_IDLE:
            self._finish(End(id, "cancelled", failure=cancelled_failure(reason), reason=reason))
        elif row.status == "running" and row.cancel_reason is None:
            self.tables.change(id, cancel_reason=reason)

    def cancel_below(self, id: str, reason: str) -> None:
        """Cancels what is open below an execution, through all generations of the tree, parents before children."""
        for each in list(self._below(id)):
            self.cancel(each, reason)

    def reopen(self, id: str) -> None:
        """Starts a new generation of an execution that settled without success (an operator's retry)."""
        row = self.tables.rows[id]
        expired = row.deadline_at is not None and row.deadline_at <= self.now
        self.move(
            id, "pending", generation=row.generation + 1, attempt=0, crashes=0, drifts=0, due_at=self.now,
            deadline_at=None if expired else row.deadline_at,
            result=None, failure=None, cancel_reason=None, finished_at=None, closed_at=None,
        )  # fmt: skip
        self.tables.drop(self.tables.stale, id)
        self.age_children(id, ending=True)
        if row.parent_id is not None:
            parent = self.tables.rows[row.parent_id]
            self.tables.change(parent.id, children_settled=parent.children_settled - 1)
            if parent.status == "running":
                self.tables.set(self.tables.reopened, parent.id, True)
            self.wake(parent.id, self.now)
            if row.closed_at is not None:
                self._unclose(parent.id)

    def age_children(self, id: str, *, ending: bool = False) -> None:
        """Marks children that settled without success as stale: the next attempt replaces them. With `ending` also those
        that still run but are to be cancelled, and can settle in no other way."""
        for child in self.tables.children.get(id, ()):
            row = self.tables.rows[child]
            flagged = ending and row.status == "running" and row.cancel_reason is not None
            if flagged or row.status in UNSUCCESSFUL:
                self.tables.set(self.tables.stale, child, True)

    def _ready(self, id: str, outcome: Suspended) -> Iterator[int]:
        """The moments at which the conditions of a suspension make it due, as far as they are known."""
        if outcome.due_at is not None:
            yield max(outcome.due_at, self.now)
        names = [received.name for received in self.tables.signals.get(id, {}).values()]
        if any(names.count(name) > taken for name, taken in zip(outcome.signals, outcome.taken, strict=True)):
            yield self.now
        if outcome.external is not None and outcome.external in self.tables.externals:
            yield self.now
        if id in self.tables.reopened:  # the pass knew another number of settled children than there is
            yield self.now
        yield from self._joined(outcome, self.tables.rows[id].children_settled)
        if outcome.wake_failed is not None and self._failed(id) > outcome.wake_failed:
            yield self.tables.rows[id].created_at - 1

    def _failed(self, id: str) -> int:
        """How many children settled without success, stale ones aside."""
        return sum(self._failed_now(self.tables.rows[child]) for child in self.tables.children.get(id, ()))

    def _failed_now(self, row: Row) -> bool:
        return row.status in UNSUCCESSFUL and row.id not in self.tables.stale

    def _joined(self, outcome: Suspended, settled: int) -> Iterator[int]:
        if outcome.wake_all is not None and settled >= outcome.wake_all:
            yield self.now
        if outcome.wake_any is not None and settled >= outcome.wake_any:
            yield max(self.now, outcome.rest_until)

    def _finish(self, end: End) -> None:
        """Settles one execution, counts it up in its parent (R7), and closes what is closed by it (R9)."""
        row = self.move(
            end.id, end.status, worker_id=None, due_at=None, result=end.result, failure=end.failure,
            cancel_reason=end.reason, finished_at=self.now,
        )  # fmt: skip
        if row.parent_id is not None:
            parent = self.tables.rows[row.parent_id]
            self.tables.change(parent.id, children_settled=parent.children_settled + 1)
            wake = self.tables.wakes.get(parent.id)
            for at in () if wake is None else self._joined(wake, parent.children_settled + 1):
                self.wake(parent.id, at)
            if wake is not None and wake.wake_failed is not None and self._failed_now(row):
                self.wake(parent.id, parent.created_at - 1)
        self._close(row.id)

    def _close(self, id: str) -> None:
        """Closes a settled execution whose children are all closed, and so on upwards."""
        row = self.tables.rows[id]
        while row.status in SETTLED and row.children_closed == row.children_total:
            self.tables.change(row.id, closed_at=self.now)
            if row.parent_id is None:
                return
            parent = self.tables.rows[row.parent_id]
            row = self.tables.change(parent.id, children_closed=parent.children_closed + 1)

    def _unclose(self, id: str | None) -> None:
        """One child of an execution is no longer closed: nor is it, nor what is above it."""
        while id is not None:
            row = self.tables.rows[id]
            self.tables.change(id, children_closed=row.children_closed - 1, closed_at=None)
            id = row.parent_id if row.closed_at is not None else None

    def _below(self, id: str) -> Iterator[str]:
        """Open executions below one, parents before children; closed subtrees are passed over."""
        level = [id]
        while level:
            level = [child for each in level for child in self.tables.children.get(each, ())]
            level = [child for child in level if self.tables.rows[child].closed_at is None]
            yield from (child for child in level if self.tables.rows[child].status not in SETTLED)
