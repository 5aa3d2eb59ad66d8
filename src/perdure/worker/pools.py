"""Threads and processes for user code. Bodies and activities have separate threads, so that waiting bodies cannot starve
the activities they wait for. Nothing is pickled but module and function name, which this process knows to be its own."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import multiprocessing
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import reduce
from typing import Any, TypeVar, cast

from perdure.codec import codec_for
from perdure.engine.task import Activity
from perdure.errors import ConfigurationError

R = TypeVar("R")


class Pools:
    """Threads and processes, made when first needed."""

    def __init__(self, concurrency: int) -> None:
        self._size = max(concurrency, 4)
        self._bodies: ThreadPoolExecutor | None = None
        self._activities: ThreadPoolExecutor | None = None
        self._processes: ProcessPoolExecutor | None = None
        self.busy = 0

    def in_thread(self, function: Callable[[], R], *, body: bool) -> Awaitable[R]:
        """Runs a function in a thread, in a copy of the caller's context."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        future = loop.run_in_executor(self._threads(body), context.run, function)
        self.busy += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self.busy -= 1

    def _threads(self, body: bool) -> ThreadPoolExecutor:
        if body:
            self._bodies = self._bodies or ThreadPoolExecutor(self._size, "perdure-body")
            return self._bodies
        self._activities = self._activities or ThreadPoolExecutor(self._size, "perdure-activity")
        return self._activities

    def in_process(self, function: Callable[..., object], arguments: str) -> Awaitable[str]:
        """Runs an importable activity in another process. Raises `ConfigurationError` for a local function."""
        if "<" in function.__qualname__:
            raise ConfigurationError(
                f"activity {function.__qualname__} is defined inside a function; run_in='process' needs a module-level one"
            )
        if self._processes is None:
            self._processes = ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(
            self._processes, call_by_name, function.__module__, function.__qualname__, arguments
        )
        self.busy += 1
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Lets go of threads and processes; threads that still run user code are not waited for."""
        for pool in (self._bodies, self._activities, self._processes):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)


def call_by_name(module: str, qualname: str, arguments: str) -> str:
    """In the other process: decodes, calls, encodes."""
    found: Any = reduce(getattr, qualname.split("."), importlib.import_module(module))
    if isinstance(found, Activity):
        activity = cast("Activity[..., object]", found)
        args, kwargs = activity.signature.spread(activity.signature.decode(arguments))
        return activity.signature.result.encode(activity.fn(*args, **kwargs))
    raise ConfigurationError(f"{module}.{qualname} is no activity, but {codec_for(object).encode(str(found))}")
