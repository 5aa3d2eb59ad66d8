"""`Perdure(telemetry=…)`: who is told, what is refused, what is not loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure import ConfigurationError, Perdure
from perdure.storage.memory import MemoryStorage
from perdure.storage.observed import Observed
from perdure.telemetry import ENQUEUED, Facts, Kind, Metric, Origin, Span, Telemetry
from perdure.testing import TestApp
from tests.telemetry.conftest import Seen

HERE = Path(__file__).parents[2]


class Kept(Telemetry):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def span(self, kind: Kind, name: str, facts: Facts, at: int, origin: Origin | None) -> Span | None:
        self.told.append(f"{kind} {name}")
        return Span()

    def count(self, metric: Metric, labels: tuple[str, ...], number: int) -> None:
        if metric is ENQUEUED:
            self.told.append(f"enqueued {labels} {number}")


@pytest.mark.parametrize(
    "wrong",
    ["perhaps", 5, 1.5, object(), Kept, [], [True], [Kept(), "x"], {"a": Kept()}, Seen().tracers, lambda: None],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_telemetry(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"telemetry is .*true or false, a perdure.telemetry.Telemetry, or"):
        Perdure("memory://", telemetry=wrong)


def test_where_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_TELEMETRY", "perhaps")
    with pytest.raises(ConfigurationError, match=r"\$PERDURE_TELEMETRY is 'perhaps'"):
        Perdure("memory://")


async def test_a_listener_of_ones_own() -> None:
    kept = Kept()
    app = Perdure("memory://", telemetry=kept)

    @app.activity
    async def act() -> None: ...

    @app.task
    async def task() -> None:
        await act()

    async with TestApp(app):
        await task.run()
    assert sorted(kept.told) == ["activity act", "enqueue task", "enqueued ('task', 'default') 1", "run task"]


async def test_a_listener_that_overrides_nothing() -> None:
    app = Perdure("memory://", telemetry=Telemetry())

    @app.task
    async def task() -> int:
        return 5

    async with TestApp(app, always_replay=True):
        assert await task.run() == 5


@pytest.mark.parametrize("telemetry", [False, True, None])
async def test_where_nobody_listens_nothing_is_in_the_way(telemetry: bool | None) -> None:
    app = Perdure("memory://", telemetry=telemetry)
    async with app:
        assert isinstance(app.opened.store.storage, MemoryStorage)
        assert app.client.told is None
    app = Perdure("memory://", telemetry=Telemetry())
    async with app:
        assert isinstance(app.opened.store.storage, Observed)


PROGRAM = """
import asyncio, sys
{before}
from perdure import Perdure
app = Perdure("memory://"{given})

@app.task
async def task() -> int:
    return 5

async def main():
    async with app:
        assert await task.run() == 5

asyncio.run(main())
{after}
"""
SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""
SAY = "print(sorted(span.name for span in exporter.get_finished_spans()))"
LOADED = "print('opentelemetry' in sys.modules, 'prometheus_client' in sys.modules)"


def said(before: str = "", given: str = "", after: str = "") -> str:
    program = PROGRAM.format(before=before, given=given, after=after)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=HERE, capture_output=True, text=True, timeout=60,
        env=environment | {"PYTHONPATH": str(HERE / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_program_set_up_is_found() -> None:
    assert said(SDK, after=SAY) == "['enqueue task', 'run task']"


def test_it_can_be_switched_off() -> None:
    assert said(SDK, ", telemetry=False", SAY) == "[]"


def test_what_nobody_uses_is_not_loaded() -> None:
    assert said(after=LOADED) == "False False"


def test_the_api_alone_is_not_enough() -> None:
    assert said("from opentelemetry import trace, metrics", after="print(app.settings.told())") == "None"


def test_a_missing_extra_is_named() -> None:
    missing = "sys.modules['opentelemetry'] = sys.modules['prometheus_client'] = None"
    after = """
for name in ("otel", "prometheus"):
    try:
        __import__(f"perdure.{name}")
    except ImportError as error:
        print(error)
"""
    assert said(missing, after=after).splitlines() == [
        "perdure.otel needs `pip install 'perdure[otel]'`",
        "perdure.prometheus needs `pip install 'perdure[prometheus]'`",
    ]
