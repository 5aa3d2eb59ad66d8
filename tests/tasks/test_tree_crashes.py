"""Trees and sequences, with a crash at every durable boundary: case 122."""

from __future__ import annotations

from typing import Any

from perdure import Context, ExecutionFailedError, Joined, Perdure, Spawn
from perdure.testing import TestApp, crash_everywhere

app = Perdure("memory://")


@app.task
async def add(a: int, b: int) -> int:
    return a + b


@app.task
async def more(value: int) -> int:
    return value + 1


@app.task(retries=0)
async def broken() -> int:
    raise ValueError("broken")


@app.task
async def slow(ctx: Context) -> int:
    await ctx.sleep(3600)
    return 1


def total(joined: Joined[int, int]) -> int:
    return joined.output + sum(joined.all(add))


@app.parent_task(finalize=total)
async def tree(start: int) -> Spawn[int]:
    return Spawn(start, [add.call(start, number) for number in range(3)])


@app.parent_task(finalize=total)
def blocking(start: int) -> Spawn[int]:
    return Spawn(start, [add.call(start, 1)])


def grand(joined: Joined[Joined[int, None], int]) -> list[int]:
    return [joined.input.one(tree), joined.output, joined.one(more)]


@app.parent_task(finalize=grand)
async def middle(joined: Joined[int, None]) -> Spawn[int]:
    return Spawn(joined.input, [more.call(joined.one(tree))])


@app.parent_task(finalize=middle)
async def nested(start: int) -> Spawn[None]:
    return Spawn(None, [tree.call(start)])


@app.parent_task(on_child_failure="collect")
async def collecting() -> Spawn[str]:
    return Spawn("out", [broken.call(), add.call(1, 2)])


@app.parent_task
async def failing() -> Spawn[str]:
    return Spawn("out", [slow.call(), broken.call()])


@app.parent_task(max_parallel=2)
async def bounded() -> Spawn[None]:
    return Spawn(None, [more.call(number) for number in range(5)])


steps = app.sequence("steps", more, more, more)


async def conserved(t: TestApp) -> None:
    """Children are as many as were asked for, each settled, and everything is closed."""
    for found in (await app.search("")).items:
        assert found.settled
        assert found.children_total == found.children_settled
        assert found.closed_at is not None


@crash_everywhere(app)
async def test_a_tree_with_a_finalizer(t: TestApp) -> None:
    assert await tree.run(5) == 5 + 5 + 6 + 7
    await conserved(t)
    assert await app.count("task:add") == 3
    assert await app.count("task:tree.finalize") == 1


@crash_everywhere(app)
async def test_a_tree_with_a_def_body(t: TestApp) -> None:
    assert await blocking.run(5) == 5 + 6
    await conserved(t)


@crash_everywhere(app, always_replay=True)
async def test_nested_trees(t: TestApp) -> None:
    assert await nested.run(5) == [23, 5, 24]
    await conserved(t)
    assert await app.count() == 9


@crash_everywhere(app)
async def test_collect(t: TestApp) -> None:
    result = await collecting.run()
    found: list[Any] = [(child.status, child.output) for child in result.children]
    assert found == [("failed", None), ("completed", 3)]
    await conserved(t)


@crash_everywhere(app)
async def test_the_first_failure(t: TestApp) -> None:
    handle = await failing.enqueue()
    try:
        await handle.result()
    except ExecutionFailedError as error:
        assert "[index=1] broken failed: ValueError: broken" in str(error)
    else:
        raise AssertionError("it did not fail")
    assert [child.status for child in await handle.children()] == ["cancelled", "failed"]
    await conserved(t)


@crash_everywhere(app)
async def test_bounded(t: TestApp) -> None:
    assert [child.output for child in (await bounded.run()).children] == [1, 2, 3, 4, 5]
    await conserved(t)
    assert await app.count("task:more") == 5


@crash_everywhere(app)
async def test_a_sequence(t: TestApp) -> None:
    assert await steps.run(1) == 4
    await conserved(t)
    assert await app.count("task:more") == 3
