"""Sequences: each output is the next one's input."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import (
    ConfigurationError,
    Context,
    Done,
    ExecutionFailedError,
    Failure,
    Handle,
    InvalidInputError,
    Joined,
    Perdure,
    Spawn,
    Task,
)
from perdure.mermaid import Part
from perdure.testing import TestApp

REPLAYS = pytest.mark.parametrize("always_replay", [False, True])


@pytest.fixture
def runs() -> list[Any]:
    return []


def chain(app: Perdure, runs: list[Any]) -> Task[[str], bool]:
    """Text to number to whether it is more than ten."""

    @app.task
    async def number(text: str) -> float:
        runs.append("number")
        return float(text)

    @app.task
    async def large(value: float) -> bool:
        runs.append("large")
        return value > 10

    return app.sequence("chain", number, large)


async def failed(handle: Handle[Any]) -> Failure:
    with pytest.raises(ExecutionFailedError) as caught:
        await handle.result()
    assert caught.value.failure is not None
    return caught.value.failure


@REPLAYS
async def test_each_output_is_the_next_input(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 85."""
    task = chain(app, runs)
    async with TestApp(app, always_replay=always_replay):
        assert await task.run("10.5") is True
        assert await task.run("9.5") is False
        with pytest.raises(InvalidInputError, match="text"):
            await task.enqueue(3)  # type: ignore[arg-type]
    assert runs == ["number", "large"] * 2


@REPLAYS
async def test_a_step_that_fails(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 86: the message says which; `.retry()` goes on there."""
    broken = {"on": True}

    @app.task
    async def one(value: int) -> int:
        runs.append(1)
        return value + 1

    @app.task(retries=0)
    async def two(value: int) -> int:
        runs.append(2)
        if broken["on"]:
            raise ValueError("Task 2 failed")
        return value * 10

    @app.task
    async def three(value: int) -> str:
        runs.append(3)
        return f"<{value}>"

    task = app.sequence("three-steps", one, two, three)
    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue(1)
        failure = await failed(handle)
        assert failure.kind == "children_failed"
        assert "[index=1] two failed: ValueError: Task 2 failed" in failure.message
        assert runs == [1, 2]
        assert (await handle.execution()).attempt == 0
        broken["on"] = False
        await handle.retry()
        assert await handle.result() == "<20>"
    assert runs == [1, 2, 2, 3]


async def test_a_step_that_times_out(app: Perdure) -> None:
    @app.task(timeout=1, retries=0)
    async def late(value: int) -> int:
        await asyncio.Event().wait()
        return value

    task = app.sequence("timed", late, late)
    async with TestApp(app) as t:
        handle = await task.enqueue(1)
        await t.advance(seconds=5)
        assert "[index=0] late timed out: task late ran over its timeout of 1 s" in (await failed(handle)).message


async def test_of_none_and_of_one(app: Perdure, runs: list[Any]) -> None:
    """Case 87."""
    with pytest.raises(ValueError, match="sequence 'empty' has no steps"):
        app.sequence("empty")  # type: ignore[call-overload]

    @app.task(retries=0)
    async def only(ctx: Context, a: int, *, b: int = 2) -> int:
        if a == 0:
            raise ValueError("only this")
        return a + b

    task = app.sequence("one", only)
    async with TestApp(app):
        assert await task.run(1) == 3
        assert await task.run(1, b=5) == 6
        assert "only this" in (await failed(await task.enqueue(0))).message


def test_declared_wrongly(app: Perdure) -> None:
    @app.task
    async def one(value: int) -> int: ...

    @app.task
    async def two(a: int, b: int) -> int: ...

    with pytest.raises(ConfigurationError, match=r"step 1 must take one argument"):
        app.sequence("wrong", one, two)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"step 1 is .*; steps are tasks"):
        app.sequence("wrong", one, len)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"no option 'retriess'"):
        app.sequence("wrong", one, retriess=3)  # type: ignore[call-overload]
    app.sequence("right", two, one, queue="slow", aliases=["older"])
    with pytest.raises(ConfigurationError, match="the name 'older' is taken"):
        app.sequence("older", one)
    assert sorted(app.tasks) == ["older", "one", "right", "two"]


async def test_an_output_that_the_next_step_does_not_take(app: Perdure, runs: list[Any]) -> None:
    @app.task
    async def one(value: int) -> Any:
        return "text"

    @app.task
    async def two(value: int) -> int: ...

    task = app.sequence("unfit", one, two)
    async with TestApp(app):
        failure = await failed(await task.enqueue(1))
        assert failure.kind == "invalid_input"
        assert failure.message.startswith("task unfit: [index=1] two: ")


async def test_goes_on_after_a_restart(app: Perdure, runs: list[Any]) -> None:
    """Case 88, E1: stopped between two steps, another worker with the same definitions goes on; no step runs twice."""

    @app.task
    async def slow(ctx: Context, value: int) -> int:
        runs.append(("begins", value))
        await ctx.sleep(60)
        runs.append(("ends", value))
        return value + 1

    task = app.sequence("restarted", slow, slow, slow)
    async with TestApp(app) as t:
        handle = await task.enqueue(1)
        await t.advance(seconds=61)
        await t.restart()
        await t.advance(seconds=200)
        assert await handle.result() == 4
    assert [run for run in runs if run[0] == "ends"] == [("ends", 1), ("ends", 2), ("ends", 3)]


@REPLAYS
async def test_cancel_while_a_step_runs(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 89: its body sees it."""

    @app.task
    async def quick(value: int) -> int:
        return value

    @app.task
    async def slow(ctx: Context, value: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            runs.append(ctx.cancelled)
            raise
        return value

    task = app.sequence("cancelled", quick, slow)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue(1)
        await t.advance()
        await handle.cancel()
        assert (await handle.execution()).status == "cancelled"
        await t.advance(seconds=30)
        assert [child.status for child in await handle.children()] == ["completed", "cancelled"]
        assert (await handle.execution()).closed_at is not None
    assert runs == [True]


async def test_every_step_stands_below_the_top(app: Perdure, runs: list[Any]) -> None:
    """Case 82, H8: also in a sequence within a tree."""

    @app.task
    async def step(ctx: Context, value: int) -> int:
        runs.append((ctx.root, ctx.parent))
        return value + 1

    steps = app.sequence("steps", step, step)

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [steps.call(1)])

    async with TestApp(app):
        handle = await parent.enqueue()
        child = (await handle.result()).children[0]
        assert child.of(steps) == 3
    assert runs == [(handle.id, child.execution_id)] * 2


async def test_sequences_of_sequences_and_of_parents(app: Perdure) -> None:
    @app.task
    async def more(value: int) -> int:
        return value + 1

    @app.parent_task
    async def twice(value: int) -> Spawn[int]:
        return Spawn(value, [more.call(value), more.call(value + 10)])

    @app.task
    async def read(found: Any) -> int:
        return found["output"] + sum(child["output"] for child in found["children"])

    inner = app.sequence("inner", more, more)
    outer = app.sequence("outer", inner, inner, more)
    assert outer.signature.names == ("value",)
    async with TestApp(app):
        assert await outer.run(0) == 5
        assert (await app.sequence("last", more, twice).run(1)).all(more) == [3, 13]


def test_what_a_sequence_a_tree_and_a_loop_consist_of(app: Perdure) -> None:
    @app.task
    async def first(number: int) -> int:
        return number

    async def combine(joined: Joined[int, int]) -> int:
        return joined.output

    @app.parent_task(finalize=combine, max_parallel=3)
    async def tree(number: int) -> Spawn[int]:
        return Spawn(number, [])

    async def iterate(number: int) -> Done[int]:
        return Done(number)

    loop = app.loop("poll", iterate, delay=5, max_iterations=10)
    part = app.sequence("all", first, tree).options(queue="other").outline()
    assert (part.name, part.order, [each.name for each in part.parts]) == ("all", "sequence", ["first", "tree"])
    (children,) = part.parts[1].parts
    assert children.note == "until one fails, 3 at once"
    assert part.parts[1].last == Part("tree.finalize", shape="finalize")
    assert loop.outline() == Part("poll", again="again after 5 s, 10 times at most")
