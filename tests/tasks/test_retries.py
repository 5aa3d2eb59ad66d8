"""Retries of tasks and activities: how often, when, and what ends them at once."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from perdure import (
    Abort,
    Context,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    GiveUp,
    Perdure,
    Retry,
    RetryLater,
)
from perdure.testing import TestApp

STEADY = {"factor": 1.0, "jitter": False}


class Tries:
    """The moments (seconds since the first) and attempts at which a body began."""

    def __init__(self) -> None:
        self.moments: list[datetime] = []
        self.attempts: list[int] = []

    def note(self, t: TestApp, ctx: Context) -> None:
        self.moments.append(t.now)
        self.attempts.append(ctx.attempt)

    @property
    def gaps(self) -> list[float]:
        return [(b - a).total_seconds() for a, b in pairwise(self.moments)]


async def failing(app: Perdure, error: Any = None, **options: Any) -> tuple[Tries, Any]:
    """Runs a task that always fails; answers its tries and its last snapshot."""
    tries, holder = Tries(), []

    @app.task(**options)
    async def task(ctx: Context) -> None:
        tries.note(holder[0], ctx)
        raise (error(ctx) if error else ValueError(f"Test error {ctx.attempt}"))

    async with TestApp(app) as t:
        holder.append(t)
        handle = await task.enqueue()
        return tries, await handle.wait()


async def test_a_task_is_retried_three_times_by_default(app: Perdure) -> None:
    tries, execution = await failing(app)
    assert tries.attempts == [0, 1, 2, 3]
    assert (execution.status, execution.attempt) == ("failed", 3)
    assert (execution.failure.message, execution.failure.type) == ("Test error 3", "ValueError")
    assert (execution.failure.kind, execution.failure.retryable) == ("error", True)


async def test_an_activity_is_not_retried_by_default(app: Perdure) -> None:
    calls: list[int] = []

    @app.activity
    async def act() -> None:
        calls.append(1)
        raise ValueError("no")

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="ValueError: no"):
            await task.run()
    assert len(calls) == 1


@pytest.mark.parametrize("retries", [0, Retry.none()])
async def test_no_retries_is_one_try(app: Perdure, retries: Any) -> None:
    tries, execution = await failing(app, retries=retries)
    assert tries.attempts == [0]
    assert execution.failure.message == "Test error 0"


async def test_it_completes_once_an_attempt_succeeds(app: Perdure) -> None:
    seen: list[Any] = []

    @app.task(retries=5)
    async def task(ctx: Context) -> int:
        seen.append(ctx.previous_failure.message if ctx.previous_failure else None)
        if ctx.attempt < 2:
            raise ValueError(f"Test error {ctx.attempt}")
        return ctx.attempt

    async with TestApp(app):
        handle = await task.enqueue()
        execution = await handle.wait()
    assert (execution.status, execution.attempt, execution.result, execution.failure) == ("completed", 2, 2, None)
    assert seen == [None, "Test error 0", "Test error 1"]


async def test_the_app_gives_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, _ = await failing(Perdure("memory://", retries=1))
    assert tries.attempts == [0, 1]
    tries, _ = await failing(Perdure("memory://", retries=1), retries=2)
    assert tries.attempts == [0, 1, 2]


@pytest.mark.parametrize(
    ("policy", "gaps"),
    [
        (Retry(3, delay=10, **STEADY), [10, 10, 10]),
        (Retry(3, delay=1, factor=3, jitter=False), [1, 3, 9]),
        (Retry(3, delay=100, factor=10, max_delay=300, jitter=False), [100, 300, 300]),
        (Retry(3, delay=lambda attempt: attempt * 7, jitter=False), [0, 7, 14]),
        (Retry(2, delay=0), [0, 0]),
    ],
)
async def test_pauses_between_attempts(app: Perdure, policy: Retry, gaps: list[float]) -> None:
    tries, _ = await failing(app, retries=policy)
    assert tries.gaps == gaps


async def test_jitter_stays_between_half_and_whole(app: Perdure) -> None:
    tries, _ = await failing(app, retries=Retry(20, delay=10, factor=1))
    assert all(5 <= gap <= 10.001 for gap in tries.gaps)
    assert len(set(tries.gaps)) > 1


async def test_between_attempts_an_execution_is_pending_and_shows_its_failure(app: Perdure) -> None:
    @app.task(retries=Retry(1, delay=60, **STEADY))
    async def task(ctx: Context) -> None:
        raise ValueError("no")

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("pending", 1)
        assert execution.failure is not None
        assert execution.failure.message == "no"
        assert execution.due_at is not None
        assert (execution.due_at - t.now).total_seconds() == 60


@pytest.mark.parametrize("error", [GiveUp("stop"), Abort("stop")])
async def test_giving_up_is_never_retried(app: Perdure, error: Exception) -> None:
    tries, execution = await failing(app, lambda ctx: error, retries=5)
    assert tries.attempts == [0]
    assert (execution.status, execution.failure.message, execution.failure.retryable) == ("failed", "stop", False)
    assert execution.failure.kind == ("aborted" if isinstance(error, Abort) else "error")


async def test_retry_later_sets_the_pause(app: Perdure) -> None:
    tries, execution = await failing(app, lambda ctx: RetryLater("later", delay=500 + ctx.attempt), retries=2)
    assert tries.gaps == [500, 501]
    assert execution.failure.message == "later"


async def test_only_wanted_errors_are_retried(app: Perdure) -> None:
    errors = [ConnectionError("a"), OSError("b"), KeyError("c")]
    policy = Retry(9, retry_on=(OSError,), give_up_on=PermissionError)
    tries, execution = await failing(app, lambda ctx: errors[ctx.attempt], retries=policy)
    assert tries.attempts == [0, 1, 2]
    assert execution.failure.type == "KeyError"
    app = Perdure("memory://")
    tries, execution = await failing(app, lambda ctx: PermissionError("d"), retries=policy)
    assert tries.attempts == [0]


async def test_a_policy_judges_what_an_activity_raised(app: Perdure) -> None:
    attempts: list[int] = []

    @app.activity
    async def act() -> None:
        raise PermissionError("no")

    @app.task(retries=Retry(5, give_up_on=PermissionError))
    async def task(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError):
            await task.run()
    assert attempts == [0]


async def test_a_delay_function_that_answers_nonsense_fails_the_execution(app: Perdure) -> None:
    tries, execution = await failing(app, retries=Retry(5, delay=lambda _: -1))
    assert tries.attempts == [0]
    assert execution.status == "failed"
    assert "function answered" in execution.failure.message


async def test_retries_of_a_call_beat_those_of_the_task(app: Perdure) -> None:
    tries = Tries()
    holder: list[TestApp] = []

    @app.task(retries=Retry(9, retry_on=OSError))
    async def task(ctx: Context) -> None:
        tries.note(holder[0], ctx)
        raise OSError("no")

    async with TestApp(app) as t:
        holder.append(t)
        await (await task.options(retries=Retry(2, delay=30, **STEADY)).enqueue()).wait()
        assert tries.gaps == [30, 30]
        tries.moments.clear()
        await (await task.options(retries=0).enqueue()).wait()
        assert len(tries.moments) == 1


async def test_an_activity_retries_within_the_attempt(app: Perdure) -> None:
    tries: list[tuple[int, float]] = []
    holder: list[TestApp] = []

    @app.activity(retries=Retry(3, delay=20, **STEADY))
    async def act() -> str:
        from perdure import current_context

        tries.append((current_context().attempt, holder[0].clock.monotonic()))
        if len(tries) < 3:
            raise ValueError("again")
        return "ok"

    @app.task
    async def task() -> str:
        return await act()

    async with TestApp(app) as t:
        holder.append(t)
        handle = await task.enqueue()
        assert (await handle.wait()).attempt == 0
        assert await handle.result() == "ok"
    assert [round(b[1] - a[1]) for a, b in pairwise(tries)] == [20, 20]


@pytest.mark.parametrize(
    ("error", "calls"), [(GiveUp("stop"), 1), (RetryLater("later", delay=5), 3), (ValueError("no"), 3), (Abort("x"), 1)]
)
async def test_what_an_activity_raises_acts_on_its_retries(app: Perdure, error: Exception, calls: int) -> None:
    ran: list[int] = []

    @app.activity(retries=2)
    async def act() -> None:
        ran.append(1)
        raise error

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert len(ran) == calls
    assert execution.failure is not None
    assert (execution.failure.type, execution.failure.message) == (type(error).__name__, str(error))


async def test_an_uncaught_give_up_of_an_activity_ends_the_task_too(app: Perdure) -> None:
    attempts: list[int] = []

    @app.activity
    async def act() -> None:
        raise GiveUp("enough")

    @app.task(retries=5)
    async def task(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await act()

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="enough"):
            await task.run()
    assert attempts == [0]


async def test_an_uncaught_retry_later_of_an_activity_acts_on_the_task_too(app: Perdure) -> None:
    tries = Tries()
    holder: list[TestApp] = []

    @app.activity
    async def act() -> None:
        raise RetryLater("later", delay=120)

    @app.task(retries=1)
    async def task(ctx: Context) -> None:
        tries.note(holder[0], ctx)
        await act()

    async with TestApp(app) as t:
        holder.append(t)
        await (await task.enqueue()).wait()
    assert tries.gaps == [120]


@pytest.mark.parametrize(
    ("error", "status"), [(ExecutionTimedOutError, "timed_out"), (ExecutionCancelledError, "cancelled")]
)
async def test_a_body_may_end_itself_timed_out_or_cancelled_without_retry(
    app: Perdure, error: Any, status: str
) -> None:
    tries, execution = await failing(app, lambda ctx: error("enough"), retries=5)
    assert tries.attempts == [0]
    assert (execution.status, execution.failure.kind, execution.failure.message) == (status, status, "enough")


async def test_an_error_in_a_task_group_is_retried_and_tells_what_is_in_it(app: Perdure) -> None:
    import asyncio

    @app.activity
    async def act(number: int) -> None:
        raise ValueError(f"no {number}")

    @app.task(retries=1)
    async def task() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(act(1))
            group.create_task(act(2))

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert execution.attempt == 1
    assert execution.failure is not None
    assert "no 1" in execution.failure.message


async def test_a_number_of_retries_keeps_the_shape_that_the_task_declares(app: Perdure) -> None:
    tries, holder = Tries(), list[TestApp]()

    @app.task(retries=Retry(1, delay=100, max_delay=1000, **STEADY))
    async def task(ctx: Context) -> None:
        tries.note(holder[0], ctx)
        raise OSError("no")

    async with TestApp(app) as t:
        holder.append(t)
        await (await task.options(retries=3).enqueue()).wait()
        assert tries.gaps == [100, 100, 100]
        tries.moments.clear()
        await (await task.options(retries=Retry(1, delay=7, **STEADY)).options(retries=2).enqueue()).wait()
        assert tries.gaps == [7, 7]


async def test_a_number_of_retries_keeps_the_shape_that_the_app_declares() -> None:
    tries, holder = Tries(), list[TestApp]()
    app = Perdure("memory://", retries=Retry(1, delay=100, max_delay=1000, **STEADY))

    @app.task
    async def task(ctx: Context) -> None:
        tries.note(holder[0], ctx)
        raise OSError("no")

    async with TestApp(app) as t:
        holder.append(t)
        await (await task.options(retries=2).enqueue()).wait()
    assert tries.gaps == [100, 100]
