"""The telemetry port: what the engine tells of itself, to whom, and under which names.

The engine tells of spans (something begins, and ends somehow), counts, durations and levels. `Telemetry` is who hears it:
every method does nothing, a listener overrides what it wants; `perdure.otel` and `perdure.prometheus` are two. `Told` is
what the engine holds: it hands everything to each listener, and keeps their errors to itself. Where nobody listens there is
no `Told` at all, and the hot path asks no more than that.

Names of attributes and metrics stand here and nowhere else. Nothing here imports a library of telemetry, and no payload, no
argument and no key given by a caller is ever told. Ids are facts of spans, never labels of metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from perdure.errors import Failure

T = TypeVar("T")
Kind: TypeAlias = Literal[
    "enqueue", "child", "run", "execution", "activity", "state", "iteration", "item", "remote"
]  # fmt: skip
"""What a span stands for. `run` is one pass of an attempt, `execution` the whole, told when it settles if it took several."""
Fact: TypeAlias = str | int | float | bool
Facts: TypeAlias = Mapping[str, Fact]

logger = logging.getLogger("perdure")

# --- attributes of spans: `durable.*` and `messaging.*` as others name them, the rest under our own prefix

SYSTEM: Final = "perdure"
EXECUTION_ID: Final = "durable.execution.id"
EXECUTION_NAME: Final = "durable.execution.name"
EXECUTION_STATUS: Final = "durable.execution.status"
OPERATION_NAME: Final = "durable.operation.name"
OPERATION_TYPE: Final = "durable.operation.type"
ATTEMPT_NUMBER: Final = "durable.attempt.number"
ATTEMPT_OUTCOME: Final = "durable.attempt.outcome"
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"
PARENT_ID: Final = "perdure.parent.id"
ROOT_ID: Final = "perdure.root.id"
GENERATION: Final = "perdure.generation"
TOKEN: Final = "perdure.token"
NUMBER: Final = "perdure.number"

# --- metrics


class Metric(NamedTuple):
    """A metric by name. `labels` are the names of its labels, in the order in which values are told; `buckets` the upper
    bounds of a histogram."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


SHORT: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
LIVES: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, 604800.0, 2592000.0)
OF_TASK: Final = ("task", "queue")

ENQUEUED: Final = Metric("perdure.executions.enqueued", "counter", "{execution}", OF_TASK, "Executions stored here")
STARTED: Final = Metric(
    "perdure.executions.started", "counter", "{execution}", OF_TASK, "Executions begun for the first time"
)
SETTLED: Final = Metric(
    "perdure.executions.settled",
    "counter",
    "{execution}",
    (*OF_TASK, "status"),
    "Executions whose last pass settled them",
)
RETRIED: Final = Metric(
    "perdure.executions.retried", "counter", "{attempt}", OF_TASK, "Attempts that failed and are followed by another"
)
RECLAIMED: Final = Metric(
    "perdure.executions.reclaimed", "counter", "{execution}", ("how",),
    "Executions settled or made due again by maintenance: released, poisoned, expired",
)  # fmt: skip
DURATION: Final = Metric(
    "perdure.execution.duration", "histogram", "s", (*OF_TASK, "status"), "From the enqueue until it settled", LIVES
)
DELAY: Final = Metric("perdure.queue.delay", "histogram", "s", OF_TASK, "From falling due until a pass began", LIVES)
PASS: Final = Metric(
    "perdure.pass.duration",
    "histogram",
    "s",
    (*OF_TASK, "outcome"),
    "One run of a body, until it waited or ended",
    WORK,
)
ACTIVITY: Final = Metric(
    "perdure.activity.duration", "histogram", "s", ("activity", "outcome"), "One try of an activity", WORK
)
ACTIVITY_RETRIES: Final = Metric(
    "perdure.activity.retries", "counter", "{try}", ("activity",), "Tries of activities after the first"
)
DEPTH: Final = Metric(
    "perdure.queue.depth", "gauge", "{execution}", ("queue", "status"), "Open executions in the store"
)
OLDEST: Final = Metric("perdure.queue.oldest.age", "gauge", "s", ("queue",), "For how long the oldest has been due")
UNSERVED: Final = Metric(
    "perdure.tasks.unserved", "gauge", "{task}", (), "Tasks with open executions that no live worker has"
)
WORKERS: Final = Metric("perdure.workers.alive", "gauge", "{worker}", (), "Live workers of the store")
SLOTS_USED: Final = Metric(
    "perdure.worker.slots.used", "gauge", "{slot}", (), "Executions that hold a slot of this worker"
)
SLOTS_TOTAL: Final = Metric("perdure.worker.slots.total", "gauge", "{slot}", (), "Slots of this worker")
LEASE_LOST: Final = Metric(
    "perdure.lease.lost", "counter", "{lease}", ("task",), "Leases that were another's in the end"
)
STORAGE: Final = Metric(
    "perdure.storage.operation.duration", "histogram", "s", ("operation",), "One call of the storage", SHORT
)
STORAGE_ERRORS: Final = Metric(
    "perdure.storage.errors", "counter", "{error}", ("operation",), "Calls of it that raised"
)
LAG: Final = Metric("perdure.loop.lag", "histogram", "s", (), "By how much the event loop was late for a timer", SHORT)

METRICS: Final = (
    ENQUEUED, STARTED, SETTLED, RETRIED, RECLAIMED, DURATION, DELAY, PASS, ACTIVITY, ACTIVITY_RETRIES, DEPTH, OLDEST,
    UNSERVED, WORKERS, SLOTS_USED, SLOTS_TOTAL, LEASE_LOST, STORAGE, STORAGE_ERRORS, LAG,
)  # fmt: skip

# --- who hears it


class Origin(NamedTuple):
    """Where a span belongs whose cause is elsewhere: `place` as stored with an execution (`None`: nowhere), which has been
    there since the moment `since` (nanoseconds UTC)."""

    place: str | None
    since: int


class Span:
    """Something that has begun."""

    def place(self) -> str | None:
        """Where it stands, as text for an execution's row: what begins there later belongs below it."""
        return None

    def enter(self) -> object:
        """The code that runs in this context from now on belongs to it. Answers what `leave` is to be given."""
        return None

    def leave(self, token: object) -> None:
        """Undoes `enter`, in the same context."""

    def note(self, what: str, at: int) -> None:
        """Something happened meanwhile (nanoseconds UTC)."""

    def end(self, at: int, facts: Facts, failure: Failure | None) -> None:
        """It is over (nanoseconds UTC); `failure` where it failed."""


class Telemetry:
    """Who is told. Methods may be called from any thread and must not block; what they raise is logged once."""

    def span(self, kind: Kind, name: str, facts: Facts, at: int, origin: Origin | None) -> Span | None:
        """Something begins (`at` nanoseconds UTC), caused by what the calling context belongs to, or by `origin`."""
        return None

    def count(self, metric: Metric, labels: tuple[str, ...], number: int) -> None:
        """A counter rises."""

    def measure(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """A value of a histogram."""

    def level(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """The value of a gauge from now on."""


class Told:
    """Hands everything to all listeners. None of it ever raises."""

    __slots__ = ("_failed", "_listeners")

    def __init__(self, listeners: Iterable[Telemetry]) -> None:
        self._listeners = tuple(listeners)
        self._failed = False

    def span(self, kind: Kind, name: str, facts: Facts, at: int, origin: Origin | None = None) -> Spans:
        """As `Telemetry.span`."""
        begun = [self.safely(each.span, kind, name, facts, at, origin) for each in self._listeners]
        return Spans(self, [span for span in begun if span is not None])

    def count(self, metric: Metric, *labels: str, number: int = 1) -> None:
        """As `Telemetry.count`."""
        for each in self._listeners:
            self.safely(each.count, metric, labels, number)

    def measure(self, metric: Metric, value: float, *labels: str) -> None:
        """As `Telemetry.measure`."""
        for each in self._listeners:
            self.safely(each.measure, metric, labels, value)

    def level(self, metric: Metric, value: float, *labels: str) -> None:
        """As `Telemetry.level`."""
        for each in self._listeners:
            self.safely(each.level, metric, labels, value)

    def safely(self, function: Callable[..., T], *given: Any) -> T | None:
        """What a listener answers; `None` where it raises, which is logged the first time."""
        try:
            return function(*given)
        except Exception:
            if not self._failed:
                self._failed = True
                logger.warning("telemetry failed; executions go on, and further failures are not logged", exc_info=True)
            return None


class Spans:
    """What each listener made of one span."""

    __slots__ = ("_spans", "_told")

    def __init__(self, told: Told, spans: Sequence[Span]) -> None:
        self._told, self._spans = told, spans

    def place(self) -> str | None:
        """As `Span.place`: the first one there is."""
        return next((place for each in self._spans if (place := self._told.safely(each.place)) is not None), None)

    def enter(self) -> list[object]:
        """As `Span.enter`."""
        return [self._told.safely(each.enter) for each in self._spans]

    def leave(self, tokens: Sequence[object]) -> None:
        """As `Span.leave`."""
        for each, token in zip(reversed(self._spans), reversed(tokens), strict=True):
            self._told.safely(each.leave, token)

    def note(self, what: str, at: int) -> None:
        """As `Span.note`."""
        for each in self._spans:
            self._told.safely(each.note, what, at)

    def end(self, at: int, facts: Facts, failure: Failure | None = None) -> None:
        """As `Span.end`."""
        for each in self._spans:
            self._told.safely(each.end, at, facts, failure)
