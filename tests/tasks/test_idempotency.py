"""Ids and idempotency keys; and what a body starts or sends, exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import ConfigurationError, Context, ExecutionFailedError, Handle, IdempotencyConflictError, Perdure, Retry
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

REPLAY = pytest.mark.parametrize("always_replay", [False, True])


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.mark.parametrize("option", ["id", "idempotency_key"])
async def test_repeated_with_the_same_input_returns_the_existing_execution_whatever_its_status(
    app: Perdure, ran: list[Any], option: str
) -> None:
    @app.task(retries=0)
    async def task(ctx: Context, how: str) -> str:
        ran.append(how)
        await ctx.sleep(10)
        if how == "fail":
            raise ValueError("no")
        return how

    async with TestApp(app) as t:
        for how in ("complete", "fail"):
            unique = task.options(**{option: f"k-{how}"})  # type: ignore[arg-type]
            first = await unique.enqueue(how)
            waiting = await unique.enqueue(how)
            await t.advance(20)
            settled = await unique.enqueue(how=how)
            assert first == waiting == settled
        assert ran.count("complete") >= 1
        assert await app.count() == 2
        assert await first.status() == "failed"


@pytest.mark.parametrize("option", ["id", "idempotency_key"])
async def test_with_other_input_it_is_a_conflict_that_names_the_owner(app: Perdure, option: str) -> None:
    @app.task
    async def task(number: int) -> int:
        return number

    async with TestApp(app):
        unique = task.options(**{option: "k"})  # type: ignore[arg-type]
        handle = await unique.enqueue(1)
        with pytest.raises(IdempotencyConflictError, match="task") as caught:
            await unique.enqueue(2)
        assert caught.value.execution_id == handle.id
        assert await app.count() == 1
        assert await handle.result() == 1


async def test_an_id_belongs_to_the_store_and_a_key_to_its_task(app: Perdure) -> None:
    @app.task
    async def one(number: int) -> int:
        return number

    @app.task
    async def two(number: int) -> int:
        return number

    async with TestApp(app):
        await one.options(id="k").enqueue(1)
        with pytest.raises(IdempotencyConflictError):
            await two.options(id="k").enqueue(1)
        first = await one.options(idempotency_key="k").enqueue(1)
        second = await two.options(idempotency_key="k").enqueue(1)
        assert first != second
        assert (await first.execution()).idempotency_key == "k"
        assert (await app.handle("k").execution()).id == "k"


async def test_input_is_compared_as_the_task_sees_it(app: Perdure) -> None:
    @app.task
    async def task(a: float, options: dict[str, int] | None = None, *, c: str = "x") -> None: ...

    async with TestApp(app):
        unique = task.options(id="k")
        first = await unique.enqueue(1, {"a": 1, "b": 2})
        assert await unique.enqueue(1.0, {"b": 2, "a": 1}, c="x") == first


async def test_options_do_not_count_as_input(app: Perdure) -> None:
    @app.task
    async def task(a: int) -> None: ...

    async with TestApp(app):
        first = await task.options(id="k", priority=5).enqueue(1)
        assert await task.options(id="k", priority=6, tags={"a": "b"}).enqueue(1) == first
        assert (await first.execution()).priority == 5


@pytest.mark.parametrize("option", ["id", "idempotency_key"])
async def test_many_at_once_are_one(app: Perdure, ran: list[Any], option: str) -> None:
    @app.task
    async def task() -> None:
        ran.append(1)

    async with TestApp(app):
        unique = task.options(**{option: "k"})  # type: ignore[arg-type]
        handles = await asyncio.gather(*(unique.enqueue() for _ in range(20)))
        more = await app.enqueue_many([unique.call() for _ in range(20)])
        assert len({handle.id for handle in [*handles, *more]}) == 1
        await handles[0].result()
    assert ran == [1]


async def test_one_conflict_among_many_leaves_the_others(app: Perdure) -> None:
    @app.task
    async def task(a: int) -> int:
        return a

    async with TestApp(app):
        await task.options(id="k").enqueue(1)
        with pytest.raises(IdempotencyConflictError):
            await app.enqueue_many(
                [task.options(id="a").call(1), task.options(id="k").call(2), task.options(id="b").call(3)]
            )
        assert await app.handle("a").result() == 1
        assert await app.handle("b").result() == 3


async def test_without_an_id_two_calls_are_two_executions(app: Perdure) -> None:
    @app.task
    async def task() -> None: ...

    async with TestApp(app):
        assert await task.enqueue() != await task.enqueue()


async def test_a_cancelled_enqueue_leaves_nothing_stuck(app: Perdure, ran: list[Any]) -> None:
    """Whoever enqueues may be cancelled at any moment: what was stored runs, nothing keeps a slot."""

    @app.task
    async def task(number: int) -> None:
        ran.append(number)

    app = app
    async with TestApp(app) as t:
        for hops in range(8):
            enqueueing = asyncio.create_task(task.enqueue(hops))
            for _ in range(hops):
                await asyncio.sleep(0)
            enqueueing.cancel()
            await asyncio.gather(enqueueing, return_exceptions=True)
        await t.advance(5)
        assert await app.count("-status:completed") == 0
        assert await app.count() == len(ran)
        assert (await app.workers())[0].running == 0


# -- inside a body ------------------------------------------------------------------------------------------------------


@REPLAY
async def test_what_a_body_enqueues_is_started_once_and_is_independent(
    app: Perdure, ran: list[Any], always_replay: bool
) -> None:
    @app.task
    async def other(name: str) -> str:
        ran.append(name)
        return name

    @app.task
    async def task(ctx: Context) -> list[str]:
        handles = [await other.enqueue("a"), await app.enqueue(other.call("b")), await ctx.enqueue(other.call("b"))]
        handles += await app.enqueue_many([other.call("c"), other.call("c")])
        handles.append(await other.options(key="k").enqueue("d"))
        handles.append(await other.options(id="own-id").enqueue("e"))
        await ctx.sleep(100)
        if ctx.attempt < 2:
            raise ValueError("again")
        return [handle.id for handle in handles]

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        ids = await handle.result()
        await t.idle()
        assert len(set(ids)) == 7
        assert ids[-1] == "own-id"
        assert await handle.children() == []
        for id in ids:
            execution = await app.handle(id).execution()
            assert (execution.parent, execution.root, execution.status) == (None, id, "completed")
    assert sorted(ran) == ["a", "b", "b", "c", "c", "d", "e"]


async def test_what_a_body_enqueued_is_not_cancelled_with_it(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> str:
        await ctx.sleep(100)
        return "done"

    @app.task
    async def task(ctx: Context) -> None:
        await other.options(id="free").enqueue()
        await ctx.sleep(1000)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(1)
        await handle.cancel()
        assert await app.handle("free").result() == "done"


async def test_a_body_awaits_only_its_childrens_handles(app: Perdure) -> None:
    @app.task
    async def other() -> int:
        return 1

    @app.task(retries=0)
    async def task(how: str) -> None:
        handle: Handle[int] = await other.enqueue()
        await (handle.result() if how == "result" else handle.wait())

    async with TestApp(app):
        for how in ("result", "wait"):
            with pytest.raises(ExecutionFailedError, match=r"ConfigurationError.*ctx\.spawn"):
                await task.run(how)


@REPLAY
async def test_signals_and_cancels_sent_by_a_body_are_sent_once(app: Perdure, always_replay: bool) -> None:
    @app.task
    async def other(ctx: Context) -> list[int]:
        found = [await ctx.wait_for("x", int), await ctx.wait_for("x", int)]
        try:
            await ctx.wait_for("x", timeout=5000)
        except TimeoutError:
            return found
        return [-1]

    @app.task
    async def victim(ctx: Context) -> None:
        await ctx.sleep(10_000)

    @app.task(retries=Retry(2, delay=1))
    async def task(ctx: Context) -> None:
        await app.handle("other").signal("x", 1)
        await ctx.sleep(10)
        await app.handle("other").signal("x", 1)
        await app.handle("victim").cancel("by a body")
        await ctx.sleep(10)
        if ctx.attempt < 2:
            raise ValueError("again")

    async with TestApp(app, always_replay=always_replay) as t:
        receiver = await other.options(id="other").enqueue()
        await victim.options(id="victim").enqueue()
        await t.idle()
        await task.run()
        assert await app.handle("victim").status() == "cancelled"
        await app.handle("victim").retry()
        await t.idle()
        assert await app.handle("victim").status() == "waiting"
        assert await receiver.result() == [1, 1]


async def test_an_operators_verbs_are_refused_in_a_body(app: Perdure) -> None:
    @app.task(retries=0)
    async def task(ctx: Context, verb: str) -> None:
        handle = app.handle(ctx.execution_id)
        if verb == "fork":
            await handle.fork()
        async for _ in handle.watch():
            pass

    async with TestApp(app):
        for verb in ("fork", "watch"):
            with pytest.raises(ExecutionFailedError, match="ConfigurationError"):
                await task.run(verb)


async def test_a_conflict_inside_a_body_is_raised_there(app: Perdure) -> None:
    @app.task
    async def other(number: int) -> None: ...

    @app.task
    async def task() -> str:
        await other.options(id="k").enqueue(1)
        try:
            await other.options(id="k").enqueue(2)
        except IdempotencyConflictError as error:
            return error.execution_id
        return "none"

    async with TestApp(app):
        assert await task.run() == "k"


async def test_reading_verbs_are_allowed_in_a_body(app: Perdure) -> None:
    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(5)

    @app.task
    async def task(ctx: Context) -> list[Any]:
        child = await ctx.spawn(other.call())
        before = await child.status()
        await child.wait()
        with pytest.raises(ConfigurationError, match="timeout"):
            await child.result(timeout=5)
        return [
            before,
            await child.status(),
            len(await app.handle(ctx.execution_id).children()),
            len(await child.activities()),
        ]

    async with TestApp(app):
        before, *rest = await task.run()
    assert before in ("pending", "running", "waiting", "completed")
    assert rest == ["completed", 1, 1]


async def test_ids_and_keys_mean_the_same_task_after_it_was_renamed() -> None:
    old, new = Perdure("memory://"), Perdure("memory://")
    ran: list[str] = []

    @old.task
    async def pay(cents: int) -> int:
        ran.append("old")
        return cents

    @new.task(aliases=["pay"])
    async def settle(cents: int) -> int:
        ran.append("new")
        return -cents

    async with TestApp(old) as t:
        by_id, by_key = await pay.options(id="order").enqueue(5), await pay.options(idempotency_key="k").enqueue(5)
        await t.idle()
    async with redeployed(t, new) as t:
        assert await settle.options(id="order").run(5) == 5
        again = await settle.options(idempotency_key="k").enqueue(5)
        assert (by_id.id, again.id) == ("order", by_key.id)
        with pytest.raises(IdempotencyConflictError, match="other input"):
            await settle.options(idempotency_key="k").enqueue(6)
        later = await settle.options(idempotency_key="later").enqueue(5)
        await t.idle()
    async with redeployed(t, old):
        assert (await pay.options(idempotency_key="later").enqueue(5)).id == later.id
    assert ran == ["old", "old", "new"]
