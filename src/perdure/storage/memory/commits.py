"""What a running execution does: entries, spawned executions and an outcome, under its token (R2, R3, R8, R10).

The order within one transition is fixed: fence, entries, what is dropped, spawns, outcome. Under a cancel flag entries are kept, spawns
are dropped, and any outcome becomes `cancelled`. Nothing here may change a row before the fence has let it pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.model.records import (
    Committed,
    Completed,
    NewExecution,
    Outcome,
    Released,
    Retried,
    Row,
    Settled,
    Suspended,
    Transition,
)
from perdure.model.status import UNSUCCESSFUL
from perdure.storage.memory.intake import add_entries, drop_entries, insert
from perdure.storage.memory.moves import End, Moves
from perdure.storage.memory.tables import Tables
from perdure.storage.settling import cancelled_failure, dump_waits


def commit(tables: Tables, transitions: Sequence[Transition], now: int) -> list[Committed]:
    """Applies transitions in their order. Raises `ValueError` for one that no engine may write; then none is applied."""
    for transition in transitions:
        _check(transition)
    return [_apply(tables, transition, now) for transition in transitions]


def _check(transition: Transition) -> None:
    outcome = transition.outcome
    if isinstance(outcome, Settled) and outcome.status not in UNSUCCESSFUL:
        raise ValueError(f"{transition.id!r} cannot settle as {outcome.status!r}; write Completed for a success")
    if isinstance(outcome, Suspended) and len(outcome.signals) != len(outcome.taken):
        raise ValueError(f"{transition.id!r} waits for {len(outcome.signals)} signals, but counts {len(outcome.taken)}")
    if transition.drop == "":
        raise ValueError(f"{transition.id!r} drops under no prefix; that would be all of its journal")
    for item in transition.spawns:
        if item.parent_id not in (None, transition.id):
            raise ValueError(f"{transition.id!r} cannot spawn a child of {item.parent_id!r}")


def _apply(tables: Tables, transition: Transition, now: int) -> Committed:
    row = tables.rows.get(transition.id)
    if row is None:
        return Committed(lost=True)
    if row.status != "running" or row.token != transition.token:
        return Committed(lost=True, status=row.status)
    cancelled = row.cancel_reason is not None
    add_entries(tables, row.id, transition.entries)
    if transition.drop is not None:
        drop_entries(tables, row.id, transition.drop)
    if transition.anew:
        tables.change(row.id, attempt=0, failure=None)
    _note_progress(tables, row, transition)
    spawns: Sequence[NewExecution] = () if cancelled else transition.spawns
    spawned = tuple(insert(tables, item, now) for item in spawns)
    moves = Moves(tables, now)
    if row.cancel_reason is not None and transition.outcome is not None:
        failure = cancelled_failure(row.cancel_reason)
        moves.settle([End(row.id, "cancelled", failure=failure, reason=row.cancel_reason)])
    else:
        _end_pass(moves, tables.rows[row.id], transition.outcome)
    return Committed(
        status=tables.rows[row.id].status, cancelled=cancelled, spawned=spawned,
        woken=tuple(id for id in moves.woken if id != row.id),
    )  # fmt: skip


def _note_progress(tables: Tables, row: Row, transition: Transition) -> None:
    """Progress clears the count of crashes (R11), and a pass that came to something that of drifts; a note for people
    (`progress`) is no progress."""
    if transition.entries or transition.spawns or transition.outcome is not None:
        tables.change(row.id, crashes=0)
    released = isinstance(transition.outcome, Released) and row.cancel_reason is None
    if transition.outcome is not None and not released:
        tables.change(row.id, drifts=0)
    if transition.progress is not None:
        tables.change(row.id, progress=transition.progress)


def _end_pass(moves: Moves, row: Row, outcome: Outcome | None) -> None:
    match outcome:
        case None:
            pass
        case Completed(result=result):
            moves.settle([End(row.id, "completed", result=result)])
        case Settled(status=status, failure=failure):
            moves.settle([End(row.id, status, failure=failure)])
        case Retried(due_at=due_at, failure=failure):
            moves.move(row.id, "pending", worker_id=None, attempt=row.attempt + 1, due_at=due_at, failure=failure)
            moves.age_children(row.id)
        case Suspended():
            moves.suspend(row.id, outcome, dump_waits(outcome.waits))
        case Released():
            _release(moves, row, outcome)


def _release(moves: Moves, row: Row, outcome: Released) -> None:
    drifts, failure = (row.drifts + 1, outcome.failure) if outcome.drifted else (row.drifts, row.failure)
    moves.move(row.id, "pending", worker_id=None, due_at=outcome.due_at, drifts=drifts, failure=failure)
