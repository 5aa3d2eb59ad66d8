"""Activities in threads and in processes of their own: that they fail, take too long, or are killed, concerns them alone."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perdure import BlockingContext, ExecutionCancelledError, ExecutionFailedError, ExecutionTimedOutError, Perdure
from perdure.storage.check import check
from tests.system import pool_program as program
from tests.system.rig import until

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Perdure]:
    app = Perdure(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.1, retries=0, lease=5, drain=1)
    app.include(program.registry)
    app.parts.cancel_grace = 1.0

    @app.task
    async def call(name: str, *arguments: object) -> object:
        return await program.registry._activities[name].aio(*arguments)

    @app.task
    def call_def(name: str, *arguments: object) -> object:
        return program.registry._activities[name](*arguments)

    yield app
    if app.is_open:
        await app.close(drain=0)


async def failing(app: Perdure, name: str, *arguments: object) -> str:
    with pytest.raises(ExecutionFailedError) as caught:
        await (await app.enqueue(app.call("call", name, *arguments))).result(timeout=30)
    assert caught.value.failure is not None
    return f"{caught.value.failure.type}: {caught.value.failure.message}"


async def sound(app: Perdure) -> None:
    storage = app.opened.store.storage
    with storage.transaction():
        assert check(storage) == []
    assert await app.count("status:running") == 0


async def test_processes_work_fail_and_are_replaced(app: Perdure) -> None:
    async with app:
        assert await app.run(app.call("call", "square", 7)) == 49
        assert await app.run(app.call("call_def", "square", 8)) == 64
        assert await app.run(app.call("call", "where")) != os.getpid()
        assert await failing(app, "wrong", "because") == "ValueError: because"
        assert await failing(app, "crooked") == "Crooked: 1 and 2"
        assert await failing(app, "give_up") == "GiveUp: never"
        assert "5" in await failing(app, "leave")
        assert "KeyboardInterrupt" in await failing(app, "interrupted")
        assert "NotSerializableError" in await failing(app, "unstorable")
        assert "NotSerializableError" in await failing(app, "surrogate")
        assert await app.run(app.call("call", "square", 9)) == 81
        said = await failing(app, "die")
        assert "process" in said
        assert await app.run(app.call("call", "square", 10)) == 100
        await sound(app)


async def test_an_activity_whose_process_was_killed_is_tried_again_in_another(app: Perdure, tmp_path: Path) -> None:
    async with app:
        handle = await app.enqueue(app.call("call", "die_once", str(tmp_path / "marker")))
        assert await handle.result(timeout=40) == "survived"
        assert (await handle.execution()).attempt == 0
        await sound(app)


async def test_a_process_that_takes_too_long(app: Perdure) -> None:
    async with app:
        await app.run(app.call("call", "square", 1))
        began = time.monotonic()
        assert (await failing(app, "slow", 4.0)).startswith("TimeoutError")
        assert time.monotonic() - began < 3.5
        assert await app.run(app.call("call", "square", 3)) == 9
        await sound(app)


async def test_closing_does_not_wait_for_a_process(app: Perdure) -> None:
    await app.start()
    await app.run(app.call("call", "square", 1))
    handle = await app.enqueue(app.call("call", "slow", 3.0))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await app.close(drain=0)
    assert time.monotonic() - began < 2
    async with app:
        with pytest.raises(ExecutionFailedError):
            await app.handle(handle.id).result(timeout=20)


async def test_a_local_function_in_a_process_says_why_not(app: Perdure) -> None:
    @app.activity(run_in="process")
    def local() -> int:
        return 1

    @app.task
    async def body() -> int:
        return await local.aio()

    async with app:
        with pytest.raises(ExecutionFailedError, match="module-level"):
            await app.run(body.call())


async def test_threads_are_not_shared_between_bodies_and_activities(tmp_path: Path) -> None:
    """As many `def` bodies as there are slots, all waiting for activities in threads: they do not starve each other."""
    app = Perdure(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.1, concurrency=4)
    together = threading.Barrier(4, timeout=20)

    @app.activity
    def meet(number: int) -> int:
        together.wait()
        return number

    @app.task
    def body(number: int) -> int:
        return meet(number)

    async with app:
        handles = [await app.enqueue(body.call(number)) for number in range(8)]
        assert [await handle.result(timeout=30) for handle in handles] == list(range(8))


async def test_threads_that_take_too_long_or_are_cancelled(app: Perdure) -> None:
    ended: list[str] = []

    @app.activity(timeout=0.3)
    def late() -> str:
        time.sleep(1.2)
        ended.append("late")
        return "late"

    @app.task
    async def calls() -> str:
        return await late.aio()

    @app.task(timeout=0.4)
    def sleeps(ctx: BlockingContext) -> str:
        while not ctx.cancelled:
            time.sleep(0.02)
        ended.append("told")
        return "late"

    @app.task(timeout=0.4)
    def deaf() -> str:
        time.sleep(2.5)
        ended.append("deaf")
        return "late"

    @app.task
    async def waits() -> str:
        return await late.options(timeout=30).aio() if hasattr(late, "options") else ""

    async with app:
        with pytest.raises(ExecutionFailedError, match="not done within"):
            await (await app.enqueue(calls.call())).result(timeout=10)
        for task in (sleeps, deaf):
            handle = await app.enqueue(task.call())
            with pytest.raises(ExecutionTimedOutError):
                await handle.result(timeout=10)
        handle = await app.enqueue(waits.call())
        await asyncio.sleep(0.2)
        await handle.cancel("enough")
        began = time.monotonic()
        with pytest.raises(ExecutionCancelledError):
            await handle.result(timeout=10)
        assert time.monotonic() - began < 1.0
        await until(lambda: {"late", "told", "deaf"} <= set(ended))
        assert await handle.activities() == []
        await sound(app)
