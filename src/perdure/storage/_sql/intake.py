"""What clients ask for: enqueue, signal, cancel, retry, forget (R1, R4, R9, R10, R12).

Items apply in their order, each seeing what those before it did. Nothing here may touch an execution that somebody
runs, but for flagging it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perdure.model.records import Conflict, Enqueued, NewExecution, NewSignal
from perdure.model.status import SETTLED, UNSUCCESSFUL, Status
from perdure.storage._sql.draft import COUNTS, HAS_ENTRIES, NEWS, OPEN_IDLE, Draft, Work
from perdure.storage._sql.insertion import UNFENCED, insert
from perdure.storage._sql.moves import Moves
from perdure.storage._sql.session import Session, Value
from perdure.storage.settling import parent_reason


def enqueue(session: Session, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
    """Stores executions without a parent; raises `ValueError` for one with a parent: those come by a commit."""
    for item in items:
        if item.parent_id is not None:
            raise ValueError(f"execution {item.id!r} has a parent: a child is spawned by a transition of its parent")
    return insert(session, items, [UNFENCED] * len(items), now)


def signal(session: Session, items: Sequence[NewSignal], now: int) -> list[Status | None]:
    """Keeps signals, each once, and wakes those that wait for them."""
    draft = Draft(session, now)
    draft.load(item.execution_id for item in items)
    moves = Moves(draft)
    known = {
        (row[0], row[1]) for row in session.read("known_signals", [(each.execution_id, each.id) for each in items])
    }
    numbers = _numbers(session, items)
    rows: list[Sequence[Value]] = []
    for item in items:
        work = draft.rows.get(item.execution_id)
        if work is None or (work.id, item.id) in known:
            continue
        known.add((work.id, item.id))
        work.signals += 1
        number = numbers[work.id, item.name] = numbers.get((work.id, item.name), 0) + 1
        rows.append((work.id, item.name, number, item.id, item.value, work.signals, now))
        draft.touch(work, NEWS)
        if work.wake_signals is not None and item.name in msgspec.json.decode(work.wake_signals):
            moves.wake(work, now)
    if rows:
        session.give("keep_signals", rows)
    draft.flush()
    return [_status(draft, item.execution_id) for item in items]


def cancel(session: Session, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
    """Cancels executions and what is open below them."""
    draft = Draft(session, now)
    draft.load_up(id for id, _ in items)
    moves = Moves(draft)
    answers: list[Status | None] = []
    for id, reason in items:
        work = draft.rows.get(id)
        if work is not None and work.status not in SETTLED:
            moves.cancel(work, reason)
            moves.cancel_below(id, parent_reason("cancelled"))
        answers.append(_status(draft, id))
    draft.flush()
    return answers


def retry(session: Session, ids: Sequence[str], now: int) -> list[Status | None]:
    """Opens a new generation of those that settled without success."""
    draft = Draft(session, now)
    draft.load_up(ids)
    moves = Moves(draft)
    answers: list[Status | None] = []
    for id in ids:
        work = draft.rows.get(id)
        if work is not None and work.status in UNSUCCESSFUL:
            moves.reopen(work)
        answers.append(_status(draft, id))
    draft.flush()
    return answers


def forget(session: Session, ids: Sequence[str], name: str, now: int) -> list[int]:
    """Drops the entries of one name from journals of what did not complete, and makes children of that task stale,
    cancelling those that are open; signals of that name that were taken are set aside. Open executions that nobody runs
    fall due."""
    draft = Draft(session, now)
    draft.load_up(ids)
    answers = [_forget(draft, draft.rows.get(id), name) for id in ids]
    draft.flush()
    return answers


def _numbers(session: Session, items: Sequence[NewSignal]) -> dict[tuple[str, str], int]:
    """How many signals of their names the targets have."""
    given = list({(item.execution_id, item.name): None for item in items})
    return {(id, name): number or 0 for id, name, number in session.read("signal_numbers", given)}


def _forget(draft: Draft, work: Work | None, name: str) -> int:
    if work is None or work.status == "completed":
        return 0
    dropped = draft.session.run("set_aside", work.id, name) + draft.session.run("forget", work.id, name)
    if dropped and not draft.session.read("has_entries", work.id)[0][0]:
        work.marks &= ~HAS_ENTRIES
        draft.touch(work, NEWS)
    dropped += _forget_children(draft, work, name)
    if work.status in OPEN_IDLE and (work.due_at is None or work.due_at > draft.now):
        work.due_at = draft.now
        draft.touch(work, COUNTS)
    return dropped


def _forget_children(draft: Draft, work: Work, name: str) -> int:
    if work.children_total == 0:
        return 0
    draft.flush()
    children = [id for (id,) in draft.session.read("children_named", work.id, name)]
    draft.load(children)
    moves = Moves(draft)
    for id in children:
        child = draft.rows[id]
        child.stale = 1
        draft.touch(child)
        if child.status not in SETTLED:
            moves.cancel(child, f"{name} is forgotten by its parent")
            moves.cancel_below(id, parent_reason("cancelled"))
    return len(children)


def _status(draft: Draft, id: str) -> Status | None:
    work = draft.rows.get(id)
    return None if work is None else work.status
