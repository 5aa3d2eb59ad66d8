"""Engine bugs that the simulation found, each as the smallest test that shows it."""

from __future__ import annotations

import asyncio
import contextvars

from perdure import Context, Perdure
from perdure.testing import TestApp, crash_everywhere


async def test_a_claim_whose_answer_is_lost_is_claimed_again():
    """R6, R16: the store thinks that the worker runs it, the worker never heard of it."""
    app = Perdure("memory://")

    @app.task
    async def job() -> int:
        return 7

    async with TestApp(app) as t:
        handle = await job.options(start_delay=1).enqueue()
        t.faults.fail("claim", "after", times=2)
        await t.advance(seconds=10)
        assert await handle.status() == "completed"


async def test_a_claim_that_is_delivered_twice_is_not_forgotten():
    """R4: the second delivery finds nothing, the first one's answer is gone."""
    app = Perdure("memory://")

    @app.task
    async def job() -> int:
        return 7

    async with TestApp(app) as t:
        handle = await job.options(start_delay=1).enqueue()
        t.faults.fail("claim", "twice", times=5)
        await t.advance(seconds=40)
        assert await handle.status() == "completed"


async def test_a_child_that_was_handed_off_by_a_lost_answer_is_run():
    """R4: the transition is sent again, finds the child there and does not know that it was leased to this worker."""
    app = Perdure("memory://")

    @app.task
    async def child() -> int:
        return 7

    @app.task
    async def parent() -> int:
        return await child()

    async with TestApp(app) as t:
        t.faults.fail("commit", "after", times=1)
        assert await parent.run() == 7


async def test_an_enqueue_inside_a_body_outlives_the_storage():
    """R13: an unreachable database consumes no attempt."""
    app = Perdure("memory://")

    @app.task
    async def other() -> int:
        return 7

    @app.task(retries=0)
    async def job(ctx: Context) -> str:
        handle = await other.enqueue()
        await handle.signal("hello", 1)
        await handle.cancel("no more")
        return handle.id

    async with TestApp(app) as t:
        for verb in ("enqueue", "signal", "cancel"):
            t.faults.fail(verb, "after", skip=int(verb == "enqueue"))
            t.faults.fail(verb, "before", times=2)
        handle = await job.enqueue()
        assert await t.app.handle(await handle.result()).status() == "cancelled"
        assert (await handle.execution()).attempt == 0
        assert await app.count("task:other") == 1


clocked = Perdure("memory://")


@clocked.task
async def stamped(when: float) -> float:
    return when


@clocked.task
async def starter(ctx: Context) -> str:
    now = ctx.now()
    return (await stamped.enqueue(now.timestamp())).id


@crash_everywhere(clocked)
async def test_a_recorded_time_is_durable_before_anything_leaves(t: TestApp):
    """`ctx.now` is durable before an enqueue of it, so that a crash in between cannot start a second one."""
    handle = await starter.enqueue()
    execution = await handle.wait()
    await t.advance(seconds=30)
    assert execution.result is not None
    assert await clocked.count("task:stamped") == 1


async def test_tasks_may_share_a_context():
    """A task made in a context that is entered, or shared with others, is a branch like any other."""
    app = Perdure("memory://")

    @app.activity
    async def double(number: int) -> int:
        return 2 * number

    @app.task
    async def job(ctx: Context) -> list[float]:
        shared = contextvars.copy_context()

        async def branch(number: int) -> float:
            await double(number)
            return ctx.random()

        loop = asyncio.get_running_loop()
        return [await each for each in [loop.create_task(branch(number), context=shared) for number in range(3)]]

    async with TestApp(app):
        assert len(set(await job.run())) == 3
        shared = contextvars.copy_context()

        async def inner() -> int:
            return 1

        async def outer() -> int:
            return await asyncio.get_running_loop().create_task(inner(), context=shared)

        assert await asyncio.get_running_loop().create_task(outer(), context=shared) == 1
