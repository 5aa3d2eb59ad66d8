"""Completions of external tasks: one per (task, key), the first one stands (R12).

A task answers to its aliases, so a completion is kept under each of its names, and one that stands under any of them
stands under all. Executions that wait for it fall due; a worker settles them in a pass of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from perdure.model.externals import Answered, Completion, NewCompletion
from perdure.storage._sql.draft import Draft
from perdure.storage._sql.moves import Moves
from perdure.storage._sql.session import Session, Value

Pair = tuple[str, str]


def complete_external(session: Session, items: Sequence[NewCompletion], now: int) -> list[Answered]:
    """Keeps completions and wakes those that wait for them."""
    pairs = list(dict.fromkeys(pair for item in items for pair in _pairs(item)))
    standing = {(row[0], row[1]): (row[2], Completion(*row[3:])) for row in session.read("externals", pairs)}
    rows: list[Sequence[Value]] = []
    kept: list[tuple[str, Completion, list[Pair]]] = []
    for item in items:
        names = _pairs(item)
        fresh = [pair for pair in names if pair not in standing]
        new = (item.id, Completion(item.value, item.failure, now))
        id, completion = found = next((standing[pair] for pair in names if pair in standing), new)
        for pair in fresh:
            standing[pair] = found
            expires_at = None if item.retention is None else completion.completed_at + item.retention
            rows.append((*pair, id, completion.value, completion.failure, completion.completed_at, expires_at))
        kept.append((id, completion, fresh))
    woken: dict[Pair, list[str]] = {}
    if rows:
        session.give("keep_externals", rows)
        woken = _wake(session, [pair for _, _, fresh in kept for pair in fresh], now)
    return [
        Answered(completion, id == item.id, tuple(sorted(each for pair in fresh for each in woken.get(pair, ()))))
        for item, (id, completion, fresh) in zip(items, kept, strict=True)
    ]


def _pairs(item: NewCompletion) -> list[Pair]:
    return list(dict.fromkeys((name, item.key) for name in (item.task_name, *item.aliases)))


def _wake(session: Session, pairs: Sequence[Pair], now: int) -> dict[Pair, list[str]]:
    """Which executions fell due, by what they waited for."""
    waiting = [((task, key), id) for task, key, id in session.read("waiting_external", pairs)]
    draft = Draft(session, now)
    draft.load(id for _, id in waiting)
    moves = Moves(draft)
    for _, id in waiting:
        moves.wake(draft.rows[id], now)
    draft.flush()
    woken: dict[Pair, list[str]] = defaultdict(list)
    for pair, id in waiting:
        if id in moves.touched:
            woken[pair].append(id)
    return woken
