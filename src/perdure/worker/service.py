"""A worker as a program: it runs until a signal or `stop`, drains, and goes. The second signal stops at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from perdure.closing import Steps
from perdure.worker.signals import handled
from perdure.worker.worker import Worker

SELDOM: Final = 10_000
"""New objects between two looks of the garbage collector. Python's own 700 cost a busy worker a fifth of its time."""


class Opening(Protocol):
    """How the worker's app is opened and closed."""

    async def open(self) -> Worker:
        """The worker, started."""
        ...

    async def close(self) -> None:
        """Drains and closes."""
        ...


class WorkerService:
    """`await app.worker().run()` works until SIGTERM, SIGINT, an operator's drain, or `.stop()`."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._stop, self._second = asyncio.Event(), asyncio.Event()
        self.worker: Worker | None = None
        self.hurried = False
        """Whether a second stop cut the drain short."""
        self.started: Callable[[], object] | None = None
        """Called once the worker works."""

    def stop(self) -> None:
        """Ends `run` in order: running bodies may finish within `drain`. A second call interrupts them."""
        (self._second if self._stop.is_set() else self._stop).set()

    async def run(self) -> None:
        """Works until stopped. Raises `StorageError` when the storage cannot be opened, `StoreSealedError` when it was moved
        meanwhile."""
        self.worker = await self._opening.open()
        if self.started is not None:
            self.started()
        steps = Steps()
        with handled(self.stop), _seldom_collected():
            await steps.take(self._until_stopped(self.worker))
            await steps.take(self._close())
        steps.end()
        if self.worker.refused is not None:
            raise self.worker.refused

    async def _until_stopped(self, worker: Worker) -> None:
        waits = [asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(worker.drained.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _close(self) -> None:
        closing = asyncio.ensure_future(self._opening.close())
        self._stop.set()  # an operator's drain counts as the first
        second = asyncio.ensure_future(self._second.wait())
        steps = Steps()
        await steps.take(asyncio.wait([closing, second], return_when=asyncio.FIRST_COMPLETED))
        second.cancel()
        if not closing.done() and self.worker is not None:
            self.hurried = True
            self.worker.hurry()
        await steps.take(closing)
        steps.end()


@contextmanager
def _seldom_collected() -> Generator[None]:
    """Here the process is the worker's own: what was loaded stays, and executions leave hardly any cycles behind. Whoever
    set the collector before is left in peace."""
    before = gc.get_threshold()
    if not gc.isenabled() or before[0] == 0 or before[0] >= SELDOM:
        yield
        return
    gc.freeze()
    gc.set_threshold(SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
