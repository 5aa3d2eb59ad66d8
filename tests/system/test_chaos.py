"""Real workers on one SQLite file, killed with SIGKILL again and again: nothing is lost, nothing recorded runs again, and
every invariant holds after each kill. The effect log is written by the bodies themselves, not by the engine."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from perdure import ExecutionFailedError, Handle, Perdure
from perdure.model.trees import FINALIZE
from perdure.storage.check import read
from perdure.testing.simulation.trees import wrong_tree
from tests.system import chaos_program as program
from tests.system.chaos import begun_after_record, broken, came_to, drawn, enqueue_list, enqueue_tree, nursery

KILLS = 200
WORKERS = 3


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.db'}"


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


async def enqueue(app: Perdure, rounds: int) -> dict[str, tuple[Handle[int], int]]:
    """Work of every kind with the result that it must come to."""
    expected: dict[str, tuple[Handle[int], int]] = {}
    for number in range(rounds):
        made = [
            (await app.enqueue(program.chain.call(12)), 132),
            (await app.enqueue(program.fan.call(6)), 36),
            (await app.enqueue(program.sleeper.call(number)), number * 3),
            (await app.enqueue(program.asker.call(number)), number * 2 + 5),
        ]
        await made[3][0].signal("number", 5)
        expected |= {handle.id: (handle, result) for handle, result in made}
    return expected


@pytest.mark.timeout(600)
async def test_two_hundred_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    app = program.make_app(store(tmp_path), lease=15)
    async with app.connect():
        with nursery(tmp_path, store(tmp_path), 15) as workers:
            expected = await enqueue(app, 5)
            for _ in range(WORKERS):
                workers.spawn()
            kills = 0
            while kills < KILLS:
                await asyncio.sleep(chance.uniform(0.01, 0.12))
                workers.kill(chance.choice(workers.workers))
                kills += 1
                assert broken(app) == []
                workers.spawn()
                if await app.count("-status:completed") < 24:
                    expected |= await enqueue(app, 4)
            for handle, result in expected.values():
                assert await handle.result(timeout=120) == result
        assert broken(app) == []
        assert await app.count() == await app.count("status:completed")
        interrupted = sum(row.token > 1 for row in app.opened.store.storage.get(list(expected)) if row)
        assert interrupted > 20
        assert await begun_after_record(app, tmp_path / "effects") == []


@pytest.mark.timeout(600)
async def test_a_hundred_kills_lose_no_child_and_no_item_and_finalize_once(tmp_path: Path) -> None:
    """Trees and lists at random. The checker looks after each kill: children conserved, finalizers once and last."""
    chance = random.Random(11)
    app = program.make_app(store(tmp_path), lease=15)
    expected: list[tuple[Handle[Any], object]] = []
    async with app.connect():
        with nursery(tmp_path, store(tmp_path), 15) as workers:
            for _ in range(WORKERS):
                workers.spawn()
            for kill in range(100):
                if await app.count("status:pending,running,waiting") < 30:
                    expected += [await enqueue_tree(app, drawn(chance)) for _ in range(2)]
                    expected.append(await enqueue_list(app, chance, f"list-{kill}"))
                await asyncio.sleep(chance.uniform(0.01, 0.15))
                workers.kill(chance.choice(workers.workers))
                assert broken(app) == []
                workers.spawn()
            for handle, end in expected:
                assert await came_to(app, handle) == end
            while await app.count("status:pending,running,waiting"):  # what was below a tree that failed fast
                await asyncio.sleep(0.05)
        assert broken(app) == []
        at = read(app.opened.store.storage)
        assert wrong_tree(at) is None
        ended = Counter(row.parent_id for row in at.rows.values() if row.slot == FINALIZE and row.status == "completed")
        assert set(ended.values()) == {1}
        assert all(tree.row.id in ended for tree in at.trees if tree.row.status == "completed")
        assert sum(row.token > 1 for row in at.rows.values()) > 20
        assert {tree.row.status for tree in at.trees} >= {"completed", "failed"}
        assert await begun_after_record(app, tmp_path / "effects") == []


@pytest.mark.timeout(120)
async def test_work_of_a_killed_worker_goes_on_long_before_its_lease_is_over(tmp_path: Path) -> None:
    app = program.make_app(store(tmp_path), lease=60)
    async with app.connect():
        with nursery(tmp_path, store(tmp_path), 60) as workers:
            victim = workers.spawn()
            handle = await app.enqueue(program.chain.call(400))
            while not await handle.activities():
                await asyncio.sleep(0.01)
            workers.kill(victim)
            before = len(await handle.activities())
            workers.spawn()
            async with asyncio.timeout(30):  # the lease would have run on for a minute
                while len(await handle.activities()) <= before:
                    await asyncio.sleep(0.01)
            assert await handle.result(timeout=60) == 400 * 399


@pytest.mark.timeout(120)
async def test_a_stopped_worker_that_wakes_up_changes_nothing_it_no_longer_owns(tmp_path: Path) -> None:
    app = program.make_app(store(tmp_path), lease=1)
    async with app.connect():
        with nursery(tmp_path, store(tmp_path), 1) as workers:
            zombie = workers.spawn()
            handle = await app.enqueue(program.chain.call(300))
            while not await handle.activities():
                await asyncio.sleep(0.01)
            await stopped_between_transactions(zombie, tmp_path / "jobs.db")
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
async def test_a_task_that_kills_its_worker_each_time_is_failed(tmp_path: Path) -> None:
    app = program.make_app(store(tmp_path), lease=15)
    async with app.connect():
        with nursery(tmp_path, store(tmp_path), 15) as workers:
            handle = await app.enqueue(program.poison.call())
            neighbour = await app.enqueue(program.chain.call(50))
            for _ in range(8):
                workers.spawn()
                await asyncio.sleep(0.6)
            with pytest.raises(ExecutionFailedError) as caught:
                await handle.result(timeout=30)
            assert caught.value.failure is not None
            assert caught.value.failure.kind == "worker_lost"
            workers.spawn()
            assert await neighbour.result(timeout=30) == 50 * 49
        assert broken(app) == []
