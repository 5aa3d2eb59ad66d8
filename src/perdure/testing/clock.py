"""`VirtualClock`: time that moves only when told to.

It keeps a heap of calls that are due later and knows nothing of workers or storages. Calls that are due are handed to the
running event loop, in the context in which they were asked for, exactly as a loop's own `call_later` does. Moving the clock
never runs anything by itself beyond that: who moves it lets the loop run afterwards (`TestApp.advance` does).
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Final
from weakref import WeakSet

from perdure.clock import Duration, instant, seconds

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualCall:
    """A call that is due at `when` (microseconds). `callback` is what was asked for; `handed` once the loop has it."""

    __slots__ = ("__weakref__", "callback", "cancelled", "context", "handed", "when")

    def __init__(self, when: int, callback: Callable[[], object]) -> None:
        self.when, self.callback = when, callback
        self.context = contextvars.copy_context()
        self.cancelled = self.handed = False

    def cancel(self) -> None:
        """Calls it off; harmless when it already ran."""
        self.cancelled = True

    def run(self) -> None:
        """Runs it, unless it was called off meanwhile."""
        if not self.cancelled:
            self.cancelled = True
            self.callback()


class VirtualClock:
    """A `perdure.clock.Clock` that stands still at `start` until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = instant(start, "start") * 1000
        self._calls: list[tuple[int, int, VirtualCall]] = []
        self._order = count()

    def __repr__(self) -> str:
        return f"VirtualClock({self.datetime.isoformat()})"

    # -- the clock of an app ------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Milliseconds UTC."""
        return self._now // 1000

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return self._now / 1_000_000

    def call_later(self, delay: float, callback: Callable[[], object]) -> VirtualCall:
        """Calls `callback` in the running loop once the clock has moved on by `delay` seconds; at once for none."""
        call = VirtualCall(self._now + max(-int(-delay * 1_000_000 // 1), 0), callback)
        if call.when <= self._now:
            self._hand_over(call)
        else:
            heapq.heappush(self._calls, (call.when, next(self._order), call))
        return call

    async def sleep(self, delay: float) -> None:
        """Returns once the clock has moved on by `delay` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = self.call_later(delay, lambda: future.done() or future.set_result(None))
        try:
            await future
        finally:
            call.cancel()

    # -- moving it ----------------------------------------------------------------------------------------------------

    @property
    def datetime(self) -> datetime:
        """The moment at which it stands, UTC."""
        return datetime.fromtimestamp(self._now / 1_000_000, UTC)

    @property
    def micros(self) -> int:
        """The moment at which it stands, in microseconds."""
        return self._now

    def pending(self) -> Iterator[VirtualCall]:
        """The calls that are yet to come, in no order."""
        return (call for _, _, call in self._calls if not (call.cancelled or call.handed))

    def move_to(self, micros: int) -> int:
        """Sets the clock, never back, and hands over what is due by then; answers how many calls that were."""
        self._now = max(self._now, micros)
        handed = 0
        while self._calls and self._calls[0][0] <= self._now:
            call = heapq.heappop(self._calls)[2]
            if not (call.cancelled or call.handed):
                self._hand_over(call)
                handed += 1
        return handed

    def move(self, span: Duration) -> int:
        """Moves the clock on by seconds or a timedelta, and hands over what is due by then."""
        return self.move_to(self._now + round(seconds(span, "span") * 1_000_000))

    def hasten(self, chosen: Callable[[VirtualCall], bool]) -> None:
        """Hands over the chosen calls now, before they are due."""
        for call in [each for each in self.pending() if chosen(each)]:
            self._hand_over(call)

    def _hand_over(self, call: VirtualCall) -> None:
        call.handed = True
        asyncio.get_running_loop().call_soon(call.run, context=call.context)


class LifeClock:
    """A clock as one process sees it: when the process dies, none of its calls comes any more. `sleepers` counts who
    sleeps on it, by whatever `owner` answers in the sleeper's context."""

    def __init__(self, clock: VirtualClock, owner: Callable[[], object]) -> None:
        self._clock, self._owner = clock, owner
        self._calls: WeakSet[VirtualCall] = WeakSet()
        self.sleepers: Counter[object] = Counter()
        self.ended = False

    def now(self) -> int:
        """Milliseconds UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return self._clock.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> VirtualCall:
        """As `VirtualClock.call_later`, for as long as the process lives."""
        call = self._clock.call_later(delay, callback)
        self._calls.add(call)
        if self.ended:
            call.cancel()
        return call

    async def sleep(self, delay: float) -> None:
        """As `VirtualClock.sleep`."""
        owner = self._owner()
        self.sleepers[owner] += 1
        try:
            await self._clock.sleep(delay)
        finally:
            self.sleepers[owner] -= 1

    def end(self) -> None:
        """The process is dead."""
        self.ended = True
        for call in self._calls:
            call.cancel()
