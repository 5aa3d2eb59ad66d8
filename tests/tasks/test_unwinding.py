"""Suspending a body: it is unwound like a cancelled coroutine, records nothing meanwhile, and is replayed later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import BlockingContext, Context, Perdure
from perdure.testing import TestApp


async def test_finally_runs_and_verbs_there_raise_cancelled_and_record_nothing(app: Perdure) -> None:
    seen: list[Any] = []

    @app.activity
    async def act() -> None:
        seen.append("activity ran")

    @app.task
    async def other() -> None:
        seen.append("child ran")

    @app.task
    async def task(ctx: Context) -> str:
        try:
            await ctx.sleep(100)
        finally:
            if ctx.suspending:
                verbs: list[Any] = [
                    lambda: ctx.sleep(1), lambda: act(), lambda: other(), lambda: ctx.spawn(other.call()),
                    lambda: ctx.wait_for("x"), lambda: ctx.record(len, "a"), lambda: ctx.map(act, []),
                    lambda: other.enqueue(), lambda: ctx.enqueue(other.call()), lambda: app.handle("x").signal("y"),
                    lambda: app.handle("x").cancel(),
                ]  # fmt: skip
                for verb in verbs:
                    with pytest.raises(asyncio.CancelledError):
                        await verb()
                seen.append((ctx.suspending, ctx.cancelled))
        return "done"

    async with TestApp(app, always_replay=True) as t:
        handle = await task.enqueue()
        await t.advance(5)
        assert seen == [(True, True)]
        assert [entry.kind for entry in await handle.activities()] == ["timer"]
        assert await handle.result() == "done"
    assert seen == [(True, True)]
    assert await_count(seen) == 1


def await_count(seen: list[Any]) -> int:
    return len(seen)


async def test_context_managers_exit(app: Perdure) -> None:
    events: list[str] = []

    class Resource:
        async def __aenter__(self) -> None:
            events.append("enter")

        async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
            events.append(f"exit {kind.__name__ if kind else None}")

    @app.task
    async def task(ctx: Context) -> None:
        async with Resource():
            await ctx.sleep(10)

    async with TestApp(app, always_replay=True):
        await task.run()
    assert events == ["enter", "exit CancelledError", "enter", "exit None"]


@pytest.mark.parametrize(
    "how", ["plain", "gather", "gather_exceptions", "group", "wait", "shield", "wait_for", "timeout"]
)
async def test_except_exception_never_sees_a_suspension(app: Perdure, how: str) -> None:
    seen: list[str] = []

    @app.task
    async def task(ctx: Context) -> str:
        async def wait() -> str:
            try:
                await ctx.sleep(10)
            except Exception as error:
                seen.append(repr(error))
            return "slept"

        try:
            if how == "plain":
                await wait()
            elif how == "gather":
                await asyncio.gather(wait(), wait())
            elif how == "gather_exceptions":
                found = await asyncio.gather(wait(), wait(), return_exceptions=True)
                seen.extend(repr(each) for each in found if each != "slept")
            elif how == "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(wait())
                    group.create_task(wait())
            elif how == "wait":
                await asyncio.wait([asyncio.create_task(wait())])
            elif how == "shield":
                await asyncio.shield(wait())
            elif how == "wait_for":
                await asyncio.wait_for(wait(), 1000)
            else:
                async with asyncio.timeout(1000):
                    await wait()
        except Exception as error:
            seen.append(repr(error))
        return "done"

    async with TestApp(app, always_replay=True):
        handle = await task.enqueue()
        assert await handle.result() == "done"
        assert (await handle.execution()).attempt == 0
    assert seen == []


async def test_what_an_unwound_body_returns_or_raises_is_ignored(app: Perdure) -> None:
    @app.task(retries=0)
    async def returns(ctx: Context) -> str:
        try:
            await ctx.sleep(10)
        except asyncio.CancelledError:
            return "wrong"
        return "right"

    @app.task(retries=0)
    async def raises(ctx: Context) -> str:
        try:
            await ctx.sleep(10)
        except asyncio.CancelledError:
            raise ValueError("wrong") from None
        return "right"

    async with TestApp(app, always_replay=True):
        assert await returns.run() == "right"
        assert await raises.run() == "right"


async def test_a_running_activity_is_never_interrupted_by_a_suspension(app: Perdure) -> None:
    gate = asyncio.Event()
    events: list[str] = []

    @app.activity
    async def slow() -> str:
        events.append("begun")
        await gate.wait()
        events.append("ended")
        return "slow"

    @app.task
    async def task(ctx: Context) -> list[Any]:
        return await asyncio.gather(slow(), ctx.sleep(10))

    async with TestApp(app, always_replay=True, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(5)
        assert await handle.status() == "running"
        gate.set()
        await t.advance(1)
        assert await handle.status() == "waiting"
        assert await handle.result() == ["slow", None]
    assert events == ["begun", "ended"]


async def test_a_body_that_swallows_every_cancel_does_not_stop_the_others(app: Perdure) -> None:
    @app.task
    async def stubborn(ctx: Context) -> str:
        while True:
            try:
                await ctx.sleep(10)
            except BaseException:
                continue
            return "woke"

    @app.task
    async def fine() -> int:
        return 1

    async with TestApp(app, always_replay=True) as t:
        handle = await stubborn.enqueue()
        await t.advance(1)
        assert await fine.run() == 1
        await t.advance(20)
        assert await handle.result() == "woke"


async def test_a_plain_await_keeps_a_body_in_memory_and_it_goes_on_by_itself(app: Perdure) -> None:
    passes: list[int] = []
    gate = asyncio.Event()

    @app.activity
    async def act() -> str:
        return "acted"

    @app.task
    async def task(ctx: Context) -> list[Any]:
        passes.append(1)

        async def plain() -> str:
            await gate.wait()
            return await act()

        return await asyncio.gather(plain(), ctx.wait_for("go", str))

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(3)
        assert await handle.status() == "waiting"
        gate.set()
        await t.advance(1)
        assert [entry.name for entry in await handle.activities() if entry.kind == "activity"] == ["act"]
        await handle.signal("go", "gone")
        assert await handle.result() == ["acted", "gone"]
    assert len(passes) <= 2


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_suspension_takes_no_retry_and_no_attempt(app: Perdure, always_replay: bool) -> None:
    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        for _ in range(10):
            await ctx.sleep(5)
        return ctx.attempt

    async with TestApp(app, always_replay=always_replay):
        assert await task.run() == 0


async def test_a_restart_ends_a_pass_and_takes_no_attempt(app: Perdure) -> None:
    passes: list[int] = []
    gate = asyncio.Event()

    @app.activity
    async def act(number: int) -> int:
        passes.append(number)
        return number

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        await act(1)
        if not gate.is_set():
            await asyncio.Event().wait()
        return ctx.attempt + await act(2)

    app = app
    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        gate.set()
        await t.crash()
        assert await handle.result() == 2
        assert (await handle.execution()).crashes == 0
    assert passes == [1, 2]


async def test_a_def_body_is_unwound_in_its_thread(app: Perdure) -> None:
    events: list[Any] = []

    @app.task
    def task(ctx: BlockingContext) -> str:
        try:
            ctx.sleep(10)
        except Exception as error:
            events.append(repr(error))
        finally:
            events.append(ctx.suspending)
            if ctx.suspending:
                try:
                    ctx.sleep(1)
                except Exception as error:
                    events.append(repr(error))
                finally:
                    events.append("again")
        return "done"

    async with TestApp(app):
        assert await task.run() == "done"
    assert events == [True, "again", False]


async def test_verbs_that_answer_at_once_refuse_too(app: Perdure) -> None:
    seen: list[str] = []

    @app.task
    async def task(ctx: Context) -> str:
        try:
            await ctx.sleep(100)
        finally:
            if ctx.suspending:
                for verb in (ctx.now, ctx.uuid, ctx.random):
                    try:
                        verb()
                    except BaseException as error:
                        seen.append(type(error).__name__)
        return "done"

    async with TestApp(app, always_replay=True):
        assert await task.run() == "done"
    assert seen == ["CancelledError"] * 3


async def test_verbs_that_answer_at_once_refuse_in_a_def_body_too(app: Perdure) -> None:
    seen: list[str] = []

    @app.task
    def task(ctx: BlockingContext) -> str:
        try:
            ctx.sleep(100)
        finally:
            if ctx.suspending:
                for verb in (ctx.now, ctx.uuid, ctx.random):
                    try:
                        verb()
                    except Exception:
                        seen.append("seen by except Exception")
                    except BaseException as error:
                        seen.append(type(error).__name__)
        return f"{ctx.uuid()}{ctx.random()}"

    async with TestApp(app):
        assert len(await task.run()) > 36
    assert seen == ["Unwound"] * 3
