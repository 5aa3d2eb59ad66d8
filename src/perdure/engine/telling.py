"""What the engine tells telemetry: passes, activities, children, parts of a body.

A pass is one span, whatever happens in it: it begins with the body, goes on when a body in memory is resumed, and is over
when the execution waited or ended. What is answered from the journal is never told. Nothing here may change what an execution does, and
none of it is loaded into the way of an execution that nobody watches: then a plain `Driver` runs it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from perdure.clock import Clock, nanoseconds
from perdure.codec import decode_failure, failure_of
from perdure.engine.driver import Driver
from perdure.errors import Failure
from perdure.model.records import (
    Claim,
    Committed,
    JournalView,
    NewExecution,
    Outcome,
    Released,
    Retried,
    Settled,
    Suspended,
)
from perdure.model.status import SETTLED as SETTLED_STATUSES
from perdure.telemetry import (
    ACTIVITY,
    ACTIVITY_RETRIES,
    ATTEMPT_NUMBER,
    ATTEMPT_OUTCOME,
    DELAY,
    DURATION,
    ENQUEUED,
    EXECUTION_ID,
    EXECUTION_NAME,
    EXECUTION_STATUS,
    GENERATION,
    LEASE_LOST,
    MESSAGING_COUNT,
    MESSAGING_DESTINATION,
    NUMBER,
    OPERATION_NAME,
    PARENT_ID,
    PASS,
    RETRIED,
    ROOT_ID,
    SETTLED,
    STARTED,
    TOKEN,
    Fact,
    Kind,
    Origin,
    Spans,
    Told,
)

if TYPE_CHECKING:
    from perdure.engine.ports import Host
    from perdure.engine.verbs import Verbs

T = TypeVar("T")
MILLION: Final = 1_000_000


class ToldDriver(Driver):
    """A driver whose pass is a span."""

    __slots__ = ("_ended_at", "_failure", "_over", "_span", "_told", "_told_as", "_went_on")

    def begin(self, told: Told, context: contextvars.Context) -> None:
        """The pass begins; its body, which runs in `context`, belongs to it."""
        self._told = told
        self._over = False
        self._went_on = self._goes_on(self.claim)
        claim = self.claim
        facts: dict[str, Fact] = {
            **_about(claim), ATTEMPT_NUMBER: claim.attempt, GENERATION: claim.generation, TOKEN: claim.token,
            ROOT_ID: claim.root_id, MESSAGING_DESTINATION: claim.queue,
        }  # fmt: skip
        if claim.parent_id is not None:
            facts[PARENT_ID] = claim.parent_id
        origin = Origin(claim.trace, claim.created_at * MILLION)
        self._span = told.span("run", claim.task_name, facts, self._went_on, origin)
        context.run(self._span.enter)
        if claim.token == 1:
            told.count(STARTED, claim.task_name, claim.queue)

    def resume(self, claim: Claim, view: JournalView) -> None:
        """As `Driver.resume`: the span goes on."""
        self._went_on = self._goes_on(claim)
        self._span.note("resumed", self._went_on)
        super().resume(claim, view)

    def _goes_on(self, claim: Claim) -> int:
        """The body runs, from the moment that is answered on; of how that ends nothing is written yet."""
        self._told_as, self._failure, self._ended_at = "released", None, 0
        now = nanoseconds(self.host.clock)
        due = max(claim.due_at or 0, claim.created_at)
        self._told.measure(DELAY, max(now / 1e9 - due / 1e3, 0.0), claim.task_name, claim.queue)
        return now

    def lose(self, error: BaseException | None) -> None:
        """As `Driver.lose`."""
        if self.phase != "gone":
            self._told_as, self._ended_at = "lost", 0
            self._told.count(LEASE_LOST, self.claim.task_name)
        super().lose(error)

    def _outcome_written(self, outcome: Outcome, answer: Committed) -> None:
        self._told_as, self._failure = _ended(outcome, answer)
        self._ended_at = nanoseconds(self.host.clock)
        claim, told = self.claim, self._told
        length = (self._ended_at - self._went_on) / 1e9
        told.measure(PASS, length, claim.task_name, claim.queue, self._told_as)
        if self._told_as == "retried":
            told.count(RETRIED, claim.task_name, claim.queue)
        elif self._told_as in SETTLED_STATUSES:
            self._tell_settled(claim, told)
        super()._outcome_written(outcome, answer)

    def _tell_settled(self, claim: Claim, told: Told) -> None:
        labels = claim.task_name, claim.queue, self._told_as
        told.count(SETTLED, *labels)
        told.measure(DURATION, self._ended_at / 1e9 - claim.created_at / 1e3, *labels)
        if claim.token > 1:  # no pass shows the whole
            began = claim.created_at * MILLION
            span = told.span("execution", claim.task_name, _about(claim), began, Origin(claim.trace, began))
            span.end(self._ended_at, {EXECUTION_STATUS: self._told_as}, self._failure)

    def _leave(self) -> None:
        if not self._over:  # not by `phase`: a body that is done just as its pass is interrupted leaves twice
            self._over = True
            facts: dict[str, Fact] = {ATTEMPT_OUTCOME: self._told_as}
            if self._told_as in SETTLED_STATUSES:
                facts[EXECUTION_STATUS] = self._told_as
            self._span.end(self._ended_at or nanoseconds(self.host.clock), facts, self._failure)
        super()._leave()


def _ended(outcome: Outcome, answer: Committed) -> tuple[str, Failure | None]:
    """How a pass ended, as told."""
    if answer.cancelled or answer.status == "cancelled":
        return "cancelled", decode_failure(outcome.failure) if isinstance(outcome, Settled) else None
    if isinstance(outcome, Retried):
        return "retried", decode_failure(outcome.failure)
    if isinstance(outcome, Settled):
        return outcome.status, decode_failure(outcome.failure)
    if isinstance(outcome, Released):
        failure = None if outcome.failure is None else decode_failure(outcome.failure)
        return "drifted" if outcome.drifted else "released", failure
    return ("suspended" if isinstance(outcome, Suspended) else "completed"), None


def _about(claim: Claim) -> dict[str, Fact]:
    return {EXECUTION_ID: claim.id, EXECUTION_NAME: claim.task_name}


# --- what is done in a pass


async def told_try(told: Told, verbs: Verbs, name: str, number: int, act: Callable[[], Awaitable[T]]) -> T:
    """One try of an activity."""
    clock, claim = verbs.host.clock, verbs.driver.claim
    facts: dict[str, Fact] = {**_about(claim), OPERATION_NAME: name, ATTEMPT_NUMBER: number}
    began = nanoseconds(clock)
    span = told.span("activity", name, facts, began)
    token, outcome, failure = span.enter(), "completed", None
    if number:
        told.count(ACTIVITY_RETRIES, name)
    try:
        return await act()
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    except BaseException as error:
        outcome, failure = "failed", told.safely(failure_of, error)
        raise
    finally:
        span.leave(token)
        ended = nanoseconds(clock)
        told.measure(ACTIVITY, (ended - began) / 1e9, name, outcome)
        span.end(ended, {ATTEMPT_OUTCOME: outcome}, failure)


def part(verbs: Verbs, kind: Kind, name: str, number: int | None = None) -> AbstractContextManager[None]:
    """A part of a body that really runs: a state of a diagram, an iteration, an item, a call of a remote service. What is
    done inside the block belongs to it."""
    told = verbs.host.told
    return nullcontext() if told is None else _part(told, verbs, kind, name, number)


@contextmanager
def _part(told: Told, verbs: Verbs, kind: Kind, name: str, number: int | None) -> Generator[None]:
    clock, claim = verbs.host.clock, verbs.driver.claim
    facts: dict[str, Fact] = {**_about(claim), OPERATION_NAME: name, ATTEMPT_NUMBER: claim.attempt}
    if number is not None:
        facts[NUMBER] = number
    span = told.span(kind, name, facts, nanoseconds(clock))
    token, outcome, failure = span.enter(), "completed", None
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        outcome = "suspended" if verbs.driver.unwinding else "cancelled"
        raise
    except BaseException as error:
        outcome, failure = "failed", told.safely(failure_of, error)
        raise
    finally:
        span.leave(token)
        span.end(nanoseconds(clock), {ATTEMPT_OUTCOME: outcome}, failure)


def sent(told: Told, host: Host, spec: NewExecution) -> str | None:
    """The place in a trace of a child that the running code starts, as its row keeps it."""
    told.count(ENQUEUED, spec.task_name, spec.queue)
    span = begin_send(told, host.clock, "child", [spec])
    place = span.place()
    span.end(nanoseconds(host.clock), {})
    return place or spec.trace


def begin_send(told: Told, clock: Clock, kind: Kind, specs: Sequence[NewExecution]) -> Spans:
    """The span of starting executions: for all of them one."""
    names, queues = {spec.task_name for spec in specs}, {spec.queue for spec in specs}
    facts: dict[str, Fact] = {}
    if len(queues) == 1:
        facts[MESSAGING_DESTINATION] = specs[0].queue
    if len(specs) == 1:
        facts |= {EXECUTION_ID: specs[0].id, EXECUTION_NAME: specs[0].task_name}
    else:
        facts[MESSAGING_COUNT] = len(specs)
    name = specs[0].task_name if len(names) == 1 else f"{len(names)} tasks"
    return told.span(kind, name, facts, nanoseconds(clock))


__all__ = ["ToldDriver", "begin_send", "part", "sent", "told_try"]
