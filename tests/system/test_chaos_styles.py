"""Real workers killed under loops, sequences and external tasks, as `test_chaos` does under other work."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from perdure import Handle, LoopResult, Perdure
from tests.system import chaos_program as program
from tests.system.chaos import OPEN, Nursery, begun_after_record, broken
from tests.system.test_chaos import WORKERS, store

KILLS = 60
Expected = list[tuple[Handle[Any], object]]


async def enqueue(app: Perdure, number: int) -> Expected:
    """One of each with what it must come to; one wait is answered before it begins, the other while it goes on."""
    await app.complete("answer", f"early-{number}", 4)
    early, late = [await app.enqueue(program.informed.call(f"{when}-{number}")) for when in ("early", "late")]
    rounds = await app.enqueue(program.rounds.call(0))
    pipeline = await app.enqueue(program.pipeline.call(1))
    await app.complete("answer", f"late-{number}", 5)
    return [(early, 8), (late, 10), (rounds, LoopResult(True, 30, 6)), (pipeline, 42)]


@pytest.mark.timeout(600)
async def test_loops_sequences_and_answers_from_outside_survive_kills(tmp_path: Path) -> None:
    chance = random.Random(11)
    app = program.make_app(store(tmp_path), lease=15)
    expected: Expected = []
    async with app.connect():
        with Nursery(tmp_path, store(tmp_path), 15) as workers:
            for _ in range(WORKERS):
                workers.spawn()
            for kill in range(KILLS):
                if await app.count(OPEN) < 30:
                    expected += await enqueue(app, kill)
                await asyncio.sleep(chance.uniform(0.01, 0.12))
                workers.kill(chance.choice(workers.workers))
                assert broken(app) == []
                workers.spawn()
            assert [await handle.result(timeout=120) for handle, _ in expected] == [result for _, result in expected]
        assert broken(app) == []
        assert await app.count() == await app.count("status:completed")
        rows = [row for row in app.opened.store.storage.get([handle.id for handle, _ in expected]) if row]
        assert sum(row.token > 1 for row in rows) > 20
        assert await begun_after_record(app, tmp_path / "effects") == []
