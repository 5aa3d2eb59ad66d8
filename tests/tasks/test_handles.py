"""Handles: what they tell, how they wait, and what they raise."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    ConfigurationError,
    Context,
    ExecutionFailedError,
    ExecutionNotFoundError,
    Perdure,
    Retry,
    StorageError,
)
from perdure.storage.opening import open_storage
from perdure.testing import FaultyStorage, TestApp


@dataclass
class Answer:
    number: int


async def test_a_handle_made_from_an_id_is_the_same(app: Perdure) -> None:
    @app.task
    async def task(number: int) -> Answer:
        return Answer(number)

    async with TestApp(app):
        handle = await task.enqueue(1)
        for again in (task.handle(handle.id), app.handle(handle.id)):
            assert again == handle
            assert hash(again) == hash(handle)
            assert await again.result() == Answer(1)
            assert (await again.execution()).result == Answer(1)


@pytest.mark.parametrize(
    "verb", ["result", "wait", "status", "execution", "cancel", "retry", "fork", "activities", "children"]
)
async def test_every_verb_on_an_unknown_id_says_so(app: Perdure, verb: str) -> None:
    @app.task
    async def task() -> None: ...

    async with TestApp(app):
        with pytest.raises(ExecutionNotFoundError, match="'unknown'"):
            await getattr(task.handle("unknown"), verb)()
        with pytest.raises(ExecutionNotFoundError):
            async for _ in app.handle("unknown").watch():
                pass


async def test_a_snapshot_tells_everything(app: Perdure) -> None:
    @app.task(version="7", retries=0)
    async def task(number: int, name: str = "x") -> Answer:
        return Answer(number)

    async with TestApp(app) as t:
        began = t.now
        handle = await task.options(queue="default", priority=3, tags={"k": "v"}, idempotency_key="key").enqueue(1)
        await handle.result()
        execution = await handle.execution()
    assert (execution.id, execution.task_name, execution.status) == (handle.id, "task", "completed")
    assert (execution.input, execution.result) == ({"number": 1, "name": "x"}, Answer(1))
    assert (execution.queue, execution.priority, execution.tags) == ("default", 3, {"k": "v"})
    assert (execution.idempotency_key, execution.version) == ("key", "7")
    assert (execution.attempt, execution.crashes, execution.cancelling, execution.failure) == (0, 0, False, None)
    assert (execution.parent, execution.root, execution.worker) == (None, handle.id, None)
    assert (execution.waiting_on, execution.waits, execution.progress) == (None, (), None)
    assert execution.created_at == began
    assert execution.started_at is not None
    assert execution.finished_at == execution.closed_at
    assert execution.settled


async def test_wait_answers_however_it_ended(app: Perdure) -> None:
    @app.task(retries=0)
    async def task(how: str) -> str:
        if how == "fail":
            raise ValueError("no")
        return how

    async with TestApp(app):
        assert (await (await task.enqueue("complete")).wait()).status == "completed"
        failed = await (await task.enqueue("fail")).wait()
        assert failed.status == "failed"
        assert failed.failure is not None
        assert failed.failure.message == "no"


async def test_the_error_names_task_execution_and_cause(app: Perdure) -> None:
    @app.task(retries=0)
    async def task() -> None:
        raise ValueError("no")

    async with TestApp(app):
        handle = await task.enqueue()
        with pytest.raises(ExecutionFailedError) as caught:
            await handle.result()
        assert caught.value.execution_id == handle.id
        assert str(caught.value) == f"task task ({handle.id}) failed: ValueError: no"
        assert caught.value.failure is not None
        assert "raise ValueError" in caught.value.failure.traceback


async def test_many_may_wait_for_one_and_one_may_give_up(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> int:
        return await ctx.wait_for("x", int)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        waiting = [asyncio.create_task(handle.result()) for _ in range(5)]
        await t.idle()
        waiting[0].cancel()
        await handle.signal("x", 7)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1:] == [7, 7, 7, 7]
        assert await handle.status() == "completed"


@pytest.mark.parametrize("timeout", [-1, "5", float("nan"), True, timedelta(seconds=-5)])
async def test_a_bad_timeout_is_refused(app: Perdure, timeout: Any) -> None:
    @app.task
    async def task() -> None: ...

    async with TestApp(app):
        handle = await task.enqueue()
        for verb in (handle.result, handle.wait):
            with pytest.raises(ConfigurationError, match="timeout is"):
                await verb(timeout)


async def test_a_result_that_is_there_needs_no_time(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        assert await handle.result(timeout=5) == 1
        assert (await handle.wait(timeout=5)).result == 1


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
async def test_falsy_results_are_results(app: Perdure, value: Any) -> None:
    @app.task
    async def task() -> Any:
        return value

    async with TestApp(app):
        handle = await task.enqueue()
        assert await handle.result() == value
        assert type(await handle.result()) is type(value)


async def test_the_journal_in_order(app: Perdure) -> None:
    @app.activity
    async def act(number: int) -> Answer:
        return Answer(number)

    @app.activity
    async def bad() -> None:
        raise ValueError("no")

    @app.task
    async def other() -> str:
        return "child"

    @app.task
    async def task(ctx: Context) -> None:
        await act(1)
        await ctx.sleep(1)
        with pytest.raises(ValueError, match="no"):
            await bad()
        await ctx.sleep(1)
        await other()
        await ctx.sleep(1)
        await ctx.record(lambda: 5, key="k")
        ctx.now()
        await other.options(id="free").enqueue()
        await app.handle("free").signal("x", 1)
        await ctx.wait_for("x", int)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(10)
        await handle.signal("x", 9)
        await handle.result()
        entries = await handle.activities()
    named = [(entry.kind, entry.name.rpartition(".")[2].partition(" ")[0], entry.outcome) for entry in entries]
    assert [each for each in named if each[0] in ("activity", "child", "signal")] == [
        ("activity", "act", "recorded"), ("activity", "bad", "failed"), ("child", "other", "recorded"),
        ("activity", "<lambda>", "recorded"), ("signal", "x", "recorded"),
    ]  # fmt: skip
    values = {entry.name: entry.value for entry in entries}
    assert values["act"] == {"number": 1}
    assert values["other"] == "child"
    assert values["enqueue other"] == "free"
    assert values["x"] == 9
    failed = next(entry for entry in entries if entry.outcome == "failed")
    assert failed.failure is not None
    assert failed.failure.message == "no"


async def test_watch_tells_each_change_and_every_entry_once(app: Perdure) -> None:
    @app.activity
    async def act(number: int) -> int:
        return number

    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(1)

    @app.task(retries=Retry(1, delay=5))
    async def task(ctx: Context) -> str:
        for number in range(3):
            await act(number)
            await ctx.sleep(3)
            await other.options(key=f"k{number}")()
        if ctx.attempt == 0:
            raise ValueError("again")
        return "done"

    async with TestApp(app) as t:
        handle = await task.enqueue()
        events: list[Any] = []

        async def watch() -> None:
            events.extend([event async for event in handle.watch()])

        watching = asyncio.create_task(watch())
        for _ in range(60):
            await t.advance(0.5)
        await watching
        everything = await handle.activities()
    statuses = [event.execution.status for event in events]
    assert statuses[-1] == "completed"
    assert {"waiting", "pending", "completed"} <= set(statuses)
    seen = [(entry.key, entry.attempt) for event in events for entry in event.entries]
    assert len(seen) == len(set(seen))
    assert set(seen) == {(entry.key, entry.attempt) for entry in everything}


async def test_watching_waits_while_the_storage_is_away(caplog: pytest.LogCaptureFixture) -> None:
    storage = open_storage("memory://")
    faulty = FaultyStorage(storage)
    app, reader = Perdure(storage=storage, poll=0.01), Perdure(storage=faulty, poll=0.01)

    @app.task
    async def waits(ctx: Context) -> object:
        return await ctx.wait_for("go")

    async with app, reader.connect():
        handle = await app.enqueue(waits.call())
        seen: list[str] = []
        async for event in reader.handle(handle.id).watch():
            if not seen:
                faulty.fail("get", times=5)
                await handle.signal("go", 1)
            seen.append(event.execution.status)
        assert seen[-1] == "completed"
        faulty.fail("get")
        with pytest.raises(StorageError):
            await anext(aiter(reader.handle(handle.id).watch()))
    assert "the storage cannot be read; it is tried again" in caplog.text
    assert "the storage works again" in caplog.text


async def test_watching_what_is_settled_is_one_event(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        assert [event.execution.status async for event in handle.watch()] == ["completed"]


async def test_a_result_of_an_unknown_task_is_json(app: Perdure) -> None:
    """The task has gone from the program; its executions can still be read."""
    from tests.tasks.redeploy import redeployed

    @app.task
    async def task() -> Answer:
        return Answer(1)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.result()
    later = Perdure("memory://")

    @later.task
    async def other() -> None: ...

    async with redeployed(t, later):
        assert await later.handle(handle.id).result() == {"number": 1}
        assert (await later.handle(handle.id).execution()).result == {"number": 1}


async def test_the_repr_shows_the_id(app: Perdure) -> None:
    @app.task
    async def task() -> None: ...

    async with TestApp(app):
        assert repr(task.handle("abc")) == "Handle('abc')"
        assert repr(task) == "Task('task')"


async def test_a_time_out_says_when_nobody_could_have_answered(tmp_path: Path) -> None:
    app = Perdure(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    async def task(ctx: Context) -> None:
        await ctx.sleep(3600)

    async with app.connect():
        handle = await task.enqueue()
        with pytest.raises(TimeoutError, match="no live worker serves task task in queue default"):
            await handle.result(timeout=0.01)
    async with TestApp(app):
        with pytest.raises(TimeoutError, match=r"is still open after 5 s$"):
            await (await task.enqueue()).result(timeout=5)
