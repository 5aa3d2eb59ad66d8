"""Children: executions of their own under a parent, met again on every replay and attempt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import (
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    GiveUp,
    Perdure,
    Retry,
    Sizes,
)
from perdure.engine.scope import current
from perdure.testing import TestApp


@pytest.fixture
def runs() -> list[Any]:
    return []


@pytest.mark.parametrize("always_replay", [False, True])
async def test_awaiting_a_task_is_a_child_and_its_result(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    @app.task
    async def other(number: int) -> int:
        runs.append(number)
        return number * 2

    @app.task
    async def task(ctx: Context) -> list[int]:
        return [
            await other(1),
            await ctx.run(other.call(2)),
            await other.run(3),
            await (await ctx.spawn(other.call(4))).result(),
        ]

    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue()
        assert await handle.result() == [2, 4, 6, 8]
        children = await handle.children()
        assert sorted(str(child.input) for child in children) == [f"{{'number': {n}}}" for n in (1, 2, 3, 4)]
        assert {child.parent for child in children} == {handle.id}
        assert {child.root for child in children} == {handle.id}
    assert runs == [1, 2, 3, 4]


@pytest.mark.parametrize("always_replay", [False, True])
async def test_two_equal_awaits_are_two_children_the_same_two_on_every_replay(
    app: Perdure, runs: list[Any], always_replay: bool
) -> None:
    @app.task
    async def other(number: int) -> int:
        runs.append(number)
        return len(runs)

    @app.task
    async def task(ctx: Context) -> list[int]:
        found = [await other(1), await other(1)]
        await ctx.sleep(100)
        if ctx.attempt == 0:
            raise ValueError("again")
        return found

    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue()
        assert await handle.result() == [1, 2]
        assert len(await handle.children()) == 2
    assert runs == [1, 1]


async def test_a_key_names_a_child(app: Perdure, runs: list[Any]) -> None:
    @app.task
    async def other(number: int) -> int:
        runs.append(number)
        return number

    @app.task
    async def task() -> list[int]:
        keyed = other.options(key="k")
        return [await keyed(1), await keyed(1), await keyed(2), await other(1)]

    async with TestApp(app):
        assert await task.run() == [1, 1, 1, 1]
    assert runs == [1, 1]


@pytest.mark.parametrize("option", [{"id": "x"}, {"idempotency_key": "x"}])
async def test_a_child_has_no_id_or_idempotency_key_of_its_own(app: Perdure, option: dict[str, str]) -> None:
    @app.task
    async def other() -> None: ...

    @app.task(retries=0)
    async def task() -> None:
        await other.options(**option)()  # type: ignore[arg-type]

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match=r"options\(key="):
            await task.run()


@pytest.mark.parametrize(
    ("end", "error"),
    [("fail", ExecutionFailedError), ("late", ExecutionTimedOutError), ("cancel", ExecutionCancelledError)],
)
@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_child_that_does_not_complete_raises_how_it_ended(
    app: Perdure, end: str, error: Any, always_replay: bool
) -> None:
    @app.task(retries=0)
    async def other(ctx: Context) -> None:
        if end == "fail":
            raise ValueError("no")
        await ctx.sleep(1000)

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        child = await ctx.spawn(other.options(deadline=10 if end == "late" else 10_000).call())
        with pytest.raises(error) as first:
            await child.result()
        await ctx.sleep(100)
        with pytest.raises(error) as second:
            await child.result()
        assert str(first.value) == str(second.value)
        assert first.value.failure is not None
        assert first.value.execution_id == child.id
        return first.value.failure.message

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(5)
        if end == "cancel":
            await app.handle((await handle.children())[0].id).cancel("enough")
        message = await handle.result()
        assert message == {"fail": "no", "cancel": "enough"}.get(end, message)


async def test_an_uncaught_failure_of_a_child_fails_the_parent(app: Perdure) -> None:
    @app.task(retries=0)
    async def other() -> None:
        raise ValueError("no")

    @app.task(retries=0)
    async def task() -> None:
        await other()

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert execution.status == "failed"
    assert execution.failure is not None
    assert execution.failure.type == "ExecutionFailedError"
    assert "no" in execution.failure.message
    assert execution.failure.cause is not None
    assert execution.failure.cause.message == "no"


@pytest.mark.parametrize(("end", "status"), [("late", "timed_out"), ("cancel", "cancelled")])
async def test_an_uncaught_time_out_or_cancel_of_a_child_ends_the_parent_so_without_retry(
    app: Perdure, end: str, status: str
) -> None:
    @app.task(retries=0, deadline=10)
    async def other(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.task(retries=5)
    async def task() -> None:
        await other()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(5)
        if end == "cancel":
            await app.handle((await handle.children())[0].id).cancel()
        execution = await handle.wait()
    assert (execution.status, execution.attempt) == (status, 0)


@pytest.mark.parametrize("always_replay", [False, True])
async def test_the_next_attempt_meets_completed_children_again_and_starts_failed_ones_anew(
    app: Perdure, runs: list[Any], always_replay: bool
) -> None:
    @app.task(retries=0)
    async def other(name: str) -> str:
        runs.append(name)
        if name == "bad" and runs.count("bad") < 3:
            raise ValueError("no")
        return name

    @app.task(retries=Retry(5, delay=10))
    async def task() -> list[str]:
        return [await other("good"), await other("bad")]

    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue()
        assert await handle.result() == ["good", "bad"]
        assert (await handle.execution()).attempt == 2
    assert runs == ["good", "bad", "bad", "bad"]


async def test_the_next_attempt_meets_a_running_child_again(app: Perdure, runs: list[Any]) -> None:
    @app.task
    async def other(ctx: Context) -> str:
        runs.append("other")
        await ctx.sleep(0.9)
        return "done"

    @app.task(retries=Retry(1, delay=0.1, jitter=False))
    async def task(ctx: Context) -> str:
        child = await ctx.spawn(other.call())
        if ctx.attempt == 0:
            raise ValueError("again")
        return await child.result()

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == "done"
        assert len(await handle.children()) == 1


@pytest.mark.parametrize(("how", "status"), [("complete", "completed"), ("fail", "cancelled"), ("cancel", "cancelled")])
async def test_a_child_left_running(app: Perdure, how: str, status: str) -> None:
    @app.task
    async def other(ctx: Context) -> str:
        await ctx.sleep(100)
        return "done"

    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        await ctx.spawn(other.call())
        if how == "fail":
            raise ValueError("no")
        if how == "cancel":
            await ctx.sleep(1000)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(1)
        if how == "cancel":
            await handle.cancel()
        await t.idle()
        settled = await handle.execution()
        assert settled.settled
        assert (settled.closed_at is None) == (how == "complete")
        await t.advance(200)
        assert [child.status for child in await handle.children()] == [status]
        assert (await handle.execution()).closed_at is not None


async def test_a_parent_waits_without_a_slot(runs: list[Any]) -> None:
    app = Perdure("memory://", concurrency=1)

    @app.task
    async def other(depth: int) -> int:
        runs.append(depth)
        return 0 if depth == 0 else 1 + await other(depth - 1)

    async with TestApp(app):
        assert await other.run(20) == 20
    assert sorted(set(runs)) == list(range(21))


async def test_children_are_numbered_by_branch(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> str:
        return ctx.execution_id

    @app.task
    async def task(ctx: Context) -> list[list[str]]:
        async def branch() -> list[str]:
            return [await other(), await other()]

        first = await asyncio.gather(branch(), branch())
        await ctx.sleep(100)
        if ctx.attempt == 0:
            raise ValueError("again")
        return first

    async with TestApp(app):
        handle = await task.enqueue()
        found = await handle.result()
        assert len({id for ids in found for id in ids}) == 4
        assert len(await handle.children()) == 4


async def test_a_validated_keyed_child_started_twice_at_once_is_one_child(app: Perdure, runs: list[Any]) -> None:
    async def validate(number: int) -> int:
        await asyncio.sleep(0)
        return number

    @app.task(validate=validate)
    async def other(number: int) -> int:
        runs.append(number)
        return number

    @app.task
    async def task() -> list[int]:
        keyed = other.options(key="k")
        return await asyncio.gather(keyed(1), keyed(1))

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == [1, 1]
        assert len(await handle.children()) == 1
    assert runs == [1]


async def test_bad_input_of_a_child_raises_in_the_parent_and_starts_nothing(app: Perdure) -> None:
    @app.task
    async def other(number: int) -> int:
        return number

    @app.task(retries=0)
    async def task() -> None:
        await other("x")  # type: ignore[arg-type]

    async with TestApp(app):
        handle = await task.enqueue()
        execution = await handle.wait()
        assert execution.failure is not None
        assert execution.failure.kind == "invalid_input"
        assert "'number'" in execution.failure.message
        assert await handle.children() == []


async def test_children_in_a_def_body(app: Perdure, runs: list[Any]) -> None:
    @app.task
    def other(number: int) -> int:
        runs.append(number)
        return number

    @app.task
    def task(ctx: BlockingContext) -> list[int]:
        with pytest.raises(ConfigurationError, match=r"ctx\.run\(other\.call"):
            other(1)
        child = ctx.spawn(other.call(2))
        return [ctx.run(other.call(1)), child.result(), ctx.run(other.call(1))]

    async with TestApp(app):
        assert await task.run() == [1, 2, 1]
    assert sorted(runs) == [1, 1, 2]


async def test_a_task_that_starts_itself_for_ever_stops_at_the_depth(runs: list[Any]) -> None:
    app = Perdure("memory://", sizes=Sizes(depth=5))

    @app.task
    async def endless(depth: int) -> int:
        runs.append(depth)
        return await endless(depth + 1)

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match=r"deep"):
            await endless.run(0)
    assert max(runs) == 5


async def test_too_many_children(runs: list[Any]) -> None:
    app = Perdure("memory://", sizes=Sizes(children=3))

    @app.task
    async def other(number: int) -> int:
        return number

    @app.task
    async def task(ctx: Context) -> list[int]:
        return await ctx.map(other, range(4))

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
        assert (execution.status, execution.attempt) == ("failed", 0)
        assert execution.failure is not None
        assert "Sizes(children=...)" in execution.failure.message


async def test_a_give_up_in_a_child_is_an_error_in_the_parent(app: Perdure) -> None:
    @app.task
    async def other() -> None:
        raise GiveUp("stop")

    @app.task(retries=0)
    async def task() -> str:
        with pytest.raises(ExecutionFailedError, match="stop"):
            await other()
        return "went on"

    async with TestApp(app):
        assert await task.run() == "went on"


@pytest.mark.parametrize("always_replay", [False, True])
@pytest.mark.parametrize("how", ["call", "map", "enqueue"])
async def test_a_child_whose_validate_takes_its_time_starts_while_another_branch_waits(
    app: Perdure, always_replay: bool, how: str
) -> None:
    began: list[float] = []

    async def slowly(number: int) -> int:
        scope: Any = current.get()
        await asyncio.gather(*(scope.body.host.clock.sleep(seconds) for seconds in (0.2, 2.0)))
        return number + 1

    @app.task(validate=slowly)
    async def other(number: int) -> int:
        began.append((t.now - start).total_seconds())
        return number

    @app.task
    async def task(ctx: Context) -> Any:
        async def child() -> Any:
            if how == "map":
                return await ctx.map(other, [1, 1])
            if how == "enqueue":
                return (await other.enqueue(1)) is None
            return await other(1)

        _, found = await asyncio.gather(ctx.sleep(40), child())
        return found

    async with TestApp(app, always_replay=always_replay) as t:
        start = t.now
        found = await task.run()
    assert found == {"call": 2, "map": [2, 2], "enqueue": False}[how]
    assert began
    assert all(moment < 10 for moment in began)


async def test_children_are_shown_in_the_order_of_their_start(app: Perdure) -> None:
    @app.task
    async def even(number: int) -> None: ...

    @app.task
    async def odd(number: int) -> None: ...

    @app.task
    async def task(ctx: Context) -> None:
        for number in range(5):
            await ctx.spawn((odd if number % 2 else even).call(number))
        await asyncio.gather(*(ctx.run((odd if number % 2 else even).call(number)) for number in range(5, 20)))

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        children = await handle.children()
    assert [child.input["number"] for child in children] == list(range(20))
