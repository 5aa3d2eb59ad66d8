"""What clients ask for: enqueue, signal, cancel, retry, forget (R1, R4, R9, R10, R12).

`insert` is shared with `commits`: a spawned execution is stored like an enqueued one, under its parent. Items apply in
their order, each seeing what those before it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from perdure.model.records import FORGOTTEN, MEMO, Conflict, Enqueued, Entry, NewExecution, NewSignal, Received, Row
from perdure.model.status import SETTLED, UNSUCCESSFUL, Status
from perdure.storage.memory.moves import Moves
from perdure.storage.memory.tables import OPEN_IDLE, Tables
from perdure.storage.settling import parent_reason

CLAIMED_ONCE: Final = 1


def enqueue(tables: Tables, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
    """Stores executions without a parent; raises `ValueError` for one with a parent: those come by a commit."""
    for item in items:
        if item.parent_id is not None:
            raise ValueError(f"execution {item.id!r} has a parent: a child is spawned by a transition of its parent")
    return [insert(tables, item, now) for item in items]


def insert(tables: Tables, item: NewExecution, now: int) -> Enqueued | Conflict:
    """Stores one execution, or answers the one that stands for it already."""
    by_key = (
        tables.keys.get((item.origin or item.task_name, item.idempotency_key))
        if item.idempotency_key is not None
        else None
    )
    standing = item.id if item.id in tables.rows else by_key
    if standing is not None:
        return _stands(tables.rows[standing], item)
    if item.parent_id is not None and item.slot is not None:
        sibling = tables.slots.get((item.parent_id, item.slot, item.slot_generation))
        if sibling is not None:
            return Enqueued(sibling, False, tables.rows[sibling].status)
    row = tables.put(_row(item, now))
    _link(tables, row)
    add_entries(tables, row.id, item.entries)
    return Enqueued(row.id, True, row.status, leased=item.worker_id is not None)


def add_entries(tables: Tables, id: str, entries: Sequence[Entry]) -> None:
    """Adds to a journal; of one key and scope the first write wins."""
    if entries:
        journal = tables.within(tables.entries, id)
        for entry in entries:
            if (entry.key, entry.scope) not in journal:
                tables.set(journal, (entry.key, entry.scope), entry)


def drop_entries(tables: Tables, id: str, prefix: str) -> None:
    """Removes from a journal what stands under a prefix of keys; a signal that was taken stays."""
    journal = tables.entries.get(id, {})
    for place, entry in list(journal.items()):
        if entry.key.startswith(prefix) and (entry.kind != "signal" or entry.value is None):
            tables.drop(journal, place)
    tables.set(tables.suspended, id, True)


def signal(tables: Tables, items: Sequence[NewSignal], now: int) -> list[Status | None]:
    """Keeps signals, each once, and wakes those that wait for them."""
    return [_signal(tables, item, now) for item in items]


def cancel(tables: Tables, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
    """Cancels executions and what is open below them."""
    moves = Moves(tables, now)
    answers: list[Status | None] = []
    for id, reason in items:
        row = tables.rows.get(id)
        if row is not None and row.status not in SETTLED:
            moves.cancel(id, reason)
            moves.cancel_below(id, parent_reason("cancelled"))
        answers.append(_status(tables, id))
    return answers


def retry(tables: Tables, ids: Sequence[str], now: int) -> list[Status | None]:
    """Opens a new generation of those that settled without success."""
    answers: list[Status | None] = []
    for id in ids:
        row = tables.rows.get(id)
        if row is not None and row.status in UNSUCCESSFUL:
            Moves(tables, now).reopen(id)
        answers.append(_status(tables, id))
    return answers


def forget(tables: Tables, ids: Sequence[str], name: str, now: int) -> list[int]:
    """Drops the entries of one name from journals of what did not complete, and makes children of that task stale,
    cancelling those that are open; signals of that name that were taken are set aside. Open executions that nobody runs
    fall due."""
    return [_forget(tables, id, name, now) for id in ids]


def _stands(row: Row, item: NewExecution) -> Enqueued | Conflict:
    same = row.origin == (item.origin or item.task_name)
    if same and row.input_digest == item.input_digest:
        return Enqueued(row.id, False, row.status)
    what = f"id {row.id!r}" if row.id == item.id else f"idempotency key {item.idempotency_key!r}"
    other = "other input" if same else f"task {row.task_name!r}"
    return Conflict(row.id, f"{what} already belongs to an execution of {other}")


def _row(item: NewExecution, now: int) -> Row:
    leased = item.worker_id is not None
    return Row(
        id=item.id, task_name=item.task_name, queue=item.queue, priority=item.priority,
        status="running" if leased else "pending", token=CLAIMED_ONCE if leased else 0, worker_id=item.worker_id,
        generation=0, attempt=0, crashes=CLAIMED_ONCE if leased else 0, drifts=0,
        due_at=now if item.due_at is None else item.due_at, deadline_at=item.deadline_at,
        input=item.input, input_digest=item.input_digest, result=None, failure=None, waits=None, cancel_reason=None,
        progress=None, idempotency_key=item.idempotency_key, external_key=item.external_key,
        origin=item.origin or item.task_name, options=item.options, version=item.version,
        tags=item.tags, trace=item.trace, parent_id=item.parent_id, slot=item.slot,
        slot_generation=item.slot_generation, root_id=item.root_id or item.id, depth=item.depth,
        max_crashes=item.max_crashes, retention=item.retention, children_total=0, children_settled=0,
        children_closed=0, created_at=now, started_at=now if leased else None, finished_at=None, closed_at=None,
    )  # fmt: skip


def _link(tables: Tables, row: Row) -> None:
    if row.idempotency_key is not None:
        tables.set(tables.keys, (row.origin, row.idempotency_key), row.id)
    if row.external_key is not None:
        tables.set(tables.within(tables.keyed, (row.origin, row.external_key)), row.id, True)
    if row.parent_id is None:
        return
    tables.set(tables.within(tables.children, row.parent_id), row.id, True)
    tables.change(row.parent_id, children_total=tables.rows[row.parent_id].children_total + 1)
    if row.slot is not None:
        tables.set(tables.slots, (row.parent_id, row.slot, row.slot_generation), row.id)


def _signal(tables: Tables, item: NewSignal, now: int) -> Status | None:
    if item.execution_id not in tables.rows:
        return None
    received = tables.within(tables.signals, item.execution_id)
    if item.id not in received:
        tables.set(received, item.id, Received(item.id, item.name, item.value, len(received) + 1, now))
        wake = tables.wakes.get(item.execution_id)
        if wake is not None and item.name in wake.signals:
            Moves(tables, now).wake(item.execution_id, now)
    return _status(tables, item.execution_id)


def _forget(tables: Tables, id: str, name: str, now: int) -> int:
    row = tables.rows.get(id)
    if row is None or row.status == "completed":
        return 0
    journal = tables.entries.get(id, {})
    dropped = [entry for entry in journal.values() if entry.name == name and not _is_aside(entry)]
    for entry in dropped:
        tables.drop(journal, (entry.key, entry.scope))
    for entry in dropped:
        if entry.kind == "signal" and entry.scope == MEMO and entry.value is not None and entry.token > 0:
            aside = msgspec.structs.replace(entry, scope=f"{FORGOTTEN}{entry.position}")
            tables.set(journal, (aside.key, aside.scope), aside)
    forgotten = [child for child in tables.children.get(id, ()) if _names(tables, child, name)]
    moves = Moves(tables, now)
    for child in forgotten:
        tables.set(tables.stale, child, True)
        if tables.rows[child].status not in SETTLED:
            moves.cancel(child, f"{name} is forgotten by its parent")
            moves.cancel_below(child, parent_reason("cancelled"))
    row = tables.rows[id]
    if row.status in OPEN_IDLE and (row.due_at is None or row.due_at > now):
        tables.change(id, due_at=now)
    return len(dropped) + len(forgotten)


def _is_aside(entry: Entry) -> bool:
    return entry.kind == "signal" and entry.scope.startswith(FORGOTTEN)


def _names(tables: Tables, child: str, name: str) -> bool:
    return tables.rows[child].task_name == name and not tables.stale.get(child, False)


def _status(tables: Tables, id: str) -> Status | None:
    row = tables.rows.get(id)
    return None if row is None else row.status
