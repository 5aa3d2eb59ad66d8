"""Completions of external tasks: one per (origin, key), the first one stands (R12).

Executions that wait for it fall due; a worker settles them in a pass of their own.
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
    pairs = [(item.origin, item.key) for item in items]
    standing = {(row[0], row[1]): (row[2], Completion(*row[3:])) for row in session.read("externals", pairs)}
    rows: dict[Pair, Sequence[Value]] = {}
    for item, pair in zip(items, pairs, strict=True):
        if pair not in standing:
            standing[pair] = item.id, Completion(item.value, item.failure, now)
            expires_at = None if item.retention is None else now + item.retention
            rows[pair] = (*pair, item.id, item.value, item.failure, now, expires_at)
    woken: dict[Pair, list[str]] = {}
    if rows:
        session.give("keep_externals", [*rows.values()])
        woken = _wake(session, [*rows], now)
    answers: list[Answered] = []
    for item, pair in zip(items, pairs, strict=True):
        id, completion = standing[pair]
        answers.append(Answered(completion, id == item.id, tuple(sorted(woken.pop(pair, ())))))
    return answers


def _wake(session: Session, pairs: Sequence[Pair], now: int) -> dict[Pair, list[str]]:
    """Which executions fell due, by what they waited for."""
    waiting = [((origin, key), id) for origin, key, id in session.read("waiting_external", pairs)]
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
