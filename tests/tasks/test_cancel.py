"""Cancel, in every phase of an execution: before it runs, in a plain await, an activity, a wait, between attempts."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import msgspec
import pytest

from perdure import BlockingContext, Context, ExecutionCancelledError, ExecutionNotFoundError, Perdure, Retry
from perdure.model.records import Claimed, ClaimRequest
from perdure.testing import TestApp

REPLAY = pytest.mark.parametrize("always_replay", [False, True])


@pytest.fixture
def events() -> list[Any]:
    return []


async def test_before_it_runs(app: Perdure, events: list[Any]) -> None:
    @app.task(start_delay=10)
    async def task() -> None:
        events.append("ran")

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.cancel("no longer needed")
        execution = await handle.execution()
        assert (execution.status, execution.started_at, execution.cancel_reason) == (
            "cancelled",
            None,
            "no longer needed",
        )
        assert execution.failure is not None
        assert (execution.failure.kind, execution.failure.message) == ("cancelled", "no longer needed")
        with pytest.raises(ExecutionCancelledError, match="no longer needed"):
            await handle.result()
        await t.advance(100)
    assert events == []


async def test_in_a_plain_await(app: Perdure, events: list[Any]) -> None:
    @app.task(retries=5)
    async def task(ctx: Context) -> None:
        try:
            events.append("began")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append(("cancelled", ctx.cancelled, ctx.suspending))
            raise
        finally:
            events.append("finally")

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        with pytest.raises(ExecutionCancelledError):
            await handle.result()
        assert (await handle.execution()).attempt == 0
    assert events == ["began", ("cancelled", True, False), "finally"]


async def test_an_activity_that_is_cancelled_has_recorded_nothing(app: Perdure, events: list[Any]) -> None:
    @app.activity(retries=5)
    async def act() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("stopped")
            raise

    @app.task
    async def task(ctx: Context) -> None:
        try:
            await act()
        except Exception as error:
            events.append(error)

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        with pytest.raises(ExecutionCancelledError):
            await handle.result()
        assert await handle.activities() == []
    assert events == ["stopped"]


@REPLAY
@pytest.mark.parametrize("wait", ["timer", "signal", "children", "several"])
async def test_a_waiting_execution_is_settled_at_once_and_its_except_does_not_run(
    app: Perdure, events: list[Any], always_replay: bool, wait: str
) -> None:
    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.task
    async def task(ctx: Context) -> None:
        try:
            if wait == "timer":
                await ctx.sleep(1000)
            elif wait == "signal":
                await ctx.wait_for("x", timeout=1000)
            elif wait == "children":
                await other()
            else:
                await asyncio.gather(ctx.sleep(1000), ctx.wait_for("x"), other())
        finally:
            if not ctx.suspending:
                events.append("finally")

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(5)
        assert await handle.status() == "waiting"
        await handle.cancel("enough")
        execution = await handle.execution()
        assert (execution.status, execution.waits, execution.waiting_on) == ("cancelled", (), None)
        await t.advance(5)
        assert [child.status for child in await handle.children()] in ([], ["cancelled"])
        assert (await handle.execution()).closed_at is not None
    assert events == []


async def test_between_attempts(app: Perdure, events: list[Any]) -> None:
    @app.task(retries=Retry(5, delay=100))
    async def task() -> None:
        events.append("ran")
        raise ValueError("no")

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        assert await handle.status() == "cancelled"
        await t.advance(1000)
    assert events == ["ran"]


async def test_between_tries_of_an_activity(app: Perdure, events: list[Any]) -> None:
    @app.activity(retries=Retry.forever(100))
    async def act() -> None:
        events.append("ran")
        raise ValueError("no")

    @app.task
    async def task() -> None:
        await act()

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        await t.advance(1)
        assert await handle.status() == "cancelled"
        await t.advance(1000)
    assert events == ["ran"]


async def test_a_running_execution_reads_cancelling_until_it_settles(app: Perdure) -> None:
    gate = asyncio.Event()

    @app.task
    async def task() -> str:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        return "swallowed"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel("stop it")
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.cancelling, execution.cancel_reason) == ("running", True, "stop it")
        gate.set()
        execution = await handle.wait()
        assert (execution.status, execution.cancelling, execution.result) == ("cancelled", False, None)


async def test_a_body_that_swallows_the_cancel_is_settled_after_the_grace(app: Perdure) -> None:
    release = asyncio.Event()

    @app.task
    async def task() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        await t.advance(9)
        assert (await handle.execution()).cancelling
        await t.advance(2)
        assert await handle.status() == "cancelled"
        release.set()
        await t.idle()


async def test_a_swallowed_cancel_starts_nothing_and_settles_cancelled(app: Perdure, events: list[Any]) -> None:
    @app.task
    async def other() -> None:
        events.append("child ran")

    @app.task
    async def task(ctx: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("swallowed")
        await ctx.spawn(other.call())
        return "done"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.cancel()
        execution = await handle.wait()
        await t.advance(20)
        assert execution.status == "cancelled"
        assert await handle.children() == []
    assert events == ["swallowed"]


async def test_a_cancel_goes_down_the_tree(app: Perdure, events: list[Any]) -> None:
    @app.task
    async def leaf(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("leaf stopped")

    @app.task
    async def middle() -> None:
        await leaf()

    @app.task
    async def top(ctx: Context) -> None:
        await ctx.spawn(middle.call())
        await middle()

    async with TestApp(app, patience=0.05) as t:
        handle = await top.enqueue()
        await t.advance(1)
        await handle.cancel("all of it")
        await t.advance(1)
        found = await app.search(f"root:{handle.id}")
        assert {execution.status for execution in found} == {"cancelled"}
        assert len(found) == 5
        reasons = {each.cancel_reason for each in found if each.id != handle.id}
        assert all(reason and "parent" in reason for reason in reasons)
    assert events == ["leaf stopped"] * 2


async def test_a_cancelled_child_raises_in_its_parent(app: Perdure) -> None:
    @app.task
    async def other() -> None:
        await asyncio.Event().wait()

    @app.task(retries=0)
    async def task() -> str:
        with pytest.raises(ExecutionCancelledError, match="only you"):
            await other()
        return "went on"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.advance(1)
        await app.handle((await handle.children())[0].id).cancel("only you")
        assert await handle.result() == "went on"


async def test_of_a_settled_execution_changes_nothing(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        before = await handle.wait()
        await handle.cancel("late")
        assert await handle.execution() == before
        with pytest.raises(ExecutionNotFoundError):
            await app.handle("unknown").cancel()


async def test_twice_keeps_the_first_reason(app: Perdure) -> None:
    @app.task
    async def task() -> None:
        await asyncio.Event().wait()

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await t.idle()
        await asyncio.gather(handle.cancel("first"), handle.cancel("second"), handle.cancel("third"))
        assert (await handle.wait()).cancel_reason == "first"


async def test_right_after_enqueue(app: Perdure, events: list[Any]) -> None:
    @app.task
    async def task() -> None:
        events.append("began")
        await asyncio.Event().wait()

    async with TestApp(app, patience=0.05):
        for _ in range(5):
            handle = await task.enqueue()
            await handle.cancel()
            assert (await handle.wait()).status == "cancelled"
    assert len(events) <= 5


async def test_while_it_suspends(app: Perdure) -> None:
    """The cancel is sent by the body itself, in the same moment in which it begins to wait."""

    @app.task
    async def task(ctx: Context) -> None:
        asyncio.get_running_loop().create_task(send(ctx.execution_id), context=outside)
        await ctx.sleep(1000)

    async def send(id: str) -> None:
        for _ in range(sent[0]):
            await asyncio.sleep(0)
        await app.handle(id).cancel()

    outside = contextvars.copy_context()
    sent = [0]
    for hops in range(12):
        sent[0] = hops
        async with TestApp(app) as t:
            handle = await task.enqueue()
            await t.advance(1)
            assert await handle.status() == "cancelled"


async def test_a_def_body_sees_it_and_is_stopped_at_its_next_verb(app: Perdure, events: list[Any]) -> None:
    begun, look = threading.Event(), threading.Event()

    @app.task
    def task(ctx: BlockingContext) -> str:
        begun.set()
        look.wait(10)
        events.append(ctx.cancelled)
        try:
            ctx.sleep(1)
        except Exception:
            events.append("never")
        events.append("never")
        return "late"

    async with TestApp(app, patience=0.05) as t:
        handle = await task.enqueue()
        await asyncio.to_thread(begun.wait, 10)
        await handle.cancel()
        await t.advance(1)
        look.set()
        assert (await handle.wait()).status == "cancelled"
    assert events == [True]


async def test_cancel_all_by_query(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context, number: int) -> None:
        await ctx.sleep(1000 if number % 2 else 0)

    async with TestApp(app) as t:
        await app.enqueue_many([task.options(tags={"n": str(n % 2)}).call(n) for n in range(10)])
        await t.advance(1)
        assert await app.cancel_all("task:task", dry_run=True) == 5
        assert await app.cancel_all("tag:n=1", reason="odd") == 5
        assert await app.count("status:cancelled") == 5
        assert await app.count("error:odd") == 5
        assert await app.cancel_all("") == 0


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_claim_that_is_cancelled_already_runs_no_body(
    app: Perdure, events: list[Any], blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        events.append("ran")

    def blocking_body() -> None:
        events.append("ran")

    task: Any = app.task(name="task")(blocking_body if blocking else body)

    async with TestApp(app) as t:
        claim, storage = t.faults.claim, t.faults.storage

        def claim_cancelled(request: ClaimRequest, now: int) -> Claimed:
            claimed = claim(request, now)
            for each in claimed.claims:
                storage.cancel([(each.id, "early")], now)
            claims = tuple(msgspec.structs.replace(each, cancel_reason="early") for each in claimed.claims)
            return msgspec.structs.replace(claimed, claims=claims)

        monkeypatch.setattr(t.faults, "claim", claim_cancelled)
        execution = await (await task.options(start_delay=1).enqueue()).wait()
    assert (execution.status, events) == ("cancelled", [])
