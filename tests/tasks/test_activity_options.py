"""Options of activities: where they run, what an interruption means, what is waited for, and other workers."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from perdure import (
    Abort,
    ActivityFailedError,
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    Perdure,
    Registry,
    Retry,
    current_context,
)
from perdure.testing import TestApp

registry = Registry()


@registry.activity(run_in="process")
def in_another_process(number: int, name: str = "x") -> dict[str, Any]:
    """Importable, so that another process finds it."""
    return {"process": os.getpid(), "number": number, "name": name}


@registry.activity(run_in="process", retries=1)
def fails_in_another_process() -> None:
    raise ValueError("over there")


@dataclass
class Why:
    code: int


@registry.activity(run_in="process")
def aborts_in_another_process() -> Why:
    raise Abort("over there", value=Why(3))


@pytest.fixture
def ran() -> list[Any]:
    return []


# -- at most once -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_interrupt", ["rerun", "fail"])
async def test_an_interrupted_activity_runs_again_or_fails(app: Perdure, ran: list[Any], on_interrupt: Any) -> None:
    hang = asyncio.Event()

    @app.activity(on_interrupt=on_interrupt)
    async def pay() -> str:
        ran.append("paid")
        if not hang.is_set():
            await asyncio.Event().wait()
        return "done"

    @app.task(retries=3)
    async def task(ctx: Context) -> str:
        return await pay()

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        hang.set()
        await t.crash()
        execution = await handle.wait()
    if on_interrupt == "rerun":
        assert (execution.result, len(ran), execution.attempt) == ("done", 2, 0)
    else:
        assert (execution.status, len(ran)) == ("failed", 1)
        assert execution.failure is not None
        assert "pay was interrupted" in execution.failure.message


async def test_an_at_most_once_activity_that_failed_by_itself_runs_again_in_the_next_attempt(
    app: Perdure, ran: list[Any]
) -> None:
    @app.activity(on_interrupt="fail")
    async def pay() -> str:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("refused")
        return "done"

    @app.task(retries=1)
    async def task() -> str:
        return await pay()

    async with TestApp(app):
        assert await task.run() == "done"


async def test_an_interruption_can_be_caught(app: Perdure, ran: list[Any]) -> None:
    hang = asyncio.Event()

    @app.activity(on_interrupt="fail")
    async def pay() -> str:
        ran.append(1)
        if not hang.is_set():
            await asyncio.Event().wait()
        return "done"

    @app.task(retries=0)
    async def task() -> str:
        try:
            return await pay()
        except ActivityFailedError as error:
            return f"{error.failure.type if error.failure else ''}"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        hang.set()
        await t.crash()
        assert await handle.result() == "ActivityInterrupted"
    assert ran == [1]


# -- durability ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["strict", "relaxed"])
async def test_relaxed_results_are_recorded_too(app: Perdure, ran: list[Any], durability: Any) -> None:
    @app.activity(durability=durability)
    async def act(number: int) -> int:
        ran.append(number)
        return number

    @app.task
    async def task(ctx: Context) -> int:
        total = sum([await act(number) for number in range(20)])
        await ctx.sleep(100)
        if ctx.attempt == 0:
            raise ValueError("again")
        return total + await act(1)

    async with TestApp(app, always_replay=True):
        assert await task.run() == sum(range(20)) + 1
    assert len(ran) == 20


@pytest.mark.parametrize(("durability", "ahead"), [("strict", 1), ("relaxed", 256)])
async def test_how_far_a_body_may_run_ahead_of_what_is_durable(
    app: Perdure, ran: list[Any], durability: Any, ahead: int
) -> None:
    @app.activity(durability=durability)
    async def act(number: int) -> int:
        ran.append(number)
        return number

    @app.activity
    async def last() -> None:
        ran.append("last")

    @app.task
    async def task(count: int) -> int:
        total = sum([await act(number) for number in range(count)])
        await last()
        return total

    async with TestApp(app) as t:
        t.faults.decide = lambda operation: "before" if operation.name == "commit" else None
        handle = await task.enqueue(1000)
        await t.advance(60)
        assert ran == list(range(ahead))
        t.faults.heal()
        assert await handle.result() == sum(range(1000))
    assert ran == [*range(1000), "last"]


async def test_a_strict_step_waits_for_relaxed_ones_only_with_its_own_result(app: Perdure, ran: list[Any]) -> None:
    @app.activity(durability="relaxed")
    async def act(number: int) -> int:
        ran.append(number)
        return number

    @app.activity
    async def strict(name: str) -> None:
        ran.append(name)

    @app.task
    async def task() -> None:
        await act(1)
        await strict("runs at once")
        await strict("waits for the one before")

    async with TestApp(app) as t:
        t.faults.decide = lambda operation: "before" if operation.name == "commit" else None
        handle = await task.enqueue()
        await t.advance(60)
        assert ran == [1, "runs at once"]
        t.faults.heal()
        await handle.result()
    assert ran == [1, "runs at once", "waits for the one before"]


async def test_a_strict_result_is_durable_before_the_next_step(app: Perdure) -> None:
    seen: list[list[str]] = []

    @app.activity
    async def act(number: int) -> None:
        handle = app.handle(current_context().execution_id)
        seen.append([str(entry.value) for entry in await handle.activities()])

    @app.task
    async def task() -> None:
        for number in range(3):
            await act(number)

    async with TestApp(app):
        await task.run()
    assert [len(each) for each in seen] == [0, 1, 2]


# -- where it runs ------------------------------------------------------------------------------------------------------


async def test_in_a_thread(app: Perdure) -> None:
    @app.activity(run_in="thread")
    def act() -> str:
        return threading.current_thread().name

    @app.task
    async def task() -> str:
        return await act.aio()

    @app.task
    def blocking() -> str:
        return act()

    async with TestApp(app):
        assert "perdure-activity" in await task.run()
        assert "perdure-activity" in await blocking.run()


async def test_in_another_process(app: Perdure) -> None:
    app.include(registry)

    @app.task(retries=0)
    async def task(number: int) -> dict[str, Any]:
        first = await in_another_process.aio(number, name="y")
        assert first == await in_another_process.aio(number, name="y")
        with pytest.raises(ValueError, match="over there"):
            await fails_in_another_process.aio()
        return first

    async with TestApp(app, patience=60):
        found = await task.run(5)
    assert found["process"] != os.getpid()
    assert (found["number"], found["name"]) == (5, "y")


async def test_an_abort_in_another_process_keeps_its_value(app: Perdure) -> None:
    app.include(registry)

    @app.task
    async def task() -> None:
        await aborts_in_another_process.aio()

    async with TestApp(app):
        failure = (await (await task.enqueue()).wait()).failure
    assert failure is not None
    assert (failure.kind, failure.value) == ("aborted", {"code": 3})


# -- other workers ------------------------------------------------------------------------------------------------------


async def test_an_activity_with_a_queue_runs_as_a_child_execution(ran: list[Any]) -> None:
    app = Perdure("memory://", queues=["default", "gpu"])

    @app.activity(queue="gpu", retries=Retry(1, delay=1))
    async def embed(text: str) -> int:
        ran.append(text)
        if text == "flaky" and ran.count("flaky") == 1:
            raise OSError("first time")
        if text == "bad":
            raise KeyError("bad text")
        return len(text)

    @app.task(retries=0)
    async def task(ctx: Context) -> list[Any]:
        found: list[Any] = [
            await embed("abc"),
            await embed("abc"),
            await embed("flaky"),
            *await ctx.map(embed, ["x", "yy"]),
        ]
        for _ in range(2):
            with pytest.raises(KeyError, match="bad text"):
                await embed("bad")
        return found

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == [3, 3, 5, 1, 2]
        children = await handle.children()
        assert {(child.task_name, child.queue) for child in children} == {("embed", "gpu")}
        assert len(children) == 5
    assert ran == ["abc", "flaky", "flaky", "x", "yy", "bad", "bad"] or sorted(ran) == sorted(
        ["abc", "flaky", "flaky", "x", "yy", "bad", "bad"]
    )


async def test_an_activity_of_a_queue_that_nobody_serves_waits(app: Perdure, ran: list[Any]) -> None:
    @app.activity(queue="elsewhere")
    async def act() -> None:
        ran.append(1)

    @app.task
    async def task() -> None:
        await act()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(60)
        execution = await handle.execution()
        assert (execution.status, execution.waiting_on) == ("waiting", "children")
        assert [child.status for child in await handle.children()] == ["pending"]
    assert ran == []


async def test_options_per_call_of_an_activity_with_a_queue(ran: list[Any]) -> None:
    app = Perdure("memory://", queues=["default", "gpu"])

    @app.activity(queue="gpu")
    async def act() -> int:
        ran.append(1)
        if len(ran) < 3:
            raise OSError("again")
        return len(ran)

    @app.task(retries=0)
    async def task() -> int:
        return await act.options(retries=Retry(5, delay=0), key="k")()

    async with TestApp(app):
        assert await task.run() == 3


# -- options per call ---------------------------------------------------------------------------------------------------


async def test_options_of_one_call_beat_those_declared(app: Perdure, ran: list[Any]) -> None:
    @app.activity
    async def act() -> int:
        ran.append(1)
        if len(ran) < 3:
            raise OSError("again")
        return len(ran)

    @app.task(retries=0)
    async def task() -> int:
        return await act.options(retries=Retry(5, delay=0))()

    async with TestApp(app):
        assert await task.run() == 3


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"colour": "red"}, {"timeout": 0}, {"aliases": ["a"]}, {"name": "b"}, {"queue": "b"}]
)
def test_wrong_options_of_a_call_are_refused(app: Perdure, options: Any) -> None:
    @app.activity
    async def act() -> None: ...

    with pytest.raises(ConfigurationError, match="activity act"):
        act.options(**options)


async def test_an_activity_of_a_blocking_body_times_out(app: Perdure) -> None:
    release = threading.Event()

    @app.activity(timeout=5)
    def slow() -> None:
        release.wait(20)

    @app.task(retries=0)
    def task(ctx: BlockingContext) -> str:
        with pytest.raises(TimeoutError):
            slow()
        return "went on"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(6)
        release.set()
        assert await handle.result() == "went on"


async def test_an_unknown_activity_failure_is_reported_with_its_name(app: Perdure) -> None:
    @app.activity
    async def act(value: int) -> int:
        return value

    @app.task(retries=0)
    async def task() -> None:
        await act(1, 2)  # type: ignore[call-arg]

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="activity act: too many positional arguments"):
            await task.run()


# -- other workers, as if it were here ----------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", [None, "gpu"])
async def test_a_time_out_is_the_same_here_and_on_another_worker(queue: str | None) -> None:
    app = Perdure("memory://", queues=["default", "gpu"])
    where: Any = {} if queue is None else {"queue": queue}

    @app.activity(timeout=5, **where)
    async def hang() -> None:
        await asyncio.Event().wait()

    @app.task(retries=0)
    async def caught() -> str:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await hang()
        return "went on"

    @app.task(retries=0)
    async def uncaught() -> None:
        await hang()

    async with TestApp(app, patience=0.05):
        assert await caught.run() == "went on"
        execution = await (await uncaught.enqueue()).wait()
    assert execution.status == "failed"
    assert execution.failure is not None
    assert (execution.failure.kind, execution.failure.type) == ("error", "TimeoutError")


async def test_an_activity_that_is_cancelled_on_another_worker_fails_its_task() -> None:
    app = Perdure("memory://", queues=["default", "gpu"])

    @app.activity(queue="gpu")
    async def hang() -> None:
        await asyncio.Event().wait()

    @app.task(retries=0)
    async def task() -> None:
        await hang()

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(1)
        await app.handle((await handle.children())[0].id).cancel("enough")
        execution = await handle.wait()
    assert execution.status == "failed"
    assert execution.failure is not None
    assert execution.failure.kind == "error"
    assert "hang was cancelled: enough" in execution.failure.message


@pytest.mark.parametrize("error", [ExecutionTimedOutError, ExecutionCancelledError])
@pytest.mark.parametrize("queue", [None, "gpu"])
async def test_an_activity_may_end_its_task_from_another_worker_too(queue: str | None, error: Any) -> None:
    app = Perdure("memory://", queues=["default", "gpu"])
    where: Any = {} if queue is None else {"queue": queue}

    @app.activity(**where)
    async def act() -> None:
        raise error("enough")

    @app.task(retries=3)
    async def task() -> None:
        await act()

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
    assert (execution.status, execution.attempt) == (
        "timed_out" if error is ExecutionTimedOutError else "cancelled", 0,
    )  # fmt: skip


@pytest.mark.parametrize("queue", [None, "gpu"])
async def test_a_number_of_retries_keeps_the_shape_that_an_activity_declares(ran: list[Any], queue: str | None) -> None:
    app = Perdure("memory://", queues=["default", "gpu"])
    where: Any = {} if queue is None else {"queue": queue}

    @app.activity(retries=Retry(1, delay=100, factor=1, max_delay=1000, jitter=False, give_up_on=KeyError), **where)
    async def act(error: str) -> None:
        ran.append((t.now, error))
        raise KeyError(error) if error == "key" else OSError(error)

    @app.task(retries=0)
    async def task() -> None:
        for error in ("os", "key"):
            with pytest.raises((OSError, KeyError)):
                await act.options(retries=3)(error)

    async with TestApp(app) as t:
        await task.run()
    moments = [moment for moment, error in ran if error == "os"]
    assert [round((b - a).total_seconds()) for a, b in pairwise(moments)] == [100, 100, 100]
    assert len(ran) == 5
