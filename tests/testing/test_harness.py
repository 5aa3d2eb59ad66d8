"""`TestApp`: an app on memory and virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from perdure import Context, ExecutionTimedOutError, Perdure, Registry, RetryLater
from perdure.client.waiting import Waiters
from perdure.engine.blocking import BlockingContext
from perdure.errors import ConfigurationError
from perdure.model.policy import Retry
from perdure.testing import StuckError, TestApp, always_replay
from perdure.testing.driving import LOOKS
from perdure.worker.claimer import Claimer
from perdure.worker.gauges import Gauges
from perdure.worker.heartbeat import Heart
from perdure.worker.maintenance import Maintenance


class Jobs:
    """An app with a few tasks, and what their bodies did."""

    def __init__(self) -> None:
        self.app = Perdure("sqlite:///nowhere/at/all.db")
        self.runs: list[str] = []
        self.passes = 0
        self.gate: Callable[[], asyncio.Event] = asyncio.Event
        app = self.app

        @app.activity
        async def note(text: str) -> str:
            self.runs.append(text)
            return text.upper()

        @app.task
        async def remind(ctx: Context, name: str) -> str:
            self.passes += 1
            greeting = await note(f"hello {name}")
            await ctx.sleep(timedelta(days=30))
            await note(f"bye {name}")
            return f"{greeting} sent"

        @app.task
        async def ask(ctx: Context) -> str:
            return await ctx.wait_for("answer", str)

        @app.task(retries=Retry(max_retries=2, delay=60, factor=1, jitter=False))
        async def flaky(ctx: Context) -> int:
            self.runs.append(f"try {ctx.attempt}")
            if ctx.attempt < 2:
                raise ValueError("not yet")
            return ctx.attempt

        self.note, self.remind, self.ask, self.flaky = note, remind, ask, flaky


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


async def test_a_month_passes_without_sleeping(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.remind.enqueue("a")
        await t.advance(days=29, hours=23, minutes=59, seconds=59)
        assert await handle.status() == "waiting"
        assert jobs.runs == ["hello a"]
        await t.advance(seconds=1)
        assert await handle.status() == "completed"
        assert await handle.result() == "HELLO A sent"
        assert t.now == datetime(2026, 1, 31, tzinfo=UTC)
    assert jobs.runs == ["hello a", "bye a"]


async def test_nothing_moves_by_itself(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        waiting = asyncio.create_task((await jobs.remind.enqueue("a")).result())
        await t.idle()
        assert t.now == datetime(2026, 1, 1, tzinfo=UTC)
        await t.advance(timedelta(days=1))
        await t.advance(3600.0, minutes=1)
        assert t.now == datetime(2026, 1, 2, 1, 1, tzinfo=UTC)
        assert not waiting.done()
        waiting.cancel()


async def test_awaiting_a_result_moves_the_clock_as_far_as_it_must(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        assert await jobs.remind.run("a") == "HELLO A sent"
        assert t.now == datetime(2026, 1, 31, tzinfo=UTC)


async def test_a_result_that_is_there_costs_no_time(jobs: Jobs):
    @jobs.app.task
    async def quick() -> int:
        return 1

    async with TestApp(jobs.app) as t:
        assert await quick.run() == 1
        assert t.now == datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_timeout_of_a_result_is_virtual(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.remind.enqueue("a")
        with pytest.raises(TimeoutError):
            await handle.result(timeout=5)
        assert t.now == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
        assert await handle.status() == "waiting"


async def test_a_result_that_can_never_come_says_why(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.ask.enqueue()
        with pytest.raises(StuckError, match="waits for signal answer"):
            await handle.result()
        await handle.signal("answer", "yes")
        assert await handle.result() == "yes"
        del t


async def test_two_waiters_get_their_answers(jobs: Jobs):
    async with TestApp(jobs.app):
        results = await asyncio.gather(jobs.remind.run("a"), jobs.remind.run("b"))
    assert results == ["HELLO A sent", "HELLO B sent"]


async def test_retries_wait_in_virtual_time(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.flaky.enqueue()
        await t.idle()
        assert jobs.runs == ["try 0"]
        await t.advance(seconds=59)
        assert jobs.runs == ["try 0"]
        await t.advance(seconds=1)
        assert jobs.runs == ["try 0", "try 1"]
        await t.advance(minutes=1)
        assert await handle.result() == 2


async def test_an_activity_that_is_retried_inside_its_pass_waits_in_virtual_time():
    app, tries = Perdure("memory://"), list[int]()

    @app.activity(retries=2)
    async def unsteady() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise RetryLater("later", delay=timedelta(hours=1))
        return len(tries)

    @app.task
    async def job() -> int:
        return await unsteady()

    async with TestApp(app) as t:
        handle = await job.enqueue()
        await t.idle()
        assert tries == [0]
        await t.advance(hours=1)
        assert tries == [0, 1]
        assert await handle.result() == 3
        assert t.now == datetime(2026, 1, 1, 2, tzinfo=UTC)


async def test_deadlines_strike_to_the_millisecond(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.ask.options(deadline=1234.567).enqueue()
        await t.advance(seconds=1234.566)
        assert await handle.status() == "waiting"
        await t.advance(seconds=0.001)
        with pytest.raises(ExecutionTimedOutError):
            await handle.result()


async def test_threads_are_waited_for(jobs: Jobs):
    released = threading.Event()

    @jobs.app.activity
    def slow() -> int:
        released.wait(0.2)
        return 5

    @jobs.app.task
    def threaded(ctx: BlockingContext) -> int:
        before = slow()
        ctx.sleep(60)
        return before + slow()

    async with TestApp(jobs.app) as t:
        handle = await threaded.enqueue()
        await t.advance(minutes=1)
        released.set()
        assert await handle.status() == "completed"
        assert await handle.result() == 10


async def test_short_real_waits_are_waited_for(jobs: Jobs):
    @jobs.app.task
    async def real() -> str:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()
        except TimeoutError:
            return "woken"
        return "never"

    async with TestApp(jobs.app) as t:
        handle = await real.enqueue()
        await t.idle()
        assert await handle.status() == "completed"


async def test_a_body_that_waits_for_the_test_does_not_stop_the_clock(jobs: Jobs):
    gate = asyncio.Event()

    @jobs.app.task
    async def gated() -> str:
        await gate.wait()
        return "through"

    async with TestApp(jobs.app) as t:
        handle = await gated.enqueue()
        await t.advance(days=1)
        assert await handle.status() == "running"
        gate.set()
        assert await handle.result() == "through"


async def test_a_worker_that_works_long_keeps_its_lease(jobs: Jobs):
    gate, begun = asyncio.Event(), list[int]()

    @jobs.app.task
    async def long() -> str:
        begun.append(1)
        await gate.wait()
        return "through"

    async with TestApp(jobs.app) as t:
        handle = await long.enqueue()
        await t.advance(days=400)
        gate.set()
        assert await handle.result() == "through"
    assert begun == [1]


async def test_a_crash_loses_memory_and_nothing_that_is_stored(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.remind.enqueue("a")
        await t.idle()
        before = (await jobs.app.workers())[0].id
        await t.crash()
        await t.advance(days=30)
        assert await handle.result() == "HELLO A sent"
        assert [worker.id for worker in await jobs.app.workers()] != [before]
    assert jobs.runs == ["hello a", "bye a"]
    assert jobs.passes == 2
    assert t.crashes == 1


async def test_a_crash_in_the_middle_of_a_body_ends_it_unrecorded(jobs: Jobs):
    seen: list[str] = []

    @jobs.app.activity
    async def die(t_crash: int) -> str:
        seen.append("begun")
        if len(seen) == 1:
            test.crash()
            await asyncio.Event().wait()
        return "survived"

    @jobs.app.task
    async def job() -> str:
        return await die(1)

    async with TestApp(jobs.app) as test:
        handle = await job.enqueue()
        assert await handle.result() == "survived"
        assert (await handle.execution()).attempt == 0
    assert seen == ["begun", "begun"]


async def test_crashing_too_often_is_seen(jobs: Jobs):
    @jobs.app.task(max_crashes=3)
    async def poison() -> None:
        test.crash()
        await asyncio.Event().wait()

    async with TestApp(jobs.app) as test:
        handle = await poison.enqueue()
        execution = await handle.wait()
        assert execution.failure is not None
        assert execution.failure.kind == "worker_lost"
        assert test.crashes == 3


async def test_a_restart_lets_bodies_finish(jobs: Jobs):
    gate = asyncio.Event()
    begun: list[int] = []

    @jobs.app.task
    async def gated() -> str:
        begun.append(1)
        await gate.wait()
        return "through"

    async with TestApp(jobs.app) as t:
        handle = await gated.enqueue()
        await t.idle()
        asyncio.get_running_loop().call_soon(gate.set)
        await t.restart()
        assert await handle.result() == "through"
        assert begun == [1]


async def test_a_restart_interrupts_what_does_not_finish(jobs: Jobs):
    @jobs.app.task
    async def stubborn(ctx: Context) -> int:
        jobs.runs.append("begun")
        if len(jobs.runs) == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    async with TestApp(jobs.app) as t:
        handle = await stubborn.enqueue()
        await t.idle()
        await t.restart()
        assert t.now == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
        assert await handle.result() == 0
    assert jobs.runs == ["begun", "begun"]


async def test_replaying_always_gives_the_same(jobs: Jobs):
    async with TestApp(jobs.app, always_replay=True) as t:
        handle = await jobs.remind.enqueue("a")
        await t.advance(days=30)
        assert await handle.result() == "HELLO A sent"
    assert jobs.passes == 2
    assert jobs.runs == ["hello a", "bye a"]


async def test_replaying_always_without_a_test_app():
    app, passes = Perdure("memory://"), list[int]()

    @app.task
    async def nap(ctx: Context) -> str:
        passes.append(1)
        await ctx.sleep(0.01)
        return "awake"

    linger = app.parts.linger
    with always_replay(app):
        async with app:
            assert await nap.run() == "awake"
    assert app.parts.linger == linger
    assert len(passes) == 2


async def test_the_app_is_as_it_was_afterwards(jobs: Jobs):
    before = jobs.app.parts
    async with TestApp(jobs.app):
        assert jobs.app.is_open
        assert jobs.app.parts is not before
    assert jobs.app.parts is before
    assert not jobs.app.is_open


async def test_each_block_begins_empty(jobs: Jobs):
    for _ in range(2):
        async with TestApp(jobs.app) as t:
            assert await jobs.app.count() == 0
            await jobs.remind.enqueue("a")
            await t.idle()


async def test_a_start_of_ones_own(jobs: Jobs):
    start = datetime(2030, 5, 1, 12, tzinfo=UTC)
    async with TestApp(jobs.app, start) as t:
        assert t.now == start
        handle = await jobs.remind.enqueue("a")
        assert (await handle.execution()).created_at == start


async def test_an_open_app_is_refused():
    app = Perdure("memory://")
    async with app:
        with pytest.raises(ConfigurationError):
            async with TestApp(app):
                pass
        assert app.is_open


async def test_a_test_app_inside_a_test_app_is_refused(jobs: Jobs):
    async with TestApp(jobs.app):
        with pytest.raises(ConfigurationError):
            async with TestApp(jobs.app):
                pass


async def test_the_clock_cannot_go_back(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        with pytest.raises(ConfigurationError):
            await t.advance(seconds=-1)


async def test_included_registries_come_along():
    registry = Registry(prefix="a.")

    @registry.task
    async def job() -> int:
        return 7

    app = Perdure("memory://")
    app.include(registry)
    async with TestApp(app):
        assert await job.run() == 7


async def test_a_storage_that_fails_for_a_while_is_outlived(jobs: Jobs):
    async with TestApp(jobs.app) as t:
        handle = await jobs.remind.enqueue("a")
        t.faults.fail("commit", "after", times=2)
        t.faults.fail("commit", "before", times=3)
        await t.advance(days=30, minutes=1)
        assert await handle.result() == "HELLO A sent"


async def test_watching_ends_with_the_execution(jobs: Jobs):
    async with TestApp(jobs.app):
        handle = await jobs.remind.enqueue("a")
        statuses = [event.execution.status async for event in handle.watch()]
    assert statuses[-1] == "completed"


async def test_children_signals_and_cancels(jobs: Jobs):
    @jobs.app.task
    async def parent(ctx: Context) -> list[str]:
        first = await ctx.spawn(jobs.ask.call())
        await first.signal("answer", "from parent")
        return [await first.result(), *await ctx.map(jobs.remind, ["x", "y"])]

    async with TestApp(jobs.app) as t:
        assert await parent.run() == ["from parent", "HELLO X sent", "HELLO Y sent"]
        handle = await jobs.remind.enqueue("z")
        await t.advance(days=1)
        await handle.cancel("enough")
        assert (await handle.wait()).status == "cancelled"


async def test_old_work_is_pruned_during_a_long_advance():
    app = Perdure("memory://", retention=timedelta(days=2))

    @app.task
    async def job() -> int:
        return 7

    async with TestApp(app) as t:
        await job.run()
        assert await app.count() == 1
        await t.advance(days=30)
        assert await app.count() == 0


def test_the_looks_that_are_spread_out_exist():
    found = {
        f"{owner.__name__}.{name}" for owner in (Waiters, Claimer, Heart, Maintenance, Gauges) for name in vars(owner)
    }
    assert found >= LOOKS
