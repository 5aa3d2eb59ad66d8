"""How long what is over is kept: for ever, for the app's retention, or for the task's own."""

from __future__ import annotations

import logging

import pytest

from perdure import Context, ExecutionNotFoundError, Perdure
from perdure.errors import StorageError
from perdure.testing import TestApp
from perdure.testing.faults import Fault, Operation

DAY = 86_400


async def test_by_default_everything_is_kept(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app) as t:
        handle = await task.options(id="k").enqueue()
        await handle.result()
        await t.advance(days=1000)
        assert await handle.status() == "completed"
        assert await task.options(id="k").enqueue() == handle


async def test_what_is_closed_for_longer_than_the_apps_retention_is_removed() -> None:
    app = Perdure("memory://", retention=10 * DAY)

    @app.task(retries=0)
    async def task(how: str) -> None:
        if how == "fail":
            raise ValueError("no")

    @app.task
    async def sleeper(ctx: Context) -> None:
        await ctx.sleep(1000 * DAY)

    async with TestApp(app) as t:
        handles = [await task.enqueue("complete"), await task.enqueue("fail")]
        waiting = await sleeper.enqueue()
        await t.advance(days=9)
        assert await app.count() == 3
        await t.advance(days=2)
        assert await app.count() == 1
        for handle in handles:
            with pytest.raises(ExecutionNotFoundError):
                await handle.status()
        assert await waiting.status() == "waiting"


async def test_a_tasks_own_retention() -> None:
    app = Perdure("memory://", retention=100 * DAY)

    @app.task(retention=DAY)
    async def short() -> None: ...

    @app.task
    async def long() -> None: ...

    async with TestApp(app) as t:
        await short.run()
        await long.run()
        await t.advance(days=2)
        assert [execution.task_name for execution in await app.search("")] == ["long"]


@pytest.mark.parametrize("app_keeps", [0, 1])
async def test_a_tasks_own_retention_may_be_longer_than_the_apps(app_keeps: int) -> None:
    app = Perdure("memory://", retention=app_keeps * DAY)

    @app.task(retention=5 * DAY)
    async def long() -> None: ...

    @app.task
    async def short() -> None: ...

    async with TestApp(app) as t:
        await t.app.enqueue_many([long.call(), short.call()])
        await t.advance(days=4)
        assert [execution.task_name for execution in await app.search("")] == ["long"]
        await t.advance(days=2)
        assert await app.count() == 0


async def test_ids_and_keys_are_free_again_after_retention() -> None:
    app = Perdure("memory://", retention=DAY)
    ran: list[int] = []

    @app.task
    async def task(number: int) -> int:
        ran.append(number)
        return number

    async with TestApp(app) as t:
        assert await task.options(id="k", idempotency_key="l").run(1) == 1
        await t.advance(days=2)
        assert await task.options(id="k", idempotency_key="l").run(2) == 2
    assert ran == [1, 2]


async def test_a_tree_is_kept_until_all_of_it_is_over() -> None:
    app = Perdure("memory://", retention=DAY)

    @app.task
    async def child(ctx: Context) -> None:
        await ctx.sleep(5 * DAY)

    @app.task
    async def parent(ctx: Context) -> None:
        await ctx.spawn(child.call())

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance(days=4)
        assert await handle.status() == "completed"
        assert await app.count() == 2
        await t.advance(days=3)
        assert await app.count() == 0


@pytest.mark.parametrize(
    ("operation", "words"), [("prune", "past its retention cannot be removed"), ("reclaim", "cannot be taken back")]
)
async def test_a_right_that_is_missing_is_told_once(
    app: Perdure, caplog: pytest.LogCaptureFixture, operation: str, words: str
) -> None:
    """And again only where it worked meanwhile. What is retryable is told elsewhere."""
    lacking, away = StorageError("this user may not do that"), StorageError("away", retryable=True)
    failing: list[StorageError] = []

    def decide(asked: Operation) -> Fault | None:
        return Fault("before", failing[0]) if asked.name == operation and failing else None

    async with TestApp(app) as t:
        t.faults.decide = decide
        for errors, told in (([away], 0), ([lacking], 1), ([away], 1), ([lacking], 1), ([], 1), ([lacking], 2)):
            failing[:] = errors
            await t.advance(seconds=300)
            assert [record.levelno for record in caplog.records if words in record.message] == [logging.WARNING] * told
