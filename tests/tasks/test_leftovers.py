"""What an earlier attempt, wait or flag left in an execution is gone when it is over (E8, H10, H11)."""

from __future__ import annotations

import pytest

from perdure import Context, ExecutionFailedError, Perdure, Retry
from perdure.testing import TestApp


async def test_a_completed_execution_keeps_no_failure_of_its_attempts(app: Perdure) -> None:
    """E8."""

    @app.task(retries=Retry(1, delay=5))
    async def second_time(ctx: Context) -> int:
        if ctx.attempt == 0:
            raise ValueError("not yet")
        return ctx.attempt

    async with TestApp(app) as t:
        handle = await second_time.enqueue()
        await t.advance()
        between = await handle.execution()
        assert between.failure is not None
        assert between.failure.message == "not yet"
        await t.advance(seconds=10)
        done = await handle.execution()
        assert (done.status, done.failure, done.due_at, done.waits) == ("completed", None, None, ())


async def test_no_flag_to_cancel_is_left_where_nobody_ran(app: Perdure) -> None:
    """H11: what is pending or waiting is cancelled at once, and can be retried."""

    @app.task
    async def patient(ctx: Context) -> str:
        return await ctx.wait_for("word", str)

    async with TestApp(app) as t:
        waiting, pending = await patient.enqueue(), await patient.options(start_delay=60).enqueue()
        await t.advance()
        for handle in (waiting, pending):
            await handle.cancel("enough")
            ended = await handle.execution()
            assert (ended.status, ended.cancelling, ended.due_at, ended.waits) == ("cancelled", False, None, ())
            await handle.retry()
            await handle.signal("word", "go")
            assert await handle.result() == "go"


async def test_an_answer_that_fails_without_a_word_is_no_text_of_nothing(app: Perdure) -> None:
    """H11: the seed stored 'undefined'."""
    answer = app.external_task("answer", int)
    async with TestApp(app):
        handle = await answer.enqueue("k")
        await answer.fail("k", "")
        with pytest.raises(ExecutionFailedError) as caught:
            await handle.result()
        assert caught.value.failure is not None
        assert caught.value.failure.message == ""
