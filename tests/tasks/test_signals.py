"""Signals: kept until asked for, in order of acceptance, typed at both ends, late by record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from perdure import (
    ConfigurationError,
    Context,
    ExecutionFailedError,
    ExecutionNotFoundError,
    InvalidInputError,
    NotSerializableError,
    PayloadTooLargeError,
    Perdure,
    Signal,
    Sizes,
)
from perdure.testing import TestApp


@dataclass
class Decision:
    approved: bool
    by: str = ""


APPROVAL = Signal("approval", Decision)
REPLAY = pytest.mark.parametrize("always_replay", [False, True])


@REPLAY
@pytest.mark.parametrize("early", [False, True])
async def test_a_signal_is_taken_whether_sent_before_or_after_the_wait_begins(
    app: Perdure, always_replay: bool, early: bool
) -> None:
    @app.task
    async def task(ctx: Context) -> Decision:
        await ctx.sleep(10)
        return await ctx.wait_for("approval", Decision)

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(1 if early else 20)
        await handle.signal("approval", Decision(True, "me"))
        assert await handle.result() == Decision(True, "me")


@REPLAY
async def test_the_nth_wait_takes_the_nth_signal(app: Perdure, always_replay: bool) -> None:
    @app.task
    async def task(ctx: Context) -> list[Any]:
        first = [await ctx.wait_for("x", int), await ctx.wait_for("x", int)]
        await ctx.sleep(10)
        if ctx.attempt == 0:
            raise ValueError("again")
        return [*first, await ctx.wait_for("y", str), await ctx.wait_for("x", int)]

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        for number in (1, 2, 3):
            await handle.signal("x", number)
        await t.advance(100)
        await handle.signal("y", "why")
        assert await handle.result() == [1, 2, "why", 3]


async def test_a_typed_signal_names_itself_at_both_ends(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[Decision]:
        return [await ctx.wait_for(APPROVAL), await ctx.wait_for(APPROVAL, timeout=60)]

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.signal(APPROVAL, Decision(True))
        await handle.signal("approval", {"approved": False, "by": "a dict"})
        assert await handle.result() == [Decision(True), Decision(False, "a dict")]


async def test_a_typed_signal_refuses_another_value_and_sends_nothing(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> bool:
        return (await ctx.wait_for(APPROVAL)).approved

    async with TestApp(app) as t:
        handle = await task.enqueue()
        for wrong in ("yes", {"approved": "maybe"}, None, 5):
            with pytest.raises(InvalidInputError, match="signal approval"):
                await handle.signal(APPROVAL, wrong)  # type: ignore[arg-type]
        await t.idle()
        assert await handle.status() == "waiting"
        await handle.signal(APPROVAL, {"approved": True})  # type: ignore[arg-type]
        assert await handle.result() is True


@REPLAY
async def test_a_late_wait_raises_and_that_is_recorded(app: Perdure, always_replay: bool) -> None:
    seen: list[str] = []

    @app.task
    async def task(ctx: Context) -> str:
        try:
            value: Any = await ctx.wait_for("x", str, timeout=60)
        except TimeoutError as error:
            value = f"late: {error}"
        seen.append(value)
        await ctx.sleep(100)
        if ctx.attempt == 0:
            raise ValueError("again")
        return str(await ctx.wait_for("x", str))

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(61)
        await handle.signal("x", "too late for the first, in time for the second")
        assert (await handle.result()).startswith("too late")
    assert set(seen) == {"late: no signal 'x' came in time"}


async def test_a_signal_at_the_last_moment_is_in_time(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> str:
        return await ctx.wait_for("x", str, timeout=60)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.advance(59.9)
        await handle.signal("x", "just")
        assert await handle.result() == "just"


async def test_no_time_to_wait_takes_what_is_there(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[str]:
        await ctx.sleep(10)
        found = [await ctx.wait_for("x", str, timeout=0)]
        try:
            await ctx.wait_for("x", str, timeout=0)
        except TimeoutError:
            found.append("none")
        return found

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        await handle.signal("x", "there")
        assert await handle.result() == ["there", "none"]


async def test_waits_in_branches_take_one_signal_each(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[int]:
        return sorted(await asyncio.gather(*(ctx.wait_for("x", int) for _ in range(3))))

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await t.idle()
        for number in range(3):
            await handle.signal("x", number)
            await t.advance(5)
        assert await handle.result() == [0, 1, 2]


async def test_a_signal_without_a_type_or_value(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[Any]:
        return [await ctx.wait_for("x"), await ctx.wait_for("x"), await ctx.wait_for("x")]

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.signal("x")
        await handle.signal("x", {"a": [1, None]})
        await handle.signal("x", False)
        assert await handle.result() == [None, {"a": [1, None]}, False]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), datetime), (timedelta(hours=1), timedelta), ({1, 2}, set[int]),
        (Decimal("1.50"), Decimal), (b"bytes", bytes), ((1, "a"), tuple[int, str]), ({"when": {1}}, Any),
        (datetime(2026, 1, 1, tzinfo=UTC), Any), (7, float),
    ],
)  # fmt: skip
async def test_a_value_sent_without_a_type_is_received_with_one(app: Perdure, value: Any, kind: Any) -> None:
    seen: list[Any] = []

    @app.task
    async def task(ctx: Context) -> None:
        seen.append(await ctx.wait_for("x", kind))

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.signal("x", value)
        await handle.result()
    assert seen == [value]


async def test_a_value_that_does_not_fit_the_wait_is_drift(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> int:
        return await ctx.wait_for("x", int)

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.signal("x", "no number")
        await t.advance(5)
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("pending", 0)
        assert execution.failure is not None
        assert execution.failure.type == "JournalDriftError"


async def test_a_bad_signal_is_refused(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> None:
        await ctx.wait_for("x")

    async with TestApp(app):
        handle = await task.enqueue()
        for name in ("", "a b", "x" * 256, 5):
            with pytest.raises(ConfigurationError, match="signal name"):
                await handle.signal(name, 1)  # type: ignore[call-overload]
        with pytest.raises(NotSerializableError, match="signal x"):
            await handle.signal("x", object())
        with pytest.raises(ExecutionNotFoundError):
            await app.handle("unknown").signal("x", 1)
        await handle.signal("x", "end")
        await handle.result()
    with pytest.raises(ConfigurationError):
        Signal("a b", int)
    with pytest.raises(NotSerializableError):
        Signal("x", type(lambda: 1))


async def test_a_wait_for_a_bad_name_or_type_fails_the_body(app: Perdure) -> None:
    @app.task(retries=0)
    async def task(ctx: Context, name: str) -> None:
        await ctx.wait_for(name, type(lambda: 1))

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="signal name"):
            await task.run("a b")
        with pytest.raises(ExecutionFailedError, match="signal x"):
            await task.run("x")


async def test_a_large_signal_is_refused() -> None:
    app = Perdure("memory://", sizes=Sizes(signal=20))

    @app.task
    async def task(ctx: Context) -> str:
        return await ctx.wait_for("x", str)

    async with TestApp(app):
        handle = await task.enqueue()
        with pytest.raises(PayloadTooLargeError, match="20 bytes"):
            await handle.signal("x", "ü" * 10)
        await handle.signal("x", "ü" * 9)
        assert await handle.result() == "ü" * 9


async def test_a_signal_to_a_settled_execution_is_harmless(app: Perdure) -> None:
    @app.task
    async def task() -> int:
        return 1

    async with TestApp(app):
        handle = await task.enqueue()
        await handle.result()
        await handle.signal("x", 1)
        assert await handle.result() == 1


async def test_many_signals_keep_their_order(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[int]:
        return [await ctx.wait_for("x", int) for _ in range(100)]

    async with TestApp(app):
        handle = await task.enqueue()
        for number in range(100):
            await handle.signal("x", number)
        assert await handle.result() == list(range(100))
