"""What has no identity of its own is numbered within its branch: stable under gather, TaskGroup and map."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perdure import Context, Perdure
from perdure.testing import TestApp

Branch = Callable[[], Awaitable[Any]]


async def gathered(branches: list[Branch]) -> list[Any]:
    return list(await asyncio.gather(*(branch() for branch in branches)))


async def grouped(branches: list[Branch]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(branch()) for branch in branches]  # type: ignore[arg-type]
    return [task.result() for task in tasks]


async def tasked(branches: list[Branch]) -> list[Any]:
    tasks = [asyncio.create_task(branch()) for branch in branches]  # type: ignore[arg-type]
    await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def nested(branches: list[Branch]) -> list[Any]:
    half = len(branches) // 2
    first, second = await asyncio.gather(gathered(branches[:half]), grouped(branches[half:]))
    return [*first, *second]


@pytest.mark.parametrize("together", [gathered, grouped, tasked, nested])
@pytest.mark.parametrize("always_replay", [False, True])
async def test_branches_get_the_same_values_however_they_are_scheduled(
    app: Perdure, always_replay: bool, together: Callable[[list[Branch]], Awaitable[list[Any]]]
) -> None:
    seen: list[list[Any]] = []

    @app.activity(memo="call")
    async def tick() -> int:
        ticks.append(1)
        return len(ticks)

    ticks: list[int] = []

    @app.task
    async def task(ctx: Context) -> None:
        passes.append(1)

        def branch(place: int) -> Branch:
            async def run() -> list[Any]:
                for _ in range((place * 7 + len(passes) * 3) % 5):
                    await asyncio.sleep(0)  # other passes, other timing
                values = [str(ctx.uuid()), ctx.random(), ctx.now().isoformat(), await tick()]
                await ctx.sleep(10 - place)
                return [place, *values, await tick(), str(ctx.uuid())]

            return run

        seen.append(await together([branch(place) for place in range(4)]))
        await ctx.sleep(50)
        if ctx.attempt == 0:
            raise ValueError("again")

    passes: list[int] = []
    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue()
        await handle.result()
    assert len(seen) >= 2
    assert all(each == seen[0] for each in seen)
    assert len(ticks) == 8
    assert len({value for row in seen[0] for value in row if isinstance(value, str) and len(value) == 36}) == 8


async def test_a_key_fixes_identity_against_reordering(app: Perdure) -> None:
    seen: list[Any] = []

    @app.task
    async def task(ctx: Context) -> None:
        if ctx.attempt == 0:
            seen.append([str(ctx.uuid(key="a")), str(ctx.uuid(key="b")), ctx.now(key="n")])
            await ctx.sleep(10, key="nap")
            raise ValueError("again")
        await ctx.sleep(10, key="nap")
        second, first = str(ctx.uuid(key="b")), str(ctx.uuid(key="a"))
        seen.append([first, second, ctx.now(key="n")])

    async with TestApp(app):
        await task.run()
    assert seen[0] == seen[1]


async def test_calls_of_one_branch_do_not_move_those_of_another(app: Perdure) -> None:
    seen: list[list[str]] = []

    @app.task
    async def task(ctx: Context) -> None:
        async def one() -> str:
            for _ in range(ctx.attempt * 3):
                ctx.uuid()
            return ""

        async def two() -> str:
            await asyncio.sleep(0)
            return str(ctx.uuid())

        seen.append(list(await asyncio.gather(one(), two())))
        if ctx.attempt < 2:
            raise ValueError("again")

    async with TestApp(app):
        await task.run()
    assert seen[0] == seen[1] == seen[2]


async def test_a_branch_left_behind_is_cancelled_when_the_body_ends(app: Perdure) -> None:
    ended: list[str] = []
    finished: list[int] = []

    @app.activity
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("activity")
        finished.append(1)

    @app.task
    async def task(ctx: Context) -> int:
        async def branch() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("branch")
                raise

        kept = [asyncio.create_task(branch()), asyncio.create_task(slow())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(kept)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        assert await handle.result() == 2
        await t.idle()
        assert await handle.activities() == []
    assert sorted(ended) == ["activity", "branch"]
    assert finished == []


async def test_a_task_made_in_an_activity_is_no_branch(app: Perdure) -> None:
    seen: list[str] = []

    @app.activity
    async def act(attempt: int) -> None:
        for _ in range(attempt + 1):
            await asyncio.create_task(asyncio.sleep(0))

    @app.task
    async def task(ctx: Context) -> None:
        await act(ctx.attempt)

        async def branch() -> str:
            return str(ctx.uuid())

        seen.extend(await asyncio.gather(branch()))
        if ctx.attempt < 2:
            raise ValueError("again")

    async with TestApp(app):
        await task.run()
    assert len(set(seen)) == 1


async def test_wait_for_first_of_several(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> str:
        async def signalled() -> str:
            return await ctx.wait_for("x", str)

        async def slept() -> str:
            await ctx.sleep(100)
            return "slept"

        tasks = [asyncio.create_task(signalled()), asyncio.create_task(slept())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    async with TestApp(app) as t:
        first, second = await task.enqueue(), await task.enqueue()
        await t.advance(5)
        await first.signal("x", "signal")
        assert await first.result() == "signal"
        assert await second.result() == "slept"


@pytest.mark.parametrize("kind", ["activity", "task"])
async def test_the_bound_of_a_map_does_not_move_what_follows(app: Perdure, kind: str) -> None:
    seen: list[str] = []
    bounds = iter([2, 3, 1, None])

    async def work(number: int) -> int:
        return number

    function: Any = app.activity(work) if kind == "activity" else app.task(work)

    @app.task
    async def task(ctx: Context) -> None:
        async def branch() -> str:
            return str(ctx.uuid())

        await ctx.map(function, range(5), concurrency=next(bounds))
        seen.extend(await asyncio.gather(branch()))
        if ctx.attempt < 3:
            raise ValueError("again")

    async with TestApp(app):
        await task.run()
    assert len(seen) == 4
    assert len(set(seen)) == 1
