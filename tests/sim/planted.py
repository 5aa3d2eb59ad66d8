"""Engine bugs, planted on purpose: each is a way in which such engines break in the wild, switched on for one run.

They are patches from outside, so that no product code knows of them. `PLANTED` names them all; the simulation has to find
every one, which is how we know that it sees anything at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from perdure.client import client as client_module
from perdure.engine import waiting
from perdure.engine.driver import Driver
from perdure.engine.journal import Ledger
from perdure.errors import Abort
from perdure.model.records import Child, Claimed, ClaimRequest, Committed, Entry, JournalView, NewExecution, Transition
from perdure.model.status import SETTLED
from perdure.model.trees import FINALIZE, SPAWN, Plan
from perdure.storage.memory import commits, intake, leases, maintenance
from perdure.storage.memory.moves import End, Moves
from perdure.storage.memory.storage import MemoryStorage
from perdure.storage.memory.tables import Tables
from perdure.storage.store import Store
from perdure.styles.lists import Run
from perdure.styles.tree.drive import Grove

Planting = Callable[[], AbstractContextManager[object]]
PLANTED: dict[str, Planting] = {}


def planted(make: Callable[[], AbstractContextManager[object]]) -> Planting:
    """Registers a bug under its name."""
    PLANTED[make.__name__] = make
    return make


@planted
def unfenced_write() -> AbstractContextManager[object]:
    """R2: a running execution takes writes under any token."""
    original = commits._apply

    def apply(tables: Tables, transition: Transition, now: int) -> Committed:
        row = tables.rows.get(transition.id)
        if row is not None and row.status == "running":
            transition = msgspec.structs.replace(transition, token=row.token)
        return original(tables, transition, now)

    return patch.object(commits, "_apply", apply)


@planted
def lost_wake_up() -> AbstractContextManager[object]:
    """R8: suspending does not look again whether what it waits for is there already."""

    def ready(self: Moves, id: str, outcome: Any) -> Iterator[int]:
        if outcome.due_at is not None:
            yield max(outcome.due_at, self.now)

    return patch.object(Moves, "_ready", ready)


@planted
def children_counted_twice() -> AbstractContextManager[object]:
    """R7: a child that settles without success is counted twice."""
    original = Moves._finish

    def finish(self: Moves, end: End) -> None:
        original(self, end)
        row = self.tables.rows[end.id]
        if row.parent_id is not None and row.status == "failed":
            parent = self.tables.rows[row.parent_id]
            self.tables.change(parent.id, children_settled=parent.children_settled + 1)

    return patch.object(Moves, "_finish", finish)


@planted
def early_timer() -> AbstractContextManager[object]:
    """P7: a timer is taken for over half a second before it is."""
    original = waiting._timer

    def timer(verbs: Any, key: str, name: str, length: int) -> int:
        return original(verbs, key, name, length) - 500

    return patch.object(waiting, "_timer", timer)


@planted
def memo_overwritten() -> AbstractContextManager[object]:
    """R4: entries are written without a fence and the last write wins, so a zombie changes what was recorded."""
    original = commits._apply

    def apply(tables: Tables, transition: Transition, now: int) -> Committed:
        journal = tables.within(tables.entries, transition.id) if transition.id in tables.rows else {}
        for entry in transition.entries:
            if entry.kind == "activity":
                tables.set(journal, (entry.key, entry.scope), entry)
        return original(tables, transition, now)

    return patch.object(commits, "_apply", apply)


@planted
def crashes_not_counted() -> AbstractContextManager[object]:
    """R11: the claim does not raise the count, so what kills its workers does so for ever."""
    original = leases._lease

    def lease(tables: Tables, id: str, worker_id: str, now: int) -> Any:
        before = tables.rows[id].crashes
        claim = original(tables, id, worker_id, now)
        tables.change(id, crashes=before)
        return msgspec.structs.replace(claim, crashes=before)

    original_row = intake._row

    def row(item: NewExecution, now: int) -> Any:
        return msgspec.structs.replace(original_row(item, now), crashes=0)

    @contextmanager
    def both() -> Iterator[None]:
        with patch.object(leases, "_lease", lease), patch.object(intake, "_row", row):
            yield

    return both()


@planted
def cancel_stays_on_top() -> AbstractContextManager[object]:
    """R9, R10: what is below a cancelled or failed execution goes on."""
    return patch.object(Moves, "cancel_below", lambda self, id, reason: None)


@planted
def key_not_looked_up() -> AbstractContextManager[object]:
    """R4: an idempotency key met again starts a second execution."""
    original = intake.insert

    def insert(tables: Tables, item: NewExecution, now: int) -> Any:
        return original(tables, msgspec.structs.replace(item, idempotency_key=None), now)

    @contextmanager
    def both() -> Iterator[None]:
        with patch.object(intake, "insert", insert), patch.object(commits, "insert", insert):
            yield

    return both()


@planted
def one_token_for_all() -> AbstractContextManager[object]:
    """R5: every lease of an execution has the same token."""
    original = leases._lease

    def lease(tables: Tables, id: str, worker_id: str, now: int) -> Any:
        claim = original(tables, id, worker_id, now)
        tables.change(id, token=1)
        return msgspec.structs.replace(claim, token=1)

    return patch.object(leases, "_lease", lease)


@planted
def signals_taken_twice() -> AbstractContextManager[object]:
    """R12: a signal is never marked as taken, so that the next wait of its name would get it again."""
    return patch.object(Ledger, "next_signal", lambda self, name: _first(self.signals))


def _first(signals: dict[str, list[Any]]) -> Any:
    return next((queue[0] for queue in signals.values() if queue), None)


@planted
def lost_enqueue() -> AbstractContextManager[object]:
    """P1: an enqueue is acknowledged before its transaction is sure to commit."""
    original = Store._execute

    def execute(self: Store, batch: Any) -> Any:
        answers = original(self, batch)
        for index, request in enumerate(batch.get("enqueue", ())):
            if isinstance(answers["enqueue"][index], Exception):
                answers["enqueue"][index] = client_module.Enqueued(request.item.id, True, "pending")
        return answers

    return patch.object(Store, "_execute", execute)


@planted
def dead_workers_keep_their_work() -> AbstractContextManager[object]:
    """R6: nobody takes back what a dead worker held."""
    return patch.object(maintenance, "_take_back", lambda moves: ([], []))


@planted
def lost_answer_of_a_claim() -> AbstractContextManager[object]:
    """R6, R16: a live worker keeps what an answer that was lost had given it."""
    original = MemoryStorage.heartbeat

    def heartbeat(self: MemoryStorage, beat: Any, now: int) -> Any:
        return original(self, msgspec.structs.replace(beat, holding=None), now)

    return patch.object(MemoryStorage, "heartbeat", heartbeat)


@planted
def torn_transition() -> AbstractContextManager[object]:
    """R3: an outcome is stored and the entries beside it are not."""
    original = commits._apply

    def apply(tables: Tables, transition: Transition, now: int) -> Committed:
        if transition.outcome is not None:
            transition = msgspec.structs.replace(transition, entries=())
        return original(tables, transition, now)

    return patch.object(commits, "_apply", apply)


@planted
def stale_children_kept() -> AbstractContextManager[object]:
    """R9: the next attempt meets the failed child of the one before instead of starting it anew."""
    return patch.object(Moves, "age_children", lambda self, id: None)


@planted
def claimed_before_due() -> AbstractContextManager[object]:
    """P7: a claim takes what is due in the next two seconds, and a retry runs early."""
    original = MemoryStorage.claim

    def claim(self: MemoryStorage, request: ClaimRequest, now: int) -> Claimed:
        return original(self, request, now + 2000)

    return patch.object(MemoryStorage, "claim", claim)


@planted
def recorded_before_run() -> AbstractContextManager[object]:
    """R4: what is recorded is not looked up, so that bodies of activities run again on each replay."""
    original = Ledger.memo

    def memo(self: Ledger, key: str, kind: Any, what: str) -> Entry | None:
        entry = original(self, key, kind, what)
        return None if kind == "activity" else entry

    return patch.object(Ledger, "memo", memo)


@planted
def resumed_with_old_news() -> AbstractContextManager[object]:
    """R8: a body in memory that goes on does not hear what happened while it waited."""
    original = Driver.resume

    def resume(self: Driver, claim: Any, view: JournalView) -> None:
        original(self, claim, JournalView())

    return patch.object(Driver, "resume", resume)


@planted
def child_lost_with_its_spawn() -> AbstractContextManager[object]:
    """T1: of the children that stand in one transition with their `Spawn` the last is lost."""
    original = commits._apply

    def apply(tables: Tables, transition: Transition, now: int) -> Committed:
        if any(entry.key == SPAWN for entry in transition.entries):
            transition = msgspec.structs.replace(transition, spawns=transition.spawns[:-1])
        return original(tables, transition, now)

    return patch.object(commits, "_apply", apply)


@planted
def child_left_out_of_the_join() -> AbstractContextManager[object]:
    """T1: a tree with a bound on how many run at once forgets those that had to wait."""
    original = Grove.joined

    async def joined(self: Grove, plan: Plan) -> list[Child]:
        first = plan.count - len(plan.later)
        return await original(self, msgspec.structs.replace(plan, count=first))

    return patch.object(Grove, "joined", joined)


@planted
def finalizer_before_its_time() -> AbstractContextManager[object]:
    """T2: a join returns with the first child that settles."""
    original = Grove.joined

    async def joined(self: Grove, plan: Plan) -> list[Child]:
        met = [self.met(plan.slot(index)) for index in range(plan.count)]
        going = [child for child in met if child is not None and child.status not in SETTLED]
        if not going or None in met:
            return await original(self, plan)
        await self._settling("children", going, any_of=True)
        met = [self.met(plan.slot(index)) for index in range(plan.count)]
        return [child for child in met if child is not None and child.status in SETTLED]

    return patch.object(Grove, "joined", joined)


@planted
def finalizer_again() -> AbstractContextManager[object]:
    """T2: a tree that goes on after its finalizer completed starts another."""
    original = Grove.met

    def met(self: Grove, slot: str) -> Child | None:
        child = original(self, slot)
        again = slot == FINALIZE and child is not None and child.status == "completed" and child.generation == 0
        return None if again else child

    return patch.object(Grove, "met", met)


@planted
def aborted_list_goes_on() -> AbstractContextManager[object]:
    """An abort of a list ends the item alone."""

    async def value(self: Run, *arguments: Any) -> Any:
        try:
            return await original(self, *arguments)
        except Abort as abort:
            raise Abort(str(abort)) from abort

    original = Run._value
    return patch.object(Run, "_value", value)


def of(names: Sequence[str]) -> list[Planting]:
    """The plantings of these names."""
    return [PLANTED[name] for name in names]
