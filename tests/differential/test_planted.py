"""Storages with a planted bug, each of which the state machine or the checker must find: who tests the tests.

Every plant is the memory storage with one promise broken, as real queues have broken it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from perdure.model.externals import Answered, NewCompletion
from perdure.model.records import (
    Beat,
    Claimed,
    ClaimRequest,
    Committed,
    Conflict,
    Enqueued,
    Heartbeat,
    NewExecution,
    NewSignal,
    Reclaimed,
    Transition,
)
from perdure.model.status import SETTLED, Status
from perdure.storage.memory import MemoryStorage
from perdure.testing.stateful import against

pytestmark = pytest.mark.timeout(600)
"""Hypothesis may need a while on a slow machine."""

replace = msgspec.structs.replace


class Planted(MemoryStorage):
    def change(self, id: str, **fields: Any) -> None:
        self._tables.change(id, **fields)


class UnfencedWrite(Planted):
    """R2: whoever commits is believed to hold the lease."""

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        rows = self.get([transition.id for transition in transitions])
        fitting = [replace(t, token=r.token) if r else t for t, r in zip(transitions, rows, strict=True)]
        return super().commit(fitting, now)


class EarlyTimer(Planted):
    """R5: what is due in a moment may as well run now."""

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        return super().claim(request, now + 5)


class TokenStays(Planted):
    """R2: taking back leaves the old token valid."""

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        answer = super().reclaim(now, judged)
        for id in answer.released:
            self.change(id, token=self._tables.rows[id].token - 1)
        return answer


class DoubleCount(Planted):
    """R7: a child that settles twice in a batch of retries is counted twice."""

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        answers = super().cancel(items, now)
        for row in self.get([id for id, _ in items]):
            if row is not None and row.status == "cancelled" and row.parent_id is not None:
                self.change(row.parent_id, children_settled=self._tables.rows[row.parent_id].children_settled + 1)
        return answers


class LostWakeUp(Planted):
    """R8: a suspension does not look at signals that are there already."""

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        answers = super().commit(transitions, now)
        for transition, answer in zip(transitions, answers, strict=True):
            signals = getattr(transition.outcome, "signals", ())
            if answer.status == "waiting" and not answer.lost and signals:
                self.change(transition.id, due_at=getattr(transition.outcome, "due_at", None))
        return answers


class LostAnswer(Planted):
    """R8: a suspension does not look whether its external task is completed already."""

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        answers = super().commit(transitions, now)
        for transition, answer in zip(transitions, answers, strict=True):
            external = getattr(transition.outcome, "external", None)
            if answer.status == "waiting" and not answer.lost and external:
                self.change(transition.id, due_at=getattr(transition.outcome, "due_at", None))
        return answers


class LastAnswerWins(Planted):
    """R12: a later completion takes the place of the one that stands."""

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        for item in items:
            self._tables.drop(self._tables.externals, (item.origin, item.key))
        return super().complete_external(items, now)


class SignalTwice(Planted):
    """R12: a signal that is sent again is another signal."""

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        self.sent = getattr(self, "sent", 0) + 1
        return super().signal([replace(item, id=f"{item.id}#{self.sent}") for item in items], now)


class KeyPerTask(Planted):
    """R4: an idempotency key is only compared, never kept, when its first execution has settled."""

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        for key, id in list(self._tables.keys.items()):
            if self._tables.rows[id].status in SETTLED:
                self._tables.drop(self._tables.keys, key)
        return super().enqueue(items, now)


class NoBlame(Planted):
    """R11: a crash is not counted."""

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        answer = super().claim(request, now)
        for claim in answer.claims:
            self.change(claim.id, crashes=0)
        return answer


class CancelForgets(Planted):
    """R10: a flag to cancel is gone with the next heartbeat."""

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        answer = super().heartbeat(beat, now)
        for id, _ in answer.cancelled:
            if self._tables.rows[id].status == "running":
                self.change(id, cancel_reason=None)
        return answer


class HalfATransaction(Planted):
    """R3: a transaction that fails leaves its first steps."""

    def transaction(self) -> Any:
        return self._lock


class PruneOpen(Planted):
    """R15: what is settled is removed, whatever is open below it."""

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        for row in list(self._tables.rows.values()):
            if row.parent_id is None and row.status in SETTLED and row.closed_at is None:
                self.change(row.id, closed_at=row.finished_at)
        return super().prune(now, closed_before, limit, spare_own)


class StopsAtTheFirst(Planted):
    """R1: a bad item takes those after it along."""

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        answers: list[Committed] = []
        for transition in transitions:
            lost = bool(answers) and answers[-1].lost
            answers += [Committed(lost=True)] if lost else super().commit([transition], now)
        return answers


class LostChild(Planted):
    """R3: of several executions that a transition starts the last is lost."""

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        fewer = [replace(t, spawns=t.spawns[:-1] if len(t.spawns) > 1 else t.spawns) for t in transitions]
        return super().commit(fewer, now)


PLANTS: list[type[Planted]] = Planted.__subclasses__()
FIND = settings(
    max_examples=400,
    stateful_step_count=50,
    derandomize=True,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_is_found(plant: type[Planted]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(against(plant), settings=FIND)


def test_without_plant_nothing_is_found() -> None:
    run_state_machine_as_test(against(Planted), settings=settings(FIND, max_examples=20))
