"""`def` tasks: a thread of their own, the same verbs, stopped at the next verb when they must not go on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from perdure import (
    BlockingContext,
    Context,
    ExecutionFailedError,
    ExecutionTimedOutError,
    Perdure,
    Retry,
    current_context,
)
from perdure.testing import TestApp


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_def_body_runs_in_a_thread_and_replays(app: Perdure, ran: list[Any], always_replay: bool) -> None:
    @app.activity
    def act(number: int) -> int:
        ran.append(number)
        return number + 1

    @app.task
    def task(ctx: BlockingContext, number: int) -> list[int]:
        assert threading.current_thread() is not threading.main_thread()
        found = [act(number)]
        ctx.sleep(100)
        found.append(act(found[0]))
        ctx.sleep(0.5)
        return [*found, act(number)]

    async with TestApp(app, always_replay=always_replay):
        assert await task.run(1) == [2, 3, 2]
    assert ran == [1, 2]


async def test_without_a_context(app: Perdure) -> None:
    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.task
    def task(number: int) -> int:
        ctx: Any = current_context()
        ctx.sleep(1)
        return double(number)

    async with TestApp(app):
        assert await task.run(4) == 8


async def test_an_error_is_retried(app: Perdure) -> None:
    @app.task(retries=Retry(2, delay=10))
    def task(ctx: BlockingContext) -> int:
        if ctx.attempt < 2:
            raise ValueError("again")
        return ctx.attempt

    async with TestApp(app):
        assert await task.run() == 2


async def test_many_def_bodies_wait_at_once_and_do_not_starve_their_activities(ran: list[Any]) -> None:
    app = Perdure("memory://", concurrency=3)

    @app.activity
    def act(number: int) -> int:
        ran.append(number)
        return number

    @app.task
    def task(ctx: BlockingContext, number: int) -> int:
        ctx.sleep(100)
        return act(number)

    async with TestApp(app):
        handles = await app.enqueue_many([task.call(number) for number in range(20)])
        assert [await handle.result() for handle in handles] == list(range(20))
    assert sorted(ran) == list(range(20))


async def test_a_def_body_that_takes_too_long_is_timed_out_and_its_late_result_dropped(
    app: Perdure, ran: list[Any]
) -> None:
    release = threading.Event()
    stopped = threading.Event()

    @app.activity
    def act() -> None:
        ran.append("activity")

    @app.task(timeout=10, retries=0)
    def task(ctx: BlockingContext) -> str:
        release.wait(20)
        ran.append(ctx.cancelled)
        try:
            act()
        except Exception as error:
            ran.append(error)
        finally:
            stopped.set()
        return "late"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(11)
        execution = await handle.execution()
        assert execution.status == "timed_out"
        release.set()
        assert await asyncio.to_thread(stopped.wait, 20)
        with pytest.raises(ExecutionTimedOutError):
            await handle.result()
    assert ran == [True]


async def test_the_scope_of_a_thread_is_its_executions(app: Perdure, ran: list[Any]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")

    @app.activity
    def act(name: str) -> str:
        return f"{current_context().execution_id} {variable.get()}"

    @app.task
    def task(ctx: BlockingContext, name: str) -> bool:
        assert variable.get() == "clean"
        variable.set(name)
        return act(name) == f"{ctx.execution_id} {name}"

    async with TestApp(app):
        handles = await app.enqueue_many([task.call(str(number)) for number in range(10)])
        assert all([await handle.result() for handle in handles])


async def test_a_def_activity_reports_progress_and_sees_the_cancel(app: Perdure) -> None:
    begun, look, done = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    @app.activity
    def act() -> None:
        current_context().progress(3, 4)
        begun.set()
        look.wait(20)
        seen.append(current_context().cancelled)
        done.set()

    @app.task
    async def task() -> None:
        await act.aio()

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(2)
        assert begun.is_set()
        progress = (await handle.execution()).progress
        assert progress is not None
        assert progress.done == 3
        await handle.cancel()
        await t.advance(2)
        assert await handle.status() == "cancelled"
        look.set()
        assert await asyncio.to_thread(done.wait, 20)
    assert seen == [True]


async def test_the_handles_of_a_def_body_block(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> list[int]:
        return [await ctx.wait_for("x", int), await ctx.wait_for("x", int)]

    @app.task
    def task(ctx: BlockingContext) -> list[Any]:
        child = ctx.spawn(other.call())
        child.signal("x", 1)
        child.signal("x", 2)
        free = ctx.enqueue(other.options(id="free").call())
        found: list[Any] = [
            child.result(),
            child.status(),
            child.execution().id == child.id,
            child.wait().settled,
            free.id,
        ]
        free.cancel("enough")
        found.append(len(child.activities()))
        found.append(child.children())
        return found

    async with TestApp(app):
        assert await task.run() == [[1, 2], "completed", True, True, "free", 2, []]
        assert await app.handle("free").status() == "cancelled"


async def test_a_def_body_that_swallows_everything_does_not_stop_the_others(app: Perdure) -> None:
    enough = threading.Event()

    @app.task
    def stubborn(ctx: BlockingContext) -> str:
        while not enough.is_set():
            try:
                ctx.sleep(1000)
            except BaseException:
                continue
        return "never"

    @app.task
    async def fine() -> int:
        return 1

    async with TestApp(app, patience=0.05) as t:
        handle = await stubborn.enqueue()
        await t.advance(1)
        assert await fine.run() == 1
        assert await handle.status() == "waiting"
        enough.set()


async def test_asyncio_verbs_in_a_def_body_say_what_is_wrong(app: Perdure) -> None:
    @app.activity
    async def act() -> None: ...

    @app.task(retries=0)
    def task(ctx: BlockingContext) -> None:
        act()  # type: ignore[unused-coroutine]

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match=r"ctx\.record\(act"):
            await task.run()


async def test_the_plain_function_of_a_def_task(app: Perdure) -> None:
    @app.task
    def task(ctx: BlockingContext, number: int) -> int:
        return number

    assert task.fn(None, 5) == 5


async def test_the_late_result_of_a_def_body_is_dropped(app: Perdure) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    @app.task
    def task() -> str:
        begun.set()
        cancelled.wait(10)
        return "late"

    async with TestApp(app):
        handle = await task.enqueue()
        await asyncio.to_thread(begun.wait, 10)
        await handle.cancel()
        cancelled.set()
        execution = await handle.wait()
        assert (execution.status, execution.result) == ("cancelled", None)


async def test_a_stop_iteration_out_of_a_thread_is_a_failure_as_any_other(app: Perdure) -> None:
    @app.activity(retries=0)
    def first(numbers: list[int]) -> int:
        return next(number for number in numbers if number > 10)

    @app.task(retries=0)
    async def body() -> int:
        return await first.aio([1])

    @app.task(retries=0)
    def def_body() -> int:
        return next(iter([]))

    async with TestApp(app):
        for task in (body, def_body):
            with pytest.raises(ExecutionFailedError, match="user code raised StopIteration"):
                await task.run()


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@pytest.mark.parametrize("place", ["body", "activity"])
async def test_bodies_that_do_not_end_take_no_thread_from_others(
    how: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Perdure("memory://", concurrency=4)
    enough, spinning = threading.Event(), list[int]()

    def endless() -> None:
        spinning.append(1)
        enough.wait(60)

    @app.activity
    def spin_activity() -> None:
        endless()

    @app.task(timeout=10, retries=0)
    def spin() -> None:
        endless()

    @app.task(timeout=10, retries=0)
    async def spin_elsewhere() -> None:
        await spin_activity.aio()

    @app.activity
    def add(number: int) -> int:
        return number + 1

    @app.task(timeout=10)
    def good(number: int) -> int:
        return add(number)

    task = spin if place == "body" else spin_elsewhere
    try:
        async with TestApp(app, patience=0.05) as t:
            for _ in range(3):
                handles = [await task.enqueue() for _ in range(4)]
                await t.idle()
                if how == "cancel":
                    for handle in handles:
                        await handle.cancel("enough")
                await t.advance(30)
                assert {await handle.status() for handle in handles} <= {"timed_out", "cancelled"}
            assert len(spinning) == 12
            assert await good.run(1) == 2
            if (how, place) != ("cancel", "body"):  # that has a line of its own for each
                assert "8 threads run `def` code that nobody waits for" in caplog.text
    finally:
        enough.set()


async def test_a_worker_whose_threads_are_all_lost_takes_no_work_until_one_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("perdure.worker.pools.MOST_LOST", 2)
    app, enough = Perdure("memory://", concurrency=1), threading.Event()

    @app.task(timeout=10, retries=0)
    def spin() -> None:
        enough.wait(60)

    @app.task
    def good() -> str:
        return "good"

    try:
        async with TestApp(app, patience=0.05) as t:
            for _ in range(3):
                await spin.enqueue()
                await t.advance(30)
            handle = await good.enqueue()
            await t.advance(30)
            assert await handle.status() == "pending"
            assert "takes no work until some end" in caplog.text
            enough.set()
            assert await handle.result() == "good"
    finally:
        enough.set()
