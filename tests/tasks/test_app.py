"""Opening and closing an app: once at a time, again in another loop, from synchronous code, and after a fork."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    AppClosedError,
    ConfigurationError,
    Context,
    ExecutionFailedError,
    ExecutionNotFoundError,
    Perdure,
    Registry,
    StorageError,
)
from perdure.client import blocking
from perdure.storage.opening import open_storage
from perdure.testing import TestApp
from perdure.testing.faults import FaultyStorage


def double_task(app: Perdure) -> Any:
    @app.task
    async def double(number: int) -> int:
        return number * 2

    return double


async def test_an_app_is_open_at_most_once_at_a_time(app: Perdure) -> None:
    double = double_task(app)
    async with app:
        for again in (app, app.connect()):
            with pytest.raises(ConfigurationError, match="open already"):
                async with again:
                    pass
        with pytest.raises(ConfigurationError, match="open already"):
            await app.start()
        with pytest.raises(ConfigurationError, match="open already"):
            async with TestApp(app):
                pass
        assert await double.run(2) == 4
    async with app:
        assert await double.run(3) == 6


def test_it_may_be_opened_again_in_another_loop(app: Perdure) -> None:
    double = double_task(app)

    async def once(number: int) -> int:
        async with app:
            return await double.run(number)

    assert [asyncio.run(once(number)) for number in range(3)] == [0, 2, 4]


async def test_in_another_loop_than_its_own_an_open_app_is_refused(app: Perdure) -> None:
    double = double_task(app)
    async with app:

        def elsewhere() -> str:
            async def use() -> None:
                await double.run(1)

            with pytest.raises(ConfigurationError) as caught:
                asyncio.run(use())
            return str(caught.value)

        assert "another event loop" in await asyncio.to_thread(elsewhere)


async def test_closing_twice_is_no_error_and_afterwards_verbs_raise(app: Perdure) -> None:
    double = double_task(app)
    await app.start()
    handle, unknown = await double.enqueue(1), app.handle("unknown")
    await handle.result()
    await asyncio.gather(app.close(), app.close())
    await app.close(drain=0)
    verbs = (lambda: double.enqueue(1), handle.status, handle.execution, handle.cancel, app.count, handle.children)
    for verb in (*verbs, unknown.wait, unknown.result):
        with pytest.raises(AppClosedError):
            await verb()


async def test_who_waits_when_the_app_closes_learns_of_it(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        await ctx.wait_for("x")

    await app.start()
    handle = await task.enqueue()
    waiting = asyncio.create_task(handle.result())
    for _ in range(5):
        await asyncio.sleep(0)
    await app.close()
    with pytest.raises(AppClosedError):
        await waiting


async def test_connect_runs_nothing(app: Perdure) -> None:
    double = double_task(app)
    async with app.connect() as client:
        assert client is app
        handle = await double.enqueue(1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert await handle.status() == "pending"
        assert await app.workers() == []
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.01)


@pytest.mark.parametrize("connect", [False, True])
def test_the_blocking_client(app: Perdure, connect: bool) -> None:
    double = double_task(app)

    @app.task
    async def waiter(ctx: Context) -> str:
        return await ctx.wait_for("x", str)

    with app.connect() if connect else app as client:
        handle = client.enqueue(double.call(2))
        if connect:
            assert handle.status() == "pending"
            handle.cancel("enough")
            assert handle.wait().status == "cancelled"
            assert client.count("status:cancelled") == 1
            return
        assert handle.result(timeout=30) == 4
        assert client.run(double.call(5)) == 10
        assert [each.result() for each in client.enqueue_many([double.call(1), double.call(2)])] == [2, 4]
        assert client.run(client.call("double", 3)) == 6
        waiting = client.enqueue(waiter.call())
        client.handle(waiting.id).signal("x", "hello")
        assert waiting.result() == "hello"
        assert [event.execution.status for event in waiting.watch()] == ["completed"]
        assert waiting.activities()[0].name == "x"
        assert waiting.children() == []
        assert waiting.fork().status() in ("pending", "running", "waiting")
        assert len(client.search("status:completed")) == 6
        assert client.cancel_all("task:waiter") == 1
        assert client.retry_all("status:cancelled", dry_run=True) in (0, 1)
        assert client.stats().counts["completed"] == 6
        assert len(client.workers()) == 1
        with pytest.raises(ExecutionNotFoundError):
            client.handle("unknown").status()
    with pytest.raises(AppClosedError):
        handle.status()
    with pytest.raises(AppClosedError):
        client.count()


def test_errors_come_through_the_blocking_client(app: Perdure) -> None:
    @app.task(retries=0)
    async def task() -> None:
        raise ValueError("no")

    with app as client, pytest.raises(ExecutionFailedError, match="no"):
        client.run(task.call())


async def test_a_blocking_client_beside_a_running_loop_warns_once(
    app: Perdure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "_warned", False)
    double = double_task(app)
    with pytest.warns(UserWarning, match="use `async with app:`"), app as client:
        assert client.run(double.call(2)) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with app as client:
            assert client.run(double.call(2)) == 4


def test_a_storage_that_cannot_be_opened_leaves_the_app_closed() -> None:
    app = Perdure("nonsense://x")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="names no storage"), app:
            pass
        assert not app.is_open


async def test_two_apps_in_one_process_do_not_mix() -> None:
    one, two = Perdure("memory://"), Perdure("memory://")
    first, second = double_task(one), double_task(two)
    async with one, two:
        assert (await first.run(1), await second.run(2)) == (2, 4)
        handle = await first.enqueue(3)
        with pytest.raises(ExecutionNotFoundError):
            await two.handle(handle.id).status()
        assert await one.count() == 2
        assert await two.count() == 1


async def test_declaring_needs_no_storage_and_no_loop() -> None:
    app = Perdure("sqlite:////nowhere/at/all.db")
    assert double_task(app).name == "double"


# -- closing ------------------------------------------------------------------------------------------------------------


async def closing(app: Perdure, body: Callable[[Context, asyncio.Event], Any], drain: float) -> tuple[Any, str]:
    """Closes an app while a body runs; answers what the body saw and how its execution reads afterwards."""
    begun, seen = asyncio.Event(), []

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        try:
            return await body(ctx, begun)
        finally:
            seen.append(ctx.shutting_down)

    handle_id = ""
    async with TestApp(app, patience=0.05) as t:
        handle_id = (await task.enqueue()).id
        await t.idle()
        assert begun.is_set()
        await t.restart()
        first = seen[:]
        execution = await app.handle(handle_id).execution()
        return first, execution.status


async def test_closing_waits_for_running_bodies_up_to_the_drain() -> None:
    app = Perdure("memory://", drain=30)

    async def polite(ctx: Context, begun: asyncio.Event) -> str:
        begun.set()
        async with asyncio.timeout(20):
            while not ctx.shutting_down:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        return "done"

    seen, status = await closing(app, polite, 30)
    assert (seen, status) == ([True], "completed")


async def test_a_body_that_does_not_end_is_interrupted_and_its_execution_due_again() -> None:
    app = Perdure("memory://", drain=5)

    async def stubborn(ctx: Context, begun: asyncio.Event) -> str:
        begun.set()
        await asyncio.Event().wait()
        return "never"

    seen, status = await closing(app, stubborn, 5)
    assert seen == [True]
    assert status in ("pending", "running")


async def test_an_activity_may_enqueue_while_the_app_drains(app: Perdure) -> None:
    begun, closing = asyncio.Event(), asyncio.Event()
    ids: list[str] = []

    @app.task
    async def other() -> None: ...

    @app.activity
    async def act() -> None:
        begun.set()
        await closing.wait()
        ids.append((await other.enqueue()).id)

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        await act()
        return "done"

    await app.start()
    handle = await task.enqueue()
    result = asyncio.create_task(handle.result())
    await begun.wait()
    close = asyncio.create_task(app.close(drain=20))
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="open already"):
        await app.start()
    closing.set()
    await close
    assert await result == "done"
    assert len(ids) == 1


# -- workers ------------------------------------------------------------------------------------------------------------


async def test_a_worker_opens_the_app_and_runs_until_it_is_stopped(app: Perdure) -> None:
    ran: list[int] = []

    @app.task
    async def task() -> None:
        ran.append(1)
        service.stop()

    service = app.worker(concurrency=1)
    async with app.connect():
        await task.enqueue()
        await service.run()
        assert app.is_open
    assert ran == [1]
    assert not app.is_open


async def test_a_worker_serves_only_its_queues(app: Perdure) -> None:
    ran: list[str] = []

    @app.task
    async def task(name: str) -> None:
        ran.append(name)
        if name == "b":
            service.stop()

    service = app.worker(queues=["b"])
    async with app.connect():
        await task.options(queue="a").enqueue("a")
        await task.options(queue="b").enqueue("b")
        await service.run()
        assert await app.count("status:pending queue:a") == 1
    assert ran == ["b"]


async def test_a_second_worker_of_an_open_app_is_refused(app: Perdure) -> None:
    double_task(app)
    async with app:
        with pytest.raises(ConfigurationError, match="runs here already"):
            await app.worker().run()


async def test_priority_and_due_time_order_the_work() -> None:
    app, ran = Perdure("memory://", concurrency=1), list[str]()

    @app.task
    async def task(name: str) -> None:
        ran.append(name)
        if len(ran) == 4:
            service.stop()

    service = app.worker()
    async with app.connect():
        await task.options(priority=5).enqueue("late")
        await task.options(priority=-1).enqueue("first")
        await task.enqueue("second")
        await task.enqueue("third")
        await service.run()
    assert ran == ["first", "second", "third", "late"]


# -- fork ---------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_a_fork_verbs_of_the_inherited_app_raise_and_it_can_be_opened_anew(app: Perdure) -> None:
    double = double_task(app)

    def child() -> str:
        found: list[str] = []
        for verb in (lambda: client.run(double.call(1)), handle.status, lambda: handle.handle.id and client.count()):
            try:
                verb()
            except ConfigurationError as error:
                found.append("fork" if "fork" in str(error) else str(error))
        with app as again:
            found.append(str(again.run(double.call(21))))
        return " ".join(found)

    with app as client:
        handle = client.enqueue(double.call(1))
        assert handle.result() == 2
        assert in_a_fork(child) == "fork fork fork 42"
        assert client.run(double.call(4)) == 8


def in_a_fork(function: Callable[[], str]) -> str:
    """What a function answers in a child process made by `os.fork`."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            answer = function()
        except BaseException as error:
            answer = repr(error)
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(process, 0)
    return answer


@pytest.mark.parametrize("how", ["start", "service", "service of an open app"])
async def test_a_worker_that_cannot_start_leaves_nothing_open(app: Perdure, how: str) -> None:
    storage = FaultyStorage(open_storage("memory://"))
    app, closed = Perdure(storage=storage), list[int]()
    double, close = double_task(app), storage.close
    storage.close = lambda: (closed.append(1), close())[1]
    storage.fail("heartbeat", error=StorageError("no"))
    if how == "start":
        with pytest.raises(StorageError):
            await app.start()
    elif how == "service":
        with pytest.raises(StorageError):
            await app.worker().run()
    else:
        async with app.connect():
            with pytest.raises(StorageError):
                await app.worker().run()
            assert app.is_open
            service = app.worker()  # another may try
            run = asyncio.create_task(service.run())
            assert await double.run(2) == 4
            service.stop()
            await run
    assert not app.is_open
    assert closed == [1]


async def test_what_is_declared_while_a_worker_runs_is_run_too() -> None:
    app, registry = Perdure("memory://"), Registry()
    app.include(registry)
    async with TestApp(app) as t:

        @app.task
        async def late(x: int) -> int:
            return x + 1

        @registry.task
        async def included(x: int) -> int:
            return await late(x) * 2

        another = Registry("more-")

        @another.task
        async def third(x: int) -> int:
            return await included(x)

        app.include(another)
        assert await third.run(1) == 4
        await t.advance(30)
        (worker,) = await app.workers()
        assert set(worker.tasks) == {"late", "included", "more-third"}


def test_what_is_declared_beside_a_blocking_client_is_run_too(tmp_path: Path) -> None:
    app = Perdure(f"sqlite:///{tmp_path}/jobs.db")
    with app as client:
        double = double_task(app)
        assert client.run(double.call(2)) == 4


@pytest.mark.parametrize("url", ["sqlite:///a#1.db", "sqlite:///a.db?mode=ro", "memory://?x=1"])
def test_a_url_says_nothing_that_is_not_heard(url: str) -> None:
    with pytest.raises(ConfigurationError, match="%3F or %23"):
        open_storage(url)
