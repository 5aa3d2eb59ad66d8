"""The pytest plugin, installed with Perdure: the fixture `perdure_app` and the option `--perdure-always-replay`.

    async def test_greeting(perdure_app):
        @perdure_app.task
        async def greet(name: str) -> str:
            return f"hello {name}"

        async with TestApp(perdure_app) as t:
            assert await greet.run("Ada") == "hello Ada"

It is loaded in every pytest run of whoever installed Perdure, so it must never change a test that does not ask for it.
"""

from __future__ import annotations

import pytest

from perdure.app import Perdure
from perdure.testing.harness import TestApp


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--perdure-always-replay`."""
    group = parser.getgroup("perdure")
    group.addoption(
        "--perdure-always-replay",
        action="store_true",
        help="every TestApp unwinds each body at each wait and replays it from the top, which finds bodies that are not "
        "repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Takes in the option."""
    TestApp.replays_by_default = bool(config.getoption("--perdure-always-replay", default=False))


@pytest.fixture
def perdure_app() -> Perdure:
    """A fresh app on memory, not yet open: declare tasks on it, then open it by `async with TestApp(perdure_app) as t:`.

    It is not opened here because a worker serves the tasks that were declared when it started.
    """
    return Perdure("memory://")
