"""What workers ask for: claim, heartbeat, drain (R5, R6, R11).

A claim promotes what fell due, takes the next work lane by lane (a lane is a task in a queue; each is one seek in an
index that holds due work alone), and leases it in one statement. A worker heartbeats before its first claim: a running
execution whose worker is unknown counts as held by a dead one. No claim may look at what is not due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import Any, Final, TypeAlias

import msgspec

from perdure.model.records import Beat, Claim, Claimed, ClaimRequest, Heartbeat
from perdure.storage._sql.draft import SUSPICIOUS, Draft
from perdure.storage._sql.moves import End, Moves
from perdure.storage._sql.session import Answer, Session
from perdure.storage.settling import cancelled_failure

FEW_LANES: Final = 16
"""So many lanes are simply tried; of more, those with work are looked up first."""
LEAST_PROMOTED: Final = 1000
SOON: Final = 25
"""Milliseconds after which to look again for what others held just now: they take it, or leave it."""

DUE, PRIORITY, JOURNALED, ID = 23, 13, 7, 0
"""Where a leased row has them."""
OUTLOOK: Final = 4
"""How many columns say what may be expected."""

Lane: TypeAlias = tuple[str, str]
"""A queue and a task."""


def claim(session: Session, request: ClaimRequest, now: int) -> Claimed:
    """Leases work to a worker."""
    lanes = _few_lanes(request)
    at_once = session.claim_due(request, lanes, now) if lanes else None
    if at_once is not None:
        return _claimed(session, request, now, lanes, *at_once)
    return _in_steps(session, request, now, lanes, session.read("outlook", now, request.queues)[0])


def _in_steps(
    session: Session, request: ClaimRequest, now: int, lanes: Sequence[Lane], outlook: Sequence[Any]
) -> Claimed:
    """Leases work, given the lanes (none: they are many) and what may be expected."""
    next_due, unpromoted, ready, suspects = outlook[:OUTLOOK]
    if request.ids:
        places = _named(session, request, now)
    else:
        if unpromoted:
            session.do("promote", now, request.queues, max(LEAST_PROMOTED, 2 * request.limit))
        places = _due(session, request, now, lanes, bool(ready or unpromoted), bool(suspects or unpromoted))
    claims = _lease(session, request.worker_id, places, now) if places else ()
    asks = bool(ready) and not request.ids and len(claims) < request.limit
    passed_over = asks and session.passed_over(now, request.queues, request.tasks)
    return _answer(session, request, now, claims, next_due, passed_over)


def _claimed(
    session: Session, request: ClaimRequest, now: int, lanes: Sequence[Lane], rows: Answer, passed_over: bool
) -> Claimed:
    """The answer to a claim that was made at once; in steps after all, where there is more to it."""
    next_due, unpromoted, _, suspects = rows[0][:OUTLOOK]
    if unpromoted or (suspects and request.suspects):
        return _in_steps(session, request, now, lanes, rows[0])
    leased = [row[OUTLOOK:] for row in rows if row[OUTLOOK] is not None]
    return _answer(session, request, now, _claims(leased), next_due, passed_over)


def _answer(
    session: Session,
    request: ClaimRequest,
    now: int,
    claims: tuple[Claim, ...],
    next_due: int | None,
    passed_over: bool,
) -> Claimed:
    """When to look again: soon, where others hold due work at this moment."""
    if claims and next_due is not None:  # it may have been the deadline of one of them
        ((next_due, *_),) = session.read("outlook", now, request.queues)
    if passed_over:
        next_due = now + SOON if next_due is None else min(next_due, now + SOON)
    return Claimed(claims, len(claims) < request.limit, next_due)


def heartbeat(session: Session, beat: Heartbeat, now: int, witness: tuple[str, int]) -> Beat:
    """Renews a worker's lease, or lets it go and releases what it holds. `witness` says, as the database knows to, by what
    others see that the worker is dead."""
    worker = beat.worker
    held = {id: (token, reason) for id, token, reason in session.read("held", worker.id)}
    lost = tuple(id for id, token in beat.running if id not in held or held[id][0] != token)
    cancelled = tuple(
        (id, held[id][1])
        for id, token in beat.running
        if id in held and held[id][0] == token and held[id][1] is not None
    )
    known = session.read("is_draining", worker.id)
    draining = worker.draining or bool(known and known[0][0])
    forgotten = held.keys() if beat.leaving else () if beat.holding is None else held.keys() - set(beat.holding)
    if beat.leaving:
        session.do("remove_workers", [worker.id])
    else:
        session.do(
            "beat", worker.id, worker.host, worker.process, worker.version, _names(worker.queues), _names(worker.tasks),
            worker.concurrency, worker.started_at, worker.lease_until, int(draining), *witness,
        )  # fmt: skip
    if forgotten:  # after the worker's own row: everybody holds workers before executions
        _release(session, worker.id, forgotten, now)
    return Beat(lost, cancelled, draining)


def drain(session: Session, worker_ids: Sequence[str]) -> list[bool]:
    """Marks workers as asked to leave; the mark stays until they do."""
    session.notable = True
    return [bool(session.run("drain", id)) for id in worker_ids]


def _named(session: Session, request: ClaimRequest, now: int) -> list[int | str]:
    """The places of the idle ones among executions that a worker asks for by name, in order."""
    rows = session.read("named", request.ids)
    if request.only_due:
        rows = [row for row in rows if row[1] is not None and row[1] <= now]
    rows.sort(key=lambda row: (row[0], row[1] is None, row[1] or 0, row[2]))
    return [row[3] for row in _without_suspects(rows, request)]


def _without_suspects(rows: Sequence[Sequence[Any]], request: ClaimRequest) -> Iterator[Sequence[Any]]:
    """The first `limit` rows, with at most one suspect among them, and none where none is wanted."""
    left, room = request.limit, int(request.suspects)
    for row in rows:
        suspect = row[4] >= SUSPICIOUS
        if left <= 0 or (suspect and room == 0):
            continue
        room -= suspect
        left -= 1
        yield row


def _due(
    session: Session, request: ClaimRequest, now: int, lanes: Sequence[Lane], ready: bool, suspects: bool
) -> list[int | str]:
    """The places of due work that fits, by priority, then due time, then id; `ready` and `suspects`: what there may be."""
    if request.limit <= 0:
        return []
    lanes = (lanes or _lanes(session, request)) if ready else []
    rows = session.choose("choose", (now, request.limit), lanes) if lanes else []
    if suspects and request.suspects:
        rows += session.read("suspect", now, request.queues, request.tasks)
    return [row[3] for row in nsmallest(request.limit, rows, key=itemgetter(0, 1, 2))]


def _lanes(session: Session, request: ClaimRequest) -> list[Lane]:
    """Of many lanes, those that have work."""
    queues, tasks = dict.fromkeys(request.queues), dict.fromkeys(request.tasks)
    return [(queue, task) for queue, task in session.read("lanes", list(queues), list(tasks))]


def _few_lanes(request: ClaimRequest) -> list[Lane]:
    """The lanes of a claim of what is due; nothing where they are many."""
    queues, tasks = dict.fromkeys(request.queues), dict.fromkeys(request.tasks)
    if request.ids or request.limit <= 0 or len(queues) * len(tasks) > FEW_LANES:
        return []
    return [(queue, task) for queue in queues for task in tasks]


def _lease(session: Session, worker_id: str, places: Sequence[int | str], now: int) -> tuple[Claim, ...]:
    session.do("lease", now, worker_id, places)
    return _claims(session.read("leased", places))


def _claims(rows: Answer) -> tuple[Claim, ...]:
    rows.sort(key=_rank)
    return tuple([Claim(*_with_truth(row)) for row in rows])


def _with_truth(row: Sequence[Any]) -> list[Any]:
    """A leased row, where a database may say 1 for true."""
    return [*row[:JOURNALED], bool(row[JOURNALED]), *row[JOURNALED + 1 :]]


def _rank(row: Sequence[Any]) -> tuple[int, bool, int, str]:
    return row[PRIORITY], row[DUE] is None, row[DUE] or 0, row[ID]


def _release(session: Session, worker_id: str, ids: Collection[str], now: int) -> None:
    """Takes leases from their worker: what they were for is due again, without blame; what was to be cancelled is."""
    draft = Draft(session, now)
    moves = Moves(draft)
    ends: list[End] = []
    for work in draft.held(dict.fromkeys(ids, worker_id)):
        work.token, work.crashes = work.token + 1, max(work.crashes - 1, 0)
        draft.touch(work)
        if work.cancel_reason is not None:
            failure = cancelled_failure(work.cancel_reason)
            ends.append(End(work.id, "cancelled", failure=failure, reason=work.cancel_reason))
        else:
            moves.move(work, "pending", now)
    moves.settle(ends)
    draft.flush()


def _names(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()
