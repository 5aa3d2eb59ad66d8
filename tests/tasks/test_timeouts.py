"""Time-outs, deadlines and starts: what counts, what is retried, what is final."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import Context, ExecutionFailedError, ExecutionTimedOutError, Perdure, Retry, current_context
from perdure.testing import TestApp


async def nap(seconds: float) -> None:
    """Running time on the test's clock: what an activity that takes so long would be."""
    from perdure.engine.scope import current

    scope: Any = current.get()
    await scope.body.host.clock.sleep(seconds)


async def test_a_body_that_runs_too_long_times_out(app: Perdure) -> None:
    runs: list[int] = []

    @app.task(timeout=10, retries=0)
    async def task() -> None:
        runs.append(1)
        await nap(100)

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError, match="timeout of 10 s") as caught:
            await task.run()
        assert not isinstance(caught.value, TimeoutError)
        assert caught.value.failure is not None
        assert (caught.value.failure.kind, caught.value.failure.retryable) == ("timed_out", True)
    assert len(runs) == 1


async def test_a_time_out_is_retried_like_an_error_and_the_last_one_settles(app: Perdure) -> None:
    attempts: list[int] = []

    @app.task(timeout=lambda attempt: (attempt + 1) * 10, retries=1)
    async def task(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await nap(100)

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert attempts == [0, 1]
    assert execution.status == "timed_out"


async def test_timeout_as_a_function_of_the_attempt(app: Perdure) -> None:
    attempts: list[int] = []

    @app.task(timeout=lambda attempt: 25 + attempt * 75, retries=1)
    async def task(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        await nap(50)
        return "done"

    async with TestApp(app):
        assert await task.run() == "done"
    assert attempts == [0, 1]


async def test_a_timeout_function_that_answers_nonsense_is_a_failure_that_names_it(app: Perdure) -> None:
    @app.task(timeout=lambda attempt: -1, retries=0)
    async def task() -> None: ...

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="task task timeout on attempt 0"):
            await task.run()


async def test_timeout_of_a_call_beats_the_tasks(app: Perdure) -> None:
    @app.task(timeout=10, retries=0)
    async def task() -> str:
        await nap(50)
        return "done"

    async with TestApp(app):
        assert await task.options(timeout=1000).run() == "done"
        with pytest.raises(ExecutionTimedOutError):
            await task.run()


@pytest.mark.parametrize("always_replay", [False, True])
async def test_waiting_does_not_count(app: Perdure, always_replay: bool) -> None:
    @app.activity
    async def work(number: int) -> None:
        await nap(8)

    @app.task(timeout=10, retries=0)
    async def task(ctx: Context) -> str:
        await work(1)
        await ctx.sleep(100)
        await work(2)
        await ctx.sleep(100)
        return "done"

    async with TestApp(app, always_replay=always_replay):
        assert await task.run() == "done"


async def test_a_timed_out_body_sees_it_as_a_cancel(app: Perdure) -> None:
    seen: list[Any] = []

    @app.task(timeout=10, retries=0)
    async def task(ctx: Context) -> None:
        try:
            await nap(100)
        except asyncio.CancelledError:
            seen.append((ctx.cancelled, ctx.suspending))
            raise

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError):
            await task.run()
    assert seen == [(True, False)]


async def test_a_body_that_swallows_its_time_out_is_timed_out_all_the_same(app: Perdure) -> None:
    @app.task(timeout=10, retries=0)
    async def task() -> str:
        try:
            await nap(100)
        except asyncio.CancelledError:
            return "never mind"
        return "not reached"

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError):
            await task.run()


@pytest.mark.parametrize("retries", [0, 2])
async def test_an_activity_has_a_timeout_of_its_own(app: Perdure, retries: int) -> None:
    calls: list[int] = []

    @app.activity(timeout=5, retries=Retry(retries, delay=0))
    async def act() -> None:
        calls.append(1)
        await nap(100)

    @app.task(retries=0)
    async def task() -> str:
        try:
            await act()
        except TimeoutError as error:
            return f"late: {error}"
        return "not reached"

    async with TestApp(app):
        assert (await task.run()).startswith("late: ")
    assert len(calls) == retries + 1


async def test_an_activitys_timeout_may_depend_on_its_try(app: Perdure) -> None:
    @app.activity(timeout=lambda attempt: 5 + attempt * 100, retries=Retry(1, delay=0))
    async def act() -> str:
        await nap(50)
        return "second try"

    @app.task
    async def task() -> str:
        return await act()

    async with TestApp(app):
        assert await task.run() == "second try"


async def test_a_deadline_is_the_whole_life_from_enqueue(app: Perdure) -> None:
    attempts: list[int] = []

    @app.task(deadline=25, retries=Retry(9, delay=10, factor=1, jitter=False))
    async def task(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("no")

    async with TestApp(app) as t:
        began = t.now
        handle = await task.enqueue()
        execution = await handle.wait()
        assert (t.now - began).total_seconds() <= 25
        assert execution.deadline_at == began + timedelta(seconds=25)
    assert attempts == [0, 1, 2]
    assert execution.status == "failed"


async def test_a_deadline_ends_a_wait(app: Perdure) -> None:
    @app.task(deadline=60, retries=5)
    async def task(ctx: Context) -> None:
        await ctx.sleep(1000)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(59)
        assert await handle.status() == "waiting"
        await t.advance(3)
        execution = await handle.execution()
    assert (execution.status, execution.attempt) == ("timed_out", 0)


async def test_a_deadline_ends_a_running_body_and_is_never_retried(app: Perdure) -> None:
    attempts: list[int] = []

    @app.task(deadline=10, retries=5)
    async def task(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await nap(100)

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError, match="deadline"):
            await task.run()
    assert attempts == [0]


async def test_a_deadline_ends_what_never_ran(app: Perdure) -> None:
    runs: list[int] = []

    @app.task(deadline=10, start_delay=100)
    async def task() -> None:
        runs.append(1)

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError):
            await task.run()
    assert runs == []


async def test_a_deadline_of_a_call(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        await ctx.sleep(1000)

    async with TestApp(app):
        with pytest.raises(ExecutionTimedOutError):
            await task.options(deadline=timedelta(seconds=3)).run()


async def test_start_delay_and_start_at_hold_the_first_start_only(app: Perdure) -> None:
    starts: list[float] = []
    holder: list[TestApp] = []

    @app.task(start_delay=250, retries=Retry(1, delay=0))
    async def task() -> None:
        starts.append(holder[0].clock.monotonic())
        raise ValueError("no")

    async with TestApp(app) as t:
        holder.append(t)
        began = t.clock.monotonic()
        handle = await task.enqueue()
        await t.advance(249)
        assert (await handle.status(), starts) == ("pending", [])
        await handle.wait()
        assert [round(start - began) for start in starts] == [250, 250]
        starts.clear()
        began = t.clock.monotonic()
        await (await task.options(start_delay=5).enqueue()).wait()
        assert [round(start - began) for start in starts] == [5, 5]
        starts.clear()
        when = t.now + timedelta(days=2)
        await (await task.options(start_at=when).enqueue()).wait()
        assert [datetime.fromtimestamp(start, UTC) for start in starts] == [when, when]


async def test_a_start_in_the_past_is_at_once(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app) as t:
        handle = await task.options(start_at=datetime(1999, 1, 1, tzinfo=UTC)).enqueue()
        await t.idle()
        assert await handle.status() == "completed"


async def test_the_callers_own_timeout_leaves_the_execution_alone(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> str:
        await ctx.sleep(100)
        return "done"

    async with TestApp(app) as t:
        handle = await task.enqueue()
        began = t.now
        with pytest.raises(TimeoutError):
            await handle.result(timeout=10)
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=timedelta(seconds=5))
        assert (t.now - began).total_seconds() == 15
        assert await handle.status() == "waiting"
        assert await handle.result(timeout=100) == "done"


async def test_attempt_inside_an_activity_is_the_tasks(app: Perdure) -> None:
    @app.activity(retries=Retry(2, delay=0))
    async def act() -> int:
        return current_context().attempt

    @app.task
    async def task(ctx: Context) -> int:
        if ctx.attempt == 0:
            raise ValueError("again")
        return await act()

    async with TestApp(app):
        assert await task.run() == 1


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (Retry(2, retry_on=ConnectionError), 1),
        (Retry(2, give_up_on=TimeoutError), 1),
        (Retry(2, retry_on=TimeoutError), 3),
        (Retry(2, give_up_on=ConnectionError), 3),
    ],
)
async def test_a_policy_judges_a_time_out_as_a_timeout_error(app: Perdure, policy: Retry, attempts: int) -> None:
    ran: list[int] = []

    @app.task(timeout=10, retries=policy)
    async def task(ctx: Context) -> None:
        ran.append(ctx.attempt)
        await nap(100)

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert execution.status == "timed_out"
    assert len(ran) == attempts
