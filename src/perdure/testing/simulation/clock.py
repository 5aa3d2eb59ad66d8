"""The time of a simulated run, as a clock of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from perdure.testing.simulation.loop import SimLoop

START: Final = 1_767_225_600_000


class SimClock:
    """The time of a loop as a clock of the engine."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        """Milliseconds UTC."""
        return START + round(self._loop.seconds * 1_000_000) // 1000

    def monotonic(self) -> float:
        """Seconds."""
        return self._loop.seconds

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls `callback` after `delay` seconds."""
        return self._loop.call_later(delay, callback)

    async def sleep(self, delay: float) -> None:
        """Returns after `delay` seconds."""
        await asyncio.sleep(delay)
