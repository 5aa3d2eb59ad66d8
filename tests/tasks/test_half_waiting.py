"""Bodies of which one branch waits durably while another awaits something else, or has just been woken."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure import Context, ExecutionFailedError, ExecutionTimedOutError, Perdure, Sizes
from perdure.testing import TestApp


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_root_that_awaits_io_beside_a_branch_that_waits_goes_on(app: Perdure, always_replay: bool) -> None:
    gate = asyncio.Event()

    @app.activity
    async def act() -> str:
        return "acted"

    @app.task
    async def task(ctx: Context) -> str:
        stop = asyncio.create_task(ctx.wait_for("stop"))
        await gate.wait()
        found = await act()
        stop.cancel()
        return found

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(30)
        assert await handle.status() == "waiting"
        gate.set()
        assert await handle.result() == "acted"


@pytest.mark.parametrize("always_replay", [False, True])
async def test_so_does_a_branch_with_branches_of_its_own(app: Perdure, always_replay: bool) -> None:
    gate = asyncio.Event()

    @app.activity
    async def act() -> str:
        return "acted"

    @app.task
    async def task(ctx: Context) -> str:
        async def inner() -> str:
            sleeper = asyncio.create_task(ctx.sleep(1000))
            await gate.wait()
            found = await act()
            sleeper.cancel()
            return found

        async with asyncio.TaskGroup() as group:
            made = group.create_task(inner())
        return made.result()

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(30)
        gate.set()
        await t.idle()
        assert await handle.result() == "acted"
        execution = await handle.execution()
        assert execution.finished_at is not None
        assert execution.finished_at - execution.created_at < timedelta(seconds=100)  # it did not sleep to its end


async def test_a_child_that_ends_here_wakes_a_branch_of_a_parent_that_runs_on(app: Perdure, ran: list[Any]) -> None:
    gate = asyncio.Event()

    @app.task
    async def child() -> str:
        return "child"

    @app.activity
    async def slow() -> None:
        await gate.wait()
        ran.append("slow")

    @app.activity
    async def after() -> None:
        ran.append("after")
        gate.set()

    @app.task
    async def task() -> None:
        async def branch() -> None:
            await child()
            await after()

        await asyncio.gather(branch(), slow())

    async with TestApp(app):
        await task.run()
    assert ran == ["after", "slow"]


async def test_a_journal_that_is_full_when_a_signal_is_taken_fails_the_execution() -> None:
    app = Perdure("memory://", sizes=Sizes(journal=1))

    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        ctx.now()
        await ctx.wait_for("go")

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.signal("go")
        with pytest.raises(ExecutionFailedError, match="journal"):
            await handle.result()


async def test_the_deadline_holds_for_a_body_that_was_woken_in_memory(app: Perdure) -> None:
    @app.task(deadline=10)
    async def task(ctx: Context) -> None:
        await ctx.wait_for("go")
        await asyncio.Event().wait()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.signal("go")
        await t.advance(11)
        with pytest.raises(ExecutionTimedOutError):
            await handle.result()


async def test_after_drift_the_body_does_nothing_more(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def charge() -> None:
        ran.append("charged")

    @app.task
    async def task(ctx: Context) -> None:
        if not ran:
            ran.append("first pass")
            ctx.now(key="k")
            await ctx.sleep(1, key="z")
        try:
            await ctx.sleep(1, key="k")
        except Exception:
            ran.append("swallowed")
        await charge()

    async with TestApp(app, always_replay=True) as t:
        handle = await task.enqueue()
        await t.advance(1.5)
        execution = await handle.execution()
    assert execution.status == "pending"
    assert execution.failure is not None
    assert execution.failure.type == "JournalDriftError"
    assert "charged" not in ran


async def test_bodies_that_ask_while_they_are_put_to_rest_are_not_started_twice(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def act() -> None:
        return None

    @app.task
    async def task(ctx: Context) -> None:
        async def branch() -> None:
            await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            await act()

        ran.append(1)
        await asyncio.gather(ctx.sleep(1), branch())

    async with TestApp(app, always_replay=True) as t:
        handles = await app.enqueue_many([task.call() for _ in range(6)])
        await t.advance(5)
        assert {await handle.status() for handle in handles} == {"completed"}
    assert len(ran) <= 24
