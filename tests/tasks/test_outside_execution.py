"""Durable verbs where no execution is; and what tells so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from perdure import (
    AppClosedError,
    BlockingContext,
    ConfigurationError,
    Context,
    Handle,
    InvalidQueryError,
    NotInExecutionError,
    Perdure,
    current_context,
)
from perdure.testing import TestApp
from perdure.testing.faults import Fault, Operation


@pytest.mark.parametrize("open_app", [False, True])
async def test_awaiting_a_task_names_run_and_enqueue(app: Perdure, open_app: bool) -> None:
    @app.task
    async def task() -> None: ...

    async def refused() -> None:
        with pytest.raises(NotInExecutionError, match=r"task\.run\(\.\.\.\).*\.enqueue\(\.\.\.\)"):
            await task()

    if not open_app:
        return await refused()
    async with TestApp(app):
        await refused()
    return None


async def test_there_is_no_current_context(app: Perdure) -> None:
    with pytest.raises(NotInExecutionError):
        current_context()
    async with TestApp(app):
        with pytest.raises(NotInExecutionError):
            current_context()


async def test_current_context_is_the_one_that_is_injected(app: Perdure) -> None:
    @app.activity
    async def act() -> str:
        return current_context().execution_id

    async def helper() -> str:
        return current_context().execution_id

    @app.task
    async def task(ctx: Context) -> list[bool]:
        found = [await act(), await helper(), *await asyncio.gather(helper(), act())]
        assert current_context() is ctx
        return [id == ctx.execution_id for id in found]

    @app.task
    def blocking(ctx: BlockingContext) -> bool:
        return current_context() is ctx

    async with TestApp(app):
        assert await task.run() == [True] * 4
        assert await blocking.run()


async def test_a_context_kept_beyond_its_execution_records_nothing(app: Perdure) -> None:
    kept: list[Any] = []

    @app.task
    async def other() -> None: ...

    @app.task
    async def task(ctx: Context) -> None:
        kept.append(ctx)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.result()
        ctx: Context = kept[0]
        for verb in (
            lambda: ctx.sleep(5),
            lambda: ctx.run(other.call()),
            lambda: ctx.record(len, "a"),
            lambda: ctx.wait_for("x"),
        ):
            with pytest.raises((asyncio.CancelledError, NotInExecutionError)):
                await verb()
        await t.advance(10)
        assert await handle.activities() == []
        assert await app.count() == 1
        assert ctx.execution_id == handle.id


async def test_verbs_of_an_app_that_is_not_open(app: Perdure) -> None:
    @app.task
    async def task() -> None: ...

    verbs: list[Any] = [
        task.enqueue, task.run, lambda: app.enqueue(task.call()), lambda: app.run(task.call()), lambda: app.enqueue_many([]),
        app.search, app.count, app.stats, app.workers, lambda: app.cancel_all(""), lambda: app.retry_all(""),
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(AppClosedError):
            await verb()
    for plain in (lambda: app.handle("x"), lambda: task.handle("x")):
        with pytest.raises(AppClosedError):
            plain()
    assert task.call().task is task


async def test_a_task_started_in_a_body_by_a_foreign_loop_callback_is_no_branch(app: Perdure) -> None:
    """Work that a body hands to the loop without its context stands outside the execution."""
    import contextvars

    seen: list[str] = []
    outside = contextvars.copy_context()

    @app.task
    async def task(ctx: Context) -> None:
        async def foreign() -> None:
            try:
                current_context()
            except NotInExecutionError:
                seen.append("outside")

        await asyncio.get_running_loop().create_task(foreign(), context=outside)

    async with TestApp(app):
        await task.run()
    assert seen == ["outside"]


async def test_a_verb_in_another_event_loop_is_refused(app: Perdure) -> None:
    @app.activity
    async def act(number: int) -> int:
        return number

    @app.task(retries=0)
    async def task(ctx: Context) -> list[str]:
        said: list[str] = []
        for verb in (lambda: act(1), lambda: ctx.sleep(1)):
            try:
                await asyncio.to_thread(lambda made: asyncio.run(_awaited(made)), verb)
            except NotInExecutionError as error:
                said.append(str(error))
        return said

    async with TestApp(app):
        assert (
            await task.run() == ["durable verbs belong in the event loop that runs their body, not in another one"] * 2
        )


async def _awaited(make: Callable[[], Coroutine[Any, Any, object]]) -> object:
    return await make()


async def test_a_handle_of_a_child_kept_beyond_its_parent(app: Perdure) -> None:
    kept: list[Handle[int]] = []

    @app.task
    async def child() -> int:
        return 1

    @app.task
    async def parent(ctx: Context) -> int:
        kept.append(await ctx.spawn(child.call()))
        return await kept[0].result()

    async with TestApp(app):
        assert await parent.run() == 1
        for verb in (kept[0].result, kept[0].cancel):
            with pytest.raises(NotInExecutionError):
                await verb()
        assert await app.handle(kept[0].id).result() == 1


@pytest.mark.parametrize("id", ["", "\ud800", "a\0b", 5, None, Handle])
async def test_what_can_be_no_id_is_refused_and_harms_nobody(app: Perdure, id: Any) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        for make in (app.handle, task.handle):
            with pytest.raises(ConfigurationError, match="an execution id is a text"):
                make(handle if id is Handle else id)
        assert await handle.result() == 1


async def test_an_id_that_the_storage_cannot_look_for_harms_nobody(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    def decide(operation: Operation) -> Fault | None:
        asked = operation.argument if operation.name == "settled" else ()
        return Fault("before", ValueError("no such text")) if "bad" in cast("list[str]", asked) else None

    async with TestApp(app) as t:
        t.faults.decide = decide
        handles = [await task.options(start_delay=60).enqueue() for _ in range(3)]
        waits = [asyncio.ensure_future(handle.result()) for handle in (app.handle("bad"), *handles)]
        await t.advance(seconds=61)
        answers = await asyncio.gather(*waits, return_exceptions=True)
        assert answers[1:] == [1, 1, 1]
        assert isinstance(answers[0], ValueError)


async def test_a_query_that_the_storage_cannot_answer_is_at_fault_and_no_cursor(app: Perdure) -> None:
    async with TestApp(app) as t:
        t.faults.fail("search", error=ValueError("too odd"))
        with pytest.raises(InvalidQueryError, match=r"query 'id:a' cannot be answered: too odd"):
            await app.search("id:a")
        with pytest.raises(InvalidQueryError, match="no cursor"):
            await app.search("id:a", after="odd")
