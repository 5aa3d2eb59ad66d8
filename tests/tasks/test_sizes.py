"""Sizes: small ones that an app sets, met exactly, and counted in bytes."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import ConfigurationError, Context, ExecutionFailedError, PayloadTooLargeError, Perdure, Registry, Sizes
from perdure.testing import TestApp


@pytest.mark.parametrize(("text", "fits"), [("x" * 98, True), ("x" * 99, False), ("ü" * 49, True), ("ü" * 50, False)])
async def test_results_are_measured_in_bytes_of_json(text: str, fits: bool) -> None:
    app = Perdure("memory://", sizes=Sizes(result=100))

    @app.task(retries=0)
    async def task() -> str:
        return text

    async with TestApp(app):
        if fits:
            assert await task.run() == text
        else:
            with pytest.raises(ExecutionFailedError, match="100 bytes"):
                await task.run()


async def test_the_journal_has_a_limit() -> None:
    app = Perdure("memory://", sizes=Sizes(journal=10))

    @app.activity
    async def act(number: int) -> int:
        return number

    @app.task(retries=3)
    async def task(ctx: Context, count: int) -> int:
        return len([await act(number) for number in range(count)])

    async with TestApp(app):
        assert await task.run(10) == 10
        handle = await task.enqueue(11)
        execution = await handle.wait()
        assert (execution.status, execution.attempt) == ("failed", 0)
        assert execution.failure is not None
        assert "Sizes(journal=...)" in execution.failure.message


async def test_failures_count_in_the_journal_too() -> None:
    app = Perdure("memory://", sizes=Sizes(journal=5))

    @app.activity
    async def act() -> None:
        raise ValueError("no")

    @app.task(retries=100)
    async def task(ctx: Context) -> None:
        await act()

    async with TestApp(app):
        execution = await (await task.enqueue()).wait()
        assert execution.attempt <= 6


async def test_an_unlimited_retry_of_a_cached_failure_does_not_grow_the_journal(app: Perdure) -> None:
    @app.activity
    async def act() -> None:
        raise ValueError("no")

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        for _ in range(50):
            with pytest.raises(ValueError, match="no"):
                await act()
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == 1
        assert len(await handle.activities()) == 1


async def test_names_keys_and_tags() -> None:
    app = Perdure("memory://", sizes=Sizes(name=10, tags=2))

    @app.activity
    async def act() -> None: ...

    @app.task(retries=0)
    async def task(ctx: Context, key: str) -> None:
        await ctx.sleep(0, key=key)

    with pytest.raises(ConfigurationError, match="1 to 10"):
        act.options(key="x" * 11)
    with pytest.raises(ConfigurationError, match="1 to 10"):
        task.options(id="x" * 11)
    with pytest.raises(ConfigurationError, match="at most 2"):
        task.options(tags={"a": "1", "b": "2", "c": "3"})
    async with TestApp(app):
        await task.run("x" * 10)
        for key in ("x" * 11, ""):
            with pytest.raises(ExecutionFailedError, match="1 to 10"):
                await task.run(key)


async def test_sizes_of_the_app_hold_for_an_included_registry() -> None:
    app, registry = Perdure("memory://", sizes=Sizes(input=20, tags=2)), Registry()

    @registry.task
    async def task(text: str) -> str:
        return text

    app.include(registry)
    with pytest.raises(ConfigurationError, match="at most 2"):
        task.options(tags={"a": "1", "b": "2", "c": "3"})
    async with TestApp(app):
        with pytest.raises(PayloadTooLargeError):
            await task.enqueue("x" * 30)


@pytest.mark.parametrize("sizes", [{"input": 1}, 5, "big"])
def test_sizes_are_checked_when_the_app_is_made(sizes: Any) -> None:
    if isinstance(sizes, dict):
        assert Perdure("memory://", sizes=sizes).settings.sizes == Sizes(input=1)  # type: ignore[arg-type]
    else:
        with pytest.raises(ConfigurationError, match="sizes"):
            Perdure("memory://", sizes=sizes)
