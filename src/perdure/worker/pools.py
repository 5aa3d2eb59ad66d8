"""Threads and processes for user code. Bodies and activities have separate threads, so that waiting bodies cannot starve
the activities they wait for. Nothing is pickled but module and function name, which this process knows to be its own."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import multiprocessing
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import reduce
from typing import Any, TypeVar, cast

from perdure.codec import decode_failure, encode_failure, exception_of, failure_of, keep_value
from perdure.engine.task import Activity
from perdure.errors import Abort, ConfigurationError
from perdure.worker.threads import MOST_LOST, Job, Threads

R = TypeVar("R")
logger = logging.getLogger("perdure")


class Pools:
    """Threads and processes, made when first needed. `relieved` is called, in some thread, when there is more `room`."""

    def __init__(self, concurrency: int, relieved: Callable[[], object]) -> None:
        self._most_bodies = concurrency + MOST_LOST
        # A body has a thread at once, for its time is running: how many there are is bounded by what is claimed.
        self._bodies = Threads(self._most_bodies + concurrency, "perdure-body", self._ended)
        self._activities = Threads(max(concurrency, 4), "perdure-activity", self._ended)
        self._relieved, self._full = relieved, False
        self._processes: ProcessPoolExecutor | None = None
        self.busy = 0

    def in_thread(self, function: Callable[[], R], *, body: bool) -> Awaitable[R]:
        """Runs a function in a thread, in a copy of the caller's context."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        threads = self._bodies if body else self._activities
        job = Job(lambda: context.run(_contained, function))
        future = cast("asyncio.Future[R]", loop.run_in_executor(threads, job))
        self.busy += 1
        future.add_done_callback(lambda _: self._done(threads, job))
        return future

    def _done(self, threads: Threads, job: Job) -> None:
        self.busy -= 1
        threads.leave(job)

    @property
    def room(self) -> bool:
        """Whether threads that run what nobody waits for can still be replaced."""
        full = self._bodies.busy >= self._most_bodies or self._activities.lost >= MOST_LOST
        if full and not self._full:
            logger.error(
                "over %d threads run `def` code that does not end, though nobody waits for it any more: this worker takes no "
                "work until some end; start it anew", MOST_LOST,
            )  # fmt: skip
        self._full = full
        return not full

    def _ended(self) -> None:
        if self._full:
            self._relieved()

    async def in_process(self, function: Callable[..., object], arguments: str) -> str:
        """Runs an importable activity in another process. Raises what it raised, as recorded; `ConfigurationError` for a
        local function; `RuntimeError` when the process dies. Then the processes beside it are gone too: others are made."""
        name = function.__qualname__
        if "<" in name:
            raise ConfigurationError(
                f"activity {name} is defined inside a function; run_in='process' needs a module-level one"
            )
        self.busy += 1
        try:
            value, failed = await self._submit(function.__module__, name, arguments)
        except BrokenProcessPool as error:
            raise RuntimeError(
                f"the process of activity {name}, or one beside it, died; was it out of memory?"
            ) from error
        finally:
            self.busy -= 1
        if failed:
            failure = decode_failure(failed)
            error = exception_of(failure)
            error.add_note(f"in its process: {failure.traceback}")
            raise error
        return value

    async def _submit(self, module: str, name: str, arguments: str) -> tuple[str, str]:
        loop = asyncio.get_running_loop()
        if self._processes is None:
            self._processes = ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))
        pool = self._processes
        try:
            return await loop.run_in_executor(pool, call_by_name, module, name, arguments)
        except BrokenProcessPool:
            if self._processes is pool:
                self._processes = None
            pool.shutdown(wait=False)
            raise

    def close(self) -> None:
        """Lets go of threads and processes; threads that still run user code are not waited for."""
        for pool in (self._bodies, self._activities, self._processes):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)


def _contained(function: Callable[[], R]) -> R:
    """Calls a function in a thread. There a `KeyboardInterrupt` was typed by nobody; on the loop it would end the worker.
    And a future cannot carry a `StopIteration`: as out of an `async def`, it comes as a `RuntimeError`."""
    try:
        return function()
    except (KeyboardInterrupt, StopIteration) as error:
        message = f"user code raised {type(error).__name__}({str(error)!r}) in a thread"
        raise RuntimeError(message).with_traceback(error.__traceback__) from error


def call_by_name(module: str, qualname: str, arguments: str) -> tuple[str, str]:
    """In the other process: decodes, calls, encodes. Answers the result, or the record of what was raised: an exception
    itself may not survive the way back, and one that does not takes the whole pool along."""
    try:
        found: Any = reduce(getattr, qualname.split("."), importlib.import_module(module))
        if not isinstance(found, Activity):
            raise ConfigurationError(
                f"{module}.{qualname} is no activity there; run_in='process' needs it by that name"
            )
        activity = cast("Activity[..., object]", found)
        args, kwargs = activity.signature.spread(activity.signature.decode(arguments))
        try:
            return activity.signature.result.encode(activity.fn(*args, **kwargs)), ""
        except Abort as abort:
            keep_value(abort, activity.signature.result.encode)
            raise
    except BaseException as error:
        return "", encode_failure(failure_of(error))
