"""Failures of activities: final for the attempt that saw them, in all its passes; raised as recorded."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from perdure import ActivityFailedError, BlockingContext, Context, ExecutionFailedError, GiveUp, Perdure
from perdure.testing import TestApp


class OrderError(Exception):
    """Its arguments rebuild it."""

    def __init__(self, order: str, code: int = 0) -> None:
        super().__init__(order, code)
        self.note = "an attribute"


class StubbornError(Exception):
    """Its arguments do not rebuild it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_failure_is_final_for_its_attempt_in_all_passes(app: Perdure, always_replay: bool) -> None:
    calls: list[int] = []
    seen: list[list[str]] = []

    @app.activity
    async def act() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OrderError("o-1", 7)
        return 5

    @app.task
    async def task(ctx: Context) -> int:
        caught: list[str] = []
        for _ in range(3):
            try:
                return await act()
            except OrderError as error:
                caught.append(f"{error.args} {bool(getattr(error, '__notes__', []))}")
                await ctx.sleep(10)
        seen.append(caught)
        raise ValueError("give the next attempt a try")

    async with TestApp(app, always_replay=always_replay):
        handle = await task.enqueue()
        assert await handle.result() == 5
        assert (await handle.execution()).attempt == 1
    assert len(calls) == 2
    assert len(seen) == 1
    assert [each.split(") ")[0] for each in seen[0]] == ["('o-1', 7"] * 3
    assert seen[0][2].endswith("True")


async def test_a_loop_of_ones_own_takes_a_key_per_try(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    async def act() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("again")
        return len(calls)

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        for number in range(5):
            try:
                return await act.options(key=f"try-{number}")()
            except ValueError:
                await ctx.sleep(1)
        return -1

    async with TestApp(app, always_replay=True):
        assert await task.run() == 3
    assert len(calls) == 3


@pytest.mark.parametrize("always_replay", [False, True])
async def test_live_and_replayed_failures_are_the_same(app: Perdure, always_replay: bool) -> None:
    seen: list[Any] = []

    @app.activity
    async def act() -> None:
        raise OrderError("o-1", code=3) from KeyError("behind")

    @app.task
    async def task(ctx: Context) -> None:
        try:
            await act()
        except OrderError as error:
            seen.append(error)
        await ctx.sleep(0.5)

    async with TestApp(app, always_replay=always_replay):
        await task.run()
    assert len(seen) == (2 if always_replay else 1)
    for error in seen:
        assert type(error) is OrderError
        assert error.args == ("o-1", 3)
        assert error.failure.kind == "error"
        assert error.failure.type == "OrderError"
        assert error.failure.message == "('o-1', 3)"
        assert "raise OrderError" in error.failure.traceback
        assert error.failure.retryable
        assert error.failure.cause.type == "KeyError"
    live = seen[0].__cause__
    assert type(live) is OrderError
    assert live is not seen[0]
    assert type(live.__cause__) is KeyError
    if always_replay:
        assert seen[0].failure == seen[1].failure


@pytest.mark.parametrize("error", [StubbornError("a", "b"), OrderError(object())])  # type: ignore[arg-type]
async def test_what_cannot_be_rebuilt_is_an_activity_failed_error(app: Perdure, error: Exception) -> None:
    seen: list[Any] = []

    @app.activity
    async def act() -> None:
        raise error

    @app.task(retries=0)
    async def task() -> None:
        try:
            await act()
        except Exception as caught:
            seen.append(caught)
            raise

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    caught = seen[0]
    assert type(caught) is ActivityFailedError
    assert caught.failure.type == type(error).__name__
    assert caught.__cause__ is error
    assert execution.failure is not None
    assert execution.failure.type == type(error).__name__
    assert execution.failure.message == caught.failure.message


async def test_a_message_that_cannot_be_read_is_stored_as_that(app: Perdure) -> None:
    @app.activity
    async def act() -> None:
        raise UnreadableError("x")

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="UnreadableError whose message cannot be read"):
            await task.run()


async def test_a_local_class_is_an_activity_failed_error_with_its_name(app: Perdure) -> None:
    class LocalError(Exception):
        pass

    @app.activity
    async def act() -> None:
        raise LocalError("here")

    @app.task(retries=0)
    async def task() -> str:
        with pytest.raises(ActivityFailedError, match="here") as caught:
            await act()
        assert caught.value.failure is not None
        return caught.value.failure.type

    async with TestApp(app):
        assert await task.run() == "LocalError"


async def test_an_uncaught_failure_gives_the_task_its_type_and_message(app: Perdure) -> None:
    @app.activity
    async def act() -> None:
        raise OrderError("o-1", 7)

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="OrderError") as caught:
            await task.run()
    assert caught.value.failure is not None
    assert (caught.value.failure.type, caught.value.failure.message) == ("OrderError", "('o-1', 7)")


async def test_a_failure_is_not_memoised_for_the_next_attempt(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    async def act() -> int:
        calls.append(1)
        raise ValueError(f"try {len(calls)}")

    @app.task(retries=2)
    async def task() -> int:
        return await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="try 3"):
            await task.run()
    assert len(calls) == 3


async def test_failures_of_earlier_attempts_are_kept_in_the_journal(app: Perdure) -> None:
    @app.activity
    async def act() -> None:
        raise ValueError("no")

    @app.task(retries=1)
    async def task() -> None:
        await act()

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.wait()
        entries = await handle.activities()
    assert [(entry.name, entry.outcome, entry.attempt) for entry in entries] == [
        ("act", "failed", "0.0"), ("act", "failed", "0.1"),
    ]  # fmt: skip


async def test_an_activity_that_raises_cancelled_error_has_recorded_nothing(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    async def act() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return 3

    @app.task(retries=1)
    async def task() -> int:
        return await act()

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == 3
        assert [entry.outcome for entry in await handle.activities()] == ["recorded"]


@pytest.mark.parametrize("concurrent", [False, True])
async def test_an_exit_in_a_body_or_activity_is_a_failure_and_leaves_the_worker_alive(
    app: Perdure, concurrent: bool
) -> None:
    @app.activity
    async def act() -> None:
        raise SystemExit(3)

    @app.activity
    def act_in_thread() -> None:
        raise SystemExit(4)

    @app.task(retries=0)
    async def task(which: str) -> None:
        if which == "body":
            raise SystemExit(5)
        call = act() if which == "act" else act_in_thread.aio()
        await (asyncio.gather(call) if concurrent else call)

    @app.task
    async def fine() -> int:
        return 1

    async with TestApp(app):
        for which in ("body", "act", "thread"):
            with pytest.raises(ExecutionFailedError, match="exit"):
                await task.run(which)
        assert await fine.run() == 1


async def test_a_failure_in_a_def_task_is_the_same(app: Perdure) -> None:
    @app.activity
    def act() -> None:
        raise OrderError("o-1", 7)

    @app.task(retries=0)
    def task(ctx: BlockingContext) -> str:
        with pytest.raises(OrderError) as first:
            act()
        ctx.sleep(5)
        with pytest.raises(OrderError) as second:
            act()
        return f"{first.value.args} {second.value.args}"

    async with TestApp(app):
        assert await task.run() == "('o-1', 7) ('o-1', 7)"


@pytest.mark.parametrize("message", ["x" * 100_000, "\x00\x1b[31m", "\ud800", "", "größe 🙂", "{}%s{0}"])
async def test_any_message_can_be_stored(app: Perdure, message: str) -> None:
    @app.activity
    async def act() -> None:
        raise ValueError(message)

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert execution.failure is not None
    assert execution.failure.type == "ValueError"
    assert len(execution.failure.message) <= 4000


async def test_a_give_up_caught_by_the_body_is_just_an_error(app: Perdure) -> None:
    @app.activity
    async def act() -> None:
        raise GiveUp("stop")

    @app.task
    async def task() -> str:
        try:
            await act()
        except GiveUp as error:
            return f"caught {error}"
        return "not reached"

    async with TestApp(app):
        assert await task.run() == "caught stop"


@pytest.mark.parametrize("replayed", [False, True])
async def test_a_traceback_leads_to_the_line_of_the_users_that_raised(app: Perdure, replayed: bool) -> None:
    @app.activity
    async def divide(by: int) -> float:
        return 1 / by  # it fails here

    @app.task(retries=0)
    async def inner(ctx: Context) -> float:
        try:
            return await divide(0)
        except ZeroDivisionError:
            if not replayed:
                raise
        await ctx.sleep(10)
        return await divide(0)

    @app.task(retries=0)
    async def outer() -> float:
        return await inner()

    async with TestApp(app, always_replay=replayed):
        with pytest.raises(ExecutionFailedError) as caught:
            await outer.run()
    failure = caught.value.failure
    assert failure is not None
    assert failure.cause is not None
    frames = re.findall(r'File ".*?([^/\\]+)", line \d+, in (\w+)', failure.cause.traceback)
    assert [name for _, name in frames] == ["inner", "divide"]
    assert {file for file, _ in frames} == {"test_failures.py"}
    assert "it fails here" in failure.cause.traceback
    assert re.fullmatch(r"it was raised at test_failures\.py:\d+ in outer", caught.value.__notes__[0])


@pytest.mark.parametrize("where", ["body", "branch", "activity"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_an_exit_that_nobody_typed_is_an_error_like_others(app: Perdure, where: str, error: Any) -> None:
    async def leave() -> None:
        raise error

    @app.activity
    async def act() -> None:
        await leave()

    @app.task(retries=0)
    async def task() -> None:
        if where == "body":
            await leave()
        await (act() if where == "activity" else asyncio.gather(leave()))

    @app.task
    async def neighbour() -> int:
        return 1

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="RuntimeError"):
            await task.run()
        assert await neighbour.run() == 1
