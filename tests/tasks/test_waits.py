"""Durable sleep, recorded values and progress: the same in every pass and every later attempt, and holding no slot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import BlockingContext, ConfigurationError, Context, ExecutionFailedError, Perdure, Retry
from perdure.testing import TestApp

REPLAY = pytest.mark.parametrize("always_replay", [False, True])


@REPLAY
@pytest.mark.parametrize("span", [0.5, 30, timedelta(days=30), 86_400 * 365 * 50])
async def test_sleep_takes_as_long_as_it_says(app: Perdure, always_replay: bool, span: Any) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        await ctx.sleep(span)

    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    async with TestApp(app, always_replay=always_replay) as t:
        began = t.now
        handle = await task.enqueue()
        await t.advance(seconds - 0.001)
        assert await handle.status() == "waiting"
        await t.advance(0.002)
        execution = await handle.execution()
    assert execution.status == "completed"
    assert execution.finished_at is not None
    assert 0 <= (execution.finished_at - began).total_seconds() - seconds <= 0.002


async def test_a_sleeping_execution_says_so(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        await ctx.sleep(60)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.waiting_on, execution.worker) == ("waiting", "timer", None)
        assert [(wait.kind, wait.due_at) for wait in execution.waits] == [("timer", t.now + timedelta(seconds=60))]
        assert execution.due_at == t.now + timedelta(seconds=60)


async def test_several_waits_are_all_listed_and_the_first_begun_leads(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(500)

    @app.task
    async def task(ctx: Context) -> None:
        await asyncio.gather(ctx.wait_for("go", timeout=90), ctx.sleep(60), other())

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        execution = await handle.execution()
        assert execution.waiting_on == "signal"
        assert [(wait.kind, wait.name) for wait in execution.waits] == [
            ("signal", "go"),
            ("timer", ""),
            ("children", "other"),
        ]
        assert execution.waits[0].due_at == t.now + timedelta(seconds=90)


async def test_sleepers_hold_no_slot() -> None:
    app = Perdure("memory://", concurrency=1)

    @app.task
    async def sleeper(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.task
    async def quick() -> int:
        return 1

    async with TestApp(app):
        await app.enqueue_many([sleeper.call() for _ in range(50)])
        assert await quick.run() == 1
        assert await app.count("waiting:timer") == 50


@REPLAY
async def test_a_sleep_goes_on_where_it_was_in_the_next_attempt(app: Perdure, always_replay: bool) -> None:
    @app.task(retries=Retry(1, delay=5, jitter=False))
    async def task(ctx: Context) -> None:
        await ctx.sleep(100)
        if ctx.attempt == 0:
            raise ValueError("again")

    async with TestApp(app, always_replay=always_replay) as t:
        began = t.now
        await task.run()
        assert (t.now - began).total_seconds() == pytest.approx(105, abs=1)


@REPLAY
async def test_sleeps_in_a_row_add_up_and_those_in_branches_do_not(app: Perdure, always_replay: bool) -> None:
    @app.task
    async def in_a_row(ctx: Context) -> None:
        for _ in range(5):
            await ctx.sleep(10)

    @app.task
    async def in_branches(ctx: Context) -> None:
        await asyncio.gather(*(ctx.sleep(10) for _ in range(5)))

    async with TestApp(app, always_replay=always_replay) as t:
        began = t.now
        await in_a_row.run()
        assert (t.now - began).total_seconds() == pytest.approx(50, abs=1)
        began = t.now
        await in_branches.run()
        assert (t.now - began).total_seconds() == pytest.approx(10, abs=1)


async def test_no_time_at_all(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> int:
        await ctx.sleep(0)
        await ctx.sleep(timedelta(0))
        return 1

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        assert await handle.status() == "completed"


@pytest.mark.parametrize("span", [-1, float("nan"), float("inf"), 4e9, "5", None, timedelta(seconds=-1)])
async def test_absurd_durations_are_refused(app: Perdure, span: Any) -> None:
    @app.task(retries=0)
    async def task(ctx: Context, verb: str) -> None:
        await (ctx.sleep(span) if verb == "sleep" else ctx.wait_for("x", timeout=span))

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="ConfigurationError: sleep is"):
            await task.run("sleep")
        if span is not None:
            with pytest.raises(ExecutionFailedError, match="ConfigurationError: wait_for timeout is"):
                await task.run("wait")


@REPLAY
async def test_now_uuid_and_random_are_the_same_in_every_pass_and_attempt(app: Perdure, always_replay: bool) -> None:
    seen: list[Any] = []

    @app.task
    async def task(ctx: Context) -> None:
        values = [ctx.now(), ctx.uuid(), ctx.random(), ctx.uuid(), ctx.random(), ctx.random(key="k"), ctx.uuid(key="k")]
        await ctx.sleep(100)
        values += [ctx.now(), ctx.uuid(), ctx.random(), ctx.now(key="x")]
        await ctx.sleep(100)
        seen.append(values)
        if ctx.attempt < 2:
            raise ValueError("again")

    async with TestApp(app, always_replay=always_replay) as t:
        began = t.now
        await task.run()
        await task.run()
    assert seen[0] == seen[1] == seen[2]
    assert len(set(map(str, seen[0]))) == len(seen[0]) - 1
    assert seen[0][0] == began
    assert seen[0][0].tzinfo is UTC
    assert (seen[0][7] - began).total_seconds() == pytest.approx(100, abs=1)
    assert seen[0][1].version == 4
    assert all(0 <= value < 1 for value in seen[0] if isinstance(value, float))
    assert seen[3][1] != seen[0][1]
    assert seen[3][2] != seen[0][2]


async def test_now_is_recorded_before_an_activity_begins(app: Perdure) -> None:
    found: list[Any] = []

    @app.activity
    async def act(moment: datetime) -> None:
        entries = await app.handle(found[0]).activities()
        found.append([entry.kind for entry in entries])

    @app.task
    async def task(ctx: Context) -> None:
        found.append(ctx.execution_id)
        await act(ctx.now())

    async with TestApp(app):
        await task.run()
    assert found[1] == ["value"]


async def test_progress_is_shown(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        ctx.progress(120, 1000, "embedding")
        await ctx.sleep(10)
        ctx.progress(0.5)
        await ctx.wait_for("end")

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(1)
        progress = (await handle.execution()).progress
        assert progress is not None
        assert (progress.done, progress.total, progress.text) == (120, 1000, "embedding")
        await t.advance(20)
        progress = (await handle.execution()).progress
        assert progress is not None
        assert (progress.done, progress.total) == (0.5, None)
        await handle.signal("end")
        await handle.result()


async def test_progress_of_a_body_that_only_runs_is_shown_while_it_runs(app: Perdure) -> None:
    gate = asyncio.Event()

    @app.task
    async def task(ctx: Context) -> None:
        ctx.progress(1, 2)
        await gate.wait()

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(2)
        execution = await handle.execution()
        assert execution.status == "running"
        assert execution.progress is not None
        gate.set()
        await handle.result()


async def test_what_a_context_tells(app: Perdure) -> None:
    seen: dict[str, Any] = {}

    @app.task
    async def other(ctx: Context) -> None:
        seen["child"] = (ctx.parent, ctx.root, ctx.task_name)

    @app.task(name="named")
    async def task(ctx: Context) -> None:
        seen["parent"] = (
            ctx.parent,
            ctx.root,
            ctx.task_name,
            ctx.attempt,
            ctx.previous_failure,
            ctx.tags,
            ctx.execution_id,
        )
        seen["flags"] = (ctx.cancelled, ctx.shutting_down, ctx.suspending)
        await other()

    async with TestApp(app):
        handle = await task.options(tags={"k": "v", "ü": "🙂"}).enqueue()
        await handle.result()
    assert seen["parent"] == (None, handle.id, "named", 0, None, {"k": "v", "ü": "🙂"}, handle.id)
    assert seen["flags"] == (False, False, False)
    assert seen["child"] == (handle.id, handle.id, "other")


@REPLAY
async def test_the_same_verbs_in_a_def_body(app: Perdure, always_replay: bool) -> None:
    seen: list[Any] = []

    @app.task
    def task(ctx: BlockingContext) -> str:
        values = [ctx.now(), ctx.uuid(), ctx.random()]
        ctx.sleep(10)
        ctx.progress(1)
        seen.append(values)
        return ctx.wait_for("go", str)

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(11)
        assert (await handle.execution()).waiting_on == "signal"
        await handle.signal("go", "gone")
        assert await handle.result() == "gone"
    assert seen[0] == seen[-1]


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime(9001, 1, 1, tzinfo=UTC)])
async def test_a_start_beyond_all_calendars_is_refused(app: Perdure, moment: datetime) -> None:
    @app.task
    async def task() -> None: ...

    async with TestApp(app):
        with pytest.raises(ConfigurationError, match="before the year 9001"):
            await task.options(start_at=moment).enqueue()
        assert await app.count() == 0
