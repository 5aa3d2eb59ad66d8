"""What a parent task would write next, by what its journal shows: its `Spawn` with the first children, further children, its
finalizer, its result; where it can do nothing it waits. So that random storms on storages grow trees that are trees.

Nothing here reads or writes a storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from perdure.model.records import (
    MEMO,
    Child,
    Completed,
    Entry,
    JournalView,
    NewExecution,
    Outcome,
    Row,
    Settled,
    Suspended,
    Transition,
    Wait,
)
from perdure.model.status import SETTLED
from perdure.model.trees import FINALIZE, SPAWN, Plan, planned

AT_ONCE: Final = 2
"""So many children start with the `Spawn`; the others wait for their turn."""
RESULT: Final = "1"
FAILURE: Final = '{"kind":"error","type":"ValueError","message":"it broke"}'


def grown(row: Row, view: JournalView, count: int, now: int) -> Transition:
    """The next transition of a tree of `count` children (as long as it has not begun)."""
    plan = planned(view.entries)
    if plan is None:
        plan = Plan(msgspec.Raw(b"1"), row.id, count, {}, {i: msgspec.Raw(b"{}") for i in range(AT_ONCE, count)})
        entry = Entry(SPAWN, MEMO, len(view.entries), "value", SPAWN, plan.text(), None, None, now, None, row.token)
        first = [plan.slot(index) for index in range(min(count, AT_ONCE))]
        return Transition(row.id, row.token, (entry,), _spawns(row, _latest(view), first))
    latest = _latest(view)
    slots = [plan.slot(index) for index in range(plan.count)]
    if wanted := _to_start(latest, slots):
        return Transition(row.id, row.token, (), _spawns(row, latest, wanted))
    if joined(view):
        return Transition(row.id, row.token, (), (), Completed(RESULT))
    return Transition(row.id, row.token, (), (), _waiting(view))


def withered(row: Row, view: JournalView, well: bool, now: int) -> Transition:
    """The end of an execution, well or not; of a tree its next transition."""
    if planned(view.entries) is not None:
        return grown(row, view, 0, now)
    return Transition(row.id, row.token, outcome=Completed(RESULT) if well else Settled("failed", FAILURE))


def joined(view: JournalView) -> bool:
    """Whether a tree may complete: all its children are settled, and its finalizer completed."""
    plan, latest = planned(view.entries), _latest(view)
    last = latest.get(FINALIZE)
    if plan is None or last is None or last.stale or last.status != "completed":
        return False
    return not _to_start(latest, [plan.slot(index) for index in range(plan.count)])


def _to_start(latest: dict[str, Child], slots: Iterable[str]) -> list[str]:
    """The slots in which a child is to be started now: of the children, else of the finalizer."""
    met = {slot: latest[slot] for slot in slots if slot in latest and not latest[slot].stale}
    left = [slot for slot in slots if slot not in met]
    going = sum(child.status not in SETTLED for child in met.values())
    if left or going:
        return left[: max(AT_ONCE - going, 0)]
    last = latest.get(FINALIZE)
    return [FINALIZE] if last is None or last.stale else []


def _spawns(row: Row, latest: dict[str, Child], slots: Iterable[str]) -> tuple[NewExecution, ...]:
    made: list[NewExecution] = []
    for slot in slots:
        generation = latest[slot].generation + 1 if slot in latest else 0
        made.append(NewExecution(
            id=f"{row.id}/{slot}~{generation}", task_name="work", input="{}", parent_id=row.id, slot=slot,
            slot_generation=generation, root_id=row.root_id, depth=row.depth + 1,
        ))  # fmt: skip
    return tuple(made)


def _waiting(view: JournalView) -> Outcome:
    going = sum(child.status not in SETTLED for child in view.children)
    return Suspended((Wait("children"),), wake_any=view.children_settled + 1, wake_all=view.children_settled + going)


def _latest(view: JournalView) -> dict[str, Child]:
    return {child.slot: child for child in sorted(view.children, key=lambda child: child.generation)}
