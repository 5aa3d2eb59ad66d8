"""What must hold of the executions in any storage, at any moment between two operations: the rules as pure functions.

Each rule reads one `Snapshot` and yields a `Violation` for each thing that breaks it; its docstring is the invariant.
`RULES` lists them all; they cite R1-R16 of the storage's contract, and for what styles promise of trees: T1 children are
conserved, T2 the finalizer comes once and last. What an operator did (retried, forgot) may look odd and be right: a rule
claims nothing about it. Nothing here reads a storage, judges by clocks of different workers, or mends anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from typing import Final

import msgspec

from perdure.model.records import FORGOTTEN, MEMO, Child, Entry, JournalView, Row, WorkerRow
from perdure.model.status import SETTLED, STATUSES, UNSUCCESSFUL
from perdure.model.trees import FINALIZE, Plan, planned
from perdure.storage.settling import load_waits

ELSEWHERE: Final = frozenset({"signal", "external", "children", "finalize", "limit"})
"""Kinds of wait that something else than the clock ends."""
JOINS: Final = frozenset({"children", "finalize"})


class Violation(msgspec.Struct, frozen=True, order=True):
    """Something that must not be: the `rule` of the contract that it breaks, the execution, and what was found."""

    rule: str
    execution_id: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: execution {self.execution_id or '-'}: {self.detail}"


class Snapshot:
    """All rows, journals and workers of a storage at one moment. Rows come as they were read, doubled ones included."""

    def __init__(
        self, rows: Iterable[Row], journals: dict[str, JournalView], workers: Iterable[WorkerRow], counted: int
    ) -> None:
        self.listed = list(rows)
        self.journals, self.counted = journals, counted
        self.workers = {worker.id: worker for worker in workers}
        self.rows = {row.id: row for row in self.listed}

    @cached_property
    def children(self) -> dict[str, list[Row]]:
        """Rows by their parent."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            if row.parent_id is not None:
                found[row.parent_id].append(row)
        return found

    @cached_property
    def slots(self) -> dict[str, dict[str, list[Child]]]:
        """Children as the journal of their parent shows them, by its id and by slot, in the order of their generations."""
        found: dict[str, dict[str, list[Child]]] = {}
        for id, view in self.journals.items():
            slots = found.setdefault(id, defaultdict(list))
            for child in sorted(view.children, key=lambda child: child.generation):
                if child.slot and child.id in self.rows:
                    slots[child.slot].append(child)
        return found

    @cached_property
    def trees(self) -> list[Tree]:
        """Executions that recorded a `Spawn`."""
        plans = {row.id: planned(self.journals[row.id].entries) for row in self.rows.values()}
        return [Tree(self, self.rows[id], plan) for id, plan in plans.items() if plan is not None]


class Tree:
    """A parent task that recorded its `Spawn`. `missing` are the children (their numbers) that do not stand, nor came with the
    copy that a fork is; `open` those that are not settled and that no operator started again."""

    def __init__(self, at: Snapshot, row: Row, plan: Plan) -> None:
        self.row, self.plan = row, plan
        self.slots = at.slots[row.id]
        copied = {entry.key for entry in at.journals[row.id].entries if entry.kind == "child" and entry.scope == MEMO}
        slots = list(enumerate(map(plan.slot, range(plan.count))))
        self.missing = [index for index, slot in slots if slot not in self.slots and slot not in copied]
        latest = {index: self.slots[slot][-1] for index, slot in slots if slot in self.slots}
        self.open = [
            index for index, child in latest.items()
            if child.status not in SETTLED and child.generation == at.rows[child.id].generation == 0
        ]  # fmt: skip


Rule = Callable[[Snapshot], Iterator[Violation]]


def fields_fit_status(at: Snapshot) -> Iterator[Violation]:
    """R2, R6: a status is one of the seven; a running execution has a worker, a token and a start, no other has a
    worker; only waiting ones have waits; a flag to cancel is only on running ones, or kept by cancelled ones."""
    for row in at.rows.values():
        running = row.status == "running"
        yield from _unless(row.status in STATUSES, "R9", row, f"has the unknown status {row.status!r}")
        yield from _unless(
            (row.worker_id is not None) == running, "R6", row, f"{row.status} with worker {row.worker_id}"
        )
        yield from _unless(not running or row.token > 0, "R2", row, f"runs under token {row.token}")
        yield from _unless(not running or row.started_at is not None, "R5", row, "runs, but was never started")
        yield from _unless(bool(load_waits(row.waits)) == (row.status == "waiting"), "R16", row, _waits(row))
        flagged = row.cancel_reason is None or row.status in ("running", "cancelled")
        yield from _unless(flagged, "R10", row, f"{row.status} under a flag to cancel")
        bound = max(row.max_crashes, 1)
        yield from _unless(
            0 <= row.crashes <= bound, "R11", row, f"crashed {row.crashes} times, at most {bound} may be"
        )


def settled_is_whole(at: Snapshot) -> Iterator[Violation]:
    """R9: what is settled has an end, no due time, and a result or a failure as its status says; the open has no end."""
    for row in at.rows.values():
        settled = row.status in SETTLED
        yield from _unless((row.finished_at is not None) == settled, "R9", row, f"{row.status}, end {row.finished_at}")
        yield from _unless((row.result is not None) == (row.status == "completed"), "R9", row, f"{row.status}, result")
        yield from _unless(not settled or row.due_at is None, "R9", row, f"{row.status}, but due at {row.due_at}")
        failed = row.failure is not None if row.status in UNSUCCESSFUL else row.failure is None
        yield from _unless(not settled or failed, "R9", row, f"{row.status} with failure {row.failure}")


def open_has_a_reason(at: Snapshot) -> Iterator[Violation]:
    """R8, R16: what is pending is due some time; what waits is due some time, or waits for what is yet to come: an open
    child, a signal that was not received, an external task that nobody completed."""
    for row in at.rows.values():
        if row.due_at is not None or row.status not in ("pending", "waiting"):
            continue
        waits = load_waits(row.waits)
        kinds = {wait.kind for wait in waits}
        if row.status == "pending" or not kinds & ELSEWHERE:
            yield Violation("R16", row.id, f"{row.status}, but never due and {_waits(row)}")
        elif kinds <= JOINS and all(child.status in SETTLED for child in at.children[row.id]):
            yield Violation("R8", row.id, "waits for children of which none is open, and is not due")
        answered = "external" in kinds and at.journals[row.id].external is not None
        yield from _unless(not answered, "R8", row, f"waits for external key {row.external_key!r}, which is completed")
        for name in {wait.name for wait in waits if wait.kind == "signal"}:
            view = at.journals[row.id]
            received = sum(signal.name == name for signal in view.signals)
            own = [e for e in view.entries if e.kind == "signal" and _took(e)]
            taken = sum(e.name == name and e.value is not None for e in own)
            yield from _unless(received <= taken, "R8", row, f"waits for signal {name!r}, has one, and is not due")


def _took(entry: Entry) -> bool:
    """Whether a signal's entry holds, or held until it was forgotten, and was not copied by a fork."""
    return entry.token > 0 and (entry.scope == MEMO or entry.scope.startswith(FORGOTTEN))


def children_are_counted(at: Snapshot) -> Iterator[Violation]:
    """R7: the counters of a parent are the true numbers of its children, of the settled and of the closed ones; its
    journal shows the same children."""
    for row in at.rows.values():
        children = at.children[row.id]
        settled = sum(child.status in SETTLED for child in children)
        closed = sum(child.closed_at is not None for child in children)
        kept = (row.children_total, row.children_settled, row.children_closed)
        true = (len(children), settled, closed)
        yield from _unless(
            kept == true, "R7", row, f"counts (total, settled, closed) {kept} children; there are {true}"
        )
        view = at.journals[row.id]
        yield from _unless(
            view.children_settled == settled, "R7", row, f"journal counts {view.children_settled} settled"
        )
        shown = sorted((child.id, child.status, child.result, child.failure) for child in view.children)
        stored = sorted((child.id, child.status, child.result, child.failure) for child in children)
        yield from _unless(shown == stored, "R3", row, "journal and table show different children")


def slots_are_conserved(at: Snapshot) -> Iterator[Violation]:
    """R4: generations of a slot follow each other without a gap, and one is replaced only when it is stale; what is stale is
    over, or runs under a flag to cancel. So of each slot one child counts, and no other goes on."""
    for id, slots in at.slots.items():
        for slot, children in slots.items():
            numbers = [child.generation for child in children]
            if numbers != list(range(len(numbers))):
                yield Violation("R4", id, f"slot {slot!r} holds generations {numbers}")
            for row in (at.rows[child.id] for child in children[:-1] if not child.stale):
                yield from _unless(row.generation > 0, "R4", row, f"was replaced in slot {slot!r} and is not stale")
            for row in (at.rows[child.id] for child in children if child.stale):
                over = row.status in SETTLED or row.cancel_reason is not None
                yield from _unless(over, "R4", row, f"is stale, and {row.status}")


def children_are_conserved(at: Snapshot) -> Iterator[Violation]:
    """T1: of the children of a tree none is lost: those that start at once stand as soon as the `Spawn` is recorded, all of
    them once the tree completed, and then all are settled."""
    for tree in at.trees:
        row, plan = tree.row, tree.plan
        first = row.generation == 0 and plan.origin == row.id and row.cancel_reason is None
        done = row.status == "completed"
        lost = tree.missing if done else [index for index in tree.missing if first and index not in plan.later]
        yield from _unless(not lost, "T1", row, f"{row.status}; of {plan.count} children {lost} are lost")
        yield from _unless(not (done and tree.open), "T1", row, f"completed, and its children {tree.open} are open")


def finalizer_is_once_and_last(at: Snapshot) -> Iterator[Violation]:
    """T2: a finalizer stands only when every child of its tree was settled; of a completed tree that has one, exactly one
    completed, and what it came to is the tree's result."""
    for tree in at.trees:
        row = tree.row
        if tree.plan.origin != row.id or FINALIZE not in tree.slots:
            continue
        early = sorted([*tree.missing, *tree.open])
        yield from _unless(not early, "T2", row, f"has a finalizer before its children {early} are settled")
        ends = [child.result for child in tree.slots[FINALIZE] if child.status == "completed" and not child.stale]
        once = row.status != "completed" or ends == [row.result]
        yield from _unless(once, "T2", row, f"completed by {len(ends)} finalizers, or with another result")


def closed_means_all_settled(at: Snapshot) -> Iterator[Violation]:
    """R9: an execution is closed exactly when it and all below it are settled."""
    for row in at.rows.values():
        over = row.status in SETTLED and all(child.closed_at is not None for child in at.children[row.id])
        yield from _unless((row.closed_at is not None) == over, "R9", row, f"{row.status}, closed at {row.closed_at}")


def cancel_reaches_down(at: Snapshot) -> Iterator[Violation]:
    """R9, R10: nothing is open below what settled without success, unless it runs under a flag to cancel, or an
    operator's retry opened it again (it, or what stands between)."""
    known: dict[str, Row | None] = {}
    for row in at.rows.values():
        if row.status in SETTLED or row.cancel_reason is not None:
            continue
        ended = _ended_above(at, row, known)
        yield from _unless(
            ended is None, "R9", row, f"{row.status} below {ended and ended.id}, which {ended and ended.status}"
        )


def trees_are_trees(at: Snapshot) -> Iterator[Violation]:
    """R4: a parent exists, is one level higher and in the same tree; a root is its own; no execution is above itself."""
    misfits = 0
    for row in at.rows.values():
        parent = at.rows.get(row.parent_id or "")
        if row.parent_id is None:
            yield from _unless(row.root_id == row.id, "R4", row, f"has no parent, but root {row.root_id}")
        elif parent is None:
            yield Violation("R15", row.id, f"its parent {row.parent_id} does not exist")
        else:
            fits = row.root_id == parent.root_id and row.depth == parent.depth + 1
            yield from _unless(
                fits, "R4", row, f"root {row.root_id}, depth {row.depth} do not follow from its parent's"
            )
            misfits += not fits
    for row in at.rows.values() if misfits else ():  # depths that rise everywhere go round in no circle
        yield from _unless(all(above.id != row.id for above in _above(at, row)), "R4", row, "is above itself")


def identities_are_unique(at: Snapshot) -> Iterator[Violation]:
    """R4: one row per id, one execution per (task, idempotency key) and (parent, slot, generation); one entry per key
    and scope; one signal per id."""
    yield from _doubled("id", ((row.id, row.id) for row in at.listed))
    rows = at.rows.values()
    yield from _doubled("key", (((r.origin, r.idempotency_key), r.id) for r in rows if r.idempotency_key is not None))
    slots = (((r.parent_id, r.slot, r.slot_generation), r.id) for r in rows if r.parent_id and r.slot is not None)
    yield from _doubled("slot", slots)
    for id, view in at.journals.items():
        yield from _doubled("entry", (((entry.key, entry.scope), id) for entry in view.entries))
        yield from _doubled("signal", ((signal.id, id) for signal in view.signals))


def signals_keep_their_order(at: Snapshot) -> Iterator[Violation]:
    """R12: positions of received signals rise in the order shown."""
    for id, view in at.journals.items():
        places = [signal.position for signal in view.signals]
        if places != sorted(set(places)):
            yield Violation("R12", id, f"signals stand at positions {places}")


def counts_agree(at: Snapshot) -> Iterator[Violation]:
    """R1: a count of everything is the number of rows that a search of everything finds."""
    if at.counted != len(at.listed):
        yield Violation("R1", "", f"{at.counted} executions are counted, {len(at.listed)} are found")


RULES: Final[tuple[Rule, ...]] = (
    fields_fit_status,
    settled_is_whole,
    open_has_a_reason,
    children_are_counted,
    slots_are_conserved,
    children_are_conserved,
    finalizer_is_once_and_last,
    closed_means_all_settled,
    cancel_reaches_down,
    trees_are_trees,
    identities_are_unique,
    signals_keep_their_order,
    counts_agree,
)


def _unless(holds: bool, rule: str, row: Row, detail: str) -> Iterator[Violation]:
    if not holds:
        yield Violation(rule, row.id, detail)


def _waits(row: Row) -> str:
    return f"waits {row.waits}"


def _above(at: Snapshot, row: Row) -> Iterator[Row]:
    """What stands above, as far as no retry opened something again in between; ends at a circle."""
    seen: set[str] = set()
    parent = at.rows.get(row.parent_id or "")
    while parent is not None and row.generation == 0 and parent.id not in seen:
        yield parent
        seen.add(parent.id)
        row, parent = parent, at.rows.get(parent.parent_id or "")


def _ended_above(at: Snapshot, row: Row, known: dict[str, Row | None]) -> Row | None:
    """The nearest of those above that ended without success; `known` remembers, for trees may be deep."""
    way: list[str] = []
    ended: Row | None = None
    while row.id not in known:
        known[row.id] = None  # so that a circle ends
        way.append(row.id)
        parent = at.rows.get(row.parent_id or "")
        if parent is None or row.generation > 0:
            break
        if parent.status in UNSUCCESSFUL:
            ended = parent
            break
        row = parent
    else:
        ended = known[row.id]
    known.update(dict.fromkeys(way, ended))
    return ended


def _doubled(what: str, found: Iterable[tuple[Hashable, str]]) -> Iterator[Violation]:
    pairs = list(found)
    often = Counter(identity for identity, _ in pairs)
    for identity, id in dict.fromkeys(pairs):
        if often[identity] > 1:
            yield Violation("R4", id, f"{what} {identity} stands {often[identity]} times")
