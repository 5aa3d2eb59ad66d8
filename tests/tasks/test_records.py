"""`ctx.record`: any callable, recorded ad hoc."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from perdure import BlockingContext, Context, ExecutionFailedError, Perdure, Retry
from perdure.testing import TestApp


async def test_record_takes_any_callable(app: Perdure) -> None:
    calls: list[str] = []

    def plain(a: int, b: int) -> int:
        calls.append("plain")
        return a + b

    async def slow(a: int) -> int:
        calls.append("slow")
        return a

    @app.task
    async def task(ctx: Context) -> list[Any]:
        first = [await ctx.record(plain, 1, 2), await ctx.record(slow, 5), await ctx.record(lambda: "x", key="k")]
        await ctx.sleep(1)
        second = [await ctx.record(plain, 1, 2), await ctx.record(slow, 5), await ctx.record(lambda: "y", key="k")]
        assert await ctx.record(plain, 2, 2) == 4
        return [first, second]

    async with TestApp(app, always_replay=True):
        assert await task.run() == [[3, 5, "x"], [3, 5, "x"]]
    assert calls == ["plain", "slow", "plain"]


async def test_record_retries(app: Perdure) -> None:
    calls: list[None] = []

    def flaky() -> int:
        calls.append(None)
        if len(calls) < 3:
            raise OSError("again")
        return 1

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        return await ctx.record(flaky, retries=2)

    async with TestApp(app):
        assert await task.run() == 1
    assert len(calls) == 3


async def test_a_key_replaces_the_arguments(app: Perdure) -> None:
    calls: list[Any] = []

    @app.task
    async def task(ctx: Context) -> list[Any]:
        first = await ctx.record(calls.append, object(), key="k")
        return [first, await ctx.record(calls.append, object(), key="k"), await ctx.record(lambda: 1, key="l")]

    async with TestApp(app):
        assert await task.run() == [None, None, 1]
    assert len(calls) == 1


async def test_an_activity_keeps_its_own_name_and_key(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    async def act(number: int) -> int:
        calls.append(number)
        return number

    @app.task
    async def task(ctx: Context) -> list[int]:
        return [await act(1), await ctx.record(act, 1), await ctx.record(act, 1, key="k")]

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == [1, 1, 1]
        assert {entry.name for entry in await handle.activities()} == {"act"}
    assert calls == [1, 1]


@pytest.mark.parametrize("argument", [object(), float("nan"), open])
async def test_arguments_without_a_canonical_form_are_refused(app: Perdure, argument: Any) -> None:
    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        await ctx.record(str, argument)

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="NotSerializableError"):
            await task.run()


async def test_a_failure_is_final_for_its_attempt_here_too(app: Perdure) -> None:
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        raise OSError("no")

    @app.task(retries=1)
    async def task(ctx: Context) -> None:
        for _ in range(3):
            with pytest.raises(OSError, match="no"):
                await ctx.record(flaky)
        if ctx.attempt == 0:
            raise ValueError("again")

    async with TestApp(app):
        await task.run()
    assert len(calls) == 2


@pytest.mark.parametrize("retries", [2, Retry(2, delay=5)])
async def test_retries_of_an_activity_beat_those_declared(app: Perdure, retries: Any) -> None:
    calls: list[int] = []

    @app.activity(retries=1)
    async def act() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("again")
        return len(calls)

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        return await ctx.record(act, retries=retries)

    async with TestApp(app):
        assert await task.run() == 3


async def test_without_retries_an_activity_keeps_its_own(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity(retries=1)
    async def act() -> int:
        calls.append(1)
        if len(calls) < 2:
            raise OSError("again")
        return len(calls)

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        return await ctx.record(act, key="k")

    async with TestApp(app):
        assert await task.run() == 2


async def test_a_plain_function_runs_in_a_thread_a_coroutine_on_the_loop(app: Perdure) -> None:
    def plain() -> int:
        return threading.get_ident()

    async def slow() -> int:
        return threading.get_ident()

    @app.task
    async def task(ctx: Context) -> list[int]:
        return [await ctx.record(each, key=str(n)) for n, each in enumerate([plain, slow, lambda: slow()])]

    @app.task
    def blocking(ctx: BlockingContext) -> list[int]:
        return [ctx.record(each, key=str(n)) for n, each in enumerate([plain, slow, lambda: slow()])]

    here = threading.get_ident()
    async with TestApp(app):
        for each in (task, blocking):
            first, second, third = await each.run()
            assert first != here
            assert second == third == here
