"""Trees as deep and as wide as they may be, in real time."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure import Context, Joined, Perdure, Registry, Spawn
from perdure.storage.check import check

registry = Registry()


@registry.task
async def leaf(number: int) -> int:
    return number


async def total(joined: Joined[int, None]) -> int:
    return sum(joined.all(leaf))


@registry.parent_task(finalize=total)
async def wide(count: int) -> Spawn[None]:
    return Spawn(None, (leaf.call(number) for number in range(count)))


async def level(joined: Joined[int, None]) -> int:
    return 1 + sum(child.output for child in joined.children)


@registry.parent_task(finalize=level)
async def deep(left: int) -> Spawn[None]:
    return Spawn(None, [deep.call(left - 1)] if left else [])


@registry.parent_task
async def deep_without_a_finalizer(left: int) -> Spawn[int]:
    return Spawn(left, [deep_without_a_finalizer.call(left - 1)] if left else [])


@registry.task
async def awaited(ctx: Context, left: int) -> int:
    return 1 + await awaited(left - 1) if left else 1


pytestmark = pytest.mark.timeout(900)


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Perdure:
    app = Perdure("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'trees.db'}")
    app.include(registry)
    return app


async def test_100_000_children_of_one_parent(app: Perdure) -> None:
    async with app:
        assert await wide.run(100_000) == 4_999_950_000


async def test_10_000_levels_of_children(app: Perdure) -> None:
    async with app:
        assert await deep.run(10_000) == 10_001
        assert check(app.opened.store.storage) == []


async def test_10_000_levels_of_plain_tasks(app: Perdure) -> None:
    async with app:
        assert await awaited.run(10_000) == 10_001


async def test_10_000_levels_without_a_finalizer() -> None:
    """On memory alone: for the storage it is the same again, and takes minutes."""
    app = Perdure("memory://")
    app.include(registry)
    async with app:
        assert (await deep_without_a_finalizer.run(10_000)).output == 10_000
