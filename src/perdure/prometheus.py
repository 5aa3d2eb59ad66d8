"""The bridge to Prometheus (extra `prometheus`): the metrics of `perdure.telemetry`, and a server that shows them.

Names are those that OpenTelemetry's own exporters make of the same metrics, so that one dashboard fits both.
"""

from __future__ import annotations

import threading
from typing import TypeVar
from wsgiref.simple_server import WSGIServer

from perdure.errors import ConfigurationError
from perdure.telemetry import METRICS, Metric, Telemetry

try:
    import prometheus_client
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise ImportError("perdure.prometheus needs `pip install 'perdure[prometheus]'`") from error


M = TypeVar("M", Counter, Gauge, Histogram)


class Prometheus(Telemetry):
    """Metrics in a registry: one of its own, or a given one (`prometheus_client.REGISTRY`, say). Raises
    `ConfigurationError` where that has them already."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        if registry is not None and not isinstance(registry, CollectorRegistry):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"registry is {registry!r}; it must be a prometheus_client.CollectorRegistry, or None"
            )
        self.registry = CollectorRegistry() if registry is None else registry
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[tuple[str, ...], Histogram] = {}
        self._gauges: dict[tuple[str, ...], Gauge] = {}
        try:
            for metric in METRICS:
                self._make(metric)
        except ValueError as error:
            raise ConfigurationError(
                "the registry has Perdure's metrics already; one Prometheus() is enough"
            ) from error

    def _make(self, metric: Metric) -> None:
        name, labels, registry = shown(metric), metric.labels, self.registry
        if metric.kind == "counter":
            self._counters[metric.name,] = Counter(name, metric.help, labels, registry=registry)
        elif metric.kind == "gauge":
            self._gauges[metric.name,] = Gauge(name, metric.help, labels, registry=registry)
        else:
            made = Histogram(name, metric.help, labels, registry=registry, buckets=metric.buckets)
            self._histograms[metric.name,] = made

    def count(self, metric: Metric, labels: tuple[str, ...], number: int) -> None:
        """Adds to a counter."""
        _of(self._counters, metric, labels).inc(number)

    def measure(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Records in a histogram."""
        _of(self._histograms, metric, labels).observe(value)

    def level(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Sets a gauge."""
        _of(self._gauges, metric, labels).set(value)

    def serve(self, port: int, host: str = "127.0.0.1") -> Served:
        """Shows the metrics at `http://host:port/metrics`, from a thread; port 0 is any that is free. Raises
        `ConfigurationError` when the port cannot be had."""
        try:
            server, thread = prometheus_client.start_http_server(port, host, self.registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"metrics cannot be served at {host}:{port}: {error}; name another port, or stop who has it"
            ) from error
        return Served(server, thread)


class Served:
    """A server that shows metrics, at `port`."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server, self._thread = server, thread
        self.port = server.server_port

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _of(made: dict[tuple[str, ...], M], metric: Metric, labels: tuple[str, ...]) -> M:
    """The metric with these labels; finding it costs more than counting, so that it is kept."""
    found = made.get((metric.name, *labels))
    if found is None:
        found = made[metric.name, *labels] = made[metric.name,].labels(*labels)
    return found


def shown(metric: Metric) -> str:
    """A metric's name in Prometheus, but for what that itself adds (`_total`, `_bucket`)."""
    return metric.name.replace(".", "_") + ("_seconds" if metric.unit == "s" else "")


__all__ = ["Prometheus", "Served", "shown"]
