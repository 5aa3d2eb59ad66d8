"""What a running execution does: entries, spawned executions and an outcome, under its token (R2, R3, R8, R10).

The order within one transition is fixed: fence, entries, what is dropped, spawns, outcome. Under a cancel flag entries are kept, spawns
are dropped, and any outcome becomes `cancelled`. A batch is read once, applied in its order in memory, and written in
sets; completions that concern nobody else go straight to the writing statement. A row is never changed before the
fence has let its transition pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from perdure.model.records import (
    Committed,
    Completed,
    Conflict,
    Enqueued,
    NewExecution,
    Outcome,
    Released,
    Retried,
    Settled,
    Suspended,
    Transition,
)
from perdure.model.status import UNSUCCESSFUL, Status
from perdure.storage._sql.draft import COUNTS, HAS_ENTRIES, NEWS, PASS, WAS_SUSPENDED, Draft, Work
from perdure.storage._sql.insertion import insert
from perdure.storage._sql.moves import End, Moves
from perdure.storage._sql.session import Session, Value
from perdure.storage.settling import cancelled_failure

COMPLETED: Final = Committed(status="completed")
RUNNING: Final = Committed()
CANCELLING: Final = Committed(cancelled=True)
UNKNOWN: Final = ("", "running", None, 0, 0)
"""What is found of an execution that does not exist."""


def check(transitions: Sequence[Transition]) -> None:
    """Raises `ValueError` for a transition that no engine may write."""
    for transition in transitions:
        outcome = transition.outcome
        if isinstance(outcome, Settled) and outcome.status not in UNSUCCESSFUL:
            raise ValueError(
                f"{transition.id!r} cannot settle as {outcome.status!r}; write Completed for a success"
            )  # fmt: skip
        if isinstance(outcome, Suspended) and len(outcome.signals) != len(outcome.taken):
            raise ValueError(
                f"{transition.id!r} waits for {len(outcome.signals)} signals, but counts {len(outcome.taken)}"
            )  # fmt: skip
        if transition.drop == "":
            raise ValueError(f"{transition.id!r} drops under no prefix; that would be all of its journal")
        for item in transition.spawns:
            if item.parent_id not in (None, transition.id):
                raise ValueError(f"{transition.id!r} cannot spawn a child of {item.parent_id!r}")


def commit(session: Session, transitions: Sequence[Transition], now: int) -> list[Committed]:
    """Applies transitions in their order; `check` has let them pass.

    What is alone in its batch and simple (an entry, a completion) needs no look at the rest, unless somebody spawns, or
    settles so that others are cancelled."""
    counts = Counter(transition.id for transition in transitions)
    spawning = any(transition.spawns for transition in transitions)
    answers: dict[str, Committed] = {}
    plain = [each for each in transitions if counts[each.id] == 1 and _is_plain(each)]
    if not any(isinstance(transition.outcome, Settled) for transition in transitions) and not spawning:
        going_on = [each for each in plain if each.outcome is None]
        _record_only(session, going_on, answers, last=len(going_on) == len(transitions))
    if not spawning:
        completed = [each for each in plain if isinstance(each.outcome, Completed)]
        _complete_alone(session, completed, answers, now, last=len(completed) == len(transitions))
    if len(answers) < len(transitions):
        rest = [transition for transition in transitions if transition.id not in answers]
        others = iter(_Batch(session, rest, now).apply())
        return [answers[each.id] if each.id in answers else next(others) for each in transitions]
    return [answers[transition.id] for transition in transitions]


def _is_plain(transition: Transition) -> bool:
    changes_row = transition.progress is not None or transition.anew or transition.drop is not None
    return not (transition.spawns or changes_row)


def _record_only(
    session: Session, transitions: Sequence[Transition], answers: dict[str, Committed], *, last: bool
) -> None:
    """Adds entries of executions that go on running."""
    if not transitions:
        return
    asked = [(transition.id, transition.token) for transition in transitions]
    entries = _entries(transitions)
    rows = session.record_running(asked, entries, last=last)
    found = {row[0]: row for row in (session.read("look", [id for id, _ in asked]) if rows is None else rows)}
    held: list[Transition] = []
    for transition in transitions:
        _, status, token, cancelled, _ = found.get(transition.id, UNKNOWN)
        if status != "running" or token != transition.token:
            answers[transition.id] = Committed(lost=True, status=status)
        else:
            answers[transition.id] = CANCELLING if cancelled else RUNNING
            held.append(transition)
    if rows is None:
        _record(session, held, entries if len(held) == len(transitions) else _entries(held), found)


def _record(
    session: Session, held: Sequence[Transition], entries: Sequence[Sequence[Value]], found: dict[str, Sequence[Any]]
) -> None:
    """The entries of transitions whose executions are held."""
    if entries:
        session.give("record", entries)
    if fresh := sorted((each.id, each.token) for each in held if each.entries and found[each.id][4]):
        session.give("proceed", fresh)


def _complete_alone(
    session: Session, transitions: Sequence[Transition], answers: dict[str, Committed], now: int, *, last: bool
) -> None:
    """Completes what can be completed without a look at it: what concerns nobody else."""
    if not transitions:
        return
    rows = sorted((each.id, each.token, _result(each)) for each in transitions)
    completed = session.complete_alone(now, rows, _entries(transitions), last=last)
    session.notable = session.notable or bool(completed)
    answers.update(dict.fromkeys(completed, COMPLETED))


def _entries(transitions: Sequence[Transition]) -> list[Sequence[Value]]:
    return [
        (transition.id, *msgspec.structs.astuple(entry), transition.token)
        for transition in transitions
        for entry in transition.entries
    ]


def _result(transition: Transition) -> str:
    assert isinstance(transition.outcome, Completed)
    return transition.outcome.result


class _Batch:
    """The transitions of one commit that are to be looked at."""

    def __init__(self, session: Session, transitions: Sequence[Transition], now: int) -> None:
        self.session, self.transitions, self.now = session, transitions, now
        self.draft = Draft(session, now)
        self.draft.before_flush = self._insert_spawns
        self.spawns: list[tuple[int, Work, NewExecution]] = []
        """Not yet inserted: by which transition, of whom, what."""
        self.spawned: dict[int, list[Enqueued | Conflict]] = {}
        self.ended: dict[str, int] = {}
        """By which transition a pass ended while spawns of earlier ones were not yet inserted."""

    def apply(self) -> list[Committed]:
        self.draft.load_up(transition.id for transition in self.transitions)
        self.heard = self._heard()
        answers = [self._apply(place, transition) for place, transition in enumerate(self.transitions)]
        self.draft.flush()
        for place, spawned in self.spawned.items():
            answers[place] = msgspec.structs.replace(answers[place], spawned=tuple(spawned))
        return answers

    def _heard(self) -> set[int]:
        """The transitions that wait for a signal or an external completion which stands ready (R8)."""
        given: list[Sequence[Value]] = [
            (transition.id, name, taken, place)
            for place, transition in enumerate(self.transitions)
            if isinstance(transition.outcome, Suspended)
            for name, taken in zip(transition.outcome.signals, transition.outcome.taken, strict=True)
        ]
        heard = {row[0] for row in self.session.read("heard", given)} if given else set[int]()
        return heard | self._answered()

    def _answered(self) -> set[int]:
        """The transitions that wait for an external task whose completion stands (R8)."""
        asked = {
            place: transition.outcome.external
            for place, transition in enumerate(self.transitions)
            if isinstance(transition.outcome, Suspended) and transition.outcome.external is not None
        }
        if not asked:
            return set()
        found = {(row[0], row[1]) for row in self.session.read("externals", [*asked.values()])}
        return {place for place, pair in asked.items() if pair in found}

    def _apply(self, place: int, transition: Transition) -> Committed:
        work = self.draft.rows.get(transition.id) or self._spawned_just_now(transition.id)
        if work is None:
            return Committed(lost=True)
        if work.status != "running" or work.token != transition.token:
            return Committed(lost=True, status=work.status)
        self._progress(work, transition)
        cancelled, outcome = work.cancel_reason is not None, transition.outcome
        if transition.spawns and not cancelled:
            self.spawns += [(place, work, item) for item in transition.spawns]
        if outcome is None:
            return CANCELLING if cancelled else RUNNING
        if self.spawns:
            self.ended[work.id] = place
        moves = Moves(self.draft)
        if cancelled or not isinstance(outcome, Released):
            work.drifts = 0
        if work.cancel_reason is not None:
            self._settle(
                moves, End(work.id, "cancelled", None, cancelled_failure(work.cancel_reason), work.cancel_reason)
            )
        else:
            self._end_pass(moves, work, outcome, place in self.heard)
        return _answer(work.status, cancelled, tuple(id for id in moves.woken if id != work.id))

    def _progress(self, work: Work, transition: Transition) -> None:
        """Entries, and the news that progress is (R11); a note for people (`progress`) is none."""
        marks = work.marks
        if transition.entries:
            self.draft.record(work, transition.entries)
            marks |= HAS_ENTRIES
        if transition.drop is not None:
            self.draft.drop(work, transition.drop)
            marks |= WAS_SUSPENDED  # there is a past to be read, though nothing may be left of it
        if transition.anew:
            work.attempt, work.failure = 0, None
            self.draft.touch(work)
        proceeds = transition.entries or transition.spawns or transition.outcome is not None
        if transition.progress is not None:
            work.progress = transition.progress
        elif marks == work.marks and (work.crashes == 0 or not proceeds):
            return
        work.marks, work.crashes = marks, 0 if proceeds else work.crashes
        self.draft.touch(work, NEWS)

    def _end_pass(self, moves: Moves, work: Work, outcome: Outcome, heard: bool) -> None:
        match outcome:
            case Completed(result=result):
                self._insert_spawns()
                self._complete(moves, work, result)
            case Settled(status=status, failure=failure):
                self._settle(moves, End(work.id, status, failure=failure))
            case Retried(due_at=due_at, failure=failure):
                moves.move(work, "pending", due_at, PASS)
                work.attempt, work.failure = work.attempt + 1, failure
                moves.age_children(work)
            case Suspended():
                moves.suspend(work, outcome, heard)
            case Released():
                _release(moves, work, outcome)

    def _complete(self, moves: Moves, work: Work, result: str) -> None:
        self.draft.complete(work, result)
        work.status, work.worker_id, work.due_at, work.failure = "completed", None, None, None
        work.finished_at = self.now
        moves.finished(work)

    def _settle(self, moves: Moves, end: End) -> None:
        self._insert_spawns()
        moves.settle((end,))

    def _insert_spawns(self) -> None:
        """Inserts what was spawned so far: whoever settles needs to know all of its children."""
        if not self.spawns:
            return
        pending, self.spawns = self.spawns, []
        items = [item for _, _, item in pending]
        fences = {work.id: (work.id, work.was) for _, work, _ in pending}
        answers = insert(self.session, items, [fences[work.id] for _, work, _ in pending], self.now)
        for (place, work, item), answer in zip(pending, answers, strict=True):
            self.spawned.setdefault(place, []).append(self._as_of(place, answer))
            if item.parent_id is not None and isinstance(answer, Enqueued) and answer.created:
                work.children_total += 1
                self.draft.touch(work, COUNTS)

    def _as_of(self, place: int, answer: Enqueued | Conflict) -> Enqueued | Conflict:
        """An answer about an execution that stood already, with the status that it had then."""
        if isinstance(answer, Conflict) or answer.created:
            return answer
        standing = self.draft.rows.get(answer.id)
        if self.ended.get(answer.id, -1) >= place:
            return Enqueued(answer.id, False, "running")
        return answer if standing is None else Enqueued(answer.id, False, standing.status)

    def _spawned_just_now(self, id: str) -> Work | None:
        if self.spawns or self.spawned:
            self._insert_spawns()
            self.draft.load_up((id,))
        return self.draft.rows.get(id)


def _release(moves: Moves, work: Work, outcome: Released) -> None:
    moves.move(work, "pending", outcome.due_at, PASS)
    if outcome.drifted:
        work.drifts, work.failure = work.drifts + 1, outcome.failure


def _answer(status: Status, cancelled: bool, woken: tuple[str, ...]) -> Committed:
    if status == "completed" and not woken:
        return COMPLETED
    return Committed(status=status, cancelled=cancelled, woken=woken)
