"""Logging: `perdure` and `perdure.task.<name>`, levels, what records carry, silence while replaying, no payloads."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from perdure import Abort, BlockingContext, Context, Perdure, Retry
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

REPLAY = pytest.mark.parametrize("always_replay", [False, True])


def lines(caplog: pytest.LogCaptureFixture, logger: str, level: int | None = None) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == logger and level in (None, r.levelno)]


@REPLAY
async def test_a_body_logs_each_line_once(app: Perdure, caplog: pytest.LogCaptureFixture, always_replay: bool) -> None:
    caplog.set_level(logging.INFO)

    @app.activity
    async def act(number: int) -> None: ...

    @app.activity
    async def bad() -> None:
        raise ValueError("no")

    @app.task
    async def other() -> None: ...

    @app.task
    async def task(ctx: Context) -> None:
        ctx.logger.info("begin")
        await act(1)
        ctx.logger.info("after act")
        await ctx.sleep(10)
        ctx.logger.info("after sleep")
        try:
            await bad()
        except ValueError:
            ctx.logger.info("after failure")
        await ctx.sleep(10)
        ctx.logger.info("after second sleep")
        await other()
        ctx.logger.info("after child")
        await ctx.wait_for("x")
        ctx.logger.info("end")

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(30)
        await handle.signal("x")
        await handle.result()
    assert lines(caplog, "perdure.task.task") == [
        "begin", "after act", "after sleep", "after failure", "after second sleep", "after child", "end",
    ]  # fmt: skip


async def test_records_carry_execution_task_and_attempt(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    @app.task(retries=Retry(1, delay=1))
    async def task(ctx: Context, secret: str) -> None:
        ctx.logger.warning("mine %d", 5)
        ctx.logger.info("own extra", extra={"own": "kept"})
        raise ValueError("no")

    async with TestApp(app):
        handle = await task.enqueue("hunter2")
        await handle.wait()
    own = [record for record in caplog.records if record.name == "perdure.task.task"]
    assert [(r.execution_id, r.task, r.attempt) for r in own[::2]] == [(handle.id, "task", 0), (handle.id, "task", 1)]  # type: ignore[attr-defined]
    assert own[0].getMessage() == "mine 5"
    assert own[1].own == "kept"  # type: ignore[attr-defined]
    engine = [record for record in caplog.records if record.name == "perdure" and handle.id in record.getMessage()]
    assert engine
    assert all(record.execution_id == handle.id and record.task == "task" for record in engine)  # type: ignore[attr-defined]
    assert "hunter2" not in caplog.text


async def test_the_levels(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @app.task(retries=Retry(1, delay=1))
    async def task(ctx: Context, how: str) -> str:
        if how == "abort":
            raise Abort("early")
        if how == "fail":
            raise ValueError("no")
        return how

    async with TestApp(app):
        for how in ("complete", "fail", "abort"):
            await (await task.enqueue(how)).wait()
    engine = [
        (r.levelname, r.getMessage()) for r in caplog.records if r.name == "perdure" and "task task" in r.getMessage()
    ]
    assert [level for level, text in engine if "early" in text] == ["WARNING"]
    assert [level for level, text in engine if "ValueError: no" in text] == ["WARNING", "ERROR"]
    assert [level for level, text in engine if "started" in text].count("INFO") == 4
    assert [level for level, text in engine if "completed" in text] == ["INFO"]


async def test_a_retry_of_an_activity_is_a_warning(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @app.activity(retries=Retry(1, delay=1))
    async def act() -> None:
        raise ValueError("no")

    @app.task(retries=0)
    async def task() -> None:
        await act()

    async with TestApp(app):
        await (await task.enqueue()).wait()
    found = [r for r in caplog.records if "activity act failed" in r.getMessage()]
    assert [record.levelname for record in found] == ["WARNING"]


async def test_a_logger_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = Perdure("memory://", logger=logging.getLogger("mine"))

    @app.task
    async def task(ctx: Context) -> None:
        ctx.logger.info("hello")

    async with TestApp(app):
        await task.run()
    assert lines(caplog, "mine.task.task") == ["hello"]


@REPLAY
async def test_a_def_body_logs_each_line_once(
    app: Perdure, caplog: pytest.LogCaptureFixture, always_replay: bool
) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    def task(ctx: BlockingContext) -> None:
        ctx.logger.info("begin")
        ctx.sleep(10)
        ctx.logger.info("middle")
        ctx.sleep(10)
        ctx.logger.info("end")

    async with TestApp(app, always_replay=always_replay):
        await task.run()
    assert lines(caplog, "perdure.task.task") == ["begin", "middle", "end"]


async def test_payloads_are_never_logged(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t"

    @app.activity
    async def act(value: str) -> str:
        return value

    @app.task
    async def task(ctx: Context, value: str) -> Any:
        await act(value)
        await ctx.wait_for("x", str)
        return value

    async with TestApp(app, always_replay=True) as t:
        handle = await task.options(tags={"k": "v"}).enqueue(secret)
        await t.advance(1)
        await handle.signal("x", secret)
        assert await handle.result() == secret
    assert secret not in caplog.text


async def test_what_is_recorded_and_not_asked_for_does_not_silence_a_body(
    app: Perdure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    async def task(ctx: Context) -> None:
        await ctx.wait_for("x", timeout=100)
        ctx.logger.info("after signal")
        with pytest.raises(TimeoutError):
            await ctx.wait_for("y", timeout=10)
        await ctx.sleep(10)
        ctx.logger.info("after sleep")

    async with TestApp(app, always_replay=True) as t:
        handle = await task.enqueue()
        await t.advance(1)
        await handle.signal("x")
        await handle.result()
    assert lines(caplog, "perdure.task.task") == ["after signal", "after sleep"]


async def test_a_note_of_the_version_does_not_silence_a_body(app: Perdure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = Perdure("memory://")

    @before.task(name="task", version="1", on_version="pin")
    async def old(ctx: Context) -> None: ...

    @app.task(version="2", on_version="pin")
    async def task(ctx: Context) -> None:
        await ctx.sleep(10)
        ctx.logger.info("after sleep")

    first = TestApp(before)
    async with first:
        handle = await old.options(start_delay=5).enqueue()
    async with redeployed(first, app, always_replay=True):
        await app.handle(handle.id).result()
    assert lines(caplog, "perdure.task.task") == ["after sleep"]


async def test_a_child_that_a_fork_took_over_does_not_silence_a_body(
    app: Perdure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    async def other(number: int) -> int:
        return number

    @app.task
    async def task(ctx: Context) -> None:
        await other(1)
        await ctx.sleep(10, key="nap")
        ctx.logger.info("after sleep")

    async with TestApp(app, always_replay=True):
        handle = await task.enqueue()
        await handle.result()
        caplog.clear()
        forked = await handle.fork(from_activity="=nap")
        await forked.result()
    assert lines(caplog, "perdure.task.task") == ["after sleep"]
