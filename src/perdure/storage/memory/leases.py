"""What workers ask for: claim, heartbeat, drain (R5, R6, R11).

A worker heartbeats before its first claim: a running execution whose worker is unknown counts as held by a dead one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Final, cast

import msgspec

from perdure.model.records import Beat, Claim, Claimed, ClaimRequest, Heartbeat, Row
from perdure.storage.memory.moves import End, Moves
from perdure.storage.memory.tables import OPEN_IDLE, Tables
from perdure.storage.settling import cancelled_failure

SUSPECT: Final = 2
"""So many crashes in a row make an execution a suspect: a worker holds at most one (R11)."""


def claim(tables: Tables, request: ClaimRequest, now: int) -> Claimed:
    """Leases work to a worker."""
    rows = _named(tables, request, now) if request.ids else _due(tables, request, now)
    chosen = list(_without_suspects(rows, request))
    claims = tuple(_lease(tables, id, request.worker_id, now) for id in chosen)
    return Claimed(claims, short=len(claims) < request.limit, next_due=_next_due(tables, request.queues, now))


def heartbeat(tables: Tables, beat: Heartbeat, now: int) -> Beat:
    """Renews a worker's lease, or lets it go and releases what it holds."""
    worker = beat.worker
    held = set(tables.held.ids(worker.id))
    mine = [id for id, token in beat.running if id in held and tables.rows[id].token == token]
    lost = tuple(id for id, token in beat.running if id not in held or tables.rows[id].token != token)
    reasons = [(id, tables.rows[id].cancel_reason) for id in mine]
    known = tables.workers.get(worker.id)
    draining = worker.draining or (known is not None and known.draining)
    if beat.leaving:
        _release(tables, tables.held.ids(worker.id), now)
        tables.drop(tables.workers, worker.id)
    else:
        if beat.holding is not None:
            _release(tables, [id for id in tables.held.ids(worker.id) if id not in set(beat.holding)], now)
        tables.set(tables.workers, worker.id, msgspec.structs.replace(worker, draining=draining))
    return Beat(lost, tuple((id, reason) for id, reason in reasons if reason is not None), draining)


def drain(tables: Tables, worker_ids: Sequence[str]) -> list[bool]:
    """Marks workers as asked to leave; the mark stays until they do."""
    for id in worker_ids:
        if id in tables.workers:
            tables.set(tables.workers, id, msgspec.structs.replace(tables.workers[id], draining=True))
    return [id in tables.workers for id in worker_ids]


def _named(tables: Tables, request: ClaimRequest, now: int) -> Iterator[Row]:
    """The idle ones among executions that a worker asks for by name, in order."""
    rows = [tables.rows[id] for id in dict.fromkeys(request.ids) if id in tables.rows]
    if request.only_due:
        rows = [row for row in rows if row.due_at is not None and row.due_at <= now]
    return iter(sorted((row for row in rows if row.status in OPEN_IDLE), key=_rank))


def _rank(row: Row) -> tuple[int, bool, int, str]:
    return row.priority, row.due_at is None, row.due_at or 0, row.id


def _due(tables: Tables, request: ClaimRequest, now: int) -> Iterator[Row]:
    """Due work that fits, by priority, then due time, then id."""
    lanes = [lane for lane in _lanes(tables) if lane[0] in request.queues and lane[1] in request.tasks]
    for _, group in groupby(sorted(lanes, key=lambda lane: lane[2]), key=lambda lane: lane[2]):
        for _, id in merge(*(tables.due.until(lane, now) for lane in group)):
            yield tables.rows[id]


def _lanes(tables: Tables) -> list[tuple[str, str, int]]:
    return cast("list[tuple[str, str, int]]", list(tables.due.groups))


def _without_suspects(rows: Iterator[Row], request: ClaimRequest) -> Iterator[str]:
    """The first `limit` ids, with at most one suspect among them, and none where none is wanted."""
    left, room = request.limit, int(request.suspects)
    while left > 0 and (row := next(rows, None)) is not None:
        suspect = row.crashes >= SUSPECT
        if suspect and room == 0:
            continue
        room -= suspect
        left -= 1
        yield row.id


def _lease(tables: Tables, id: str, worker_id: str, now: int) -> Claim:
    row = tables.rows[id]
    started_at = now if row.started_at is None else row.started_at
    row = Moves(tables, now).move(
        id, "running", worker_id=worker_id, token=row.token + 1, crashes=row.crashes + 1, started_at=started_at
    )
    journaled = any(table.get(id) for table in (tables.entries, tables.children, tables.signals, tables.suspended))
    return Claim(
        row.id, row.task_name, row.token, row.generation, row.attempt, row.crashes, row.drifts, journaled,
        row.input, row.failure, row.cancel_reason, row.deadline_at, row.queue, row.priority, row.options, row.version,
        row.tags, row.trace, row.parent_id, row.root_id, row.depth, row.created_at, row.started_at, row.due_at,
        row.origin,
    )  # fmt: skip


def _next_due(tables: Tables, queues: Sequence[str], now: int) -> int | None:
    """When something in these queues falls due or passes its deadline next, whatever its task."""
    moments = [tables.due.after(lane, now) for lane in _lanes(tables) if lane[0] in queues]
    moments += [tables.deadlines.after(queue, now) for queue in queues]
    return min((moment for moment in moments if moment is not None), default=None)


def _release(tables: Tables, ids: Sequence[str], now: int) -> None:
    """Takes leases from their worker: what they were for is due again, without blame; what was to be cancelled is."""
    moves = Moves(tables, now)
    ends: list[End] = []
    for id in ids:
        row = tables.change(id, token=tables.rows[id].token + 1, crashes=max(tables.rows[id].crashes - 1, 0))
        if row.cancel_reason is not None:
            ends.append(End(id, "cancelled", failure=cancelled_failure(row.cancel_reason), reason=row.cancel_reason))
        else:
            moves.move(id, "pending", worker_id=None, due_at=now)
    moves.settle(ends)
