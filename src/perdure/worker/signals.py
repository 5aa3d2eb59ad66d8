"""SIGTERM and SIGINT, also where user code blocks the event loop.

Each signal is passed on to the loop. From the second on a thread waits for the loop to answer: where it does not, because
a body keeps it busy, nothing can be ended in order and the process goes at once, as by a kill. What it held goes on elsewhere.
"""

from __future__ import annotations

import _thread
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

ANSWER_BOUND: Final = 3.0
CUT_SHORT: Final = 130
"""The exit code of a worker that was not allowed to drain."""
logger = logging.getLogger("perdure")


@contextmanager
def handled(stop: Callable[[], None]) -> Generator[None]:
    """Calls `stop` on the running loop at each signal. Where signals cannot be handled (not the main thread) they are left
    alone; afterwards, whoever handled them before does so again."""
    answering = _Answering(asyncio.get_running_loop(), stop)
    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError):
                before[number] = signal.signal(number, answering.take)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        answering.over.set()


class _Answering:
    """The signals so far, and how many of them the loop has answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
        self._loop, self._stop = loop, stop
        self._taken = self._answered = 0
        self.over = threading.Event()

    def take(self, number: int, _: FrameType | None) -> None:
        """The handler. It runs in the midst of whatever the main thread does, and so takes no lock."""
        self._taken += 1
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._answer)
        if self._taken > 1:
            _thread.start_new_thread(self._watch, (self._taken, number))

    def _answer(self) -> None:
        self._answered += 1
        self._stop()

    def _watch(self, nth: int, number: int) -> None:
        self.over.wait(ANSWER_BOUND)
        if self.over.is_set() or self._answered >= nth:
            return
        name = signal.Signals(number).name
        logger.critical("the event loop is blocked; this process ends at once, by another %s", name)
        sys.stderr.flush()
        os._exit(CUT_SHORT)
