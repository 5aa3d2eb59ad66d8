"""The rules by which executions settle, wake, close and open again: R7, R8, R9 and R10, over a `Draft`.

Whatever settles an execution (an outcome, a cancel, a lost worker, a deadline) comes through here, so that counters of
parents, wake-ups, cancels below and closing cannot be forgotten. The same rules stand, over plain dictionaries, in
`perdure.storage.memory.moves`: the two are held against each other. This module must never ask for a token: who may
move is decided by those who call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from perdure.model.records import Suspended
from perdure.model.status import SETTLED, TRANSITIONS, UNSUCCESSFUL, Status
from perdure.storage._sql.draft import (
    ALL,
    CHILD_REOPENED,
    COUNTS,
    NEWS,
    OPEN_IDLE,
    PASS,
    WAKES_AT_FAILURE,
    WAS_SUSPENDED,
    Draft,
    Work,
)
from perdure.storage.settling import cancelled_failure, dump_waits, parent_reason


class End(msgspec.Struct, frozen=True):
    """How an execution is to settle."""

    id: str
    status: Status
    result: str | None = None
    failure: str | None = None
    reason: str | None = None


class Moves:
    """Moves at one moment. `woken` collects executions that fell due by them."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.now = draft, draft.now
        self.touched: set[str] = set()

    @property
    def woken(self) -> tuple[str, ...]:
        """Executions that fell due by these moves and still wait, in order of id."""
        rows = self.draft.rows
        return tuple(sorted(id for id in self.touched if rows[id].status == "waiting"))

    def move(self, work: Work, status: Status, due_at: int | None, what: int = ALL) -> None:
        """Moves an execution that is run no longer (or never was) along the table of transitions; with `what` PASS, by
        its own pass."""
        assert (work.status, status) in TRANSITIONS, f"{work.id} cannot go from {work.status} to {status}"
        if work.status == "waiting":
            work.waits = work.wake_signals = work.wake_any = work.wake_all = work.rest_until = None
        work.status, work.due_at, work.worker_id = status, due_at, None
        work.marks &= ~(CHILD_REOPENED | WAKES_AT_FAILURE)
        self.draft.touch(work, what)

    def suspend(self, work: Work, outcome: Suspended, heard: bool) -> None:
        """Lets a running execution wait, unless what it waits for is there already: then it is due at once (R8).
        `heard`: a signal that it waits for was received. Where a child was opened again during the pass, the pass knew
        another number of settled children than there is: it looks again."""
        moments = [] if outcome.due_at is None else [max(outcome.due_at, self.now)]
        if heard or work.marks & CHILD_REOPENED:
            moments.append(self.now)
        if outcome.wake_failed is not None and self._failed(work) > outcome.wake_failed:
            moments.append(_ahead(work))
        work.wake_any, work.wake_all, work.rest_until = outcome.wake_any, outcome.wake_all, outcome.rest_until
        moments += self._joined(work)
        self.move(work, "waiting", min(moments, default=None), PASS)
        work.marks, work.waits = work.marks | WAS_SUSPENDED, dump_waits(outcome.waits)
        work.wake_signals = msgspec.json.encode(outcome.signals).decode() if outcome.signals else None
        if outcome.wake_failed is not None:
            work.marks |= WAKES_AT_FAILURE

    def wake(self, work: Work, at: int) -> None:
        """Makes a waiting execution due at a moment, if it is not due earlier."""
        if work.status == "waiting" and (work.due_at is None or work.due_at > at):
            work.due_at = at
            self.draft.touch(work, COUNTS)
            if at <= self.now:
                self.touched.add(work.id)

    def settle(self, ends: Iterable[End]) -> None:
        """Settles executions together; what is open below those without success is cancelled after all of them."""
        below: list[End] = []
        for end in ends:
            self._finish(end)
            if end.status in UNSUCCESSFUL:
                below.append(end)
        for end in below:
            self.cancel_below(end.id, parent_reason(end.status))

    def cancel(self, work: Work, reason: str) -> None:
        """Cancels one open execution: settled at once where nobody runs it, else flagged. The first reason stands."""
        if work.status in OPEN_IDLE:
            self._finish(End(work.id, "cancelled", failure=cancelled_failure(reason), reason=reason))
        elif work.status == "running" and work.cancel_reason is None:
            work.cancel_reason = reason
            self.draft.touch(work)

    def cancel_below(self, id: str, reason: str) -> None:
        """Cancels what is open below an execution, through all generations of the tree."""
        work = self.draft.rows[id]
        if work.children_closed == work.children_total:
            return
        self.draft.flush()
        below = [each for each in self.draft.adopt("load_below", id) if each.status not in SETTLED]
        self.draft.load(each.parent_id for each in below if each.parent_id is not None)
        for each in below:
            self.cancel(each, reason)

    def reopen(self, work: Work) -> None:
        """Starts a new generation of an execution that settled without success (an operator's retry)."""
        was_closed = work.closed_at is not None
        self.move(work, "pending", self.now)
        work.generation += 1
        work.attempt = work.crashes = work.drifts = work.stale = 0
        work.failure = work.cancel_reason = work.finished_at = work.closed_at = None
        if work.deadline_at is not None and work.deadline_at <= self.now:
            work.deadline_at = None
        self.age_children(work, ending=True)
        if work.parent_id is not None:
            parent = self.draft.need(work.parent_id)
            parent.children_settled -= 1
            self.draft.touch(parent, COUNTS)
            if parent.status == "running":
                parent.marks |= CHILD_REOPENED
                self.draft.touch(parent, NEWS)
            self.wake(parent, self.now)
            if was_closed:
                self._unclose(parent)

    def age_children(self, work: Work, *, ending: bool = False) -> None:
        """Marks children that settled without success as stale: the next attempt replaces them. With `ending` also those
        that still run but are to be cancelled, and can settle in no other way."""
        if (work.children_total if ending else work.children_settled) == 0:
            return
        self.draft.flush()
        self.draft.session.do("age", work.id, int(ending))
        for each in self.draft.rows.values():
            flagged = ending and each.status == "running" and each.cancel_reason is not None
            if each.parent_id == work.id and (flagged or each.status in UNSUCCESSFUL):
                each.stale = 1

    def _failed(self, work: Work) -> int:
        """How many children settled without success, stale ones aside."""
        if work.children_settled == 0:
            return 0
        self.draft.flush()
        return int(self.draft.session.read("count_failed", work.id)[0][0])

    def _joined(self, work: Work) -> Iterator[int]:
        """The moments at which the conditions on children make an execution due, as far as they are met."""
        if work.wake_all is not None and work.children_settled >= work.wake_all:
            yield self.now
        if work.wake_any is not None and work.children_settled >= work.wake_any:
            yield max(self.now, work.rest_until or 0)

    def _finish(self, end: End) -> None:
        """Settles one execution, counts it up in its parent (R7), and closes what is closed by it (R9)."""
        work = self.draft.rows[end.id]
        self.move(work, end.status, None)
        work.failure, work.cancel_reason, work.finished_at = end.failure, end.reason, self.now
        self.finished(work)

    def finished(self, work: Work) -> None:
        """What follows for others from an execution that settled just now."""
        if work.parent_id is not None:
            parent = self.draft.need(work.parent_id)
            parent.children_settled += 1
            self.draft.touch(parent, COUNTS)
            if parent.status == "waiting":
                for at in self._joined(parent):
                    self.wake(parent, at)
                if parent.marks & WAKES_AT_FAILURE and work.status in UNSUCCESSFUL and not work.stale:
                    self.wake(parent, _ahead(parent))
        self._close(work)

    def _close(self, work: Work) -> None:
        """Closes a settled execution whose children are all closed, and so on upwards."""
        while work.status in SETTLED and work.children_closed == work.children_total:
            work.closed_at = self.now
            if work.parent_id is None:
                return
            work = self.draft.need(work.parent_id)
            work.children_closed += 1
            self.draft.touch(work, COUNTS)

    def _unclose(self, parent: Work) -> None:
        """One child of an execution is no longer closed: nor is it, nor what is above it."""
        work: Work | None = parent
        while work is not None:
            was_closed, work.closed_at = work.closed_at is not None, None
            work.children_closed -= 1
            self.draft.touch(work, COUNTS)
            work = self.draft.need(work.parent_id) if was_closed and work.parent_id is not None else None


def _ahead(work: Work) -> int:
    """Since when an execution is due that has to end its children: it goes before those that have not begun."""
    return work.created_at - 1
