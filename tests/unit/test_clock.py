"""Durations, moments, and the time limit that hangs on a clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import ConfigurationError
from perdure.clock import SystemClock, Timeout, instant, milliseconds, seconds


class HandClock(SystemClock):
    """A clock whose calls strike when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_later(self, delay: float, callback: Any) -> Any:
        handle = asyncio.get_running_loop().call_later(1e6, lambda: None)
        self.calls.append((delay, callback, handle))
        return handle

    def strike(self) -> None:
        for _, callback, handle in self.calls:
            if not handle.cancelled():
                callback()


@pytest.mark.parametrize(
    ("duration", "value"),
    [
        (0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(days=1), 86_400.0),
        (timedelta(microseconds=1), 1e-6),
        (3.2e9, 3.2e9),
    ],
)
def test_durations_are_seconds_or_timedeltas(duration: Any, value: float) -> None:
    assert seconds(duration) == value


@pytest.mark.parametrize(
    "duration",
    [-1, -0.001, float("nan"), float("inf"), 3.3e9, timedelta(seconds=-1), timedelta.max, "5", None, True, 1j, [1]],
)
def test_anything_else_is_refused_by_name(duration: Any) -> None:
    with pytest.raises(ConfigurationError, match="nap is"):
        seconds(duration, "nap")
    with pytest.raises(ConfigurationError, match="nap is"):
        milliseconds(duration, "nap")


@pytest.mark.parametrize(
    ("duration", "value"),
    [
        (0, 0),
        (1, 1000),
        (0.001, 1),
        (0.0001, 1),
        (0.0011, 2),
        (1.9999, 2000),
        (timedelta(microseconds=1500), 2),
        (0.3, 300),
    ],
)
def test_milliseconds_are_rounded_up_so_that_nothing_is_early(duration: Any, value: int) -> None:
    assert milliseconds(duration) == value


def test_a_range_of_ones_own() -> None:
    with pytest.raises(ConfigurationError, match=r"x is 0 seconds; it must lie between 0\.5 and 9"):
        seconds(0, "x", least=0.5, most=9)


def test_moments_need_a_time_zone() -> None:
    assert instant(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1000
    with pytest.raises(ConfigurationError, match="no time zone"):
        instant(datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_limit_that_strikes_raises_where_the_block_waits() -> None:
    clock = HandClock()
    limit = Timeout(clock, 3)
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(clock.strike))
    with pytest.raises(TimeoutError, match="not done within 3 s"):
        async with limit:
            await asyncio.Event().wait()
    assert limit.expired
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    clock = HandClock()
    async with Timeout(clock, 3) as limit:
        pass
    clock.strike()
    await asyncio.sleep(0)
    assert not limit.expired


async def test_no_limit_never_strikes() -> None:
    clock = HandClock()
    async with Timeout(clock, None):
        await asyncio.sleep(0)
    assert not clock.calls


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    clock = HandClock()
    entered = asyncio.Event()

    async def body() -> None:
        async with Timeout(clock, 3):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_from_outside_beats_a_limit_that_strikes_with_it() -> None:
    clock = HandClock()
    entered = asyncio.Event()

    async def body() -> None:
        async with Timeout(clock, 3):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    clock.strike()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_is_its_own() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with Timeout(HandClock(), 3):
            raise ValueError("mine")


async def test_the_inner_of_two_limits_strikes_alone() -> None:
    outer, inner = HandClock(), HandClock()
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(inner.strike))
    async with Timeout(outer, 9) as limit:
        with pytest.raises(TimeoutError, match="1 s"):
            async with Timeout(inner, 1):
                await asyncio.Event().wait()
    assert not limit.expired
