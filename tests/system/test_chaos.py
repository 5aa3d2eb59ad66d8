"""Real workers on one SQLite file, killed with SIGKILL again and again: nothing is lost, nothing recorded runs again, and
every invariant holds after each kill. The effect log is written by the bodies themselves, not by the engine."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from perdure import Handle, Perdure
from perdure.storage.check import read
from tests.system import chaos_program as program
from tests.system.chaos import (
    OPEN,
    Nursery,
    begun_after_record,
    broken,
    came_to,
    drawn,
    enqueue_list,
    enqueue_tree,
    finalized_once,
)

KILLS = 200
WORKERS = 3


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.db'}"


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
        with Nursery(tmp_path, store(tmp_path), 15) as workers:
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
        with Nursery(tmp_path, store(tmp_path), 15) as workers:
            for _ in range(WORKERS):
                workers.spawn()
            for kill in range(100):
                if await app.count(OPEN) < 30:
                    expected += [await enqueue_tree(app, drawn(chance)) for _ in range(2)]
                    expected.append(await enqueue_list(app, chance, f"list-{kill}"))
                await asyncio.sleep(chance.uniform(0.01, 0.15))
                workers.kill(chance.choice(workers.workers))
                assert broken(app) == []
                workers.spawn()
            for handle, end in expected:
                assert await came_to(app, handle) == end
            while await app.count(OPEN):  # what was below a tree that failed fast
                await asyncio.sleep(0.05)
        assert broken(app) == []
        at = read(app.opened.store.storage)
        finalized_once(at)
        assert sum(row.token > 1 for row in at.rows.values()) > 20
        assert {tree.row.status for tree in at.trees} >= {"completed", "failed"}
        assert await begun_after_record(app, tmp_path / "effects") == []
