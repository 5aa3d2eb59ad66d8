"""`SimLoop`: an asyncio event loop with virtual time and no I/O, in which a seed decides who runs next.

Every callback belongs to the simulated process in whose context it was made. A dead process's callbacks are dropped, a
paused one's are kept back until it goes on. When nothing is ready, time jumps to the next timer: with none there is a
deadlock, and beyond the horizon something is stuck; both are failures of what runs here, not hangs. Threads are refused.

Only documented hooks of asyncio are used, and the two that every loop of its own needs: `_set_running_loop` and
`Handle._run`. Source: the design of FoundationDB's simulator, in the small form of `reference/reliability.md` §3.2.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final, NoReturn, TypeVar

from perdure.testing.simulation.tape import Tape

T = TypeVar("T")
STEPS: Final = 25_000
BURIALS: Final = 20


class Process:
    """A simulated process: its callbacks carry it in their context. `paused` is until when it stands still."""

    def __init__(self, name: str) -> None:
        self.name, self.dead, self.paused = name, False, 0.0
        self.context = contextvars.Context()
        self.context.run(current_process.set, self)

    def __repr__(self) -> str:
        return self.name


current_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("simulated_process", default=None)


class DeadlockError(AssertionError):
    """Nothing is ready and no timer is set: nothing will ever happen."""


class StalledError(AssertionError):
    """Time or steps ran out before the run was over: something is stuck, or goes round in a circle."""


class SimLoop(asyncio.AbstractEventLoop):
    """See the module. `shuffle` is how often another than the first ready callback is taken; `each_step` is called before
    each callback."""

    def __init__(self, tape: Tape, shuffle: float, horizon: float) -> None:
        self.tape, self.shuffle, self.horizon = tape, shuffle, horizon
        self.each_step: Callable[[], None] = lambda: None
        self.errors: list[dict[str, Any]] = []
        self.steps = 0
        self._time = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self._parked: dict[Process, list[asyncio.Handle]] = {}
        self._factory: Any = None
        self._graves: list[asyncio.Handle] = []
        """What dead processes had under way: kept, so that nothing of it is taken apart in the middle of a run."""

    # -- running ------------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Coroutine[Any, Any, T]) -> T:  # type: ignore[override]
        """Runs until the future is done. Raises what it raises, `DeadlockError`, `StalledError`."""
        asyncio._set_running_loop(self)
        try:
            awaited = self.create_task(future)
            while not awaited.done():
                self._step()
            return awaited.result()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise StalledError(f"{STEPS} steps are over after {self._time:.3f} s")
        self.each_step()
        while not self._ready:
            self._jump()
        count = len(self._ready)
        handle = self._ready.pop(self.tape.pick("order", count, self.shuffle) if count > 1 else 0)
        process = handle._context.get(current_process)  # type: ignore[attr-defined]
        if (process is None or self._may_run(process, handle)) and not handle.cancelled():
            handle._run()

    def _may_run(self, process: Process, handle: asyncio.Handle) -> bool:
        if process.dead:
            self._graves.append(handle)
            return False
        if process.paused <= self._time:
            return True
        if process not in self._parked:
            self._parked[process] = []
            self.call_at(process.paused, self._go_on, process, context=contextvars.Context())
        self._parked[process].append(handle)
        return False

    def _go_on(self, process: Process) -> None:
        self._ready += self._parked.pop(process, [])

    def _jump(self) -> None:
        """Moves time to the next timer that is still wanted, and makes all of that moment ready."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise DeadlockError(f"nothing is due after {self._time:.3f} s")
        self._time = max(self._time, self._timers[0][0])
        if self._time > self.horizon:
            raise StalledError(f"not over after {self.horizon:.0f} s")
        while self._timers and self._timers[0][0] <= self._time:
            self._ready.append(heapq.heappop(self._timers)[2])

    # -- what asyncio asks of a loop ----------------------------------------------------------------------------------

    def time(self) -> float:
        return self._time

    @property
    def seconds(self) -> float:
        """The virtual time."""
        return self._time

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if when <= self._time:
            self._ready.append(timer)
        else:
            heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        factory = self._factory
        return factory(self, coro, **options) if factory else asyncio.Task(coro, loop=self, **options)

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "handle" in context:
            self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("a simulation has no threads")

    def bury(self) -> None:
        """Ends every task that is left, those of the dead too: nothing of a run outlives it."""
        asyncio._set_running_loop(self)
        parked = [handle for handles in self._parked.values() for handle in handles]
        self._ready, self._graves = [*self._graves, *parked, *self._ready], []
        try:
            for _ in range(BURIALS):
                left = asyncio.all_tasks(self)
                if not left:
                    return
                for task in left:
                    task.cancel()
                self._drain()
        finally:
            asyncio._set_running_loop(None)

    def _drain(self) -> None:
        for _ in range(STEPS):
            if not self._ready:
                return
            handle = self._ready.pop(0)
            if not handle.cancelled():
                handle._run()

    def kill(self, process: Process) -> None:
        """The process is no more: what it had under way is dropped."""
        process.dead = True
        self._graves += self._parked.pop(process, [])
