"""Completions of external tasks: one per (origin, key), the first one stands (R12).

Executions that wait for it fall due; a worker settles them in a pass of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.model.externals import Answered, Completion, NewCompletion
from perdure.storage.memory.moves import Moves
from perdure.storage.memory.tables import Kept, Tables


def complete_external(tables: Tables, items: Sequence[NewCompletion], now: int) -> list[Answered]:
    """Keeps completions and wakes those that wait for them."""
    return [_complete(tables, item, now) for item in items]


def prune(tables: Tables, now: int, before: int | None, limit: int, spare_own: bool) -> None:
    """Removes old completions, oldest first, whose key no execution has."""
    old = [
        (kept.completion.completed_at, pair)
        for pair, kept in tables.externals.items()
        if not tables.keyed.get(pair) and _is_old(kept, now, before, spare_own)
    ]
    for _, pair in sorted(old)[: max(limit, 0)]:
        tables.drop(tables.externals, pair)


def _complete(tables: Tables, item: NewCompletion, now: int) -> Answered:
    pair = (item.origin, item.key)
    standing = tables.externals.get(pair)
    if standing is not None:
        return Answered(standing.completion, standing.id == item.id)
    expires_at = None if item.retention is None else now + item.retention
    kept = Kept(item.id, Completion(item.value, item.failure, now), expires_at)
    tables.set(tables.externals, pair, kept)
    moves = Moves(tables, now)
    for waiting in tuple(tables.keyed.get(pair, ())):
        moves.wake(waiting, now)
    return Answered(kept.completion, True, moves.woken)


def _is_old(kept: Kept, now: int, before: int | None, spare_own: bool) -> bool:
    own = kept.expires_at is not None
    if kept.expires_at is not None and kept.expires_at <= now:
        return True
    return before is not None and kept.completion.completed_at < before and not (own and spare_own)
