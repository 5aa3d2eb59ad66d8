"""A store that is moved away under an app: the worker is through at once, and whoever waits is told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from pathlib import Path

import pytest

from perdure import Context, Perdure, StorageError, StoreSealedError
from perdure.storage.opening import open_storage
from perdure.storage.postgres import PostgresStorage
from perdure.storage.sqlite import SQLiteStorage


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store with our schema."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'jobs.db'}"


def seal(url: str) -> None:
    """As `perdure copy` begins."""
    storage = open_storage(url)
    assert isinstance(storage, SQLiteStorage | PostgresStorage)
    with closing(storage):
        storage.migrate(0)
        storage.seal()


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


async def test_its_worker_stops_and_says_so_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app, runs = Perdure(url, poll=0.05, lease=2), asyncio.Event()

    @app.activity
    async def nothing(number: int) -> None: ...

    @app.task
    async def busy() -> None:
        number = 0
        while True:
            await nothing(number := number + 1)

    @app.task
    async def idle(ctx: Context) -> None:
        runs.set()
        await asyncio.Event().wait()

    service = app.worker(drain=3600)
    async with app.connect():
        running = asyncio.create_task(service.run())
        handles = [await app.enqueue(busy.call()) for _ in range(3)] + [await app.enqueue(idle.call())]
        await asyncio.wait_for(runs.wait(), 20)
        waiting = asyncio.create_task(handles[0].result())
        await asyncio.to_thread(seal, url)
        with pytest.raises(StoreSealedError, match="moved to another store"):
            await asyncio.wait_for(running, 30)
        with pytest.raises(StoreSealedError):
            await waiting
        assert [await handle.status() for handle in handles] == ["running"] * 4
    assert len(told(caplog)) == 1, told(caplog)
    assert "its store was moved and takes no changes; use the other one" in told(caplog)[0]


async def test_an_idle_worker_learns_it_too(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Perdure(url, poll=0.05, lease=0.5)
    async with app:
        await asyncio.to_thread(seal, url)
        worker = app.opened.worker
        assert worker is not None
        await asyncio.wait_for(worker.drained.wait(), 20)
        assert await app.count() == 0
    assert len(told(caplog)) == 1, told(caplog)


async def test_it_does_not_start(url: str, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(seal, url)
    caplog.set_level(logging.INFO)
    with pytest.raises(StoreSealedError):
        await Perdure(url).worker().run()
    assert told(caplog, logging.INFO) == []


async def test_what_is_asked_of_it_is_refused(url: str) -> None:
    app = Perdure(url)

    @app.task
    async def task() -> None: ...

    await asyncio.to_thread(seal, url)
    async with app.connect():
        with pytest.raises(StorageError, match="use the other one") as caught:
            await app.enqueue(task.call())
        assert not caught.value.retryable
