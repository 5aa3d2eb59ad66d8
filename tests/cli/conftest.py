"""A store in a temporary folder, a command line in this process, and a worker that may run for a moment."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perdure import Handle, Perdure
from perdure.cli.main import program
from tests.cli.shop import app as shop

APP = "tests.cli.shop:app"
Settled = Callable[..., None]
Reaching = Callable[[str, str], None]


class Cli:
    """`perdure …` in this process, on the test's own store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'shop.db'}"

    def __call__(self, *words: str, input: str | None = None, code: int = 0, url: bool = True) -> Result:
        """Runs a command line and holds its exit code."""
        given = ["--url", self.url] if url else []
        result = CliRunner().invoke(program, [*given, *words], input=input, prog_name="perdure")
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def app(self, *words: str, input: str | None = None, code: int = 0) -> Result:
        """The same with the shop's app."""
        return self("--app", APP, *words, input=input, code=code)

    def json(self, *words: str, code: int = 0) -> Any:
        """The document that a command answers."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def enqueue(self, *words: str) -> str:
        """Enqueues and answers the id."""
        return self.app("enqueue", *words).stdout.strip()

    def work(self, until: Callable[[Perdure], Awaitable[object]]) -> None:
        """A worker until `until` returns."""
        shop.settings = dataclasses.replace(shop.settings, url=self.url)

        async def run() -> None:
            async with shop:
                await until(shop)

        asyncio.run(run())


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    for name in ("PERDURE_APP", "PERDURE_URL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    before = shop.settings
    monkeypatch.chdir(tmp_path)
    yield Cli(tmp_path)
    shop.settings = before


@pytest.fixture
def settled(cli: Cli) -> Settled:
    """Runs a worker until these executions are settled."""

    def work(*ids: str) -> None:
        async def all_settled(app: Perdure) -> None:
            for execution_id in ids:
                handle: Handle[Any] = app.handle(execution_id)
                await handle.wait(timeout=30)

        cli.work(all_settled)

    return work


@pytest.fixture
def reaching(cli: Cli) -> Reaching:
    """Runs a worker until an execution fits a query."""

    def work(execution_id: str, query: str) -> None:
        async def fits(app: Perdure) -> None:
            async for _ in app.handle(execution_id).watch():
                if await app.count(f"id:{execution_id} {query}"):
                    return

        cli.work(fits)

    return work
