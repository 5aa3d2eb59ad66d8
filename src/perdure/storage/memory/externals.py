"""Completions of external tasks: one per (task, key), the first one stands (R12).

A task answers to its aliases, so a completion is kept under each of its names, and one that stands under any of them
stands under all. Executions that wait for it fall due; a worker settles them in a pass of their own.
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
    pairs = list(dict.fromkeys((name, item.key) for name in (item.task_name, *item.aliases)))
    standing = next((tables.externals[pair] for pair in pairs if pair in tables.externals), None)
    new = Completion(item.value, item.failure, now) if standing is None else standing.completion
    id = item.id if standing is None else standing.id
    moves = Moves(tables, now)
    for pair in pairs:
        if pair not in tables.externals:
            expires_at = None if item.retention is None else new.completed_at + item.retention
            tables.set(tables.externals, pair, Kept(id, new, expires_at))
            for waiting in tuple(tables.keyed.get(pair, ())):
                moves.wake(waiting, now)
    return Answered(new, id == item.id, moves.woken)


def _is_old(kept: Kept, now: int, before: int | None, spare_own: bool) -> bool:
    own = kept.expires_at is not None
    if kept.expires_at is not None and kept.expires_at <= now:
        return True
    return before is not None and kept.completion.completed_at < before and not (own and spare_own)
