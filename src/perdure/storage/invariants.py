"""What must hold of the executions in any storage, at any moment between two operations: the rules as pure functions.

Each rule reads one `Snapshot` and yields a `Violation` for each thing that breaks it; its docstring is the invariant.
`RULES` lists them all. Nothing here reads a storage, judges by clocks of different workers, or mends anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from typing import Final

import msgspec

from perdure.model.records import FORGOTTEN, MEMO, Entry, JournalView, Row, WorkerRow
from perdure.model.status import SETTLED, STATUSES, UNSUCCESSFUL
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


def closed_means_all_settled(at: Snapshot) -> Iterator[Violation]:
    """R9: an execution is closed exactly when it and all below it are settled."""
    for row in at.rows.values():
        over = row.status in SETTLED and all(child.closed_at is not None for child in at.children[row.id])
        yield from _unless((row.closed_at is not None) == over, "R9", row, f"{row.status}, closed at {row.closed_at}")


def cancel_reaches_down(at: Snapshot) -> Iterator[Violation]:
    """R9, R10: nothing is open below what settled without success, unless it runs under a flag to cancel, or an
    operator's retry opened it again (it, or what stands between)."""
    for row in at.rows.values():
        if row.status in SETTLED or row.cancel_reason is not None:
            continue
        ended = next((above for above in _above(at, row) if above.status in UNSUCCESSFUL), None)
        yield from _unless(
            ended is None, "R9", row, f"{row.status} below {ended and ended.id}, which {ended and ended.status}"
        )


def trees_are_trees(at: Snapshot) -> Iterator[Violation]:
    """R4: a parent exists, is one level higher and in the same tree; a root is its own; no execution is above itself."""
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


def _doubled(what: str, found: Iterable[tuple[Hashable, str]]) -> Iterator[Violation]:
    pairs = list(found)
    often = Counter(identity for identity, _ in pairs)
    for identity, id in dict.fromkeys(pairs):
        if often[identity] > 1:
            yield Violation("R4", id, f"{what} {identity} stands {often[identity]} times")
