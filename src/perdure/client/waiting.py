"""Waiting for executions to settle: by what this process commits, by hints, and by bounded polling.

One reader serves all who wait, whatever their number. What settled here a moment ago is remembered, so that asking for the
result of one's own work costs no read.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import OrderedDict
from collections.abc import Iterable

from perdure.clock import Cancellable, Clock
from perdure.errors import AppClosedError, ExecutionNotFoundError, StorageError, StoreSealedError
from perdure.model.records import Row
from perdure.storage.store import CLOSED, Ending, Store
from perdure.storage.trouble import UNREADABLE

REMEMBERED, LARGEST = 4096, 4096
logger = logging.getLogger("perdure")


class Waiters:
    """Futures by execution id, resolved with how the execution ended. It is a listener of its store."""

    def __init__(self, store: Store, clock: Clock, poll: float) -> None:
        self._store, self._clock, self._poll = store, clock, poll
        self._waiting: dict[str, set[asyncio.Future[Ending]]] = {}
        self._recent: OrderedDict[str, Ending] = OrderedDict()
        self._seen: set[str] = set()
        self._reading = self._again = self._closed = False
        self._tick: Cancellable | None = None
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ending(self, execution_id: str) -> Ending:
        """How the execution ended, once it has. Raises `ExecutionNotFoundError`, `AppClosedError`."""
        known = self._recent.get(execution_id)
        if known is not None:
            return known
        if self._closed:
            raise AppClosedError(CLOSED)
        future: asyncio.Future[Ending] = self._loop.create_future()
        self._waiting.setdefault(execution_id, set()).add(future)
        self._read_soon()
        try:
            return await future
        finally:
            rest = self._waiting.get(execution_id)
            if rest is not None:
                rest.discard(future)
                if not rest:
                    del self._waiting[execution_id]

    def forget(self, execution_id: str) -> None:
        """What is remembered of another execution of that id no longer holds."""
        self._recent.pop(execution_id, None)

    def close(self) -> None:
        """Everyone who waits learns that the app is closed."""
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        for task in self._tasks:
            task.cancel()
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(AppClosedError("the app was closed while this was awaited"))

    # -- what the store tells -----------------------------------------------------------------------------------------

    def settled(self, endings: dict[str, Ending]) -> None:
        """These settled by a commit of this process."""
        for execution_id, ending in endings.items():
            if ending.status == "completed" and ending.result is not None:
                self._remember(execution_id, ending)
                self._resolve(execution_id, ending)
            elif ending.failure is not None:
                self._resolve(execution_id, ending)
            elif execution_id in self._waiting:
                self._read_soon()

    def due(self, woken: Iterable[str]) -> None:
        """A parent may have been settled with what just happened."""

    def hinted(self) -> None:
        """Another process changed something."""
        if self._waiting:
            self._read_soon()

    def sealed(self, error: StoreSealedError) -> None:
        """Whatever is awaited will not settle here."""
        self._fail(tuple(self._waiting), error)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _remember(self, execution_id: str, ending: Ending) -> None:
        if len(ending.result or "") <= LARGEST:
            self._recent[execution_id] = ending
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)

    def _resolve(self, execution_id: str, ending: Ending) -> None:
        for future in self._waiting.get(execution_id, ()):
            if not future.done():
                future.set_result(ending)

    def _fail(self, ids: Iterable[str], error: Exception) -> None:
        for execution_id in ids:
            for future in self._waiting.get(execution_id, ()):
                if not future.done():
                    future.set_exception(error)

    def _read_soon(self) -> None:
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._loop.call_soon(self._begin, context=self._context)

    def _begin(self) -> None:
        task = self._loop.create_task(self._read())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        self._again = False
        ids = [id for id, futures in self._waiting.items() if any(not future.done() for future in futures)]
        try:
            rows = await self._settled(ids) if ids else []
            unknown = await self._unknown([id for id, row in rows if row is None])
        except StorageError as error:
            self._store.trouble.failed("read", UNREADABLE, error)
        except AppClosedError:
            return
        except Exception as error:  # nobody is to wait for an answer that cannot come
            logger.exception("results cannot be read")
            self._fail(ids, error)
        else:
            self._store.trouble.over("read")
            self._answer(rows, unknown)
        self._reading = False
        if self._again:
            self._read_soon()
        else:
            self._later()

    async def _settled(self, ids: list[str]) -> list[tuple[str, Row | None]]:
        """The rows that settled. An id that the storage cannot even look for fails its own waiters alone."""
        try:
            return list(zip(ids, await self._store.read(lambda storage: storage.settled(ids)), strict=True))
        except ValueError as error:
            if len(ids) > 1:
                return [pair for id in ids for pair in await self._settled([id])]
            self._fail(ids, error)
            return []

    async def _unknown(self, ids: list[str]) -> set[str]:
        """Those that do not exist at all; asked only for ids that were never seen."""
        fresh = [id for id in ids if id not in self._seen]
        if not fresh:
            return set()
        rows = await self._store.read(lambda storage: storage.get(fresh))
        self._seen.update(id for id, row in zip(fresh, rows, strict=True) if row is not None)
        if len(self._seen) > 1_000_000:
            self._seen.clear()
        return {id for id, row in zip(fresh, rows, strict=True) if row is None}

    def _answer(self, rows: Iterable[tuple[str, Row | None]], unknown: set[str]) -> None:
        for execution_id, row in rows:
            if row is not None:
                self._resolve(execution_id, Ending(row.status, row.result, row.failure))
        for execution_id in unknown:
            for future in self._waiting.get(execution_id, ()):
                if not future.done():
                    future.set_exception(ExecutionNotFoundError(f"there is no execution {execution_id!r}"))

    def _later(self) -> None:
        if self._tick is None:
            self._tick = self._clock.call_later(self._poll, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        if self._waiting:
            self._read_soon()
