"""The clock that moves only when told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from perdure.clock import Timeout
from perdure.errors import ConfigurationError
from perdure.testing import VirtualClock
from perdure.testing.clock import LifeClock


async def give_way() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_begins_at_its_start_and_stands_still():
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == 1_767_225_600_000
    await give_way()
    assert clock.datetime == datetime(2026, 1, 1, tzinfo=UTC)
    clock.move(timedelta(days=1))
    assert clock.datetime == datetime(2026, 1, 2, tzinfo=UTC)
    assert clock.monotonic() == pytest.approx(1_767_312_000)


def test_a_naive_start_is_refused():
    with pytest.raises(ConfigurationError):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001


async def test_calls_come_in_order_and_not_before_they_are_due():
    clock, seen = VirtualClock(), list[str]()
    clock.call_later(2.0, lambda: seen.append("two"))
    clock.call_later(1.0, lambda: seen.append("one"))
    clock.call_later(1.0, lambda: seen.append("one again"))
    gone = clock.call_later(1.5, lambda: seen.append("never"))
    gone.cancel()
    clock.move(0.999)
    await give_way()
    assert seen == []
    clock.move(0.001)
    await give_way()
    assert seen == ["one", "one again"]
    clock.move(5)
    await give_way()
    assert seen == ["one", "one again", "two"]
    assert list(clock.pending()) == []


async def test_what_is_due_now_comes_at_once():
    clock, seen = VirtualClock(), list[int]()
    clock.call_later(0.0, lambda: seen.append(1))
    clock.call_later(-1.0, lambda: seen.append(2))
    assert seen == []
    await give_way()
    assert seen == [1, 2]


async def test_a_call_that_is_handed_over_can_still_be_called_off():
    clock, seen = VirtualClock(), list[int]()
    call = clock.call_later(1.0, lambda: seen.append(1))
    clock.hasten(lambda each: each is call)
    call.cancel()
    await give_way()
    assert seen == []


async def test_hastened_calls_come_once():
    clock, seen = VirtualClock(), list[int]()
    clock.call_later(1.0, lambda: seen.append(1))
    clock.hasten(lambda _: True)
    await give_way()
    clock.move(2)
    await give_way()
    assert seen == [1]


async def test_sleep_and_timeout_follow_it():
    clock = VirtualClock()

    async def late() -> str:
        async with Timeout(clock, 5):
            await clock.sleep(10)
        return "never"

    task = asyncio.create_task(late())
    await give_way()
    clock.move(4.9)
    await give_way()
    assert not task.done()
    clock.move(0.1)
    await give_way()
    with pytest.raises(TimeoutError):
        task.result()


async def test_it_never_goes_back():
    clock = VirtualClock()
    before = clock.micros
    clock.move_to(before - 1)
    assert clock.micros == before


async def test_a_dead_process_hears_nothing_of_its_clock():
    clock, seen = VirtualClock(), list[str]()
    life = LifeClock(clock, lambda: "owner")
    life.call_later(1.0, lambda: seen.append("late"))
    sleeper = asyncio.create_task(life.sleep(1.0))
    await give_way()
    assert life.sleepers["owner"] == 1
    life.end()
    life.call_later(0.0, lambda: seen.append("after death"))
    clock.move(2)
    await give_way()
    assert seen == []
    sleeper.cancel()
