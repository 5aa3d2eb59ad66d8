"""The one bridge between threads and the event loop: `Portal`. On it stand `BlockingContext` for `def` bodies and
`BlockingHandle` for synchronous programs; no verb is written twice.

A verb of a `def` body runs as a coroutine on the loop while the thread waits. When the pass ends meanwhile, the coroutine
is cancelled and `Unwound` is raised in that one thread: a `BaseException`, so that `except Exception` never sees it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple, Unpack, cast, overload
from uuid import UUID

from perdure.clock import Duration
from perdure.engine import items, mapping, waiting
from perdure.engine.context import About, Context, mappable, record, signal_codec
from perdure.engine.durable import Durable
from perdure.engine.handle import Handle
from perdure.engine.mapping import ActivityOf, TaskOf
from perdure.engine.refusal import give_way
from perdure.engine.scope import make_task
from perdure.engine.signal import Signal
from perdure.engine.task import Call
from perdure.errors import AppClosedError, ConfigurationError, Failure
from perdure.model.execution import Event, Execution, JournalEntry, ListItem
from perdure.model.policy import Retry
from perdure.model.status import Status

if TYPE_CHECKING:
    from perdure.engine.driver import Driver
    from perdure.engine.verbs import Verbs

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")


class Unwound(BaseException):
    """Raised in the thread of a `def` body when its pass is over; let it through."""


class Portal:
    """Runs coroutines on a loop for another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self._process = loop, os.getpid()

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result, waiting for it. Raises `ConfigurationError` on the loop's own thread, and after a fork,
        where that thread is missing."""
        if self._process != os.getpid():
            coroutine.close()
            raise ConfigurationError("this app was opened before a fork; open an app anew in the child process")
        if self.loop.is_closed():
            coroutine.close()
            raise AppClosedError("the app is closed; open it with `with app as client:`")
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            coroutine.close()
            raise ConfigurationError("a blocking verb was called on the event loop's own thread; use the async form")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


class BodyPortal:
    """As `Portal`, for the thread of a `def` body: the coroutine runs in the body's scope and ends with the pass."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, calls: set[asyncio.Future[Any]], ended: Callable[[], bool]
    ) -> None:
        self._loop, self._calls, self._ended = loop, calls, ended
        self._refused = 0

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result. Raises `Unwound` when the pass is over."""
        answer: concurrent.futures.Future[R] = concurrent.futures.Future()
        context = contextvars.copy_context()
        self._loop.call_soon_threadsafe(self._begin, coroutine, answer, context)
        try:
            return answer.result()
        except (concurrent.futures.CancelledError, asyncio.CancelledError):
            self._refused += 1
            give_way(self._refused)
            raise Unwound from None

    def _begin(
        self, coroutine: Coroutine[Any, Any, R], answer: concurrent.futures.Future[R], context: contextvars.Context
    ) -> None:
        if self._ended():
            coroutine.close()
            answer.cancel()
            return
        task = make_task(self._loop, coroutine, context)
        self._calls.add(task)
        task.add_done_callback(lambda task: self._end(task, answer))

    def _end(self, task: asyncio.Task[R], answer: concurrent.futures.Future[R]) -> None:
        self._calls.discard(task)
        if task.cancelled():
            answer.cancel()
        elif (error := task.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


def body_portal(driver: Driver) -> BodyPortal:
    """How the thread of a `def` body calls its verbs, until its pass is over."""
    return BodyPortal(driver.loop, driver.calls, lambda: driver.unwinding or driver.timed_out is not None or (
        driver.cancel_reason is not None))  # fmt: skip


class BlockingHandle(Generic[R_co]):
    """A `Handle` for synchronous code; the same verbs, blocking. `handle` is the async one."""

    def __init__(self, handle: Handle[R_co], portal: Portal | BodyPortal) -> None:
        self.handle, self._portal = handle, portal

    def __repr__(self) -> str:
        return f"BlockingHandle({self.id!r})"

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.handle.id

    def result(self, timeout: Duration | None = None) -> R_co:
        """As `Handle.result`."""
        return self._portal.run(self.handle.result(timeout))

    def wait(self, timeout: Duration | None = None) -> Execution[R_co]:
        """As `Handle.wait`."""
        return self._portal.run(self.handle.wait(timeout))

    def status(self) -> Status:
        """As `Handle.status`."""
        return self._portal.run(self.handle.status())

    def execution(self) -> Execution[R_co]:
        """As `Handle.execution`."""
        return self._portal.run(self.handle.execution())

    def cancel(self, reason: str = "") -> None:
        """As `Handle.cancel`."""
        self._portal.run(self.handle.cancel(reason))

    @overload
    def signal(self, name: Signal[T], value: T) -> None: ...
    @overload
    def signal(self, name: str, value: object = None) -> None: ...
    def signal(self, name: str | Signal[Any], value: object = None) -> None:
        """As `Handle.signal`."""
        self._portal.run(self.handle.signal(cast("Any", name), value))

    def retry(self) -> None:
        """As `Handle.retry`."""
        self._portal.run(self.handle.retry())

    def fork(self, *, from_activity: str | None = None, input: object = None) -> BlockingHandle[R_co]:
        """As `Handle.fork`."""
        forked = self._portal.run(self.handle.fork(from_activity=from_activity, input=input))
        return BlockingHandle(forked, self._portal)

    def activities(self) -> list[JournalEntry]:
        """As `Handle.activities`."""
        return self._portal.run(self.handle.activities())

    def children(self, limit: int | None = None) -> list[Execution[object]]:
        """As `Handle.children`."""
        return self._portal.run(self.handle.children(limit))

    def watch(self) -> Iterator[Event]:
        """As `Handle.watch`."""
        events = self.handle.watch()

        async def following() -> Event | None:
            return await anext(events, None)

        while (event := self._portal.run(following())) is not None:
            yield event


class BlockingContext(About):
    """An execution as seen by its `def` body: the verbs of `Context`, blocking."""

    def __init__(self, verbs: Verbs, portal: BodyPortal) -> None:
        super().__init__(verbs)
        self._portal = portal

    def sleep(self, duration: Duration, *, key: str | None = None) -> None:
        """As `Context.sleep`."""
        self._portal.run(waiting.sleep(self._verbs, duration, key))

    @overload
    def wait_for(self, name: Signal[T], *, timeout: Duration | None = None, key: str | None = None) -> T: ...
    @overload
    def wait_for(self, name: str, type: type[T], *, timeout: Duration | None = None, key: str | None = None) -> T: ...
    @overload
    def wait_for(self, name: str, *, timeout: Duration | None = None, key: str | None = None) -> object: ...
    def wait_for(
        self, name: str | Signal[Any], type: Any = object, *, timeout: Duration | None = None, key: str | None = None
    ) -> Any:
        """As `Context.wait_for`."""
        name, codec = signal_codec(name, type)
        return self._portal.run(waiting.wait_for(self._verbs, name, codec, timeout, key))

    def item(self, which: int | str) -> ListItem:
        """As `Context.item`."""
        return self._portal.run(items.read_item(self._verbs, which))

    def run(self, call: Call[R]) -> R:
        """As `Context.run`."""
        return self._portal.run(Durable(self._verbs).run(call))

    def spawn(self, call: Call[R]) -> BlockingHandle[R]:
        """As `Context.spawn`."""
        return BlockingHandle(self._portal.run(Durable(self._verbs).spawn(call)), self._portal)

    def enqueue(self, call: Call[R]) -> BlockingHandle[R]:
        """As `Context.enqueue`."""
        handles = self._portal.run(Durable(self._verbs).enqueue([call]))
        return BlockingHandle(cast("Handle[R]", handles[0]), self._portal)

    @overload
    def map(
        self, function: ActivityOf[T, R] | TaskOf[T, R], items: Iterable[T], *,
        concurrency: int | None = None,
    ) -> list[R]: ...  # fmt: skip
    @overload
    def map(
        self, function: ActivityOf[T, R] | TaskOf[T, R], items: Iterable[T], *,
        concurrency: int | None = None, tolerate: float,
    ) -> list[R | Failure]: ...  # fmt: skip
    def map(
        self, function: Any, items: Iterable[Any], *, concurrency: int | None = None, tolerate: float | None = None
    ) -> list[Any]:
        """As `Context.map`."""
        job = mapping.map_items(self._verbs, mappable(function), list(items), concurrency, tolerate)
        return self._portal.run(job)

    @overload
    def record(
        self, function: Callable[[Unpack[Ts]], Awaitable[R]], *args: *Ts, key: str | None = None,
        retries: int | Retry | None = None,
    ) -> R: ...  # fmt: skip
    @overload
    def record(
        self, function: Callable[[Unpack[Ts]], R], *args: *Ts, key: str | None = None,
        retries: int | Retry | None = None,
    ) -> R: ...  # fmt: skip
    def record(
        self, function: Callable[..., Any], *args: Any, key: str | None = None, retries: int | Retry | None = None
    ) -> Any:
        """As `Context.record`; also runs an `async def` activity or function."""
        return self._portal.run(record(self._verbs, function, args, key, retries))

    def now(self, *, key: str | None = None) -> datetime:
        """As `Context.now`."""
        return self._ask(lambda context: context.now(key=key))

    def uuid(self, *, key: str | None = None) -> UUID:
        """As `Context.uuid`."""
        return self._ask(lambda context: context.uuid(key=key))

    def random(self, *, key: str | None = None) -> float:
        """As `Context.random`."""
        return self._ask(lambda context: context.random(key=key))

    def _ask(self, verb: Callable[[Context], R]) -> R:
        """A verb that answers at once, asked on the loop: there it ends this body as others do."""

        async def asked() -> R:
            return verb(Context(self._verbs))

        return self._portal.run(asked())
