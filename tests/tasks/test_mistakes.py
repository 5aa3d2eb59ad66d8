"""Slips of the pen that a type checker would find: each is answered by what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from perdure import ConfigurationError, Context, ExecutionFailedError, InvalidInputError, NotSerializableError, Perdure
from perdure.testing import TestApp

Body = Callable[[Context], Coroutine[Any, Any, Any]]


def declared(app: Perdure) -> tuple[Any, Any]:
    @app.activity
    async def act(number: Any) -> Any:
        return number

    @app.task
    async def other(number: int) -> int:
        return number

    return act, other


async def failure_of(app: Perdure, body: Body) -> str:
    task = app.task(retries=0, name="task")(body)
    async with TestApp(app):
        with pytest.raises(ExecutionFailedError) as failed:
            await task.run()
    return str(failed.value)


@pytest.mark.filterwarnings("ignore:coroutine.*was never awaited")
async def test_a_forgotten_await(app: Perdure) -> None:
    act, _ = declared(app)

    async def body(ctx: Context) -> Any:
        return act(3)

    assert "did you forget `await`?" in await failure_of(app, body)


@pytest.mark.filterwarnings("ignore:coroutine.*was never awaited")
async def test_a_forgotten_await_in_an_argument(app: Perdure) -> None:
    act, _ = declared(app)

    async def body(ctx: Context) -> Any:
        return await act(act(3))

    said = await failure_of(app, body)
    assert "did you forget `await`?" in said
    assert "ydantic" not in said


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        (lambda ctx, act, other: ctx.run(act(3)), "as `task.call(...)`, not a coroutine"),
        (lambda ctx, act, other: ctx.spawn(other.enqueue(3)), "as `task.call(...)`, not a coroutine"),
        (lambda ctx, act, other: ctx.run(other), "write other.call(...)"),
        (lambda ctx, act, other: ctx.enqueue(act), "the activity act is called by itself"),
        (lambda ctx, act, other: ctx.spawn(len), "as `task.call(...)`, not builtin_function_or_method"),
    ],
)
async def test_what_is_no_call(app: Perdure, slip: Callable[..., Any], said: str) -> None:
    act, other = declared(app)

    async def body(ctx: Context) -> Any:
        return await slip(ctx, act, other)

    assert said in await failure_of(app, body)


async def test_what_is_no_call_for_a_client(app: Perdure) -> None:
    _, other = declared(app)
    async with TestApp(app):
        with pytest.raises(ConfigurationError, match=r"write other\.call"):
            await app.enqueue(other)


async def test_a_context_that_stands_elsewhere(app: Perdure) -> None:
    async def late(number: int, ctx: Context) -> None: ...
    async def bare(ctx) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(NotSerializableError, match="'ctx' of task late: Context must be the first parameter"):
        app.task(name="late")(late)
    with pytest.raises(NotSerializableError, match="'ctx' of activity late: an activity asks current_context"):
        app.activity(name="late")(late)
    task: Any = app.task(name="bare")(bare)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    with pytest.raises(InvalidInputError, match="annotate it: ctx: Context"):
        task.call()
