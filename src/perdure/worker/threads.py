"""`Threads`: an executor for user code, of which some never ends.

A thread cannot be ended from outside. Where nobody waits any more for what one runs (its execution timed out, say), that
thread is lost: it does not count any longer, another takes its place, and it goes when its function ends after all. No
thread is waited for when the program ends: what they still run can be recorded by nobody.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, Literal

MOST_LOST: Final = 200
"""Lost threads that are replaced, and no more."""
logger = logging.getLogger("perdure")


class Job:
    """A function for a thread; give it to `Threads.submit`."""

    __slots__ = ("function", "state")

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function
        self.state: Literal["queued", "running", "lost", "ended"] = "queued"

    def __call__(self) -> object:
        return self.function()


class Threads(Executor):
    """Up to `size` threads that somebody waits for. `ended` is called, in the thread, after each job."""

    def __init__(self, size: int, name: str, ended: Callable[[], object]) -> None:
        self._size, self._name, self._ended = size, name, ended
        self._change = threading.Condition()
        self._queue: deque[tuple[Future[Any], Job]] = deque()
        self._threads = self._idle = self._lost = self._number = 0
        self._closed = False

    @property
    def lost(self) -> int:
        """Threads that nobody waits for."""
        return self._lost

    @property
    def busy(self) -> int:
        """Threads that run something, the lost ones too."""
        return self._threads - self._idle

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`."""
        future: Future[Any] = Future()
        with self._change:
            if self._closed:
                raise RuntimeError("the worker has left")
            self._queue.append((future, fn if isinstance(fn, Job) else Job(partial(fn, *args, **kwargs))))
            self._fill()
        return future

    def leave(self, job: Job) -> None:
        """Nobody waits for this job any more: where it runs, its thread is lost."""
        with self._change:
            if job.state != "running":
                return
            job.state = "lost"
            self._lost += 1
            self._fill()
            lost = self._lost
        if lost & (lost - 1) == 0:
            logger.warning(
                "%d %s `def` code that nobody waits for any more, and others take their place; such code should have a "
                "time limit of its own, or look at ctx.cancelled", lost, "thread runs" if lost == 1 else "threads run",
            )  # fmt: skip

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`, but never waits."""
        with self._change:
            self._closed = True
            while cancel_futures and self._queue:
                self._queue.popleft()[0].cancel()
            self._change.notify_all()

    @property
    def _most(self) -> int:
        return self._size + min(self._lost, MOST_LOST)

    def _fill(self) -> None:
        if len(self._queue) > self._idle and self._threads < self._most:
            self._threads += 1
            self._number += 1
            try:
                threading.Thread(target=self._work, name=f"{self._name}_{self._number}", daemon=True).start()
            except RuntimeError as error:  # the system has no more of them: who is queued waits for one of ours
                self._threads -= 1
                logger.error("no thread can be started for `def` code: %s", error)
        self._change.notify()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            self._run(*taken)
            del taken

    def _next(self) -> tuple[Future[Any], Job] | None:
        with self._change:
            while not self._queue and not self._closed and self._threads <= self._most:
                self._idle += 1
                self._change.wait()
                self._idle -= 1
            if self._queue and self._threads <= self._most:
                return self._queue.popleft()
            self._threads -= 1
            return None

    def _run(self, future: Future[Any], job: Job) -> None:
        if not future.set_running_or_notify_cancel():
            return
        with self._change:
            job.state = "running"
        try:
            value, error = job(), None
        except BaseException as raised:
            value, error = None, raised
        self._end(job)
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
            error = None  # no cycle through this frame
        self._ended()

    def _end(self, job: Job) -> None:
        with self._change:
            self._lost -= job.state == "lost"
            job.state = "ended"
