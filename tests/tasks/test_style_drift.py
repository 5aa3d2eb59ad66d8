"""Sequences, parent tasks and loops whose declaration changed under running work."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Context, Continue, Done, Joined, LoopResult, Perdure, Spawn, Task
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed


@pytest.fixture
def ran() -> list[Any]:
    return []


# --- sequences


def steps(app: Perdure, ran: list[Any], order: str, **aliases: list[str]) -> Task[[int], Any]:
    """A sequence of steps named by letters; `b` sleeps for a minute."""

    def step(name: str) -> Task[[int], int]:
        @app.task(name=name, aliases=aliases.get(name, []))
        async def run(ctx: Context, number: int) -> int:
            if name == "b":
                await ctx.sleep(60)
            ran.append((name, number))
            return number + 1

        return run

    declared = {name: step(name) for name in sorted(set(order))}
    return app.sequence("s", *(declared[name] for name in order))  # type: ignore[call-overload, no-any-return]


async def begun(ran: list[Any], order: str) -> TestApp:
    """A sequence of that order, as far as `b`."""
    app = Perdure("memory://")
    task = steps(app, ran, order)
    async with TestApp(app) as t:
        await task.options(id="one").enqueue(1)
        await t.idle()
    return t


async def test_a_step_inserted_under_running_work_is_drift(ran: list[Any]) -> None:
    before, app = await begun(ran, "abc"), Perdure("memory://")
    steps(app, ran, "axbc")
    async with redeployed(before, app) as t:
        await t.advance(minutes=10)
        execution = await app.handle("one").execution()
        assert execution.status == "pending"
        assert execution.failure is not None
        assert "step 1 is task x, but task b was started there" in execution.failure.message
        assert ("x", 2) not in ran
        assert await app.client.forget("one", "b") == 1
        await t.advance(minutes=10)
        assert await app.handle("one").result() == 5
    assert ran == [("a", 1), ("b", 2), ("x", 2), ("b", 3), ("c", 4)]


async def test_a_step_that_ran_exchanged_for_another_is_drift(ran: list[Any]) -> None:
    before, app = await begun(ran, "abc"), Perdure("memory://")
    steps(app, ran, "cba")
    async with redeployed(before, app) as t:
        await t.advance(minutes=10)
        failure = (await app.handle("one").execution()).failure
        assert failure is not None
        assert "step 0 is task c, but task a was started there" in failure.message


async def test_steps_behind_those_that_stand_and_new_names_are_no_drift(ran: list[Any]) -> None:
    before, app = await begun(ran, "abc"), Perdure("memory://")
    steps(app, ran, "abx")
    async with redeployed(before, app) as t:
        await t.advance(minutes=10)
        assert await app.handle("one").result() == 4
    assert ran == [("a", 1), ("b", 2), ("x", 3)]


async def test_a_step_under_its_new_name_is_no_drift(ran: list[Any]) -> None:
    before, app = await begun(ran, "abc"), Perdure("memory://")
    steps(app, ran, "kmc", k=["a"], m=["b"])
    async with redeployed(before, app) as t:
        await t.advance(minutes=10)
        assert await app.handle("one").result() == 4
    assert ran == [("a", 1), ("m", 2), ("c", 3)]


async def test_a_sequence_is_pinned_to_its_version() -> None:
    def declare(app: Perdure, version: str) -> Task[[int], int]:
        @app.task
        async def wait(ctx: Context, number: int) -> int:
            await ctx.sleep(60)
            return number

        return app.sequence("s", wait, wait, version=version, on_version="pin")

    one, two = Perdure("memory://"), Perdure("memory://")
    task = declare(one, "1")
    declare(two, "2")
    async with TestApp(one) as before:
        await task.options(id="one").enqueue(5)
        await before.idle()
    async with redeployed(before, two) as t:
        await t.advance(minutes=10)
        failure = (await two.handle("one").execution()).failure
        assert failure is not None
        assert "version '1' is pinned" in failure.message


# --- parent tasks


def parent(app: Perdure, version: int, **options: Any) -> Task[[int], Any]:
    """A parent whose finalizer is of another task in version 2."""

    @app.task(name="old" if version == 1 else "new", **options)
    async def finalize(ctx: Context, joined: Joined[int, int]) -> Any:
        await ctx.sleep(60)
        return f"by {version}"

    @app.parent_task(finalize=finalize)
    async def parent(number: int) -> Spawn[int]:
        return Spawn(number, [])

    return parent


@pytest.mark.parametrize("renamed", [False, True])
async def test_another_finalizer_under_running_work_is_drift_unless_it_is_the_same_one_renamed(renamed: bool) -> None:
    one, two = Perdure("memory://"), Perdure("memory://")
    task = parent(one, 1)
    async with TestApp(one) as before:
        await task.options(id="one").enqueue(1)
        await before.idle()
    parent(two, 2, aliases=["old"] if renamed else [])
    if not renamed:

        @two.task
        async def old(joined: Joined[int, int]) -> int:  # it is still there, for others
            return joined.input

    async with redeployed(before, two) as t:
        await t.advance(minutes=10)
        execution = await two.handle("one").execution()
    if renamed:
        assert (execution.status, execution.result) == ("completed", "by 2")
    else:
        assert execution.status == "pending"
        assert execution.failure is not None
        assert "the finalizer is task new, but task old was started there" in execution.failure.message


# --- loops


async def test_what_iterations_that_are_over_started_may_be_removed(ran: list[Any]) -> None:
    def declare(app: Perdure, version: int) -> Task[[], LoopResult[int]]:
        if version == 1:

            @app.task
            async def other(number: int) -> int:
                ran.append(number)
                return number

        async def iterate(ctx: Context) -> Continue | Done[int]:
            if version == 1 and ctx.iteration < 2:
                await ctx.run(app.call("other", ctx.iteration))
            await ctx.wait_for("go")
            return Done(version) if ctx.iteration == 3 else Continue()

        return app.loop("iterate", iterate)

    one, two = Perdure("memory://"), Perdure("memory://")
    loop = declare(one, 1)
    async with TestApp(one) as before:
        over = await loop.options(id="over").enqueue()
        await loop.options(id="in work").enqueue()
        for _ in range(2):
            await over.signal("go")
        await before.advance(5)
    assert sorted(ran) == [0, 0, 1]
    declare(two, 2)
    async with redeployed(before, two) as t:
        for _ in range(4):
            await two.handle("over").signal("go")
            await two.handle("in work").signal("go")
        await t.advance(minutes=5)
        execution = await two.handle("over").execution()
        assert (execution.status, execution.result) == ("completed", LoopResult(True, 2, 4))
        failure = (await two.handle("in work").execution()).failure
        assert failure is not None
        assert "child task other is recorded but not declared" in failure.message


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_bound_lowered_below_where_a_loop_is_ends_it_when_what_is_under_way_is_over(under_way: bool) -> None:
    def declare(app: Perdure, most: int) -> Task[[], LoopResult[int]]:
        async def iterate(ctx: Context) -> Continue | Done[int]:
            if under_way:
                await ctx.sleep(10)
            return Continue()

        return app.loop("iterate", iterate, max_iterations=most, delay=1 if under_way else 10)

    one, two = Perdure("memory://"), Perdure("memory://")
    loop = declare(one, 100)
    async with TestApp(one) as before:
        await loop.options(id="one").enqueue()
        await before.advance(58)
    declare(two, 3)
    async with redeployed(before, two) as t:
        await t.advance(minutes=10)
        execution = await two.handle("one").execution()
    assert (execution.status, execution.result) == ("completed", LoopResult(False, None, 6))
