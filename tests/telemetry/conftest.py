"""What was told, as the SDK of OpenTelemetry shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure import Perdure
from perdure.otel import OpenTelemetry


class Seen:
    """Providers of their own, and what came to them. `given` are options of the bridge."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider(metric_readers=[self.reader])

    def bridge(self, **given: Any) -> OpenTelemetry:
        """A bridge to these providers."""
        return OpenTelemetry(self.tracers, self.meters, **given)

    def app(self, **given: Any) -> Perdure:
        """An app on memory that tells of itself here."""
        return Perdure("memory://", telemetry=self.bridge(**given))

    @property
    def spans(self) -> list[ReadableSpan]:
        """All that ended, in the order of their beginning."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of one name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The one of that name."""
        (found,) = self.named(name)
        return found

    def points(self, name: str) -> dict[tuple[object, ...], Any]:
        """The points of a metric, by the values of their labels in the order of the labels' names."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {
            tuple(value for _, value in sorted((point.attributes or {}).items())): point
            for scope in scopes for metric in scope.metrics if metric.name == name
            for point in metric.data.data_points
        }  # fmt: skip

    def values(self, name: str) -> dict[tuple[object, ...], float]:
        """What counters and gauges read."""
        return {labels: point.value for labels, point in self.points(name).items()}


def trace_of(span: ReadableSpan) -> int:
    """The id of its trace."""
    assert span.context is not None
    return span.context.trace_id


def parent_of(span: ReadableSpan) -> int | None:
    """The id of the span above it."""
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    """Its own id."""
    assert span.context is not None
    return span.context.span_id


def facts_of(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes."""
    return dict(span.attributes or {})


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()
