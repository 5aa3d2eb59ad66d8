"""`worker --metrics-port`: what a worker's process shows to Prometheus."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from perdure.app import Perdure
from perdure.cli.problems import Problem
from perdure.errors import ConfigurationError
from perdure.extras import load


@contextmanager
def shown(app: Perdure, port: int | None, host: str) -> Generator[None]:
    """Inside the block the metrics of the app, which is not open yet, are shown at that port. Raises `Problem`."""
    if port is None:
        yield
        return
    try:
        metrics = load("perdure.prometheus:Prometheus")()
    except ImportError:
        raise Problem(
            3, "metrics need prometheus-client", "it is an extra", "pip install 'perdure[prometheus]'"
        ) from None
    try:
        served = metrics.serve(port, host)
    except ConfigurationError as error:
        raise Problem(3, "metrics cannot be shown", str(error), "perdure worker --metrics-port PORT") from error
    app.parts.telemetry = (*app.parts.telemetry, metrics)
    try:
        yield
    finally:
        served.close()
