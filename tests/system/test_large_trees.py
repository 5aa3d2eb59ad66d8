"""Trees as deep and as wide as they may be, in real time."""

from __future__ import annotations

import pytest

from perdure import Context, Joined, Perdure, Spawn

app = Perdure("memory://")


@app.task
async def leaf(number: int) -> int:
    return number


async def total(joined: Joined[int, None]) -> int:
    return sum(joined.all(leaf))


@app.parent_task(finalize=total)
async def wide(count: int) -> Spawn[None]:
    return Spawn(None, (leaf.call(number) for number in range(count)))


async def level(joined: Joined[int, None]) -> int:
    return 1 + sum(child.output for child in joined.children)


@app.parent_task(finalize=level)
async def deep(left: int) -> Spawn[None]:
    return Spawn(None, [deep.call(left - 1)] if left else [])


@app.parent_task
async def deep_without_a_finalizer(left: int) -> Spawn[int]:
    return Spawn(left, [deep_without_a_finalizer.call(left - 1)] if left else [])


@app.task
async def awaited(ctx: Context, left: int) -> int:
    return 1 + await awaited(left - 1) if left else 1


@pytest.mark.timeout(300)
async def test_100_000_children_of_one_parent() -> None:
    async with app:
        assert await wide.run(100_000) == 4_999_950_000


@pytest.mark.timeout(300)
async def test_10_000_levels_of_children() -> None:
    async with app:
        assert await deep.run(10_000) == 10_001


@pytest.mark.timeout(300)
async def test_10_000_levels_without_a_finalizer_and_in_plain_tasks() -> None:
    async with app:
        assert (await deep_without_a_finalizer.run(10_000)).output == 10_000
        assert await awaited.run(10_000) == 10_001
