"""`Drive`: how a virtual clock and an event loop go on together.

`settle` lets everything run that can; `go` moves the clock to the next due moment. A moment is due when a call of the clock
is (a timer, a time-out, a pause before a retry), or when the storage says so (work, a deadline). Besides, a worker looks
around at regular times (heartbeat, poll, maintenance): these looks are spread out the further one span goes, so that a
month costs no million of them, and all are made at each moment that the storage calls due.

One thing at a time moves the clock: `turn` is the lock for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from perdure.model.records import ClaimRequest
from perdure.storage import Storage
from perdure.testing.clock import VirtualCall, VirtualClock
from perdure.testing.faults import FaultyStorage
from perdure.testing.idleness import LoopWatch

T = TypeVar("T")
LOOKS: Final = frozenset(
    {"Heart._beat_and_next", "Maintenance._look", "Claimer._ticked", "Waiters._ticked", "Gauges._look"}
)
"""By name the calls with which a worker or a client looks around without a reason."""
CHANGES: Final = ("enqueue", "commit", "signal", "complete_external", "cancel", "retry", "forget")
SPREAD: Final = 10
"""A look is put off by up to the time gone by in one move, divided by this."""
FIRST_WAIT, LONGEST_WAIT = 0.0005, 0.01


class Moving(Protocol):
    """What stands on the clock: the worker process of the moment."""

    @property
    def awaits_reality(self) -> bool:
        """Whether a body may be busy with something that no virtual clock brings about."""
        ...

    async def stand(self) -> None:
        """Returns once a process that is being started stands."""
        ...


class Drive:
    """Moves `clock`, and lets the loop run in between."""

    def __init__(
        self, clock: VirtualClock, faults: FaultyStorage, queues: tuple[str, ...], watch: LoopWatch, moving: Moving
    ) -> None:
        self.clock, self.watch = clock, watch
        self._faults, self._queues, self._moving = faults, queues, moving
        self._lock = asyncio.Lock()
        self._given_up: object = None
        self.wanted = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """For a verb of the test: while one is wanted, nothing else moves the clock."""
        self.wanted += 1
        try:
            async with self._lock:
                yield
        finally:
            self.wanted -= 1

    @asynccontextmanager
    async def turn_of_waiting(self) -> AsyncGenerator[bool]:
        """For what waits: whether it may move the clock."""
        async with self._lock:
            await self.settle()
            yield self.wanted == 0

    # -- letting run --------------------------------------------------------------------------------------------------

    @property
    def mark(self) -> tuple[int, ...]:
        """Changes whenever the app changes something in the storage."""
        return tuple(self._faults.calls[name] for name in CHANGES)

    async def settle(self) -> None:
        """Returns when nothing can go on at this moment of the clock, or has not for as long as the patience lasts."""
        waited, pause, seen = 0.0, FIRST_WAIT, self._state
        while True:
            await self.watch.settle()
            await self._moving.stand()
            if self._state != seen:
                waited, pause, seen = 0.0, FIRST_WAIT, self._state
            if not (self._moving.awaits_reality and self.watch.may_go_on) or seen == self._given_up:
                return
            if waited > self.watch.patience:
                self._given_up = seen
                return
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, LONGEST_WAIT)

    @property
    def _state(self) -> object:
        return self.mark, self.watch.in_threads, self.clock.micros

    # -- moving -------------------------------------------------------------------------------------------------------

    async def span(self, length: int) -> None:
        """Moves on by microseconds, from one due moment to the next."""
        began = self.clock.micros
        await self.settle()
        while (moment := self.next_moment(began)) is not None and moment <= began + length:
            await self.go(moment)
        await self.go(began + length)

    async def until(self, awaited: Awaitable[T]) -> T:
        """Moves on until something is done."""
        task = asyncio.ensure_future(awaited)
        began = self.clock.micros
        await self.settle()
        while not task.done() and (moment := self.next_moment(began)) is not None:
            await self.go(moment)
        return await task

    async def go(self, moment: int) -> None:
        """Moves to a moment and lets everything run that is due there."""
        stored = self.stored_due()
        self.clock.move_to(moment)
        if stored is not None and stored <= moment:
            self.clock.hasten(is_look)
        await self.settle()

    def next_moment(self, began: int) -> int | None:
        """The next due moment (microseconds), for a move that began at `began`."""
        looks = min((call.when for call in self.clock.pending() if is_look(call)), default=None)
        due = self.next_due()
        if looks is None:
            return due
        now = self.clock.micros
        looks = max(looks, now + (now - began) // SPREAD)
        return looks if due is None else min(looks, due)

    def next_due(self) -> int | None:
        """The next moment for which there is a reason; `None` when nothing will ever fall due by itself."""
        calls = (call.when for call in self.clock.pending() if not is_look(call))
        return min((when for when in (min(calls, default=None), self.stored_due()) if when is not None), default=None)

    def stored_due(self) -> int | None:
        """When the storage says that something falls due."""
        storage: Storage = self._faults.storage
        asked = storage.claim(ClaimRequest("", self._queues, (), 0), self.clock.now())
        return None if asked.next_due is None else asked.next_due * 1000


def is_look(call: VirtualCall) -> bool:
    """Whether a call only looks around."""
    return getattr(call.callback, "__qualname__", "") in LOOKS
