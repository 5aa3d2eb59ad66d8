"""What a fork takes over from its original, and what it does not: signals, failures, children, input, deadline."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import (
    Context,
    ExecutionFailedError,
    ExecutionTimedOutError,
    InvalidInputError,
    PayloadTooLargeError,
    Perdure,
    Sizes,
)
from perdure.testing import TestApp


@pytest.fixture
def ran() -> list[Any]:
    return []


async def test_signals_taken_by_the_original_are_not_taken_from_the_fork(app: Perdure) -> None:
    @app.activity
    async def act() -> None: ...

    @app.task
    async def task(ctx: Context) -> list[str]:
        first = await ctx.wait_for("go", str)
        await act()
        return [first, await ctx.wait_for("go", str), await ctx.wait_for("go", str)]

    async with TestApp(app) as t:
        handle = await task.enqueue()
        for value in "abc":
            await handle.signal("go", value)
        assert await handle.result() == ["a", "b", "c"]
        fork = await handle.fork(from_activity="act")
        await t.advance(1)
        assert await fork.status() == "waiting"
        await fork.signal("go", "x")
        await t.advance(1)
        again = await fork.fork(from_activity="act")
        await fork.signal("go", "y")
        assert await fork.result() == ["a", "x", "y"]
        for value in "pq":
            await again.signal("go", value)
        assert await again.result() == ["a", "p", "q"]


async def test_from_an_activity_that_failed(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def good(number: int) -> int:
        ran.append(number)
        return number

    @app.activity(retries=0)
    async def bad() -> int:
        ran.append("bad")
        if ran.count("bad") == 1:
            raise ValueError("no")
        return 5

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        await good(1)
        await ctx.sleep(1)
        return await bad() + await good(2)

    async with TestApp(app):
        handle = await task.enqueue()
        with pytest.raises(ExecutionFailedError):
            await handle.result()
        assert (await handle.activities())[-1].outcome == "failed"
        assert await (await handle.fork(from_activity="bad")).result() == 7
    assert ran == [1, "bad", "bad", 2]


async def test_from_a_child_that_failed(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def act() -> int:
        ran.append("act")
        return 1

    @app.task(retries=0)
    async def child() -> int:
        ran.append("child")
        if ran.count("child") == 1:
            raise ValueError("no")
        return 2

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        number = await act()
        await ctx.sleep(1)
        return number + await child()

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.wait()
        assert await (await handle.fork(from_activity="child")).result() == 3
    assert ran == ["act", "child", "child"]


async def test_forgotten_children_are_not_taken_over(app: Perdure, ran: list[Any]) -> None:
    @app.task
    async def child() -> int:
        ran.append("child")
        return ran.count("child")

    @app.activity
    async def last() -> None: ...

    @app.task
    async def task(ctx: Context) -> int:
        number = await child()
        await ctx.sleep(1)
        await last()
        await ctx.wait_for("never")
        return number

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(5)
        await app.cancel_all("task:task")
        assert await app.client.forget(handle.id, "child") == 1
        fork = await handle.fork(from_activity="last")
        await fork.signal("never", None)
        assert await fork.result() == 2


async def test_new_input_is_validated_and_measured() -> None:
    app = Perdure("memory://", sizes=Sizes(input=100))

    def checked(text: str) -> str:
        if text == "bad":
            raise ValueError("never bad")
        return text.strip()

    @app.task(validate=checked)
    async def task(text: str) -> str:
        return text

    async with TestApp(app):
        handle = await task.enqueue("one")
        await handle.result()
        with pytest.raises(InvalidInputError, match="never bad"):
            await handle.fork(input="bad")
        with pytest.raises(PayloadTooLargeError, match="the input of task task has over 100 bytes"):
            await handle.fork(input="x" * 200)
        assert await (await handle.fork(input={"text": " two "})).result() == "two"
        assert await app.count() == 2


@pytest.mark.parametrize("by_call", [True, False])
async def test_a_fork_has_as_much_time_as_its_original_had(app: Perdure, by_call: bool) -> None:
    @app.task(deadline=None if by_call else 100)
    async def task(ctx: Context) -> None:
        await ctx.wait_for("never")

    async with TestApp(app) as t:
        handle = await (task.options(deadline=100) if by_call else task).enqueue()
        await t.advance(90)
        fork = await handle.fork()
        await t.advance(50)
        assert (await handle.status(), await fork.status()) == ("timed_out", "waiting")
        await handle.retry()
        with pytest.raises(ExecutionTimedOutError):
            await fork.result()
