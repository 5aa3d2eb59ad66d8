"""The bridge to OpenTelemetry (extra `otel`). It needs the API only: SDK, exporters and sampling are the user's.

A span's place is stored with an execution as the W3C `traceparent`, and after a space the `tracestate` if there is one: no
baggage, whose content is the user's. What is stored may come from anywhere, so that what cannot be read is passed over.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from perdure.clock import Duration, seconds
from perdure.errors import ConfigurationError, Failure
from perdure.telemetry import (
    ATTEMPT_OUTCOME,
    ERROR_TYPE,
    MESSAGING_OPERATION,
    MESSAGING_SYSTEM,
    METRICS,
    OPERATION_TYPE,
    SYSTEM,
    Facts,
    Kind,
    Metric,
    Origin,
    Span,
    Telemetry,
)

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ImportError("perdure.otel needs `pip install 'perdure[otel]'`") from error

A_DAY: Final = timedelta(days=1)
KINDS: Final[dict[Kind, trace.SpanKind]] = {
    "enqueue": trace.SpanKind.PRODUCER,
    "child": trace.SpanKind.PRODUCER,
    "run": trace.SpanKind.CONSUMER,
    "remote": trace.SpanKind.CLIENT,
}
"""All others are internal."""
MESSAGING: Final[dict[Kind, str]] = {"enqueue": "send", "child": "send", "run": "process"}
GOOD: Final = frozenset({"completed", "suspended", "released", "cancelled"})
"""Outcomes that are no errors, whatever the record says."""
LONGEST: Final = 500
"""Characters of a failure's message."""
LONGEST_STATE: Final = 512
"""Characters of a `tracestate`; everybody has to hand on so many, and no row keeps more."""
PLACEHOLDERS: Final = ("opentelemetry.trace", "opentelemetry.metrics")

_propagator = TraceContextTextMapPropagator()


class OpenTelemetry(Telemetry):
    """Spans and metrics for OpenTelemetry, by the given providers or the global ones.

    An execution older than `link_after` (seconds or a timedelta; `None`: never) gets a new trace for each further pass,
    linked to the first one. Raises `ConfigurationError`."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        link_after: Duration | None = A_DAY,
    ) -> None:
        _check("tracer_provider", tracer_provider, trace.TracerProvider)
        _check("meter_provider", meter_provider, metrics.MeterProvider)
        self._link_after = None if link_after is None else round(seconds(link_after, "link_after") * 1e9)
        self._tracer = trace.get_tracer(SYSTEM, tracer_provider=tracer_provider)
        meter = metrics.get_meter(SYSTEM, meter_provider=meter_provider)
        made: dict[str, list[Metric]] = {"counter": [], "histogram": [], "gauge": []}
        for metric in METRICS:
            made[metric.kind].append(metric)
        self._counters = {each.name: meter.create_counter(each.name, each.unit, each.help) for each in made["counter"]}
        self._gauges = {each.name: meter.create_gauge(each.name, each.unit, each.help) for each in made["gauge"]}
        self._histograms = {
            each.name: meter.create_histogram(
                each.name, each.unit, each.help, explicit_bucket_boundaries_advisory=list(each.buckets)
            )
            for each in made["histogram"]
        }

    def span(self, kind: Kind, name: str, facts: Facts, at: int, origin: Origin | None) -> Span | None:
        """A span of the API."""
        attributes = {**facts, OPERATION_TYPE: kind}
        if kind in MESSAGING:
            attributes[MESSAGING_SYSTEM], attributes[MESSAGING_OPERATION] = SYSTEM, MESSAGING[kind]
        around = None if origin is None else _around(origin.place)
        links: list[trace.Link] = []
        if origin is not None and self._link_after is not None and at - origin.since > self._link_after:
            cause = trace.get_current_span(around).get_span_context()
            links, around = ([trace.Link(cause)] if cause.is_valid else []), context.Context()
        of_kind = KINDS.get(kind, trace.SpanKind.INTERNAL)
        return _Span(self._tracer.start_span(f"{kind} {name}", around, of_kind, attributes, links, at))

    def count(self, metric: Metric, labels: tuple[str, ...], number: int) -> None:
        """Adds to a counter."""
        self._counters[metric.name].add(number, dict(zip(metric.labels, labels, strict=True)))

    def measure(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Records in a histogram."""
        self._histograms[metric.name].record(value, dict(zip(metric.labels, labels, strict=True)))

    def level(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Sets a gauge."""
        self._gauges[metric.name].set(value, dict(zip(metric.labels, labels, strict=True)))


class _Span(Span):
    """A span of the API, begun."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def place(self) -> str | None:
        """`traceparent`, and `tracestate` if there is one."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(self._span))
        parent, state = carrier.get("traceparent"), carrier.get("tracestate")
        return f"{parent} {state}" if parent and state and len(state) <= LONGEST_STATE else parent

    def enter(self) -> object:
        """Makes it the current span. What else the caller's context holds, baggage say, stays."""
        return context.attach(trace.set_span_in_context(self._span))

    def leave(self, token: object) -> None:
        """Gives the context back."""
        context.detach(token)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    def note(self, what: str, at: int) -> None:
        """An event."""
        self._span.add_event(what, timestamp=at)

    def end(self, at: int, facts: Facts, failure: Failure | None) -> None:
        """Ends it; its status is an error where it failed."""
        self._span.set_attributes(facts)
        if failure is not None and facts.get(ATTEMPT_OUTCOME) not in GOOD:
            self._span.set_attribute(ERROR_TYPE, failure.type)
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, f"{failure.type}: {failure.message}"[:LONGEST]))
        self._span.end(at)


def configured() -> Telemetry | None:
    """The bridge to the global providers; `None` as long as no SDK is behind any of them."""
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    if all(type(provider).__module__.startswith(PLACEHOLDERS) for provider in providers):
        return None
    return OpenTelemetry()


def _check(what: str, given: object, wanted: type) -> None:
    if given is not None and not isinstance(given, wanted):
        raise ConfigurationError(f"{what} is {given!r}; it must be an OpenTelemetry {wanted.__name__}, or None")


def _around(place: str | None) -> context.Context:
    """The context that a stored place stands for; an empty one where nothing can be read."""
    parent, _, state = (place or "").partition(" ")
    return _propagator.extract({"traceparent": parent, "tracestate": state}, context.Context())


__all__ = ["OpenTelemetry", "configured"]
