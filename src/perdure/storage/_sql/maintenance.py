"""What maintenance does: take back what dead workers held, settle what is past its deadline, remove what is over
(R6, R11, R15).

Dead workers come first, in order of their executions' ids, then deadlines: what was just taken back and is past its
deadline settles in the same step. Whether a worker's death can be seen is the database's own business; here a worker is
dead when its lease was over at the moment by which leases are judged, or when its id is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.model.records import Reclaimed
from perdure.storage._sql.draft import OPEN_IDLE, Draft, Work
from perdure.storage._sql.moves import End, Moves
from perdure.storage._sql.session import Session
from perdure.storage.settling import cancelled_failure, deadline_failure, worker_lost_failure

MOST_EXPIRED: Final = 10_000
"""Past their deadlines, settled in one step; the next step settles the rest."""
MOST_ROOTS: Final = 1000
"""Trees looked at in one step of a prune."""


def reclaim(session: Session, dead: Sequence[str], now: int, judged: int) -> Reclaimed:
    """Takes back and settles; see the module's docstring."""
    if not dead and not session.read("overdue", now, judged)[0][0]:
        return Reclaimed()
    gone = sorted({*dead, *(row[0] for row in session.read("late_workers", judged))})
    if gone:
        session.do("remove_workers", gone)
    draft = Draft(session, now)
    moves = Moves(draft)
    taken, ends = _take_back(draft, moves)
    moves.settle(ends)
    draft.flush()
    expired = _expire(draft, moves)
    draft.flush()
    return Reclaimed(
        released=tuple(work.id for work in taken if work.status == "pending"),
        poisoned=tuple(end.id for end in ends if end.status == "failed"),
        expired=expired,
        workers=tuple(gone),
        woken=moves.woken,
    )


def prune(session: Session, now: int, closed_before: int | None, limit: int, spare_own: bool) -> int:
    """Removes closed trees, those that closed first before others, until `limit` executions are gone or none is left;
    then completions whose keys are free."""
    removed = 0
    roots: list[str] = []
    own_before = None if spare_own else closed_before
    if limit > 0:
        for id, _ in session.read("prunable", now, closed_before, own_before, min(limit, MOST_ROOTS)):
            if removed >= limit:
                break
            roots.append(id)
            removed += session.read("tree_size", id)[0][0]
    if roots:
        session.do("remove_entries", roots)
        session.do("remove_signals", roots)
        session.do("remove_trees", roots)
    session.do("remove_externals", now, closed_before, own_before, max(limit, 0))
    return removed


def _take_back(draft: Draft, moves: Moves) -> tuple[list[Work], list[End]]:
    """What is held by workers that are no longer known: what is due again, and how the others end."""
    taken: list[Work] = []
    ends: list[End] = []
    orphans = {str(row[0]): str(row[1]) for row in draft.session.read("orphans")}
    for work in draft.held(orphans):
        work.token += 1
        draft.touch(work)
        end = _end_of_lost(work)
        if end is not None:
            ends.append(end)
        else:
            moves.move(work, "pending", draft.now)
            taken.append(work)
    return taken, ends


def _end_of_lost(work: Work) -> End | None:
    if work.cancel_reason is not None:
        return End(work.id, "cancelled", failure=cancelled_failure(work.cancel_reason), reason=work.cancel_reason)
    if work.crashes >= work.max_crashes:
        return End(work.id, "failed", failure=worker_lost_failure(work.crashes))
    return None


def _expire(draft: Draft, moves: Moves) -> tuple[str, ...]:
    ids = sorted([id for (id,) in draft.session.read("late", draft.now, MOST_EXPIRED)])
    draft.load_up(ids)
    late = [work for work in map(draft.rows.get, ids) if work is not None and _is_late(work, draft.now)]
    moves.settle([End(work.id, "timed_out", failure=deadline_failure(work.deadline_at or 0)) for work in late])
    return tuple(work.id for work in late)


def _is_late(work: Work, now: int) -> bool:
    return work.status in OPEN_IDLE and work.deadline_at is not None and work.deadline_at <= now
