"""The last spans: what runs when an app closes ends its span once, and says that it was released."""

from __future__ import annotations

import asyncio
import logging

import pytest

from perdure.testing import TestApp
from tests.telemetry.conftest import Seen, facts_of


async def test_what_is_interrupted_is_released(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    app = seen.app()

    @app.task
    async def task() -> None:
        await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING, "opentelemetry"):
        async with TestApp(app, patience=0.05) as t:
            await task.enqueue()
            await t.idle()
    (span,) = seen.named("run task")
    assert facts_of(span)["durable.attempt.outcome"] == "released"
    assert caplog.records == []


async def test_a_body_that_ends_while_the_app_closes(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    app = seen.app()

    @app.task
    async def task() -> None: ...

    with caplog.at_level(logging.WARNING, "opentelemetry"):
        async with TestApp(app):
            await task.enqueue()
    assert len(seen.named("run task")) == 1
    assert caplog.records == []
