"""User code that blocks the event loop: the lease is kept by a thread of its own, within reason; beyond it, others take over,
and what the sleeper does when it wakes up changes nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from tests.system import faults_program as program
from tests.system.rig import Nursery, broken, counts, effects, until

pytestmark = pytest.mark.timeout(60)


async def test_a_blocked_loop_keeps_its_lease_and_is_complained_about(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            blocked = workers.spawn(lease=1)
            handle = await app.enqueue(program.block.call("b", 4.0))
            await until(lambda: counts(tmp_path)["begin b"])
            workers.spawn(lease=1)
            assert await handle.result(timeout=20) == "b"
            assert counts(tmp_path) == {"begin b": 1, "end b": 1}
            assert "the event loop is blocked" in workers.log(blocked)
            assert workers.log(blocked).count("the event loop is blocked") == 1
            row = await handle.execution()
            assert (row.attempt, row.crashes) == (0, 0)
        assert broken(app) == []


async def test_a_loop_that_is_blocked_beyond_patience_is_given_up_to_others(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            blocked = workers.spawn(lease=0.5)
            handle = await app.enqueue(program.block_first.call("b", 11.0))
            await until(lambda: counts(tmp_path)["begin b"])
            began = time.monotonic()
            other = workers.spawn(lease=5)
            assert await handle.result(timeout=20) == f"b {other}"
            assert 4 < time.monotonic() - began < 10.5
            assert "left to others" in workers.log(blocked)
            await until(lambda: counts(tmp_path)["woke b"])
            await asyncio.sleep(0.5)
            assert await handle.result() == f"b {other}"
            (recorded,) = await handle.activities()
            assert recorded.value == 7
            again = [await app.enqueue(program.hold.call(f"n{n}", 0.2)) for n in range(30)]
            assert [await each.result(timeout=20) for each in again] == [f"n{n}" for n in range(30)]
            assert blocked in {each.process for each in effects(tmp_path) if each.what.startswith("begin n")}
        assert broken(app) == []


async def test_a_client_whose_loop_was_blocked_gets_its_answer(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, poll=30)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn(poll=30)
            handle = await app.enqueue(program.hold.call("a", 0.3))
            answer = asyncio.ensure_future(handle.result(timeout=20))
            await until(lambda: counts(tmp_path)["begin a"])
            time.sleep(1.5)
            assert await answer == "a"


async def test_a_heartbeat_that_waits_for_the_storage_is_no_blocked_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = program.make_app(tmp_path, lease=0.5)
    async with app:
        assert await app.run(program.hold.call("a", 0.0)) == "a"
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(6)
        other.execute("ROLLBACK")
        other.close()
        assert await app.run(program.hold.call("b", 0.0)) == "b"
        await asyncio.sleep(0.5)
    assert "the event loop is blocked" not in caplog.text
