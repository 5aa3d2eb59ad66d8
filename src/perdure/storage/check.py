"""The one checker: does a storage hold what the contract promises? `perdure doctor`, the simulation, the chaos tests and
the differential tests all ask here.

It reads through the `Storage` protocol alone, so it says the same of every storage, and it never writes. It reads in
several steps: run it at rest. On a store that is being worked on, believe only what two runs report alike.

    violations = check(storage)
    violations = check(storage, history=[Observed(verb="enqueue", execution_id="…")], effects=[…])
    violations = compare(rows_before, rows_after)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from perdure.model.query import Query
from perdure.model.records import JournalView, Row
from perdure.model.status import SETTLED
from perdure.storage.evidence import (
    Effect,
    Observed,
    acknowledged_is_kept,
    one_execution_per_key,
    recorded_once,
    settled_is_final,
    tokens_rise,
)
from perdure.storage.invariants import RULES, Snapshot, Violation
from perdure.storage.protocol import Storage

PAGE: Final = 500

__all__ = ["Effect", "Observed", "Snapshot", "Violation", "check", "compare", "read"]


def check(
    storage: Storage,
    history: Sequence[Observed] | None = None,
    effects: Sequence[Effect] | None = None,
    *,
    now: int | None = None,
) -> list[Violation]:
    """Everything in the storage that must not be, in order of rule and id; an empty list when all is well.

    With `history` and `effects` also what clients and bodies saw is held against it (see `Observed`, `Effect`). With
    `now`, in milliseconds, it also names what nobody looks after although maintenance should have: pass it only when
    `reclaim` has run at that moment.
    """
    at = read(storage, now or 0)
    found = [violation for rule in RULES for violation in rule(at)]
    if history is not None:
        found += acknowledged_is_kept(at, history)
        found += one_execution_per_key(history)
        found += tokens_rise(at, history)
        found += settled_is_final(at, history)
    if effects is not None:
        found += recorded_once(at, effects)
    if now is not None:
        found += _looked_after(at, now)
    return sorted(set(found))


def compare(before: Iterable[Row], after: Iterable[Row]) -> list[Violation]:
    """What may not have happened between two readings of the same executions: a token or a generation that went back,
    an end that changed without a new generation. Executions that are in one of them only are passed over."""
    later = {row.id: row for row in after}
    return [violation for row in before if row.id in later for violation in _went_back(row, later[row.id])]


def read(storage: Storage, now: int = 0) -> Snapshot:
    """All that the storage holds, page by page."""
    rows: list[Row] = []
    journals: dict[str, JournalView] = {}
    after: str | None = None
    while True:
        page = storage.search(Query(), "oldest", PAGE, after, now)
        rows += page.rows
        ids = [row.id for row in page.rows]
        journals.update(zip(ids, storage.journal(ids), strict=True))
        if page.after is None or page.after == after:
            return Snapshot(rows, journals, storage.workers(now), storage.count(Query(), now))
        after = page.after


def _went_back(before: Row, after: Row) -> Iterator[Violation]:
    if after.token < before.token:
        yield Violation("R5", after.id, f"its token went back from {before.token} to {after.token}")
    if after.generation < before.generation:
        yield Violation("R9", after.id, f"its generation went back from {before.generation} to {after.generation}")
    ended = before.status in SETTLED and after.generation == before.generation
    if ended and _end(before) != _end(after):
        yield Violation(
            "R9", after.id, f"was {before.status} and reads {after.status} or another value, without a retry"
        )


def _end(row: Row) -> tuple[object, ...]:
    return row.status, row.result, row.failure, row.finished_at


def _looked_after(at: Snapshot, now: int) -> Iterator[Violation]:
    """R6, R16: right after `reclaim`, what runs is held by a worker whose lease goes on, and what is open and idle is not
    past its deadline."""
    for row in at.rows.values():
        worker = at.workers.get(row.worker_id or "")
        if row.status == "running" and (worker is None or worker.lease_until <= now):
            yield Violation("R6", row.id, f"runs for worker {row.worker_id}, which is dead or unknown")
        late = row.deadline_at is not None and row.deadline_at <= now
        if late and row.status in ("pending", "waiting"):
            yield Violation("R16", row.id, f"{row.status} past its deadline {row.deadline_at}")
