"""`enqueue_many`: one transaction, whatever becomes of it, and apart from what others ask for in the same moment."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from perdure import IdempotencyConflictError, Perdure, StorageError
from perdure.model.records import NewExecution
from perdure.testing import Fault, Operation, TestApp


def refusing(id: str) -> object:
    """A storage that refuses, for good, every set with that id in it."""

    def decide(operation: Operation) -> Fault | None:
        if operation.name != "enqueue":
            return None
        items = cast("list[NewExecution]", operation.argument)
        refused = any(item.id == id for item in items)
        return Fault("before", StorageError("that id is refused", retryable=False)) if refused else None

    return decide


@pytest.mark.parametrize("lone", [True, False])
async def test_all_or_none_are_stored(app: Perdure, lone: bool) -> None:
    @app.task
    async def task(number: int) -> int:
        return number

    async with TestApp(app) as t:
        t.faults.decide = refusing("bad")  # type: ignore[assignment]
        calls = [task.options(id="bad" if number == 5 else f"n{number}").call(number) for number in range(10)]
        others = [] if lone else [task.options(id="a").enqueue(1), app.enqueue_many([task.options(id="b").call(2)])]
        found = await asyncio.gather(app.enqueue_many(calls), *others, return_exceptions=True)
        assert [isinstance(each, StorageError) for each in found] == [True, *(False for _ in others)]
        await t.advance(1)
        assert sorted(each.id for each in await app.search("")) == ([] if lone else ["a", "b"])
        t.faults.decide = None
        handles = await app.enqueue_many(calls)
        assert [handle.id for handle in handles[4:7]] == ["n4", "bad", "n6"]
        assert await asyncio.gather(*(handle.result() for handle in handles)) == list(range(10))


async def test_nothing_at_all(app: Perdure) -> None:
    async with TestApp(app):
        assert await app.enqueue_many([]) == []


async def test_answers_come_in_the_order_of_the_calls(app: Perdure) -> None:
    @app.task
    async def double(number: int) -> int:
        return number * 2

    @app.task
    async def triple(number: int) -> int:
        return number * 3

    async with TestApp(app):
        calls = [(double if number % 3 else triple).call(number) for number in range(50)]
        lists = await asyncio.gather(app.enqueue_many(calls), app.enqueue_many(calls[:7]), double.enqueue(5))
        results = [await asyncio.gather(*(handle.result() for handle in handles)) for handles in lists[:2]]
        assert results[0] == [number * (2 if number % 3 else 3) for number in range(50)]
        assert results[1] == results[0][:7]
        assert await lists[2].result() == 10


async def test_a_conflict_names_its_owner_and_spares_other_callers(app: Perdure) -> None:
    @app.task
    async def task(number: int) -> int:
        return number

    async with TestApp(app):
        await task.options(id="k").enqueue(1)
        found = await asyncio.gather(
            app.enqueue_many([task.options(id="k").call(2)]), task.enqueue(3), return_exceptions=True
        )
        assert isinstance(found[0], IdempotencyConflictError)
        assert not isinstance(found[1], BaseException)
        assert await found[1].result() == 3
