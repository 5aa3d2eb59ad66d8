"""The client for synchronous programs: an event loop in a thread of its own, and the app's verbs, blocking."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeVar, Unpack

from perdure.clock import Duration
from perdure.engine.blocking import BlockingHandle, Portal
from perdure.engine.handle import Handle
from perdure.engine.options import ListSettings
from perdure.engine.task import Call
from perdure.model.execution import Answer, Execution, ListItem, Page, Stats, WorkerInfo
from perdure.model.policy import Retry
from perdure.styles.lists import FOREVER, Items

R = TypeVar("R")


class LoopThread:
    """An event loop in a thread, reached by `portal`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="perdure-loop", daemon=True)
        self._thread.start()
        self.portal = Portal(self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result. Ctrl-C cancels it; what it then does to end in order is waited for, or cancelled by the
        next one."""
        task: asyncio.Task[R] | None = None
        interrupt: KeyboardInterrupt | None = None
        over = threading.Event()

        def begin() -> None:
            nonlocal task
            if task is None:
                task = self._loop.create_task(coroutine)
                task.add_done_callback(lambda _: over.set())

        while True:  # Ctrl-C may come at any place: none may lead out of here before the coroutine has ended
            try:
                self._loop.call_soon_threadsafe(begin)
                over.wait()
                break
            except KeyboardInterrupt as error:
                interrupt = error
                self._loop.call_soon_threadsafe(lambda: task is not None and task.cancel())
        assert task is not None
        if interrupt is not None:
            raise interrupt
        return task.result()

    def close(self) -> None:
        """Ends loop and thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


_warned = False


def warn_of_running_loop() -> None:
    """Warns, once, whoever enters `with app` where an event loop runs: it stands still meanwhile."""
    global _warned
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not _warned:
        _warned = True
        warnings.warn("`with app` blocks the event loop that runs here; use `async with app:`", stacklevel=4)


class Verbs(Protocol):
    """The verbs of an app that a blocking client passes on."""

    async def enqueue(self, call: Call[R]) -> Handle[R]: ...
    async def run(self, call: Call[R]) -> R: ...
    async def enqueue_many(self, calls: Sequence[Call[R]]) -> list[Handle[R]]: ...
    def handle(self, id: str) -> Handle[Any]: ...
    def call(self, name: str, /, *args: object, **kwargs: object) -> Call[object]: ...
    async def enqueue_list(
        self, id: str, items: Items, *, retries: int | Retry = FOREVER, **options: Unpack[ListSettings]
    ) -> Handle[list[ListItem]]: ...
    async def list_item(self, id: str, which: int | str) -> ListItem: ...
    async def search(
        self, query: str = "", order: Literal["newest", "oldest"] = "newest", limit: int = 100, after: str | None = None
    ) -> Page[Execution[object]]: ...
    async def count(self, query: str = "") -> int: ...
    async def cancel_all(self, query: str, dry_run: bool = False, *, reason: str = "") -> int: ...
    async def retry_all(self, query: str, dry_run: bool = False) -> int: ...
    async def complete(self, name: str, key: str, value: object = None) -> Answer[object]: ...
    async def fail(self, name: str, key: str, why: str) -> Answer[object]: ...
    async def run_one(
        self, query: str = "", order: Literal["oldest", "newest", "random"] = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None: ...
    async def run_until_settled(
        self, query: str = "", order: Literal["oldest", "newest", "random"] = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None: ...
    async def stats(self) -> Stats: ...
    async def workers(self) -> list[WorkerInfo]: ...


class BlockingClient:
    """The verbs of an open app, blocking: `with app as client:`. Every method is that of the app with the same name."""

    def __init__(self, app: Verbs, portal: Portal) -> None:
        self._app, self._portal = app, portal

    def enqueue(self, call: Call[R]) -> BlockingHandle[R]:
        """As `Perdure.enqueue`."""
        return BlockingHandle(self._portal.run(self._app.enqueue(call)), self._portal)

    def run(self, call: Call[R]) -> R:
        """As `Perdure.run`."""
        return self._portal.run(self._app.run(call))

    def enqueue_many(self, calls: Sequence[Call[R]]) -> list[BlockingHandle[R]]:
        """As `Perdure.enqueue_many`."""
        return [BlockingHandle(handle, self._portal) for handle in self._portal.run(self._app.enqueue_many(calls))]

    def enqueue_list(
        self, id: str, items: Items, *, retries: int | Retry = FOREVER, **options: Unpack[ListSettings]
    ) -> BlockingHandle[list[ListItem]]:
        """As `Perdure.enqueue_list`."""
        handle = self._portal.run(self._app.enqueue_list(id, items, retries=retries, **options))
        return BlockingHandle(handle, self._portal)

    def list_item(self, id: str, which: int | str) -> ListItem:
        """As `Perdure.list_item`."""
        return self._portal.run(self._app.list_item(id, which))

    def handle(self, id: str) -> BlockingHandle[Any]:
        """As `Perdure.handle`."""

        async def make() -> Handle[Any]:
            return self._app.handle(id)

        return BlockingHandle(self._portal.run(make()), self._portal)

    def call(self, name: str, /, *args: object, **kwargs: object) -> Call[object]:
        """As `Perdure.call`."""
        return self._app.call(name, *args, **kwargs)

    def complete(self, name: str, key: str, value: object = None) -> Answer[object]:
        """As `Perdure.complete`."""
        return self._portal.run(self._app.complete(name, key, value))

    def fail(self, name: str, key: str, why: str) -> Answer[object]:
        """As `Perdure.fail`."""
        return self._portal.run(self._app.fail(name, key, why))

    def search(
        self, query: str = "", order: Literal["newest", "oldest"] = "newest", limit: int = 100, after: str | None = None
    ) -> Page[Execution[object]]:
        """As `Perdure.search`."""
        return self._portal.run(self._app.search(query, order, limit, after))

    def count(self, query: str = "") -> int:
        """As `Perdure.count`."""
        return self._portal.run(self._app.count(query))

    def cancel_all(self, query: str, dry_run: bool = False, *, reason: str = "") -> int:
        """As `Perdure.cancel_all`."""
        return self._portal.run(self._app.cancel_all(query, dry_run, reason=reason))

    def run_one(
        self, query: str = "", order: Literal["oldest", "newest", "random"] = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None:
        """As `Perdure.run_one`."""
        return self._portal.run(self._app.run_one(query, order, timeout))

    def run_until_settled(
        self, query: str = "", order: Literal["oldest", "newest", "random"] = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None:
        """As `Perdure.run_until_settled`."""
        return self._portal.run(self._app.run_until_settled(query, order, timeout))

    def retry_all(self, query: str, dry_run: bool = False) -> int:
        """As `Perdure.retry_all`."""
        return self._portal.run(self._app.retry_all(query, dry_run))

    def stats(self) -> Stats:
        """As `Perdure.stats`."""
        return self._portal.run(self._app.stats())

    def workers(self) -> list[WorkerInfo]:
        """As `Perdure.workers`."""
        return self._portal.run(self._app.workers())
