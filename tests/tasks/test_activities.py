"""Activities: a recorded result per execution, what is recorded when, and calls outside an execution."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from perdure import (
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionFailedError,
    NotInExecutionError,
    Perdure,
    current_context,
)
from perdure.testing import TestApp


@dataclass
class Box:
    name: str
    items: list[int] = field(default_factory=list)


async def test_documents_are_done_once_and_only_the_failed_one_twice(app: Perdure) -> None:
    done: list[int] = []

    @app.activity
    async def embed(number: int) -> int:
        done.append(number)
        if done.count(number) == 1 and number == 50:
            raise ValueError("first time")
        return number

    @app.task
    async def embed_all(count: int) -> int:
        return sum([await embed(number) for number in range(count)])

    async with TestApp(app) as t:
        handle = await embed_all.enqueue(100)
        await t.advance(10)
        assert await handle.result() == 4950
    assert sorted(done) == sorted([*range(100), 50])


async def test_a_second_equal_call_returns_the_recorded_result_in_the_same_pass(app: Perdure) -> None:
    calls: list[str] = []

    @app.activity
    async def act(name: str) -> str:
        calls.append(name)
        return name.upper()

    @app.task
    async def task() -> list[str]:
        return [await act("a"), await act("a"), await act("b"), await act("a")]

    async with TestApp(app):
        assert await task.run() == ["A", "A", "B", "A"]
        assert calls == ["a", "b"]
        assert await task.run() == ["A", "A", "B", "A"]
    assert calls == ["a", "b", "a", "b"]


async def test_an_activity_that_returns_nothing_runs_once(app: Perdure) -> None:
    calls: list[None] = []

    @app.activity
    async def act() -> None:
        calls.append(None)

    @app.task
    async def task(ctx: Context) -> list[Any]:
        first = await act()
        await ctx.sleep(5)
        return [first, await act()]

    async with TestApp(app, always_replay=True):
        assert await task.run() == [None, None]
    assert len(calls) == 1


@pytest.mark.parametrize("always_replay", [False, True])
async def test_equal_calls_at_once_run_once(app: Perdure, always_replay: bool) -> None:
    calls: list[int] = []

    @app.activity
    async def act(number: int) -> int:
        calls.append(number)
        await asyncio.sleep(0)
        return number

    @app.task
    async def task(ctx: Context) -> list[int]:
        before = await asyncio.gather(act(1), act(1), act(2), act(1))
        await ctx.sleep(1)
        return before + await asyncio.gather(act(2), act(1))

    async with TestApp(app, always_replay=always_replay):
        assert await task.run() == [1, 1, 2, 1, 2, 1]
    assert sorted(calls) == [1, 2]


async def test_equal_calls_at_once_see_the_same_failure(app: Perdure) -> None:
    calls: list[None] = []

    @app.activity
    async def act() -> int:
        calls.append(None)
        await asyncio.sleep(0)
        raise ValueError("no")

    @app.task
    async def task() -> list[str]:
        return [repr(each) for each in await asyncio.gather(act(), act(), return_exceptions=True)]

    async with TestApp(app):
        assert await task.run() == ["ValueError('no')", "ValueError('no')"]
    assert len(calls) == 1


async def test_when_the_first_of_equal_calls_is_cancelled_the_other_runs_it(app: Perdure) -> None:
    calls: list[None] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    @app.activity
    async def act() -> int:
        calls.append(None)
        begun.set()
        if len(calls) == 1:
            await asyncio.Event().wait()
        return 7

    @app.task
    async def task() -> int:
        first, second = asyncio.create_task(act()), asyncio.create_task(act())
        await gate.wait()
        first.cancel()
        return await second

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await begun.wait()
        gate.set()
        await t.idle()
        assert await handle.result() == 7
    assert len(calls) == 2


async def test_results_are_seen_as_they_will_be_replayed(app: Perdure) -> None:
    made: list[Any] = []

    @app.activity
    async def typed() -> Box:
        made.append(Box("a", [1]))
        return made[-1]

    @app.activity
    async def untyped() -> Any:
        return {"a": (1, 2)}

    @app.task
    async def task(ctx: Context) -> list[bool]:
        box, plain = await typed(), await untyped()
        again = await typed()
        return [box == Box("a", [1]), box is made[0], box is again, plain == {"a": (1, 2)}]

    async with TestApp(app):
        assert await task.run() == [True, False, False, True]


async def test_changing_a_result_does_not_change_what_is_recorded(app: Perdure) -> None:
    @app.activity
    async def act() -> list[int]:
        return [1]

    @app.task
    async def task() -> list[int]:
        (await act()).append(2)
        return await act()

    async with TestApp(app):
        assert await task.run() == [1]


async def test_outside_an_execution_an_activity_is_the_plain_function(app: Perdure) -> None:
    @app.activity
    async def double(number: int) -> int:
        return number * 2

    @app.activity
    def triple(number: int) -> int:
        return number * 3

    assert await double(2) == 4
    assert triple(2) == 6
    assert await triple.aio(2) == 6
    assert await double.aio(2) == 4
    assert await double.options(key="k")(2) == 4
    assert double.fn is not double
    with pytest.raises(TypeError):
        await double("a", "b")  # type: ignore[call-arg]


async def test_inside_another_activity_an_activity_is_the_plain_function(app: Perdure) -> None:
    inner_calls: list[int] = []

    @app.activity
    async def inner(number: int) -> int:
        inner_calls.append(number)
        return number

    @app.activity
    async def outer() -> int:
        return await inner(1) + await inner(1)

    @app.task
    async def task() -> int:
        return await outer() + await outer()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        assert await handle.result() == 4
        assert [entry.name for entry in await handle.activities()] == ["outer"]
    assert inner_calls == [1, 1]


async def test_activities_are_leaves(app: Perdure) -> None:
    seen: list[str] = []

    @app.task
    async def other() -> None: ...

    @app.activity
    async def leaf() -> None:
        ctx = current_context()
        seen.append(f"{ctx.task_name} {ctx.attempt} {ctx.cancelled} {ctx.logger.name}")
        ctx.progress(1, 2)
        verbs: list[Any] = [
            lambda: ctx.sleep(1), lambda: ctx.sleep(1, key="k"), lambda: ctx.wait_for("x"), lambda: ctx.run(other.call()),
            lambda: ctx.spawn(other.call()), lambda: ctx.spawn(other.options(key="k").call()),
            lambda: ctx.map(other, [1]), lambda: ctx.map(leaf, []), lambda: ctx.record(len, "a"),
            lambda: ctx.record(len, "a", key="k"), lambda: ctx.enqueue(other.call()),
            lambda: ctx.enqueue(other.options(key="k").call()), lambda: other(),
        ]  # fmt: skip
        for verb in verbs:
            with pytest.raises(NotInExecutionError):
                await verb()
        for plain in (ctx.now, ctx.uuid, ctx.random):
            with pytest.raises(NotInExecutionError):
                plain()
            with pytest.raises(NotInExecutionError):
                plain(key="k")
        seen.append("all refused")

    @app.task
    async def task() -> None:
        await leaf()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        assert await handle.result() is None
        assert [entry.name for entry in await handle.activities()] == ["leaf"]
        progress = (await handle.execution()).progress
        assert progress is not None
        assert progress.done == 1
    assert seen == ["task 0 False perdure.task.task", "all refused"]


async def test_enqueue_inside_an_activity_is_an_ordinary_client_call(app: Perdure) -> None:
    ids: list[str] = []

    @app.task
    async def other() -> int:
        return 3

    @app.activity
    async def start() -> None:
        ids.append((await other.enqueue()).id)
        ids.append((await app.enqueue(other.call())).id)

    @app.task
    async def task() -> None:
        await start()

    async with TestApp(app):
        await task.run()
        for id in ids:
            execution = await app.handle(id).execution()
            assert execution.parent is None
            assert await app.handle(id).result() == 3


async def test_a_def_activity_is_awaited_by_aio_in_an_async_task(app: Perdure) -> None:
    threads: list[str] = []

    @app.activity
    def act(number: int) -> int:
        threads.append(threading.current_thread().name)
        return number + 1

    @app.task
    async def task() -> int:
        with pytest.raises(ConfigurationError, match=r"await act\.aio\("):
            act(1)
        return await act.aio(1) + await act.aio(1)

    async with TestApp(app):
        assert await task.run() == 4
    assert len(threads) == 1
    assert threads[0] != threading.main_thread().name


async def test_activities_are_called_plainly_in_a_def_task(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    def act(number: int) -> int:
        calls.append(number)
        return number + 1

    @app.activity
    async def other(number: int) -> int:
        calls.append(number)
        return number * 10

    @app.task
    def task(ctx: BlockingContext) -> int:
        with pytest.raises(ConfigurationError, match=r"ctx\.record\(other"):
            other(1)
        return act(1) + act(1) + ctx.record(other, 5) + ctx.record(other, 5)

    async with TestApp(app):
        assert await task.run() == 104
    assert calls == [1, 5]


@pytest.mark.parametrize("value", [object(), {1, object()}, open, float("nan"), ValueError("x")])
async def test_a_result_that_cannot_be_stored_fails_without_retry(app: Perdure, value: Any) -> None:
    calls: list[None] = []

    @app.activity(retries=5)
    async def act() -> Any:
        calls.append(None)
        return value

    @app.task(retries=5)
    async def task() -> None:
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="activity act"):
            await task.run()
    assert len(calls) == 1


async def test_a_process_activity_must_be_importable(app: Perdure) -> None:
    @app.activity(run_in="process")
    def act() -> int:
        return 1

    @app.task(retries=0)
    async def task() -> int:
        return await act.aio()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="module-level"):
            await task.run()


def test_what_cannot_be_an_activity_is_refused_when_declared(app: Perdure) -> None:
    @app.activity
    async def act() -> None: ...

    with pytest.raises(ConfigurationError, match="run_in"):
        app.activity(run_in="thread", name="b")(act.fn)
    for wrong in (act, Box, 5, None.__class__, "x"):
        with pytest.raises(ConfigurationError):
            app.activity(name="c")(wrong)  # type: ignore[call-overload]

    async def generator():  # type: ignore[no-untyped-def]
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        app.activity(generator)
