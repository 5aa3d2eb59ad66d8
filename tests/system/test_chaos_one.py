"""One worker of real ones killed or stopped, on a file and on a server: its work goes on elsewhere, and what it does later
changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from perdure import ExecutionFailedError, Handle, Perdure
from tests.system import chaos_program as program
from tests.system.chaos import Nursery, broken

FILE = "sqlite:///"


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where they work."""
    url: str = f"{FILE}{tmp_path / 'jobs.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


async def stopped(process: int, store: str) -> None:
    """Stops a worker; on a file where it does not hold the one write lock: there SQLite would let nobody else write."""
    if store.startswith(FILE):
        await stopped_between_transactions(process, Path(store.removeprefix(FILE)))
    else:
        os.kill(process, signal.SIGSTOP)


async def stopped_between_transactions(process: int, path: Path) -> None:
    """Stops a worker where it does not hold the file's one write lock: there SQLite would let nobody else write."""
    while True:
        os.kill(process, signal.SIGSTOP)
        await asyncio.sleep(0.05)  # a stop is not there at once
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(process, signal.SIGCONT)
                await asyncio.sleep(0.01)
            else:
                other.execute("ROLLBACK")
                return


async def under_way(app: Perdure, count: int) -> Handle[int]:
    """A chain of so many activities, of which a worker has done the first."""
    handle = await app.enqueue(program.chain.call(count))
    while not await handle.activities():
        await asyncio.sleep(0.01)
    return handle


@pytest.mark.timeout(120)
async def test_work_of_a_killed_worker_goes_on_long_before_its_lease_is_over(store: str, tmp_path: Path) -> None:
    app = program.make_app(store, lease=60)
    async with app.connect():
        with Nursery(tmp_path, store, 60) as workers:
            victim = workers.spawn()
            handle = await under_way(app, 400)
            workers.kill(victim)
            before = len(await handle.activities())
            workers.spawn()
            async with asyncio.timeout(30):  # the lease would have run on for a minute
                while len(await handle.activities()) <= before:
                    await asyncio.sleep(0.01)
            assert await handle.result(timeout=60) == 400 * 399


@pytest.mark.timeout(120)
async def test_a_stopped_worker_that_wakes_up_changes_nothing_it_no_longer_owns(store: str, tmp_path: Path) -> None:
    app = program.make_app(store, lease=1)
    async with app.connect():
        with Nursery(tmp_path, store, 1) as workers:
            zombie = workers.spawn()
            handle = await under_way(app, 300)
            await stopped(zombie, store)
            workers.spawn()
            assert await handle.result(timeout=60) == 300 * 299
            os.kill(zombie, signal.SIGCONT)
            await asyncio.sleep(1.5)
            assert await handle.result() == 300 * 299
            assert (await handle.execution()).crashes == 0
            again = await app.enqueue(program.chain.call(5))
            assert await again.result(timeout=30) == 20
        assert broken(app) == []


@pytest.mark.timeout(120)
async def test_a_task_that_kills_its_worker_each_time_is_failed(store: str, tmp_path: Path) -> None:
    app = program.make_app(store, lease=15)
    async with app.connect():
        with Nursery(tmp_path, store, 15) as workers:
            handle = await app.enqueue(program.poison.call())
            neighbour = await app.enqueue(program.chain.call(50))
            for _ in range(40):
                workers.spawn()
                await asyncio.sleep(0.6)
                if (await handle.execution()).closed_at:
                    break
            with pytest.raises(ExecutionFailedError) as caught:
                await handle.result(timeout=30)
            assert caught.value.failure is not None
            assert caught.value.failure.kind == "worker_lost"
            workers.spawn()
            assert await neighbour.result(timeout=30) == 50 * 49
        assert broken(app) == []
