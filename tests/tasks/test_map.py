"""`ctx.map`: activities or tasks over items, in input order, bounded, with a tolerance."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import BlockingContext, Context, ExecutionFailedError, Failure, MapFailedError, Perdure
from perdure.testing import TestApp


class Gauge:
    """How many run at once, at most, and what ran."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.ran: list[int] = []

    async def work(self, number: int) -> None:
        self.ran.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


def declare(app: Perdure, gauge: Gauge, kind: str, bad: Any = ()) -> Any:
    """An activity or a task that squares, and fails for some."""

    async def square(number: int) -> int:
        await gauge.work(number)
        if number in bad:
            raise ValueError(f"no {number}")
        return number * number

    return app.activity(square) if kind == "activity" else app.task(retries=0)(square)


KINDS = pytest.mark.parametrize("kind", ["activity", "task"])


@KINDS
@pytest.mark.parametrize("concurrency", [None, 1, 3, 100])
@pytest.mark.parametrize("always_replay", [False, True])
async def test_results_stand_in_input_order(
    app: Perdure, gauge: Gauge, kind: str, concurrency: int | None, always_replay: bool
) -> None:
    square = declare(app, gauge, kind)

    @app.task
    async def task(ctx: Context) -> list[int]:
        found = await ctx.map(square, reversed(range(12)), concurrency=concurrency)
        await ctx.sleep(5)
        return found

    async with TestApp(app, always_replay=always_replay):
        assert await task.run() == [number * number for number in reversed(range(12))]
    assert sorted(gauge.ran) == list(range(12))
    assert gauge.most <= (concurrency or 12)


@KINDS
async def test_no_items_are_no_results(app: Perdure, gauge: Gauge, kind: str) -> None:
    square = declare(app, gauge, kind)

    @app.task
    async def task(ctx: Context) -> list[Any]:
        return [await ctx.map(square, []), await ctx.map(square, iter(()), tolerate=0.5, concurrency=2)]

    async with TestApp(app):
        assert await task.run() == [[], []]


@KINDS
@pytest.mark.parametrize("concurrency", [None, 2])
async def test_without_tolerance_the_first_failure_is_raised(
    app: Perdure, gauge: Gauge, kind: str, concurrency: int | None
) -> None:
    square = declare(app, gauge, kind, bad={2})

    @app.task(retries=0)
    async def task(ctx: Context) -> str:
        try:
            await ctx.map(square, range(20), concurrency=concurrency)
        except (ValueError, ExecutionFailedError) as error:
            return f"{type(error).__name__} {'no 2' in str(error)}"
        return "not reached"

    async with TestApp(app):
        assert await task.run() == ("ValueError True" if kind == "activity" else "ExecutionFailedError True")
    if concurrency is not None:
        assert max(gauge.ran) < 10


@KINDS
@pytest.mark.parametrize("concurrency", [None, 2])
@pytest.mark.parametrize("tolerate", [2, 0.2, 0.29, 1.0, 10])
async def test_failures_within_the_tolerance_stand_in_the_list(
    app: Perdure, gauge: Gauge, kind: str, concurrency: int | None, tolerate: float
) -> None:
    square = declare(app, gauge, kind, bad={1, 8})

    @app.task(retries=0)
    async def task(ctx: Context) -> list[str]:
        found = await ctx.map(square, range(10), concurrency=concurrency, tolerate=tolerate)
        return [f"{each.type} {each.message}" if isinstance(each, Failure) else str(each) for each in found]

    async with TestApp(app):
        found = await task.run()
    assert found[0] == "0"
    assert found[9] == "81"
    assert found[1] == "ValueError no 1"
    assert found[8] == "ValueError no 8"


@KINDS
@pytest.mark.parametrize("tolerate", [1, 0, 0.1, 0.19, 0.0])
async def test_above_the_tolerance_it_fails_and_no_new_item_starts(
    app: Perdure, gauge: Gauge, kind: str, tolerate: float
) -> None:
    square = declare(app, gauge, kind, bad={1, 3})

    @app.task(retries=0)
    async def task(ctx: Context) -> list[Any]:
        try:
            await ctx.map(square, range(10), concurrency=1, tolerate=tolerate)
        except MapFailedError as error:
            assert error.failure is not None
            return [error.failure.message, len(error.results), str(error)]
        return []

    async with TestApp(app):
        message, reached, text = await task.run()
    allowed = int(tolerate * 10) if isinstance(tolerate, float) else tolerate
    assert message == "no 1"
    assert reached == len(gauge.ran) == (4 if allowed else 2)
    assert f"{allowed} may" in text


async def test_a_share_is_exact(app: Perdure, gauge: Gauge) -> None:
    square = declare(app, gauge, "activity", bad=set(range(29)))

    @app.task(retries=0)
    async def task(ctx: Context) -> int:
        found = await ctx.map(square, range(100), tolerate=0.29)
        return sum(isinstance(each, Failure) for each in found)

    async with TestApp(app):
        assert await task.run() == 29


async def test_an_uncaught_map_failure_fails_the_task(app: Perdure, gauge: Gauge) -> None:
    square = declare(app, gauge, "activity", bad={0, 1, 2})

    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        await ctx.map(square, range(5), tolerate=1)

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="MapFailedError"):
            await task.run()


async def test_the_next_attempt_runs_only_what_failed(app: Perdure, gauge: Gauge) -> None:
    @app.activity
    async def act(number: int) -> int:
        gauge.ran.append(number)
        if number == 3 and gauge.ran.count(3) == 1:
            raise ValueError("no")
        return number

    @app.task
    async def task(ctx: Context) -> list[int]:
        return await ctx.map(act, range(6), concurrency=1)

    async with TestApp(app):
        assert await task.run() == list(range(6))
    assert sorted(gauge.ran) == [0, 1, 2, 3, 3, 4, 5]


@KINDS
async def test_equal_items(app: Perdure, gauge: Gauge, kind: str) -> None:
    square = declare(app, gauge, kind)

    @app.task
    async def task(ctx: Context) -> list[int]:
        return await ctx.map(square, [3, 3, 3])

    async with TestApp(app):
        assert await task.run() == [9, 9, 9]
    assert len(gauge.ran) == (1 if kind == "activity" else 3)


@KINDS
async def test_two_maps_in_one_body_and_in_branches(app: Perdure, gauge: Gauge, kind: str) -> None:
    square = declare(app, gauge, kind)

    @app.task
    async def task(ctx: Context) -> list[list[int]]:
        first = await ctx.map(square, [1, 2])
        both = await asyncio.gather(ctx.map(square, [1, 2]), ctx.map(square, [2, 3]))
        await ctx.sleep(100)
        return [first, *both]

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == [[1, 4], [1, 4], [4, 9]]
        assert len(await handle.children()) == (0 if kind == "activity" else 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency"), ({"concurrency": 1.5}, "concurrency"), ({"tolerate": -1}, "tolerate"),
        ({"tolerate": 1.5}, "tolerate"), ({"tolerate": True}, "tolerate"), ({"tolerate": "all"}, "tolerate"),
        ({"tolerate": float("nan")}, "tolerate"), ({"concurrency": True}, "concurrency"),
    ],
)  # fmt: skip
async def test_wrong_options_are_named(app: Perdure, gauge: Gauge, options: dict[str, Any], words: str) -> None:
    square = declare(app, gauge, "activity")

    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        await ctx.map(square, [1], **options)

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match=f"ConfigurationError: map {words}"):
            await task.run()


async def test_only_an_activity_or_a_task_can_be_mapped(app: Perdure) -> None:
    @app.task(retries=0)
    async def task(ctx: Context) -> None:
        await ctx.map(abs, [1])  # type: ignore[call-overload]

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="an activity or a task"):
            await task.run()


async def test_map_in_a_def_body(app: Perdure, gauge: Gauge) -> None:
    square = declare(app, gauge, "task")

    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.task
    def task(ctx: BlockingContext) -> list[list[int]]:
        return [ctx.map(square, [1, 2, 3]), ctx.map(double, [1, 2, 3], concurrency=2)]

    async with TestApp(app):
        assert await task.run() == [[1, 4, 9], [2, 4, 6]]


async def test_many_children_of_one_parent(app: Perdure, gauge: Gauge) -> None:
    square = declare(app, gauge, "task")

    @app.task
    async def task(ctx: Context) -> int:
        return sum(await ctx.map(square, range(1000)))

    async with TestApp(app):
        assert await task.run() == sum(number * number for number in range(1000))
    assert len(gauge.ran) == 1000
