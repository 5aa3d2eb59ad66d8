"""What maintenance does: take back what dead workers held, settle what is past its deadline, remove what is over
(R6, R11, R15).

Dead workers come first, in order of their executions' ids, then deadlines: what was just taken back and is past its
deadline settles in the same step. It must never judge a worker by anything but its lease.
"""

from __future__ import annotations

from typing import cast

from perdure.model.records import Reclaimed, Row
from perdure.storage.memory import externals
from perdure.storage.memory.moves import End, Moves
from perdure.storage.memory.tables import Tables
from perdure.storage.settling import cancelled_failure, deadline_failure, worker_lost_failure


def reclaim(tables: Tables, now: int, judged: int) -> Reclaimed:
    """Takes back and settles; see the module's docstring."""
    moves = Moves(tables, now)
    dead = sorted(worker.id for worker in tables.workers.values() if worker.lease_until <= judged)
    for id in dead:
        tables.drop(tables.workers, id)
    taken, ends = _take_back(moves)
    moves.settle(ends)
    expired = _expire(moves)
    return Reclaimed(
        released=tuple(id for id in taken if tables.rows[id].status == "pending"),
        poisoned=tuple(end.id for end in ends if end.status == "failed"),
        expired=expired,
        workers=tuple(dead),
        woken=moves.woken,
    )


def prune(tables: Tables, now: int, closed_before: int | None, limit: int, spare_own: bool) -> int:
    """Removes closed trees, those that closed first before others, until `limit` executions are gone or none is left;
    then completions whose keys are free."""
    removed = 0
    for closed_at, id in list(tables.closed_roots.groups.get(None, ())):
        if removed >= limit:
            break
        retention = tables.rows[id].retention
        kept_enough = retention is not None and closed_at + retention <= now
        spared = spare_own and retention is not None
        if kept_enough or (closed_before is not None and closed_at < closed_before and not spared):
            removed += _remove_tree(tables, id)
    externals.prune(tables, now, closed_before, limit, spare_own)
    return removed


def _take_back(moves: Moves) -> tuple[list[str], list[End]]:
    """What is held by workers that are no longer known: ids that are due again, and how the others end."""
    tables = moves.tables
    holders = cast("list[str]", [holder for holder in tables.held.groups if holder not in tables.workers])
    taken: list[str] = []
    ends: list[End] = []
    for id in sorted(id for holder in holders for id in tables.held.ids(holder)):
        row = tables.change(id, token=tables.rows[id].token + 1)
        end = _end_of_lost(row)
        if end is not None:
            ends.append(end)
        else:
            moves.move(id, "pending", worker_id=None, due_at=moves.now)
            taken.append(id)
    return taken, ends


def _end_of_lost(row: Row) -> End | None:
    if row.cancel_reason is not None:
        return End(row.id, "cancelled", failure=cancelled_failure(row.cancel_reason), reason=row.cancel_reason)
    if row.crashes >= row.max_crashes:
        return End(row.id, "failed", failure=worker_lost_failure(row.crashes))
    return None


def _expire(moves: Moves) -> tuple[str, ...]:
    deadlines = moves.tables.deadlines
    late = sorted((id, at) for queue in deadlines.groups for at, id in deadlines.until(queue, moves.now))
    moves.settle([End(id, "timed_out", failure=deadline_failure(at)) for id, at in late])
    return tuple(id for id, _ in late)


def _remove_tree(tables: Tables, root: str) -> int:
    tree = [root]
    for id in tree:
        tree.extend(tables.children.get(id, ()))
    for id in reversed(tree):
        tables.remove(id)
    return len(tree)
