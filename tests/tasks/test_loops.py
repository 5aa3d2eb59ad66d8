"""Loops: iterations in one execution, each of them safe, until one is done."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from perdure import (
    Abort,
    BlockingContext,
    ConfigurationError,
    Context,
    Continue,
    Done,
    ExecutionCancelledError,
    ExecutionFailedError,
    LoopResult,
    Perdure,
    Retry,
    current_context,
)
from perdure.testing import TestApp, crash_everywhere
from tests.tasks.redeploy import redeployed


@pytest.fixture
def seen() -> list[Any]:
    return []


@dataclass
class Page:
    number: int
    found: list[str]


# --- what an iteration answers


@pytest.mark.parametrize("always_replay", [False, True])
async def test_it_goes_on_until_it_is_done(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    async def count(ctx: Context, number: int) -> Continue | Done[str]:
        seen.append((ctx.iteration, number, ctx.attempt))
        return Done("three") if number == 3 else Continue(number + 1)

    loop = app.loop("count", count, max_iterations=10)
    async with TestApp(app, always_replay=always_replay):
        handle = await loop.enqueue(1)
        assert await handle.result() == LoopResult(True, "three", 3)
        assert (await handle.execution()).children_total == 0
    assert seen == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]


async def test_after_the_last_iteration_allowed_it_is_not_done(app: Perdure, seen: list[Any]) -> None:
    async def never() -> Continue | Done[int]:
        seen.append(1)
        return Continue()

    async with TestApp(app):
        loop = app.loop("never", never, max_iterations=2)
        assert await loop.run() == LoopResult(False, None, 2)
    assert len(seen) == 2


async def test_an_input_is_converted_and_kept_as_its_type_says(app: Perdure, seen: list[Any]) -> None:
    async def read(page: Page) -> Continue | Done[Page]:
        seen.append(page)
        page.found.append(f"row {page.number}")
        return Done(page) if page.number == 2 else Continue(Page(page.number + 1, page.found))

    async with TestApp(app):
        result = await app.loop("read", read).run(Page(0, []))
    assert result == LoopResult(True, Page(2, ["row 0", "row 1", "row 2"]), 3)
    assert all(isinstance(page, Page) for page in seen)


async def test_continue_without_an_input_gives_the_same_one_as_before(app: Perdure, seen: list[Any]) -> None:
    async def same(ctx: Context, words: list[str]) -> Continue | Done[None]:
        seen.append(list(words))
        words.append("mine")  # what an iteration does to its input is not the next one's
        if ctx.iteration == 1:
            return Continue(["new"])
        return Done(None) if ctx.iteration == 3 else Continue()

    async with TestApp(app):
        assert (await app.loop("same", same).run(["old"])).iterations == 4
    assert seen == [["old"], ["old"], ["new"], ["new"]]


@pytest.mark.parametrize("answer", [None, 5, True, Done, Continue])
async def test_anything_else_is_a_clear_failure_and_is_not_retried(
    app: Perdure, seen: list[Any], answer: object
) -> None:
    async def wrong() -> Any:
        seen.append(1)
        return answer

    loop = app.loop("wrong", wrong)
    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match=r"loop wrong: iteration 0 returned .*; return Continue"):
            await loop.run()
    assert len(seen) == 1


async def test_an_input_that_does_not_fit_names_the_iteration(app: Perdure, seen: list[Any]) -> None:
    async def wrong(number: int) -> Continue | Done[None]:
        seen.append(number)
        return Continue("many")

    loop = app.loop("wrong", wrong)
    async with TestApp(app):
        with pytest.raises(
            ExecutionFailedError, match="loop wrong: what iteration 0 continues with: .*number"
        ) as caught:
            await loop.run(1)
    assert seen == [1]
    assert caught.value.failure is not None
    assert caught.value.failure.kind == "invalid_input"


@pytest.mark.parametrize("returned", [False, True])
async def test_an_abort_fails_the_loop(app: Perdure, seen: list[Any], returned: bool) -> None:
    async def stop() -> Continue | Done[None] | Abort:
        seen.append(1)
        if returned:
            return Abort("enough")
        raise Abort("enough")

    loop = app.loop("stop", stop)
    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="enough") as caught:
            await loop.run()
    assert len(seen) == 1
    assert caught.value.failure is not None
    assert caught.value.failure.kind == "aborted"


# --- declaring


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_iterations_is_refused_when_declared(app: Perdure, most: Any) -> None:
    async def body() -> Continue | Done[None]:
        return Continue()

    with pytest.raises(ConfigurationError, match="loop poll max_iterations is .* whole number from 1"):
        app.loop("poll", body, max_iterations=most)


@pytest.mark.parametrize("delay", [-1, "2s", float("nan")])
def test_a_wrong_delay_is_refused_when_declared(app: Perdure, delay: Any) -> None:
    async def body() -> Continue | Done[None]:
        return Continue()

    with pytest.raises(ConfigurationError, match="loop poll delay"):
        app.loop("poll", body, delay=delay)


def test_an_async_def_is_no_delay(app: Perdure) -> None:
    async def body() -> Continue | Done[None]:
        return Continue()

    async def pause(iteration: int) -> float: ...

    with pytest.raises(ConfigurationError, match="loop poll delay is an async def; it must be seconds, a timedelta or"):
        app.loop("poll", body, delay=pause)  # type: ignore[arg-type]


def test_an_iteration_is_a_function(app: Perdure) -> None:
    @app.task
    async def task() -> None: ...

    for wrong in (None, "iteration", task, Page):
        with pytest.raises(ConfigurationError):
            app.loop("poll", wrong)  # type: ignore[arg-type]


def test_a_name_is_taken_once(app: Perdure) -> None:
    async def body() -> Continue | Done[None]:
        return Continue()

    app.loop("poll", body)
    with pytest.raises(ConfigurationError, match="poll"):
        app.loop("poll", body)


async def test_an_iteration_number_belongs_to_loops(app: Perdure) -> None:
    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        return ctx.iteration

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="ctx.iteration: task task is no loop"):
            await task.run()


# --- what is recorded in an iteration


@pytest.mark.parametrize("always_replay", [False, True])
async def test_equal_calls_in_two_iterations_do_not_meet(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    @app.activity
    async def fetch(source: str) -> int:
        seen.append(source)
        return len(seen)

    @app.activity
    def plain(source: str) -> int:
        seen.append(source)
        return len(seen)

    @app.task
    async def child(number: int) -> int:
        seen.append(number)
        return len(seen)

    async def iterate(ctx: Context) -> Continue | Done[list[int]]:
        assert current_context() is ctx
        first = [await fetch("a"), await fetch("a"), await fetch.options(key="k")("b"), await plain.aio("p")]
        both = await asyncio.gather(fetch("c"), child(1), ctx.record(lambda: seen.append("r") or len(seen), key="r"))
        await ctx.sleep(1)
        several = await ctx.map(fetch, ["m", "n"]) + await ctx.map(child, [7])
        return Done(first + both + several) if ctx.iteration == 2 else Continue()

    loop = app.loop("iterate", iterate)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue()
        await t.advance(10)
        result = await handle.result()
        children = await handle.children()
    assert len(seen) == 3 * 9
    assert result.value is not None
    assert len(result.value) == 10
    assert min(result.value) == 19
    assert len({each.id for each in children}) == 6


async def test_random_values_differ_between_iterations_and_stay_in_one(app: Perdure, seen: list[Any]) -> None:
    async def draw(ctx: Context) -> Continue | Done[None]:
        drawn = (ctx.random(), ctx.uuid(), ctx.now())
        seen.append((ctx.iteration, drawn))
        await ctx.sleep(5)
        return Done(None) if ctx.iteration == 2 else Continue()

    loop = app.loop("draw", draw)
    async with TestApp(app, always_replay=True) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        await handle.result()
    assert len(seen) == 6
    assert len(set(seen)) == 3
    assert len({drawn[0] for _, drawn in seen}) == 3


@pytest.mark.parametrize("always_replay", [False, True])
async def test_the_nth_wait_of_all_iterations_takes_the_nth_signal(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    async def take(ctx: Context) -> Continue | Done[list[int]]:
        seen.append(await ctx.wait_for("go", int))
        return Done(sorted(set(seen))) if ctx.iteration == 3 else Continue()

    loop = app.loop("take", take)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue()
        await handle.signal("go", 1)
        await handle.signal("go", 2)
        await t.advance(5)
        assert (await handle.execution()).waiting_on == "signal"
        await handle.signal("go", 3)
        await t.advance(5)
        await handle.signal("go", 4)
        assert (await handle.result()).value == [1, 2, 3, 4]


async def test_the_journal_stays_flat(app: Perdure) -> None:
    @app.activity
    async def fetch(number: int) -> int:
        return number

    async def iterate(ctx: Context) -> Continue | Done[int]:
        for number in range(3):
            await fetch(number)
        sizes.append(len(ctx._verbs.driver.ledger.memos))
        return Done(1) if ctx.iteration == 50 else Continue()

    sizes: list[int] = []
    loop = app.loop("iterate", iterate)
    async with TestApp(app):
        handle = await loop.enqueue()
        await handle.result()
        assert [entry.key for entry in await handle.activities() if entry.kind == "iteration"] == ["50/"]
        assert len(await handle.activities()) == 4
    assert max(sizes) == 4


async def test_a_branch_that_is_left_behind_ends_with_its_iteration(app: Perdure, seen: list[Any]) -> None:
    async def linger(ctx: Context) -> None:
        try:
            await ctx.wait_for("never")
        finally:
            seen.append("ended")

    async def iterate(ctx: Context) -> Continue | Done[None]:
        task = asyncio.create_task(linger(ctx))
        await ctx.sleep(1)
        assert not task.done()
        return Done(None) if ctx.iteration == 1 else Continue()

    loop = app.loop("iterate", iterate)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(10)
        assert (await handle.result()).iterations == 2
    assert seen == ["ended", "ended"]


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_branch_that_is_left_behind_does_nothing_in_the_next_iteration(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    @app.activity
    async def act(who: str) -> str:
        seen.append(who)
        return who

    @app.task
    async def child(who: str) -> str:
        seen.append(who)
        return who

    async def linger(ctx: Context) -> None:
        for verb in (lambda: act("branch"), lambda: child("branch"), lambda: ctx.sleep(1), lambda: ctx.now()):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            with contextlib.suppress(asyncio.CancelledError):
                await verb()
                seen.append("acted")

    async def iterate(ctx: Context) -> Continue | Done[None]:
        branch = asyncio.create_task(linger(ctx))
        branches.append(branch)
        await asyncio.sleep(0)
        await act("body")
        return Done(None) if ctx.iteration == 5 else Continue()

    branches: list[asyncio.Task[None]] = []
    loop = app.loop("iterate", iterate)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        assert (await handle.result()).iterations == 6
        assert sorted(entry.key.partition(":")[0] for entry in await handle.activities()) == ["5/", "5/act"]
        for branch in branches:
            while not branch.done():
                branch.cancel()
                await asyncio.sleep(0)
    assert seen == ["body"] * 6


async def test_an_iteration_waits_for_its_branches_to_clean_up_before_the_next(app: Perdure, seen: list[Any]) -> None:
    async def linger(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(f"end {number}")

    async def iterate(ctx: Context) -> Continue | Done[None]:
        seen.append(f"begin {ctx.iteration}")
        branches.append(asyncio.create_task(linger(ctx.iteration)))
        await asyncio.sleep(0)
        return Done(None) if ctx.iteration == 1 else Continue()

    branches: list[asyncio.Task[None]] = []
    loop = app.loop("iterate", iterate)
    async with TestApp(app):
        await loop.run()
    assert seen[:3] == ["begin 0", "end 0", "begin 1"]


# --- `def` iterations


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_def_iteration_runs_in_a_thread_with_blocking_verbs(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    @app.activity
    def fetch(number: int) -> int:
        seen.append(number)
        return number * 10

    def iterate(ctx: BlockingContext, number: int) -> Continue | Done[int]:
        assert current_context(BlockingContext) is ctx
        value = fetch(number)
        ctx.sleep(5)
        return Done(value) if ctx.iteration == 2 else Continue(number + 1)

    loop = app.loop("iterate", iterate)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue(1)
        await t.advance(60)
        assert await handle.result() == LoopResult(True, 30, 3)
    assert seen == [1, 2, 3]


async def test_a_def_iteration_is_cancelled_at_its_next_verb(app: Perdure, seen: list[Any]) -> None:
    def iterate(ctx: BlockingContext) -> Continue | Done[int]:
        seen.append(ctx.iteration)
        ctx.sleep(100)
        return Continue()

    loop = app.loop("iterate", iterate)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(150)
        await handle.cancel("enough")
        with pytest.raises(ExecutionCancelledError, match="enough"):
            await handle.result()
    assert set(seen) == {0, 1}


# --- retries and time-outs are those of an iteration


@pytest.mark.parametrize("always_replay", [False, True])
async def test_attempts_count_anew_in_each_iteration(
    app: Perdure, seen: list[Any], always_replay: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @app.activity
    async def flaky(ctx_attempt: int) -> int:
        if ctx_attempt < 2:
            raise ValueError(f"try {ctx_attempt}")
        return ctx_attempt

    async def iterate(ctx: Context) -> Continue | Done[None]:
        before = ctx.previous_failure
        seen.append((ctx.iteration, ctx.attempt, before and before.message))
        await flaky(ctx.attempt)
        return Done(None) if ctx.iteration == 2 else Continue()

    loop = app.loop("iterate", iterate, retries=Retry(2, delay=1, jitter=False))
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        await handle.result()
        execution = await handle.execution()
    told = (None, "try 0", "try 1")
    assert seen == [(iteration, attempt, told[attempt]) for iteration in range(3) for attempt in range(3)]
    assert execution.attempt == 2
    assert any("task iterate iteration 2 attempt 1 failed" in record.getMessage() for record in caplog.records)


async def test_an_iteration_that_has_no_retry_left_fails_the_loop(app: Perdure, seen: list[Any]) -> None:
    async def iterate(ctx: Context) -> Continue | Done[None]:
        seen.append(ctx.iteration)
        if ctx.iteration == 1:
            raise ValueError("unknown error")
        return Continue()

    loop = app.loop("iterate", iterate, max_iterations=10, retries=0)
    async with TestApp(app):
        handle = await loop.enqueue()
        with pytest.raises(ExecutionFailedError, match="ValueError: unknown error"):
            await handle.result()
        assert seen == [0, 1]
        await handle.retry()
        with pytest.raises(ExecutionFailedError):
            await handle.result()
    assert seen == [0, 1, 1]


async def test_a_timeout_is_that_of_an_iteration(app: Perdure) -> None:
    async def iterate(ctx: Context) -> Continue | Done[None]:
        await asyncio.sleep(0)
        await ctx._verbs.host.clock.sleep(8 if ctx.iteration < 3 else 12)
        return Continue()

    loop = app.loop("iterate", iterate, timeout=10, retries=0)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        execution = await handle.execution()
    assert execution.status == "timed_out"
    assert execution.failure is not None
    assert execution.failure.message == "task iterate ran over its timeout of 10 s"


# --- delays


async def test_a_delay_lies_between_iterations_and_holds_no_slot(app: Perdure) -> None:
    async def poll(ctx: Context) -> Continue | Done[int]:
        began.append(ctx.now().timestamp())
        return Done(1) if ctx.iteration == 2 else Continue()

    began: list[float] = []
    loop = app.loop("poll", poll, delay=timedelta(seconds=5))
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(3)
        waiting = await handle.execution()
        assert (waiting.status, waiting.waiting_on) == ("waiting", "timer")
        await t.advance(30)
        await handle.result()
    assert [round(later - began[0], 3) for later in began] == [0, 5, 10]


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_delay_may_be_a_function_of_the_iteration(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    def pause(iteration: int) -> float:
        seen.append(iteration)
        return iteration * 1.0

    async def poll(ctx: Context) -> Continue | Done[int]:
        return Done(1) if ctx.iteration == 2 else Continue()

    loop = app.loop("poll", poll, delay=pause)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await loop.enqueue()
        await t.advance(10)
        assert (await handle.result()).done
    assert seen == [0, 1]


async def test_a_delay_that_raises_fails_the_iteration_before_it(app: Perdure, seen: list[Any]) -> None:
    @app.activity
    async def fetch(number: int) -> int:
        seen.append("fetch")
        return number

    def pause(iteration: int) -> float:
        seen.append(f"delay {iteration}")
        if seen.count("delay 0") == 1:
            raise ValueError("no idea")
        return -1.0 if seen.count("delay 0") == 2 else 5.0

    async def poll(ctx: Context) -> Continue | Done[int]:
        seen.append((ctx.iteration, ctx.attempt, ctx.previous_failure and ctx.previous_failure.message[:17]))
        await fetch(ctx.iteration)
        return Done(1) if ctx.iteration == 1 else Continue()

    loop = app.loop("poll", poll, delay=pause, retries=Retry(2, delay=1))
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        assert await handle.result() == LoopResult(True, 1, 2)
    first, second, third, last = [each for each in seen if isinstance(each, tuple)]
    assert (first, second, third) == ((0, 0, None), (0, 1, "no idea"), (0, 2, "loop poll delay i"))
    assert last == (1, 0, None)
    assert seen.count("fetch") == 2


async def test_a_delay_begins_in_the_transition_that_ends_the_iteration(app: Perdure) -> None:
    """A worker that dies between two iterations asks no delay again, and none begins anew."""
    asked: list[int] = []

    def pause(iteration: int) -> float:
        asked.append(iteration)
        return 100

    async def poll(ctx: Context) -> Continue | Done[float]:
        return Done(ctx.now().timestamp()) if ctx.iteration == 1 else Continue()

    loop = app.loop("poll", poll, delay=pause)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        began = t.now.timestamp()
        await t.advance(1)
        entries = {entry.key: entry.recorded_at for entry in await handle.activities()}
        assert len(set(entries.values())) == 1
        assert sorted(entries) == ["1/", "1/sleep@delay#0"]
        await t.advance(50)
        await t.restart()
        await t.advance(200)
        value = (await handle.result()).value
    assert value is not None
    assert round(value - began) == 100
    assert asked == [0]


async def test_the_delay_does_not_meet_a_sleep_of_the_iteration(app: Perdure) -> None:
    async def poll(ctx: Context) -> Continue | Done[float]:
        began = ctx.now().timestamp()
        await ctx.sleep(7)
        return Done(ctx.now().timestamp() - began) if ctx.iteration == 1 else Continue()

    loop = app.loop("poll", poll, delay=3)
    async with TestApp(app, always_replay=True) as t:
        handle = await loop.enqueue()
        await t.advance(60)
        assert (await handle.result()).value == pytest.approx(7)


async def test_polling_until_a_value_is_there(app: Perdure) -> None:
    value: list[int] = []
    counts: list[int] = []

    @app.activity
    async def look(iteration: int) -> int | None:
        return value[0] if value else None

    async def poll(ctx: Context) -> Continue | Done[int]:
        counts.append(ctx.iteration)
        found = await look(ctx.iteration)
        return Continue() if found is None else Done(found)

    loop = app.loop("poll", poll, delay=0.1)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(1.95)
        value.append(10)
        await t.advance(1)
        result = await handle.result()
    assert result.value == 10
    assert 10 <= result.iterations <= 21


async def test_polling_gives_up_after_its_iterations(app: Perdure) -> None:
    async def poll() -> Continue | Done[int]:
        return Continue()

    async with TestApp(app) as t:
        handle = await app.loop("poll", poll, delay=0.1, max_iterations=20).enqueue()
        await t.advance(5)
        assert await handle.result() == LoopResult(False, None, 20)


# --- endings from outside


async def test_a_loop_without_end_is_cancelled(app: Perdure) -> None:
    async def forever(ctx: Context) -> Continue | Done[None]:
        await ctx.sleep(1)
        return Continue()

    loop = app.loop("forever", forever)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(30)
        assert (await handle.execution()).status == "waiting"
        assert len(await handle.activities()) <= 3
        await handle.cancel("enough")
        with pytest.raises(ExecutionCancelledError, match="enough"):
            await handle.result()
        assert await app.count() == 1


async def test_a_cancel_that_an_iteration_swallows_ends_the_loop_all_the_same(app: Perdure, seen: list[Any]) -> None:
    async def stubborn(ctx: Context) -> Continue | Done[None]:
        seen.append(ctx.iteration)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Continue()

    loop = app.loop("stubborn", stubborn)
    async with TestApp(app) as t:
        handle = await loop.enqueue()
        await t.advance(1)
        await handle.cancel("enough")
        with pytest.raises(ExecutionCancelledError):
            await handle.result()
    assert seen == [0]


async def test_a_fork_goes_on_from_its_iteration(app: Perdure, seen: list[Any]) -> None:
    @app.activity
    async def fetch(number: int) -> int:
        seen.append(number)
        return number

    async def iterate(ctx: Context, number: int) -> Continue | Done[int]:
        await fetch(number)
        return Done(number) if number == 3 else Continue(number + 1)

    loop = app.loop("iterate", iterate)
    async with TestApp(app):
        handle = await loop.enqueue(1)
        await handle.result()
        forked = await handle.fork(from_activity="fetch")
        assert await forked.result() == LoopResult(True, 3, 3)
    assert seen == [1, 2, 3, 3]


async def test_an_alias_finds_what_an_iteration_recorded(app: Perdure, seen: list[Any]) -> None:
    def declare(app: Perdure, name: str, aliases: list[str]) -> Any:
        @app.activity(name=name, aliases=aliases)
        async def fetch(number: int) -> int:
            seen.append(name)
            return number

        async def iterate(ctx: Context) -> Continue | Done[int]:
            value = await fetch(1)
            await ctx.wait_for("go")
            return Done(value) if ctx.iteration == 1 else Continue()

        return app.loop("iterate", iterate)

    loop = declare(app, "fetch", [])
    async with TestApp(app) as before:
        await loop.options(id="one").enqueue()
        await before.advance(1)
    later = Perdure("memory://")
    declare(later, "load", ["fetch"])
    async with redeployed(before, later) as after:
        handle = later.handle("one")
        await after.advance(60)
        await handle.signal("go")
        await handle.signal("go")
        assert (await handle.result()).value == 1
    assert seen == ["fetch", "load"]


async def test_a_change_that_the_iteration_in_work_does_not_fit_is_drift(app: Perdure) -> None:
    def declare(app: Perdure, with_activity: bool) -> Any:
        if with_activity:

            @app.activity
            async def fetch() -> int:
                return 1

        async def iterate(ctx: Context) -> Continue | Done[None]:
            if with_activity and ctx.iteration == 0:
                await app.activities["fetch"]()  # type: ignore[operator]
            await ctx.wait_for("go")
            return Done(None) if ctx.iteration == 1 else Continue()

        return app.loop("iterate", iterate)

    two = Perdure("memory://")
    loop = declare(app, True)
    async with TestApp(app) as before:
        over = await loop.options(id="over").enqueue()
        await loop.options(id="in work").enqueue()
        await over.signal("go")
        await before.advance(5)
    declare(two, False)
    async with redeployed(before, two) as after:
        await two.handle("over").signal("go")
        await after.advance(5)
        assert await two.handle("over").status() == "completed"
        await two.handle("in work").signal("go")
        await after.advance(5)
        execution = await two.handle("in work").execution()
        assert execution.status == "pending"
        assert execution.failure is not None
        assert "activity fetch is recorded but not declared" in execution.failure.message


# --- crashes


done: list[Any] = []
crashing = Perdure("memory://")


@crashing.activity
async def note(iteration: int) -> int:
    done.append(iteration)
    return iteration


async def step(ctx: Context, total: int) -> Continue | Done[int]:
    if ctx.iteration == 1 and ctx.attempt == 0:
        raise ValueError("once")
    total += await note(ctx.iteration)
    return Done(total) if ctx.iteration == 3 else Continue(total)


stepping = crashing.loop("stepping", step, delay=1, retries=Retry(3, delay=1))


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_crash_at_any_boundary_repeats_one_iteration_at_most(always_replay: bool) -> None:
    @crash_everywhere(crashing, always_replay=always_replay)
    async def test(t: TestApp) -> None:
        done.clear()
        handle = await stepping.options(id="one").enqueue(0)
        await t.advance(120)
        assert await handle.result() == LoopResult(True, 6, 4)
        assert sorted(set(done)) == [0, 1, 2, 3]
        assert len(done) <= 5
        assert len(await handle.activities()) <= 4

    await test()


async def test_a_thousand_iterations_resume_where_they_were(app: Perdure, seen: list[Any]) -> None:
    async def iterate(ctx: Context, number: int) -> Continue | Done[int]:
        seen.append(ctx.iteration)
        if ctx.iteration == 500 and seen.count(500) == 1:
            await asyncio.Event().wait()
        return Done(number) if ctx.iteration == 999 else Continue(number + 1)

    loop = app.loop("iterate", iterate)
    async with TestApp(app) as t:
        handle = await loop.enqueue(1)
        await t.advance(1)
        assert seen[-1] == 500
        await t.restart()
        await t.advance(60)
        assert await handle.result() == LoopResult(True, 1000, 1000)
        assert await app.count() == 1
        assert len(await handle.activities()) == 1
    assert seen == [*range(501), *range(500, 1000)]
