"""What makes two calls of an activity the same: name and canonical arguments, an explicit key, or the occurrence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from perdure import Context, Perdure
from perdure.testing import TestApp


@dataclass
class Options:
    size: int
    colour: str = "red"


class Recorder:
    """An activity's body that counts."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, *call: Any) -> int:
        self.calls.append(call)
        return len(self.calls)


@pytest.fixture
def ran() -> Recorder:
    return Recorder()


async def run_calls(app: Perdure, ran: Recorder, *calls: tuple[tuple[Any, ...], dict[str, Any]]) -> list[int]:
    """The results of calls of one activity in one execution."""

    @app.activity
    async def act(a: Any, b: Any = "default", *, c: Any = None) -> int:
        return ran(a, b, c)

    @app.task
    async def task() -> list[int]:
        return [await act(*args, **kwargs) for args, kwargs in calls]

    async with TestApp(app):
        return await task.run()


async def test_the_order_of_dict_keys_does_not_count(app: Perdure, ran: Recorder) -> None:
    assert await run_calls(app, ran, (({"a": 1, "b": 2},), {}), (({"b": 2, "a": 1},), {})) == [1, 1]


async def test_all_arguments_count_and_not_only_the_first(app: Perdure, ran: Recorder) -> None:
    assert await run_calls(app, ran, ((1, "x"), {}), ((1, "y"), {}), ((1, "x"), {"c": 1})) == [1, 2, 3]


async def test_positions_and_names_are_the_same_call(app: Perdure, ran: Recorder) -> None:
    calls: list[Any] = [((1, "x"), {}), ((1,), {"b": "x"}), ((), {"b": "x", "a": 1}), ((1, "x"), {"c": None})]
    assert await run_calls(app, ran, *calls) == [1, 1, 1, 1]


async def test_a_default_given_or_left_out_is_the_same_call(app: Perdure, ran: Recorder) -> None:
    assert await run_calls(app, ran, ((1,), {}), ((1, "default"), {}), ((1, "other"), {})) == [1, 1, 2]


async def test_values_of_other_types_are_other_calls(app: Perdure, ran: Recorder) -> None:
    values: list[Any] = [1, "1", True, None, [], {}, "", 0, False, (1,), [1], datetime(2026, 1, 1), {1}]  # noqa: DTZ001
    assert await run_calls(app, ran, *[((value,), {}) for value in values]) == list(range(1, len(values) + 1))


async def test_the_cache_belongs_to_one_execution(app: Perdure, ran: Recorder) -> None:
    @app.activity
    async def act() -> int:
        return ran()

    @app.task
    async def task() -> int:
        return await act()

    async with TestApp(app):
        assert [await task.run(), await task.run()] == [1, 2]


async def test_equal_arguments_of_other_activities_are_other_calls(app: Perdure, ran: Recorder) -> None:
    @app.activity
    async def one(a: int) -> int:
        return ran(a)

    @app.activity
    async def two(a: int) -> int:
        return ran(a)

    @app.task
    async def task() -> list[int]:
        return [await one(1), await two(1), await one(1)]

    async with TestApp(app):
        assert await task.run() == [1, 2, 1]


async def test_an_explicit_key_replaces_the_arguments(app: Perdure, ran: Recorder) -> None:
    @app.activity
    async def act(a: int) -> int:
        return ran(a)

    @app.task
    async def task() -> list[int]:
        keyed = act.options(key="k")
        return [await keyed(1), await keyed(2), await act(1), await act.options(key="l")(1), await act(2)]

    async with TestApp(app):
        assert await task.run() == [1, 1, 2, 3, 4]
    assert ran.calls == [(1,), (1,), (1,), (2,)]


async def test_an_explicit_key_allows_arguments_that_no_digest_has(app: Perdure, ran: Recorder) -> None:
    @app.activity
    async def act(a: Any) -> int:
        return ran(a)

    @app.task
    async def task() -> int:
        return await act.options(key="k")(object())

    async with TestApp(app):
        assert await task.run() == 1


@pytest.mark.parametrize("always_replay", [False, True])
async def test_memo_by_call_runs_each_time_and_replays_each(app: Perdure, ran: Recorder, always_replay: bool) -> None:
    @app.activity(memo="call")
    async def poll(name: str) -> int:
        return ran(name)

    @app.task
    async def task(ctx: Context) -> list[int]:
        found: list[int] = []
        while not found or found[-1] < 4:
            found.append(await poll("a"))
            await ctx.sleep(10)
        return [*found, await poll("b")]

    async with TestApp(app, always_replay=always_replay):
        assert await task.run() == [1, 2, 3, 4, 5]
    assert len(ran.calls) == 5


async def test_memo_by_call_with_a_key_is_by_that_key(app: Perdure, ran: Recorder) -> None:
    @app.activity(memo="call")
    async def poll() -> int:
        return ran()

    @app.task
    async def task() -> list[int]:
        return [await poll.options(key="a")(), await poll(), await poll.options(key="a")(), await poll()]

    async with TestApp(app):
        assert await task.run() == [1, 2, 1, 3]


async def test_a_loop_reversed_on_the_retry_finds_everything(app: Perdure, ran: Recorder) -> None:
    @app.activity
    async def act(a: int) -> int:
        return ran(a) * 0 + a

    @app.task
    async def task(ctx: Context) -> list[int]:
        numbers = list(range(10))
        if ctx.attempt:
            numbers.reverse()
        found = [await act(number) for number in numbers]
        if not ctx.attempt:
            raise ValueError("again")
        return found

    async with TestApp(app):
        assert await task.run() == list(range(9, -1, -1))
    assert len(ran.calls) == 10


@pytest.mark.parametrize("how", ["gather", "group", "as_completed", "loop"])
async def test_concurrency_may_change_between_attempts(app: Perdure, ran: Recorder, how: str) -> None:
    @app.activity
    async def act(a: int) -> int:
        await asyncio.sleep(0)
        return ran(a) * 0 + a

    @app.task
    async def task(ctx: Context) -> list[int]:
        numbers = range(8)
        if ctx.attempt == 0:
            await asyncio.gather(*(act(number) for number in numbers))
            raise ValueError("again")
        if how == "gather":
            return await asyncio.gather(*(act(number) for number in reversed(numbers)))
        if how == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(act(number)) for number in numbers]
            return [each.result() for each in tasks]
        if how == "as_completed":
            return [await each for each in asyncio.as_completed([act(number) for number in numbers])]
        return [await act(number) for number in numbers]

    async with TestApp(app):
        assert sorted(await task.run()) == list(range(8))
    assert len(ran.calls) == 8


async def test_a_field_or_parameter_added_with_a_default_keeps_old_keys(ran: Recorder) -> None:
    """Two deploys: the second one's activity has gained a parameter; what the first one recorded still stands."""
    first, second = Perdure("memory://"), Perdure("memory://")

    @first.activity(name="act")
    async def before(a: int) -> int:
        return ran(a)

    @second.activity(name="act")
    async def after(a: int, colour: str = "red", options: Options | None = None) -> int:
        return ran(a)

    keys: list[str] = []
    for app, act in ((first, before), (second, after)):

        @app.task
        async def task(act: int = 0, *, which: Any = None) -> None: ...

        async def body(call: Any = act) -> None:
            await call(1)

        declared = app.task(name="work")(body_of(act))
        async with TestApp(app) as t:
            handle = await declared.enqueue()
            await t.idle()
            keys += [entry.key for entry in await handle.activities()]
    assert keys[0] == keys[1]


def body_of(act: Any) -> Any:
    """A task's body that calls one activity."""

    async def body() -> None:
        await act(1)

    return body
