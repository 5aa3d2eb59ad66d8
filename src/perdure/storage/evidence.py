"""What clients and bodies saw, held against what a storage says now: nothing acknowledged is lost, nothing final changed.

A test notes an `Observed` for every answer it got, in the order in which they came for each execution, and an `Effect`
for every activity body that really ran. An operation whose answer never came is not noted: it may have happened or
not. Pure functions of notes and a `Snapshot`; where a note says nothing, nothing is claimed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from perdure.model.records import MEMO, Entry, Row
from perdure.model.status import SETTLED, Status
from perdure.storage.invariants import Snapshot, Violation


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One acknowledged answer.

    - `enqueue`: `execution_id` as answered, with `task_name` (its first one) and `idempotency_key` where one was given;
    - `signal`: `signal_id`, when the answer was not `None`;
    - `cancel`: `status` as answered, and the `generation` at that time;
    - `claim`: the `token`;
    - `settled`: `status`, `generation`, `result` and `failure` as read.

    `removable`: a prune may have removed the execution since.
    """

    verb: Literal["enqueue", "signal", "cancel", "claim", "settled"]
    execution_id: str
    task_name: str = ""
    idempotency_key: str | None = None
    signal_id: str = ""
    token: int = 0
    generation: int = 0
    status: Status = "pending"
    result: str | None = None
    failure: str | None = None
    removable: bool = False


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an activity's body: for which execution, under which key, in which attempt (`"generation.attempt"`),
    under which token; `value` is what it returned (JSON text), where the test knows it."""

    execution_id: str
    key: str
    attempt: str
    token: int
    value: str | None = None


def acknowledged_is_kept(at: Snapshot, history: Sequence[Observed]) -> Iterator[Violation]:
    """R4, R10, R12: what was acknowledged is there: executions, signals, cancels."""
    for note in history:
        row = at.rows.get(note.execution_id)
        if row is None:
            if not note.removable:
                yield Violation("R4", note.execution_id, f"an acknowledged {note.verb} of it is lost with it")
        elif note.verb == "signal":
            found = sum(signal.id == note.signal_id for signal in at.journals[row.id].signals)
            if found != 1:
                yield Violation("R12", row.id, f"acknowledged signal {note.signal_id} is kept {found} times")
        elif note.verb == "cancel" and not _cancel_holds(row, note):
            yield Violation("R10", row.id, f"an acknowledged cancel is forgotten: it reads {row.status}")


def one_execution_per_key(history: Iterable[Observed]) -> Iterator[Violation]:
    """R4: all answers for one idempotency key of a task named the same execution."""
    owners: dict[tuple[str, str], str] = {}
    for note in history:
        if note.verb == "enqueue" and note.idempotency_key is not None and not note.removable:
            owner = owners.setdefault((note.task_name, note.idempotency_key), note.execution_id)
            if owner != note.execution_id:
                yield Violation("R4", note.execution_id, f"key {note.idempotency_key!r} was answered by {owner} before")


def tokens_rise(at: Snapshot, history: Iterable[Observed]) -> Iterator[Violation]:
    """R5, R6: each claim of an execution had a higher token than the one before, and the row is not behind them."""
    last: dict[str, int] = {}
    for note in history:
        if note.verb == "claim" and not note.removable:
            if note.token <= last.get(note.execution_id, 0):
                yield Violation(
                    "R5", note.execution_id, f"claimed under token {note.token} after {last[note.execution_id]}"
                )
            last[note.execution_id] = max(note.token, last.get(note.execution_id, 0))
    for id, token in last.items():
        row = at.rows.get(id)
        if row is not None and row.token < token:
            yield Violation("R5", id, f"its token went back from {token} to {row.token}")


def settled_is_final(at: Snapshot, history: Iterable[Observed]) -> Iterator[Violation]:
    """R9: one end per generation, as everyone read it, byte by byte."""
    ends: dict[tuple[str, int], Observed] = {}
    now = [_end(row) for row in at.rows.values() if row.status in SETTLED]
    for note in [*history, *now]:
        if note.verb == "settled":
            first = ends.setdefault((note.execution_id, note.generation), note)
            if (first.status, first.result, first.failure) != (note.status, note.result, note.failure):
                yield Violation(
                    "R9", note.execution_id, f"read {first.status} first, {note.status} later, or another value"
                )
    for (id, generation), note in ends.items():
        row = at.rows.get(id)
        if row is not None and row.generation == generation and row.status not in SETTLED:
            yield Violation("R9", id, f"read {note.status} and is {row.status} again, without a retry")


def recorded_once(at: Snapshot, effects: Iterable[Effect]) -> Iterator[Violation]:
    """R4: a recorded result came from a run of the body, and no body ran in a later lease than the one that recorded its
    result. Entries copied from another execution (a fork) are older than theirs and left out."""
    runs: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        runs[effect.execution_id, effect.key].append(effect)
    for row in at.rows.values():
        for entry in at.journals[row.id].entries:
            own = entry.recorded_at >= row.created_at
            if own and entry.kind == "activity" and entry.scope == MEMO and entry.failure is None:
                yield from _runs_fit(row, entry, runs[row.id, entry.key])


def _runs_fit(row: Row, entry: Entry, runs: list[Effect]) -> Iterator[Violation]:
    values = {effect.value for effect in runs if effect.value is not None}
    if not runs or (values and entry.value not in values):
        yield Violation("R3", row.id, f"entry {entry.key!r} records a result that no run of the body gave")
    for effect in runs:
        if effect.token > entry.token:
            leases = f"under token {effect.token}, recorded under {entry.token}"
            yield Violation(
                "R4", row.id, f"the body of {entry.key!r} ran again after its result was recorded: {leases}"
            )


def _cancel_holds(row: Row, note: Observed) -> bool:
    """A cancel that found the execution open holds as long as the generation does."""
    if note.status not in ("running", "cancelled") or row.generation > note.generation:
        return True
    return row.status == "cancelled" or (row.status == "running" and row.cancel_reason is not None)


def _end(row: Row) -> Observed:
    return Observed(
        verb="settled", execution_id=row.id, generation=row.generation, status=row.status, result=row.result,
        failure=row.failure,
    )  # fmt: skip
