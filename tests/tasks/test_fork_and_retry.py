"""An operator's retry (a new generation under the same id) and fork (a copy that goes on from a recorded entry)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import ConfigurationError, Context, ExecutionFailedError, InvalidInputError, Perdure, Retry
from perdure.testing import TestApp
from perdure.testing.faults import Operation


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.mark.parametrize("end", ["failed", "timed_out", "cancelled"])
async def test_retry_starts_again_keeps_results_and_has_a_fresh_budget(app: Perdure, ran: list[Any], end: str) -> None:
    healed: list[bool] = []

    @app.activity
    async def act(number: int) -> int:
        ran.append(number)
        return number

    @app.task(retries=Retry(1, delay=0))
    async def task(ctx: Context) -> list[int]:
        found = [await act(1), await act(2)]
        if not healed and end == "failed":
            raise ValueError(f"attempt {ctx.attempt}")
        if not healed:
            await ctx.sleep(1000)
        if len(healed) < 2:
            healed.append(True)
            raise ValueError("once more")
        return [*found, ctx.attempt, await act(3)]

    async with TestApp(app) as t:
        handle = await task.options(deadline=10 if end == "timed_out" else 100_000).enqueue()
        await t.advance(5)
        if end == "cancelled":
            await handle.cancel()
        assert (await handle.wait()).status == end
        healed.append(True)
        await handle.retry()
        assert await handle.result() == [1, 2, 1, 3]
        execution = await handle.execution()
        assert (execution.generation, execution.attempt, execution.failure) == (1, 1, None)
    assert ran == [1, 2, 3]


async def test_a_failure_of_the_old_generation_is_forgotten(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def act() -> int:
        ran.append(1)
        if len(ran) < 2:
            raise ValueError("no")
        return 5

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        assert ctx.previous_failure is None
        return await act()

    async with TestApp(app):
        handle = await task.enqueue()
        with pytest.raises(ExecutionFailedError):
            await handle.result()
        await handle.retry()
        assert await handle.result() == 5


async def test_children_that_did_not_complete_start_again(app: Perdure, ran: list[Any]) -> None:
    @app.task(retries=0)
    async def other(name: str) -> str:
        ran.append(name)
        if name == "bad" and ran.count("bad") == 1:
            raise ValueError("no")
        return name

    @app.task(retries=0)
    async def task(ctx: Context) -> list[str]:
        return await ctx.map(other, ["good", "bad", "fine"])

    async with TestApp(app):
        handle = await task.enqueue()
        with pytest.raises(ExecutionFailedError):
            await handle.result()
        await handle.retry()
        assert await handle.result() == ["good", "bad", "fine"]
    assert sorted(ran) == ["bad", "bad", "fine", "good"]


@pytest.mark.parametrize("status", ["completed", "waiting", "pending"])
async def test_only_what_ended_without_success_is_retried(app: Perdure, status: str) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        if status == "waiting":
            await ctx.sleep(100)

    async with TestApp(app) as t:
        handle = await task.options(start_delay=100 if status == "pending" else 0).enqueue()
        await t.advance(1)
        assert await handle.status() == status
        with pytest.raises(ConfigurationError, match=f"is {status}; only"):
            await handle.retry()


async def test_a_retried_result_is_awaited_anew(app: Perdure, ran: list[Any]) -> None:
    @app.task(retries=0)
    async def task() -> int:
        ran.append(1)
        if len(ran) < 3:
            raise ValueError(f"no {len(ran)}")
        return len(ran)

    async with TestApp(app):
        handle = await task.enqueue()
        for number in (1, 2):
            with pytest.raises(ExecutionFailedError, match=f"no {number}"):
                await handle.result()
            await handle.retry()
        assert await handle.result() == 3


async def test_a_child_retried_by_an_operator(app: Perdure, ran: list[Any]) -> None:
    @app.task(retries=0)
    async def other() -> int:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("no")
        return 5

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        await ctx.spawn(other.call())
        return await ctx.wait_for("end", str)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(1)
        child = app.handle((await handle.children())[0].id)
        assert await child.status() == "failed"
        await child.retry()
        assert await child.result() == 5
        await handle.signal("end", "done")
        assert await handle.result() == "done"
        assert (await handle.execution()).closed_at is not None


async def test_a_child_retried_while_its_parent_runs_hides_no_other_child(app: Perdure, ran: list[Any]) -> None:
    @app.task(retries=0)
    async def first(ctx: Context) -> None:
        ran.append("first")
        if len(ran) == 1:
            raise ValueError("no")
        await ctx.sleep(1000)

    @app.task
    async def second(ctx: Context) -> str:
        await ctx.sleep(10)
        return "second"

    @app.activity
    async def operate() -> None:
        (failed,) = await app.search("status:failed")
        await app.handle(failed.id).retry()

    @app.task
    async def task(ctx: Context) -> str:
        await ctx.spawn(first.call())
        await ctx.sleep(1)
        await operate()
        return await second()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(20)
        assert (await handle.status(), await app.count("task:first status:waiting")) == ("completed", 1)
        assert await handle.result() == "second"


async def test_a_retried_parent_replaces_a_child_that_is_still_being_cancelled(app: Perdure, ran: list[Any]) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    @app.task(retries=0)
    async def other() -> int:
        ran.append("other")
        if len(ran) == 1:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await end.wait()
        return 5

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        child = await ctx.spawn(other.call())
        if ran.count("failed") == 0:
            await begun.wait()
            ran.append("failed")
            raise ValueError("no")
        return await child.result()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        with pytest.raises(ExecutionFailedError):
            await handle.result()
        assert await app.count("task:other status:running") == 1
        await handle.retry()
        asyncio.get_running_loop().call_later(0.05, end.set)
        assert await handle.result() == 5
        await end.wait()
        await t.advance(1)
        assert sorted(child.status for child in await handle.children()) == ["cancelled", "completed"]
    assert ran == ["other", "failed", "other"]


# -- fork ---------------------------------------------------------------------------------------------------------------


def steps(app: Perdure, ran: list[Any]) -> Any:
    """A task of three activities, a child, recorded values and a signal."""

    @app.activity
    async def act(name: str) -> str:
        ran.append(name)
        return f"{name}{ran.count(name)}"

    @app.task
    async def other() -> str:
        ran.append("child")
        return f"child{ran.count('child')}"

    @app.task
    async def task(ctx: Context, start: str = "a", end: str = "c") -> list[str]:
        found = [await act(start)]
        await ctx.sleep(1)
        found.append(await other())
        await ctx.sleep(1)
        found.append(await act("b"))
        await ctx.sleep(1)
        return [*found, await act(end)]

    return task


async def test_a_fork_goes_on_from_the_named_activity(app: Perdure, ran: list[Any]) -> None:
    task = steps(app, ran)
    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == ["a1", "child1", "b1", "c1"]
        key = next(entry.key for entry in await handle.activities() if entry.value == "b1")
        fork = await handle.fork(from_activity=key)
        assert fork.id != handle.id
        assert await fork.result() == ["a1", "child1", "b2", "c2"]
        assert (await fork.execution()).parent is None
        assert await handle.result() == ["a1", "child1", "b1", "c1"]
    assert ran == ["a", "child", "b", "c", "b", "c"]


async def test_a_fork_without_a_place_starts_afresh(app: Perdure, ran: list[Any]) -> None:
    task = steps(app, ran)
    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        assert await (await handle.fork()).result() == ["a2", "child2", "b2", "c2"]


async def test_a_fork_with_other_input(app: Perdure, ran: list[Any]) -> None:
    task = steps(app, ran)
    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        key = next(entry.key for entry in await handle.activities() if entry.value == "c1")
        fork = await handle.fork(from_activity=key, input={"start": "a", "end": "z"})
        assert await fork.result() == ["a1", "child1", "b1", "z1"]
        assert (await fork.execution()).input == {"start": "a", "end": "z"}
        assert await (await handle.fork(input="q")).result() == ["q1", "child2", "b2", "c2"]


async def test_a_fork_of_a_waiting_and_of_a_failed_execution(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def act(name: str) -> str:
        ran.append(name)
        if name == "bad" and ran.count("bad") == 1:
            raise ValueError("no")
        return name

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        await act("good")
        await act("bad")
        return await ctx.wait_for("x", str)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.wait()
        with pytest.raises(ConfigurationError, match="no recorded entry 'bad'"):
            await handle.fork(from_activity="bad")
        fork = await handle.fork()
        await t.advance(1)
        assert await fork.status() == "waiting"
        second = await fork.fork(from_activity=(await fork.activities())[1].key)
        await second.signal("x", "of the second")
        assert await second.result() == "of the second"
        assert await fork.status() == "waiting"


async def test_a_fork_with_bad_input_or_place_is_refused(app: Perdure, ran: list[Any]) -> None:
    task = steps(app, ran)
    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        with pytest.raises(ConfigurationError, match="no recorded entry 'nowhere'; it has act, sleep, other"):
            await handle.fork(from_activity="nowhere")
        for wrong in ({"start": 5}, 5, {"unknown": "x"}, {"start": "a", "unknown": "x"}):
            with pytest.raises(InvalidInputError):
                await handle.fork(input=wrong)
        assert await app.count("task:task") == 1


async def test_a_fork_keeps_recorded_moments_and_does_not_share_ids(app: Perdure) -> None:
    @app.activity
    async def act() -> None: ...

    @app.task
    async def task(ctx: Context) -> list[str]:
        found = [ctx.now().isoformat(), str(ctx.uuid())]
        await ctx.sleep(5)
        await act()
        return found

    async with TestApp(app):
        handle = await task.enqueue()
        before = await handle.result()
        fork = await handle.fork(from_activity="act")
        after = await fork.result()
    assert before[0] == after[0]


@pytest.mark.parametrize("heals", [True, False])
@pytest.mark.parametrize("waits", [True, False])
async def test_a_retry_in_a_body_that_crashes_before_its_entry_is_not_done_twice(
    app: Perdure, ran: list[Any], heals: bool, waits: bool
) -> None:
    @app.task(retries=0)
    async def other(ctx: Context) -> str:
        ran.append(1)
        if len(ran) == 1 or not heals:
            raise ValueError("no")
        if waits:
            await ctx.sleep(1000)
        return "healed"

    @app.task(retries=0)
    async def task(ctx: Context, id: str) -> str:
        await other.handle(id).retry()
        return "retried"

    async with TestApp(app) as t:
        target = await other.enqueue()
        await target.wait()
        crashed: list[Any] = []

        def decide(operation: Operation) -> None:
            if operation.name == "retry":
                crashed.append(asyncio.get_running_loop().call_soon(t.crash))

        t.faults.decide = decide
        handle = await task.enqueue(target.id)
        assert await handle.result() == "retried"
        assert len(crashed) == 1
        assert t.crashes == 1
        assert (await target.wait()).generation == 1


async def test_a_retry_in_a_body_of_what_is_open_is_refused(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.task(retries=0)
    async def task(ctx: Context, id: str) -> None:
        await ctx.sleep(1)
        await other.handle(id).retry()

    async with TestApp(app, always_replay=True):
        target = await other.enqueue()
        with pytest.raises(ExecutionFailedError, match="only a failed"):
            await task.run(target.id)
