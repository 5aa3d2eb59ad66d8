"""`current_context` says which context the body has, and a `def` body reaches activities only by its own words."""

import asyncio

import pytest

from perdure import BlockingContext, Context, NotInExecutionError, Perdure, current_context
from perdure.errors import ConfigurationError


async def test_the_context_of_an_async_body() -> None:
    app = Perdure("memory://")

    @app.task(retries=0)
    async def body(ctx: Context) -> list[bool]:
        with pytest.raises(ConfigurationError, match="is a Context, no BlockingContext"):
            current_context(BlockingContext)
        return [current_context() is ctx, current_context(Context) is ctx]

    async with app:
        assert await body.run() == [True, True]


async def test_the_context_of_a_def_body() -> None:
    app = Perdure("memory://")

    @app.task(retries=0)
    def body(ctx: BlockingContext) -> list[bool]:
        with pytest.raises(ConfigurationError, match="is a BlockingContext, no Context"):
            current_context(Context)
        return [current_context() is ctx, current_context(BlockingContext) is ctx]

    async with app:
        assert await body.run() == [True, True]


async def test_aio_in_a_def_body_names_the_words_to_use() -> None:
    app = Perdure("memory://")

    @app.activity
    def measure(text: str) -> int:
        return len(text)

    @app.task(retries=0)
    def body() -> int:
        with pytest.raises(ConfigurationError, match=r"use measure\(\.\.\.\), or ctx\.record\(measure, \.\.\.\)"):
            asyncio.run(measure.aio("a"))
        return measure("ab")

    async with app:
        assert await body.run() == 2


def test_there_is_no_context_elsewhere() -> None:
    with pytest.raises(NotInExecutionError):
        current_context(BlockingContext)
