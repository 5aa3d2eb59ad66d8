"""The only reader of time.

Everything that needs "now" or a delay is handed a `Clock`; SQL gets `now` as a parameter. So a test or a simulation
moves time by hand, and the whole engine follows. `SystemClock` is the real one.

Instants are integer milliseconds UTC, delays are float seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from perdure.errors import ConfigurationError

Duration = float | timedelta
LAST_YEAR: Final = 9000
CLOCK_DIFFERS: Final = 2000
"""Milliseconds by which two hosts may differ before somebody should look."""


class Cancellable(Protocol):
    """A call that has been scheduled and may still be called off."""

    def cancel(self) -> None:
        """Calls it off; harmless when it already ran."""
        ...


class Clock(Protocol):
    """A source of time, and of calls made later."""

    def now(self) -> int:
        """Milliseconds UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from some fixed moment; never goes back."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Cancellable:
        """Calls `callback` in the running loop after `delay` seconds."""
        ...

    async def sleep(self, delay: float) -> None:
        """Returns after `delay` seconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from some fixed moment."""
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Cancellable:
        """Calls `callback` in the running loop after `delay` seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)

    async def sleep(self, delay: float) -> None:
        """Returns after `delay` seconds."""
        await asyncio.sleep(delay)


def nanoseconds(clock: Clock) -> int:
    """Nanoseconds UTC, for telemetry. A clock other than the machine's tells no more than milliseconds."""
    return time.time_ns() if isinstance(clock, SystemClock) else clock.now() * 1_000_000


class Timeout:
    """Cancels the task inside the block after `delay` seconds and raises `TimeoutError` there: `asyncio.timeout`, but on
    a `Clock`. `expired` tells afterwards whether it struck."""

    def __init__(self, clock: Clock, delay: float | None) -> None:
        self._clock, self._delay = clock, delay
        self._call: Cancellable | None = None
        self._task: asyncio.Task[object] | None = None
        self.expired = False

    async def __aenter__(self) -> Self:
        if self._delay is not None:
            self._task = asyncio.current_task()
            self._before = self._task.cancelling() if self._task else 0
            self._call = self._clock.call_later(max(self._delay, 0.0), self._strike)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call is not None:
            self._call.cancel()
        ours = self.expired and self._task is not None and self._task.uncancel() <= self._before
        if ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError(f"not done within {self._delay:g} s") from error

    def _strike(self) -> None:
        if self._task is not None and not self._task.done():
            self.expired = True
            self._task.cancel()


def seconds(duration: Duration, what: str = "duration", *, least: float = 0.0, most: float = 3.2e9) -> float:
    """A duration as float seconds. Raises `ConfigurationError` naming `what` for a wrong type, NaN, a value below
    `least` or above `most` (about a hundred years)."""
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif type(duration) in (int, float):
        value = float(duration)
    else:
        raise ConfigurationError(f"{what} is {duration!r}; it must be seconds as a number, or a timedelta")
    if not least <= value <= most:
        raise ConfigurationError(f"{what} is {value:g} seconds; it must lie between {least:g} and {most:g}")
    return value


def milliseconds(duration: Duration, what: str = "duration", *, least: float = 0.0, most: float = 3.2e9) -> int:
    """A duration as whole milliseconds, rounded up: nothing due runs early. Raises as `seconds` does."""
    return -int(-seconds(duration, what, least=least, most=most) * 1000 // 1)


def instant(moment: datetime, what: str = "moment") -> int:
    """An aware datetime as milliseconds UTC. Raises `ConfigurationError` for a naive one, and for one after the year 9000."""
    if moment.tzinfo is None:
        raise ConfigurationError(f"{what} has no time zone; use datetime(..., tzinfo=UTC)")
    if moment.year > LAST_YEAR:
        raise ConfigurationError(f"{what} is {moment}; it must lie before the year {LAST_YEAR + 1}")
    return round(moment.timestamp() * 1000)


def seconds_until(call: asyncio.TimerHandle, loop: asyncio.AbstractEventLoop) -> float:
    """How far off a call is that a loop has scheduled on its own clock."""
    return call.when() - loop.time()
