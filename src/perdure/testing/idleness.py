"""Whether anything on an event loop can still go on by itself: what `TestApp` asks before it moves its clock.

An asyncio loop does not tell that it is idle. `settle` gives way until no callback is ready; `may_go_on` tells whether
something real is still under way: a thread, a socket, a short timer of the loop's own clock. It must never wait for
ever: a body may also await something that only the test will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from perdure.clock import seconds_until

T = TypeVar("T")
HOPS: Final = 50
"""How often to give way on a loop that does not show its queue (uvloop)."""
LONGEST: Final = 100_000
"""How often to give way to callbacks that keep each other ready for ever."""


class LoopWatch:
    """Watches the running loop; `patience` is for how many real seconds something under way is waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop, self.patience = loop, patience
        self.in_threads = 0
        """Calls that threads work on now."""
        self._run_in_executor = loop.run_in_executor

    def attach(self) -> None:
        """Counts calls in threads from now on (`asyncio.to_thread`, name look-ups, files)."""
        vars(self._loop)["run_in_executor"] = self._counted

    def detach(self) -> None:
        """Leaves the loop as it was."""
        vars(self._loop).pop("run_in_executor", None)

    def _counted(self, executor: Executor | None, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future = self._run_in_executor(executor, function, *args)
        self.in_threads += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self.in_threads -= 1

    async def settle(self) -> None:
        """Gives way until no callback is ready."""
        ready: Any = getattr(self._loop, "_ready", None)
        for hop in range(LONGEST):
            await asyncio.sleep(0)
            if not ready and (ready is not None or hop >= HOPS):
                return

    @property
    def may_go_on(self) -> bool:
        """Whether something real is under way that may end within the patience."""
        return self.in_threads > 0 or self._sockets() or self._timers()

    def _sockets(self) -> bool:
        """Whether the loop listens to more than its own wake-up."""
        selector: Any = getattr(self._loop, "_selector", None)
        watched = selector.get_map() if selector is not None else None
        return watched is not None and len(watched) > 1

    def _timers(self) -> bool:
        scheduled: list[asyncio.TimerHandle] = getattr(self._loop, "_scheduled", [])
        return any(not call.cancelled() and seconds_until(call, self._loop) < self.patience for call in scheduled)
