"""Leases and clocks: who is held for dead, and who is not although its lease reads as over."""

from __future__ import annotations

import asyncio

import pytest

from perdure import Perdure
from perdure.model.records import Heartbeat, WorkerRow
from perdure.testing import TestApp

HOUR = 3_600_000


def peer_beats(t: TestApp, lease: int = 15_000) -> None:
    """Another worker, of which there is only this."""
    now = t.clock.now()
    row = WorkerRow("peer", "elsewhere", 1, "1", ("default",), ("nothing",), 1, now, now + lease)
    t.faults.storage.heartbeat(Heartbeat(row), now)


def set_clock(t: TestApp, by: int) -> None:
    """Somebody sets the clock; no time passes."""
    steady = t.clock.now
    t.clock.now = lambda: steady() + by  # type: ignore[method-assign]


async def workers(app: Perdure) -> int:
    return len(await app.workers())


@pytest.mark.parametrize("step", [HOUR, 20_000, -HOUR])
async def test_a_clock_that_is_set_kills_nobody(app: Perdure, step: int, caplog: pytest.LogCaptureFixture) -> None:
    enough, runs = asyncio.Event(), list[int]()

    @app.activity(on_interrupt="fail")
    async def act() -> str:
        runs.append(1)
        await enough.wait()
        return "done"

    @app.task
    async def task() -> str:
        return await act()

    async with TestApp(app, patience=0.02) as t:
        peer_beats(t)
        handle = await task.enqueue()
        await t.idle()
        assert runs == [1]
        set_clock(t, step)
        for _ in range(10):
            await t.advance(3)
            assert await workers(app) == 2
            peer_beats(t)
        assert "the clock moved by" in caplog.text
        enough.set()
        assert await handle.result() == "done"
        assert runs == [1]
        await t.advance(40)
        assert await workers(app) == 1
        assert "worker peer is dead" in caplog.text


async def test_after_all_stood_still_everybody_has_time_for_a_beat(
    app: Perdure, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app) as t:
        peer_beats(t)
        await t.advance(1)
        t.clock.move(100)
        await t.advance(5)
        assert await workers(app) == 2
        peer_beats(t)
        await t.advance(14)
        assert await workers(app) == 2
        await t.advance(20)
        assert await workers(app) == 1
        assert await task.run() == 1
    assert caplog.text.count("is dead") == 1


async def test_what_is_past_its_deadline_settles_while_no_lease_can_be_believed(app: Perdure) -> None:
    @app.task(deadline=100)
    async def task() -> None:
        await asyncio.sleep(0)

    async with TestApp(app) as t:
        handle = await task.options(queue="nobody").enqueue()
        peer_beats(t)
        await t.idle()
        set_clock(t, HOUR)
        await t.advance(2)
        assert await handle.status() == "timed_out"
        assert await workers(app) == 2
