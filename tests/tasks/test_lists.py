"""Task lists: calls done in order, each until it works, in one execution that its id deduplicates."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pytest

from perdure import (
    Abort,
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    GiveUp,
    IdempotencyConflictError,
    InvalidInputError,
    Joined,
    ListItem,
    PayloadTooLargeError,
    Perdure,
    Retry,
    Sizes,
    Spawn,
    current_context,
)
from perdure.testing import TestApp, crash_everywhere
from tests.tasks.redeploy import redeployed

REPLAYS = pytest.mark.parametrize("always_replay", [False, True])


@pytest.fixture
def seen() -> list[Any]:
    return []


def statuses(items: list[ListItem]) -> list[str]:
    return [item.status for item in items]


@dataclass
class User:
    name: str
    age: int = 0


# --- order and results


@REPLAYS
async def test_items_run_in_order_and_their_results_are_typed(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    @app.task
    async def create_user(name: str) -> User:
        seen.append(("create", name))
        return User(name)

    @app.task
    async def send_email(user: User, times: int = 1) -> int:
        seen.append(("send", user))
        return times

    async with TestApp(app, always_replay=always_replay):
        handle = await app.enqueue_list("signup-42", [create_user.call("a"), send_email.call(User("b"), times=2)])
        assert handle.id == "signup-42"
        items = await handle.result()
        assert items == [
            ListItem("completed", User("a"), None, 0, "create_user"),
            ListItem("completed", 2, None, 1, "send_email"),
        ]
        assert (await app.search("id:signup-42")).items[0].task_name == "@list"
        assert await app.count() == 1
    assert seen == [("create", "a"), ("send", User("b"))]


async def test_a_dict_names_the_items_and_the_task_is_the_calls(app: Perdure, seen: list[Any]) -> None:
    """T1: the name of an item is not that of its task."""

    @app.task
    async def example(text: str) -> str:
        seen.append(text)
        return text.upper()

    async with TestApp(app):
        handle = await app.enqueue_list("l", {"task1": example.call("x"), "task2": example.call("y")})
        items = await handle.result()
        assert [(item.seq, item.name, item.value) for item in items] == [(0, "task1", "X"), (1, "task2", "Y")]
        assert (await app.list_item("l", "task2")).value == "Y"
    assert seen == ["x", "y"]


@REPLAYS
async def test_a_false_result_is_a_result(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    """T5, T7: nothing, 0, an empty text and False are results; the body runs once."""

    @app.task
    async def give(value: Any) -> Any:
        seen.append(value)
        return value

    values = [None, 0, "", False, [], {}]
    async with TestApp(app, always_replay=always_replay):
        handle = await app.enqueue_list("l", [give.call(value) for value in values])
        items = await handle.result()
        assert [item.value for item in items] == values
        assert statuses(items) == ["completed"] * len(values)
        assert (await app.list_item("l", 3)).value is False
    assert seen == values


async def test_an_empty_list_completes_at_once(app: Perdure) -> None:
    @app.task
    async def some() -> None: ...

    async with TestApp(app):
        assert await (await app.enqueue_list("l", [])).result() == []


@REPLAYS
async def test_items_do_not_meet_what_other_items_recorded(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    @app.activity
    async def fetch(number: int) -> int:
        seen.append(number)
        return len(seen)

    @app.task
    async def other() -> int:
        seen.append("other")
        return len(seen)

    @app.task
    async def work(ctx: Context) -> list[int]:
        assert current_context() is ctx
        values = await asyncio.gather(fetch(1), fetch(1))
        await ctx.sleep(5)
        return [*values, await other(), await fetch(1)]

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await app.enqueue_list("l", [work.call(), work.call()])
        await t.advance(60)
        items = await handle.result()
    assert [item.value for item in items] == [[1, 1, 2, 1], [3, 3, 4, 3]]


async def test_what_an_item_is_told(app: Perdure, seen: list[Any]) -> None:
    @app.task
    async def first(ctx: Context) -> None:
        seen.append((ctx.list_id, ctx.seq, ctx.task_name, ctx.attempt, ctx.execution_id))
        assert ctx.logger.logger.name == "perdure.task.first"

    @app.task
    def second(ctx: BlockingContext) -> None:
        assert current_context(BlockingContext) is ctx
        seen.append((ctx.list_id, ctx.seq, ctx.task_name, ctx.attempt, ctx.execution_id))

    async with TestApp(app):
        await (await app.enqueue_list("l", [first.call(), second.call()])).result()
    assert seen == [("l", 0, "first", 0, "l"), ("l", 1, "second", 0, "l")]


async def test_outside_a_list_there_is_no_place_in_one(app: Perdure) -> None:
    @app.task(retries=0)
    async def alone(ctx: Context, what: str) -> Any:
        return await ctx.item(0) if what == "item" else getattr(ctx, what)

    async with TestApp(app):
        for what in ("seq", "list_id", "prepared", "item"):
            with pytest.raises(ExecutionFailedError, match=f"ctx.{what}: task alone runs in no task list"):
                await alone.run(what)


# --- earlier results


@REPLAYS
async def test_an_item_reads_the_results_of_earlier_ones(app: Perdure, seen: list[Any], always_replay: bool) -> None:
    """T13."""

    @app.task
    async def create(name: str) -> User:
        return User(name, 7)

    @app.task
    async def read(ctx: Context) -> int:
        own, earlier = await ctx.item(ctx.seq), await ctx.item(0)
        seen.append((own.status, earlier.value, (await ctx.item("the user")).value))
        assert earlier == await app.list_item(ctx.list_id, 0)
        return earlier.value.age

    @app.task
    def read_blocking(ctx: BlockingContext) -> int:
        return ctx.item("age").value + 1

    async with TestApp(app, always_replay=always_replay):
        items = {"the user": create.call("a"), "age": read.call(), "next": read_blocking.call()}
        found = await (await app.enqueue_list("l", items)).result()
    assert [item.value for item in found] == [User("a", 7), 7, 8]
    assert seen == [("pending", User("a", 7), User("a", 7))]


async def test_an_item_that_is_not_there(app: Perdure) -> None:
    @app.task
    async def work() -> int:
        return 1

    async with TestApp(app):
        await (await app.enqueue_list("l", [work.call(), work.call()])).result()
        for which, words in (
            (2, "numbered from 0"),
            (-1, "no item -1"),
            ("x", "no item named 'x'"),
            ("work", "2 items"),
        ):
            with pytest.raises(LookupError, match=words):
                await app.list_item("l", which)
        with pytest.raises(ExecutionNotFoundError):
            await app.list_item("m", 0)
        handle = await work.enqueue()
        with pytest.raises(ConfigurationError, match="no task list"):
            await app.list_item(handle.id, 0)


# --- abort


@pytest.mark.parametrize("returned", [False, True])
async def test_an_abort_fails_the_item_and_goes_on(app: Perdure, seen: list[Any], returned: bool) -> None:
    """14, 16 (T3): tried once, the next item begins with attempt 0 and without a pause."""

    @app.task
    async def a() -> int | Abort:
        seen.append("a")
        if returned:
            return Abort("no", value={"why": 1})
        raise Abort("no", value={"why": 1})

    @app.task
    async def b(ctx: Context) -> int:
        seen.append(("b", ctx.attempt))
        return 2

    async with TestApp(app) as t:
        before = t.now
        handle = await app.enqueue_list("l", [a.call(), b.call(), b.call()])
        items = await handle.result()
        assert t.now == before
    assert statuses(items) == ["failed", "completed", "completed"]
    failure = items[0].failure
    assert failure is not None
    assert (failure.kind, failure.message, items[0].value) == ("aborted", "no", {"why": 1})
    assert seen == ["a", ("b", 0), ("b", 0)]


@pytest.mark.parametrize("returned", [False, True])
async def test_an_abort_of_the_list_ends_it_there(app: Perdure, seen: list[Any], returned: bool) -> None:
    """15, 25 (T4): item and list failed, later items stay pending; the same id again changes nothing."""

    @app.task
    async def a() -> int | Abort:
        seen.append("a")
        if returned:
            return Abort("stop", scope="list", value=[1])
        raise Abort("stop", scope="list", value=[1])

    @app.task
    async def b() -> None:
        seen.append("b")

    calls = [b.call(), a.call(), b.call()]
    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", calls)
        with pytest.raises(ExecutionFailedError, match="stop") as caught:
            await handle.result()
        assert caught.value.failure is not None
        assert caught.value.failure.kind == "aborted"
        items = [await app.list_item("l", seq) for seq in range(3)]
        assert statuses(items) == ["completed", "failed", "pending"]
        assert (items[1].value, items[1].failure and items[1].failure.message) == ([1], "stop")
        again = await app.enqueue_list("l", calls)
        await t.advance(60)
        assert await again.status() == "failed"
    assert seen == ["b", "a"]


@pytest.mark.parametrize("queue", ["default", "other"])
@pytest.mark.parametrize("returned", [False, True])
async def test_the_value_of_an_abort_is_kept_by_the_type_of_the_result(queue: str, returned: bool) -> None:
    """§4: `value=` is kept, of an item and of the list, here or as a child; what is no result stays as it is."""
    app = Perdure("memory://", queues=("default", "other"))

    @app.task(queue=queue)
    async def typed(name: str, scope: Any) -> User | Abort:
        abort = Abort("no", scope=scope, value=User(name))
        if returned:
            return abort
        raise abort

    @app.task(queue=queue)
    async def plain() -> User:
        raise Abort("no", value={"when": datetime(2026, 1, 1, tzinfo=UTC), "$type": "mine"})

    @app.activity
    async def act() -> User:
        raise Abort("no", value=User("d"))

    @app.task(queue=queue)
    async def inner() -> None:
        await act()

    async with TestApp(app) as t:
        calls = [typed.call("a", "item"), plain.call(), inner.call(), typed.call("c", "list")]
        handle = await app.enqueue_list("l", calls)
        await t.idle()
        failure = (await handle.wait()).failure
        assert failure is not None
        assert (failure.kind, failure.value) == ("aborted", {"name": "c", "age": 0})
        items = [await app.list_item("l", seq) for seq in range(4)]
    mine = {"when": datetime(2026, 1, 1, tzinfo=UTC), "$type": "mine"}
    assert [item.value for item in items] == [User("a"), mine, {"name": "d", "age": 0}, User("c")]
    assert {item.failure.kind for item in items if item.failure} == {"aborted"}


async def test_the_value_of_an_abort_is_kept_by_an_execution_and_by_an_activity_elsewhere(app: Perdure) -> None:
    @app.task
    async def alone() -> User:
        raise Abort("no", value=User("a"))

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError) as caught:
            await alone.run()
    assert caught.value.failure is not None
    assert (caught.value.failure.kind, caught.value.failure.value) == ("aborted", {"name": "a", "age": 0})


@pytest.mark.parametrize("queue", ["default", "other"])
@pytest.mark.parametrize("scope", ["item", "list"])
async def test_a_value_of_an_abort_that_cannot_be_stored_fails_loudly(queue: str, scope: Any) -> None:
    app = Perdure("memory://", queues=("default", "other"))

    @app.task(queue=queue)
    async def bad() -> int:
        raise Abort("no", scope=scope, value=User("a"))

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [bad.call()])
        await t.idle()
        assert await handle.status() == "failed"
        item = await app.list_item("l", 0)
    assert item.status == "failed"
    assert item.failure is not None
    assert item.failure.kind == "error"
    assert "the value of an Abort cannot be stored" in item.failure.message


async def test_item_and_list_fail_in_one_transition(app: Perdure) -> None:
    """33: when the storage fails there, neither is changed."""

    @app.task
    async def a() -> None:
        raise Abort("stop", scope="list")

    written: list[Any] = []
    async with TestApp(app) as t:
        decide = t.faults.decide

        def watch(operation: Any) -> Any:
            if operation.name == "commit":
                written.extend((len(each.entries), type(each.outcome).__name__) for each in operation.argument)
            return decide(operation) if decide else None

        t.faults.decide = watch
        handle = await app.enqueue_list("l", [a.call()])
        await handle.wait()
    assert written == [(1, "Settled")]


@pytest.mark.parametrize("scope", ["banana", "", None, "task"])
def test_another_scope_is_a_value_error(scope: Any) -> None:
    with pytest.raises(ValueError, match="Abort scope is .* 'item' or 'list'"):
        Abort("x", scope=scope)


async def test_a_wrong_scope_in_an_item_is_an_error_like_any_other(app: Perdure, seen: list[Any]) -> None:
    """18: treated as unexpected, retried."""

    @app.task
    async def a(ctx: Context) -> None:
        seen.append(ctx.attempt)
        if ctx.attempt == 0:
            raise Abort("x", scope="banana")  # type: ignore[arg-type]

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [a.call()])
        await t.advance(10)
        assert statuses(await handle.result()) == ["completed"]
    assert seen == [0, 1]


@pytest.mark.parametrize("returned", [False, True])
async def test_elsewhere_an_abort_fails_the_execution(app: Perdure, seen: list[Any], returned: bool) -> None:
    @app.task
    async def alone() -> int | Abort:
        seen.append(1)
        if returned:
            return Abort("enough", value=3)
        raise Abort("enough", value=3)

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="enough") as caught:
            await alone.run()
    failure = caught.value.failure
    assert failure is not None
    assert (failure.kind, failure.value, len(seen)) == ("aborted", 3, 1)


# --- retries


@REPLAYS
async def test_an_error_is_retried_for_ever_with_a_constant_pause(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    """17: attempts 0, 1, 2 five seconds apart, whatever the task's own policy; the next item begins with 0."""

    @app.task(retries=0)
    async def a(ctx: Context) -> None:
        seen.append((ctx.seq, ctx.attempt, t.now.timestamp()))
        if ctx.attempt < 2:
            raise ValueError("again")

    async with TestApp(app, always_replay=always_replay) as t:
        began = t.now.timestamp()
        handle = await app.enqueue_list("l", [a.call(), a.call()])
        await t.advance(60)
        await handle.result()
    assert [(seq, attempt, moment - began) for seq, attempt, moment in seen] == [
        (0, 0, 0), (0, 1, 5), (0, 2, 10), (1, 0, 10), (1, 1, 15), (1, 2, 20),
    ]  # fmt: skip


async def test_a_poison_item_is_tried_on_and_on(app: Perdure, seen: list[Any]) -> None:
    @app.task
    async def bad() -> None:
        seen.append(1)
        raise ValueError("again")

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [bad.call()])
        await t.advance(minutes=10)
        execution = await handle.execution()
        assert (execution.status, len(seen)) == ("pending", 121)
        await handle.cancel("enough")
        with pytest.raises(ExecutionCancelledError):
            await handle.result()
        assert (await app.list_item("l", 0)).status == "pending"


@pytest.mark.parametrize("retries", [2, Retry(2, delay=1)])
async def test_when_the_policy_ends_item_and_list_fail(app: Perdure, seen: list[Any], retries: Any) -> None:
    @app.task
    async def bad(ctx: Context) -> None:
        seen.append(ctx.attempt)
        raise ValueError(f"try {ctx.attempt}")

    @app.task
    async def good() -> int:
        return 1

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [good.call(), bad.call(), good.call()], retries=retries)
        await t.advance(60)
        with pytest.raises(ExecutionFailedError, match="ValueError: try 2"):
            await handle.result()
        items = [await app.list_item("l", seq) for seq in range(3)]
        assert statuses(items) == ["completed", "failed", "pending"]
        assert items[1].failure is not None
        assert items[1].failure.message == "try 2"
    assert seen == [0, 1, 2]


async def test_a_list_retried_by_hand_goes_on_with_the_item_that_failed(app: Perdure, seen: list[Any]) -> None:
    @app.task
    async def work(number: int) -> int:
        seen.append(number)
        if number == 1 and seen.count(1) == 1:
            raise GiveUp("not today")
        return number

    async with TestApp(app):
        handle = await app.enqueue_list("l", [work.call(n) for n in range(3)])
        await handle.wait()
        assert (await app.list_item("l", 1)).status == "failed"
        await handle.retry()
        assert [item.value for item in await handle.result()] == [0, 1, 2]
        assert (await app.list_item("l", 1)).status == "completed"
    assert seen == [0, 1, 1, 2]


async def test_a_timeout_is_that_of_an_item(app: Perdure, seen: list[Any]) -> None:
    @app.task(timeout=lambda attempt: 10 * (attempt + 1))
    async def slow(ctx: Context, length: float) -> float:
        seen.append((ctx.seq, ctx.attempt))
        await ctx._verbs.host.clock.sleep(length)
        return length

    async with TestApp(app) as t:
        calls = [slow.call(8), slow.call(15), slow.call(9), slow.options(timeout=2).call(3)]
        handle = await app.enqueue_list("l", calls, retries=1)
        await t.advance(300)
        execution = await handle.execution()
    assert seen == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1)]
    assert execution.status == "timed_out"
    assert execution.failure is not None
    assert execution.failure.message == "task slow ran over its timeout of 2 s"


async def test_what_is_logged(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    """32 (T2): a retry and an abort warn; only what ends the list is an error."""

    @app.task
    async def flaky(ctx: Context) -> None:
        if ctx.attempt == 0:
            raise ValueError("once")
        raise Abort("expected")

    @app.task
    async def bad() -> None:
        raise GiveUp("unexpected")

    with caplog.at_level(logging.WARNING, "perdure"):
        async with TestApp(app) as t:
            await app.enqueue_list("l", [flaky.call(), bad.call()])
            await t.advance(30)
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in logged] == ["WARNING", "WARNING", "ERROR"]
    assert logged[0][1].startswith("item 0 (flaky) of list l attempt 0 failed at test_lists.py:")
    assert logged[0][1].endswith("(ValueError: once); retry in 5 s")
    assert logged[1][1] == "item 0 (flaky) of list l aborted: expected"
    assert "unexpected" in logged[2][1]


# --- the id


async def test_the_same_list_again_is_the_same_list(app: Perdure, seen: list[Any]) -> None:
    """24 (T4)."""

    @app.task
    async def work(ctx: Context, number: int) -> int:
        await ctx.record(seen.append, number)
        await ctx.sleep(10)
        return number

    calls = [work.call(1), work.call(2)]
    async with TestApp(app) as t:
        first = await app.enqueue_list("l", calls)
        await t.advance(5)
        created = (await first.execution()).created_at
        second = await app.enqueue_list("l", [work.call(1), work.call(number=2)])
        await t.advance(60)
        assert await second.result() == await first.result()
        third = await app.enqueue_list("l", calls)
        assert (await third.execution()).created_at == created
        assert await third.status() == "completed"
        assert await app.count() == 1
    assert seen == [1, 2]


async def test_other_items_conflict(app: Perdure) -> None:
    @app.task
    async def work(number: int) -> int:
        return number

    @app.task
    async def other(number: int) -> int:
        return number

    async with TestApp(app):
        await app.enqueue_list("l", [work.call(1), work.call(2)])
        different: list[Any] = [
            [work.call(1)], [work.call(2), work.call(1)], [work.call(1), other.call(2)], [],
            [work.call(1), work.call(2), work.call(3)], {"a": work.call(1), "b": work.call(2)},
        ]  # fmt: skip
        for items in different:
            with pytest.raises(IdempotencyConflictError, match="'l' already belongs"):
                await app.enqueue_list("l", items)
        await work.options(id="m").enqueue(1)
        with pytest.raises(IdempotencyConflictError):
            await app.enqueue_list("m", [work.call(1)])


async def test_a_list_is_the_same_after_a_task_of_its_items_was_renamed(seen: list[Any]) -> None:
    old, new = Perdure("memory://"), Perdure("memory://")

    @old.task(name="charge")
    async def charge(cents: int) -> int:
        seen.append("old")
        return cents

    @new.task(aliases=["charge"])
    async def take_money(cents: int) -> int:
        seen.append("new")
        return cents

    @new.task
    async def other(cents: int) -> int:
        return cents

    async with TestApp(old) as t:
        await old.enqueue_list("l", [charge.call(1)])
        await t.idle()
    async with redeployed(t, new):
        again = await new.enqueue_list("l", [take_money.call(1)])
        assert statuses(await again.result()) == ["completed"]
        for items in ([take_money.call(2)], [other.call(1)], {"charge": take_money.call(1)}):
            with pytest.raises(IdempotencyConflictError):
                await new.enqueue_list("l", items)
    assert seen == ["old"]


async def test_a_race_for_one_id_makes_one_list(app: Perdure, seen: list[Any]) -> None:
    """26."""

    @app.task
    async def work(number: int) -> int:
        seen.append(number)
        return number

    async with TestApp(app):
        handles = await asyncio.gather(*(app.enqueue_list("l", [work.call(1), work.call(2)]) for _ in range(20)))
        results = await asyncio.gather(*(handle.result() for handle in handles))
        assert all(result == results[0] for result in results)
        assert await app.count() == 1
    assert seen == [1, 2]


@REPLAYS
async def test_a_list_spawned_from_an_item_is_one_however_often_the_item_runs(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    """31."""

    @app.task
    async def inner() -> None:
        seen.append("inner")

    @app.task
    async def outer(ctx: Context) -> str:
        handle = await app.enqueue_list(f"{ctx.list_id}-suffix", [inner.call()])
        if ctx.attempt < 3:
            raise ValueError("again")
        return handle.id

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await app.enqueue_list("l", [outer.call()])
        await t.advance(60)
        assert [item.value for item in await handle.result()] == ["l-suffix"]
        assert await app.count() == 2
        assert await app.handle("l-suffix").status() == "completed"
    assert seen == ["inner"]


# --- what is refused at enqueue


async def test_bad_lists_are_refused_and_nothing_is_stored() -> None:
    app = Perdure("memory://", sizes=Sizes(items=3, input=200))

    @app.task
    async def work(number: int, text: str = "") -> int:
        return number

    call: Any = work.call
    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="number"):
            await app.enqueue_list("l", [call(1), call("many")])
        with pytest.raises(Exception, match=r"4 items; at most 3, see Sizes\(items=...\)"):
            await app.enqueue_list("l", [call(n) for n in range(4)])
        with pytest.raises(Exception, match=r"task work has over 200 bytes"):
            await app.enqueue_list("l", [call(1, "x" * 300)])
        endless: Any = repeat(call(1))
        with pytest.raises(PayloadTooLargeError, match=r"more than 3 items; see Sizes\(items=...\)"):
            await app.enqueue_list("l", endless)
        wrong: Any
        for wrong in (None, 5, work, [work], [1], [None], ["work"], {"": call(1)}, {1: call(1)}, {"a\n": call(1)}):
            with pytest.raises(ConfigurationError):
                await app.enqueue_list("l", wrong)
        for options in ({"id": "x"}, {"idempotency_key": "x"}, {"priority": 1}, {"deadline": 5}, {"tags": {"a": "b"}}):
            with pytest.raises(
                ConfigurationError, match=f"item 0 of the list, task work, has no {next(iter(options))}"
            ):
                await app.enqueue_list("l", [work.options(**options).call(1)])
        for bad in ({"timeout": 5}, {"id_": 1}, {"connection": None}, {"queue": "no spaces"}, {"retries": -1}):
            with pytest.raises(ConfigurationError):
                await app.enqueue_list("l", [call(1)], **bad)  # type: ignore[arg-type]
        for id in ("", "a\n", "x" * 300):
            with pytest.raises(ConfigurationError):
                await app.enqueue_list(id, [call(1)])
        assert await app.count() == 0
        big = await app.enqueue_list("big", [call(n, "x" * 150) for n in range(3)])
        assert len(await big.result()) == 3


async def test_no_task_can_take_the_name_of_lists(app: Perdure) -> None:
    with pytest.raises(ConfigurationError):

        @app.task(name="@list")
        async def work() -> None: ...


async def test_a_result_that_cannot_be_stored_fails_item_and_list(app: Perdure) -> None:
    @app.task
    async def work(big: bool) -> Any:
        return "x" * 2_000_000 if big else object()

    async with TestApp(app):
        for big, words in ((False, "cannot be stored"), (True, "result of item 0 has over")):
            handle = await app.enqueue_list(f"l{big}", [work.call(big)])
            with pytest.raises(ExecutionFailedError, match=words):
                await handle.result()
            assert (await app.list_item(f"l{big}", 0)).status == "failed"


async def test_the_whole_result_may_be_larger_than_one(app: Perdure) -> None:
    @app.task
    async def work() -> str:
        return "x" * 600_000

    async with TestApp(app):
        items = await (await app.enqueue_list("l", [work.call() for _ in range(4)])).result()
    assert sum(len(item.value) for item in items) == 2_400_000


# --- changed code


async def test_an_unknown_task_leaves_the_list_pending_until_it_is_there(seen: list[Any]) -> None:
    """19."""
    one, two, three = Perdure("memory://"), Perdure("memory://"), Perdure("memory://")

    def declare(app: Perdure, *names: str) -> list[Any]:
        async def work(ctx: Context) -> int:
            seen.append((ctx.seq, ctx.task_name))
            return ctx.seq

        return [app.task(name=name)(work) for name in names]

    calls = [task.call() for task in declare(one, "a", "b", "c")]
    declare(two, "a", "c")
    declare(three, "a", "b", "c")
    async with TestApp(one) as first:
        await first.idle()
        await one.enqueue_list("l", calls, start_delay=5)
    async with redeployed(first, two) as second:
        await second.advance(20)
        execution = await two.handle("l").execution()
        assert (execution.status, execution.attempt) == ("pending", 0)
        assert execution.failure is not None
        assert execution.failure.message == "item 1 (b) of list l: task b is not declared in this app"
        assert seen == [(0, "a")]
    async with redeployed(second, three) as third:
        await third.advance(60)
        assert await three.handle("l").status() == "completed"
    assert seen == [(0, "a"), (1, "b"), (2, "c")]


async def test_what_ended_items_recorded_may_be_gone_from_the_code(seen: list[Any]) -> None:
    one, two = Perdure("memory://"), Perdure("memory://")

    def declare(app: Perdure, old: bool) -> Any:
        if old:

            @app.activity
            async def fetch() -> int:
                return 1

            @app.task
            async def first() -> int:
                return await fetch()

        @app.task
        async def second(ctx: Context) -> str:
            return await ctx.wait_for("go", str)

        return [app.call("first"), app.call("second")] if old else None

    calls = declare(one, old=True)
    async with TestApp(one) as before:
        await one.enqueue_list("l", calls)
        await before.advance(1)
    declare(two, old=False)
    async with redeployed(before, two) as after:
        handle = two.handle("l")
        await handle.signal("go", "on")
        await after.advance(60)
        assert [item.value for item in await handle.result()] == [1, "on"]


# --- prepare


async def test_prepare_runs_once_per_list_task_and_process(app: Perdure, seen: list[Any]) -> None:
    """22, 23 (T6): its value reaches every item of the task, is not stored, and is made anew after recovery."""

    @app.task
    async def work(ctx: Context, number: int) -> Any:
        used.append((ctx.seq, ctx.prepared))
        await ctx.sleep(10)
        return number

    @work.prepare
    async def token(ctx: Context) -> int:
        seen.append((ctx.list_id, ctx.seq))
        return len(seen) - 1

    @app.task
    async def plain(ctx: Context) -> None:
        assert ctx.prepared is None

    used: list[Any] = []
    async with TestApp(app, always_replay=True) as t:
        handle = await app.enqueue_list(
            "l", [plain.call(), work.call(1), work.options(timeout=50).call(2), work.call(3)]
        )
        await t.advance(25)
        assert seen == [("l", 1)]
        await t.restart()
        await t.advance(60)
        await handle.result()
        assert all("prepared" not in str(entry) for entry in await handle.activities())
        await app.enqueue_list("m", [work.call(1)])
        await t.advance(60)
    assert seen == [("l", 1), ("l", 3), ("m", 0)]
    assert {value for seq, value in used if seq < 3} <= {0, 2}
    assert (3, 1) in used


@pytest.mark.parametrize("queue", ["default", "other"])
@pytest.mark.parametrize("again", ["retry", "enqueue"])
async def test_prepare_runs_anew_for_a_list_that_was_cancelled(seen: list[Any], queue: str, again: str) -> None:
    """Tried again by hand, or gone by its retention and enqueued anew: what was prepared before is not used."""
    app = Perdure("memory://", queues=("default", "other"), retention=3600 if again == "enqueue" else None)

    @app.task(queue=queue)
    async def work(ctx: Context) -> int:
        if len(seen) == 1:
            await ctx.sleep(10)
        return ctx.prepared

    @work.prepare
    async def token() -> int:
        seen.append(1)
        return len(seen)

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [work.call(), work.call()])
        await t.idle()
        await handle.cancel()
        await t.idle()
        if again == "retry":
            await handle.retry()
        else:
            await t.advance(days=2)
            handle = await app.enqueue_list("l", [work.call(), work.call()])
        await t.advance(60)
        assert [item.value for item in await handle.result()] == [2, 2]


async def test_a_prepare_that_fails_keeps_the_item_from_running(app: Perdure, seen: list[Any]) -> None:
    @app.task
    def work(ctx: BlockingContext) -> Any:
        seen.append(("work", ctx.attempt))
        return ctx.prepared

    @work.prepare
    def token() -> int:
        seen.append("prepare")
        if seen.count("prepare") < 3:
            raise ValueError("no token")
        return 0

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [work.call(), work.call()])
        await t.advance(60)
        assert [item.value for item in await handle.result()] == [0, 0]
    assert seen == ["prepare", "prepare", "prepare", ("work", 2), ("work", 0)]


async def test_prepare_is_no_place_for_durable_verbs(app: Perdure) -> None:
    @app.task
    async def work() -> None: ...

    @work.prepare
    async def token(ctx: Context) -> None:
        await ctx.sleep(1)

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [work.call()], retries=0)
        await t.advance(5)
        with pytest.raises(ExecutionFailedError, match="activity work.prepare is a leaf"):
            await handle.result()


async def test_prepare_is_declared_once_and_takes_a_context_at_most(app: Perdure) -> None:
    @app.task
    async def work() -> None: ...

    with pytest.raises(ConfigurationError, match="prepare of task work may take a Context and nothing else"):

        @work.prepare
        async def wrong(ctx: Context, name: str) -> None: ...

    @work.prepare
    async def token() -> None: ...

    with pytest.raises(ConfigurationError, match="task work has a prepare already"):

        @work.options(priority=1).prepare
        async def second() -> None: ...


# --- items elsewhere


@REPLAYS
async def test_an_item_with_a_queue_of_its_own_runs_there(seen: list[Any], always_replay: bool) -> None:
    app = Perdure("memory://", queues=("default", "slow"))
    prepared: list[int] = []

    @app.task
    async def here() -> User:
        return User("a")

    @app.task(queue="slow", retries=0)
    async def there(ctx: Context) -> Any:
        seen.append((ctx.list_id, ctx.seq, ctx.attempt, ctx.parent))
        if ctx.attempt < 1:
            raise ValueError("again")
        return (await ctx.item(0)).value.name + ctx.prepared

    @there.prepare
    def suffix() -> str:
        prepared.append(1)
        return "!"

    @app.task(queue="slow")
    async def aborts() -> None:
        raise Abort("no", value=5)

    @app.task(queue="slow")
    async def stops() -> None:
        raise Abort("stop", scope="list", value=6)

    async with TestApp(app, always_replay=always_replay) as t:
        calls = [here.call(), there.call(), aborts.call(), here.options(queue="slow").call(), stops.call(), here.call()]
        handle = await app.enqueue_list("l", calls)
        await t.advance(60)
        with pytest.raises(ExecutionFailedError, match="stop"):
            await handle.result()
        items = [await app.list_item("l", seq) for seq in range(6)]
        children = await handle.children()
    assert statuses(items) == ["completed", "completed", "failed", "completed", "failed", "pending"]
    assert [item.value for item in items] == [User("a"), "a!", 5, User("a"), 6, None]
    assert seen == [("l", 1, 0, "l"), ("l", 1, 1, "l")]
    assert [child.queue for child in children] == ["slow"] * 4
    assert prepared == [1]


@REPLAYS
@pytest.mark.parametrize("how", ["tree", "finalize", "sequence", "plain"])
async def test_an_item_of_any_style_is_retried_by_the_policy_of_the_list(
    app: Perdure, seen: list[Any], how: str, always_replay: bool
) -> None:
    """§4: any other error retries by the list's policy, also where children of the item failed."""

    @app.task(retries=0)
    async def flaky(number: int = 0) -> int:
        seen.append(number)
        if len(seen) < 3:
            raise ValueError("not yet")
        return number

    async def join(joined: Joined[int, None]) -> int:
        return await flaky(7) if how == "finalize" else joined.one(flaky)

    join_task = app.task(retries=0, name="join")(join)

    @app.parent_task(finalize=join_task)
    async def tree(number: int) -> Spawn[None]:
        return Spawn(None, [] if how == "finalize" else [flaky.call(number)])

    steps = app.sequence("steps", flaky, flaky)
    item = {"tree": tree, "finalize": tree, "sequence": steps, "plain": flaky}[how]
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await app.enqueue_list("l", [item.call(7), flaky.call(8)])
        begun = t.now
        await t.advance(60)
        items = await handle.result()
        execution = await handle.execution()
    assert statuses(items) == ["completed"] * 2
    assert [item.value for item in items] == [7, 8]
    assert execution.finished_at is not None
    assert (execution.finished_at - begun).total_seconds() == 10
    assert seen == [7, 7, 7, 7, 8] if how == "sequence" else [7, 7, 7, 8]


async def test_where_the_policy_ends_the_failure_of_a_tree_is_that_of_item_and_list(
    app: Perdure, seen: list[Any]
) -> None:
    @app.task(retries=0)
    async def broken() -> None:
        seen.append(1)
        raise ValueError("no")

    @app.parent_task
    async def tree() -> Spawn[None]:
        return Spawn(None, [broken.call()])

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [tree.call(), broken.call()], retries=Retry(2, delay=1, jitter=False))
        await t.advance(60)
        assert await handle.status() == "failed"
        items = [await app.list_item("l", seq) for seq in range(2)]
        assert statuses(items) == ["failed", "pending"]
        assert items[0].failure is not None
        assert "broken failed: ValueError: no" in items[0].failure.message
        await handle.retry()
        await t.advance(60)
    assert len(seen) == 6


@REPLAYS
async def test_an_item_that_is_cancelled_fails_and_so_does_its_list(
    app: Perdure, seen: list[Any], always_replay: bool
) -> None:
    @app.task
    async def inner(ctx: Context) -> int:
        seen.append(1)
        if len(seen) == 1:
            await ctx.sleep(1000)
        return 5

    @app.parent_task
    async def tree() -> Spawn[int]:
        return Spawn(await inner(), [])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await app.enqueue_list("l", [tree.call(), inner.call()])
        await t.idle()
        (child,) = await handle.children()
        await app.handle(child.id).cancel("wrong customer")
        await t.idle()
        assert await handle.status() == "failed"
        items = [await app.list_item("l", seq) for seq in range(2)]
        assert statuses(items) == ["failed", "pending"]
        assert items[0].failure is not None
        assert "was cancelled: wrong customer" in items[0].failure.message
        await handle.retry()
        await t.advance(60)
        assert statuses(await handle.result()) == ["completed"] * 2


async def test_an_item_that_is_ended_by_a_cancelled_child_is_not_left_pending(app: Perdure) -> None:
    @app.task
    async def inner(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.task
    async def item() -> None:
        await inner()

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [item.call()])
        await t.idle()
        (child,) = await handle.children()
        await app.handle(child.id).cancel("enough")
        await t.idle()
        assert await handle.status() == "cancelled"
        assert (await app.list_item("l", 0)).status == "failed"


async def test_a_list_that_is_cancelled_leaves_its_item_pending(app: Perdure) -> None:
    @app.task
    async def inner(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.parent_task
    async def tree() -> Spawn[None]:
        return Spawn(None, [inner.call()])

    async with TestApp(app) as t:
        handle = await app.enqueue_list("l", [tree.call()])
        await t.idle()
        await handle.cancel("enough")
        await t.idle()
        assert await handle.status() == "cancelled"
        assert (await app.list_item("l", 0)).status == "pending"


async def test_the_queue_of_a_list_is_that_of_its_items_too(app: Perdure) -> None:
    @app.task(queue="default")
    async def work() -> None: ...

    async with TestApp(app):
        handle = await app.enqueue_list("l", [work.call()], queue="default", tags={"a": "b"}, priority=3)
        await handle.result()
        execution = await handle.execution()
        assert (execution.children_total, execution.tags, execution.priority) == (0, {"a": "b"}, 3)


# --- the synchronous client, retention, crashes


def test_lists_by_the_blocking_client(tmp_path: Any) -> None:
    app = Perdure(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    def double(number: int) -> int:
        return number * 2

    with app as client:
        handle = client.enqueue_list("l", {"a": double.call(1), "b": double.call(2)})
        assert [item.value for item in handle.result(30)] == [2, 4]
        assert client.list_item("l", "b").value == 4


async def test_old_lists_are_removed_and_young_or_open_ones_stay(app: Perdure) -> None:
    """30 (T8)."""
    app = Perdure("memory://", retention=3600)

    @app.task
    async def work(ctx: Context, wait: bool) -> None:
        if wait:
            await ctx.wait_for("go")

    async with TestApp(app) as t:
        await app.enqueue_list("old", [work.call(False), work.call(False)])
        await app.enqueue_list("open", [work.call(True)])
        await t.advance(hours=2)
        with pytest.raises(ExecutionNotFoundError):
            await app.list_item("old", 0)
        assert (await app.list_item("open", 0)).status == "pending"
        again = await app.enqueue_list("old", [work.call(False)])  # the id is free again
        assert len(await again.result()) == 1


done: list[Any] = []
crashing = Perdure("memory://")


@crashing.activity
async def note(seq: int) -> int:
    done.append(seq)
    return seq


@crashing.task
async def careful(ctx: Context) -> int:
    if ctx.seq == 1 and ctx.attempt == 0:
        raise ValueError("once")
    await note(ctx.seq)
    await ctx.sleep(1)
    return ctx.seq + ctx.prepared


@careful.prepare
async def hundred() -> int:
    return 100


@crashing.task
async def aborting(scope: Any) -> int:
    raise Abort("no", scope=scope)


@REPLAYS
async def test_a_crash_at_any_boundary_repeats_one_item_at_most(always_replay: bool) -> None:
    """27."""

    @crash_everywhere(crashing, always_replay=always_replay)
    async def test(t: TestApp) -> None:
        done.clear()
        calls = [careful.call(), careful.call(), aborting.call("item"), careful.call()]
        handle = await crashing.enqueue_list("l", calls)
        await t.advance(120)
        items = await handle.result()
        assert [item.value for item in items] == [100, 101, None, 103]
        assert statuses(items) == ["completed", "completed", "failed", "completed"]
        assert sorted(set(done)) == [0, 1, 3]
        assert len(done) <= 4

    await test()


async def test_a_crash_where_a_list_is_aborted_leaves_both_or_neither() -> None:
    @crash_everywhere(crashing)
    async def test(t: TestApp) -> None:
        handle = await crashing.enqueue_list("l", [careful.call(), aborting.call("list"), careful.call()])
        await t.advance(120)
        assert await handle.status() == "failed"
        items = [await crashing.list_item("l", seq) for seq in range(3)]
        assert statuses(items) == ["completed", "failed", "pending"]

    await test()


async def test_a_long_list(app: Perdure, seen: list[Any]) -> None:
    @app.task
    async def work(number: int) -> int:
        seen.append(number)
        return number

    async with TestApp(app):
        items = await (await app.enqueue_list("l", [work.call(n) for n in range(1000)])).result()
    assert [item.value for item in items] == seen == list(range(1000))
