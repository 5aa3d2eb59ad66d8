"""`Perdure`: an app. It puts settings, declarations, storage, client and worker together, and opens and closes them.

Several apps may live in one process, also on one database; there is no global singleton. An app is open at most once at a
time and may be opened again later, in another event loop too.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from perdure.client.blocking import BlockingClient, LoopThread, warn_of_running_loop
from perdure.client.client import Client
from perdure.clock import Clock, SystemClock, seconds
from perdure.closing import Steps
from perdure.codec import PayloadCodec, Payloads
from perdure.engine.handle import Handle, checked_id
from perdure.engine.ports import Transport
from perdure.engine.scope import body_scope
from perdure.engine.task import Call
from perdure.errors import AppClosedError, ConfigurationError
from perdure.ids import Ids
from perdure.model.execution import Execution, Page, Stats, WorkerInfo
from perdure.model.policy import Retry, Sizes
from perdure.registry import Names, Registry
from perdure.settings import Settings, settings
from perdure.storage import Storage
from perdure.storage.observed import observed
from perdure.storage.opening import open_storage
from perdure.storage.store import Store
from perdure.storage.urls import without_password
from perdure.styles.external import Completing
from perdure.telemetry import Telemetry
from perdure.worker.fetching import Fetching
from perdure.worker.records import WorkerSettings, package_version
from perdure.worker.service import WorkerService
from perdure.worker.worker import Worker

if TYPE_CHECKING:
    from perdure.clock import Duration

R = TypeVar("R")
Order = Literal["newest", "oldest"]


@dataclasses.dataclass(slots=True)
class Parts:
    """What an app is made of besides its settings; tests put others in their place. `migrate`: bring the storage's schema up
    to date when it is opened."""

    storage: Storage | None = None
    clock: Clock = dataclasses.field(default_factory=SystemClock)
    ids: Ids = dataclasses.field(default_factory=Ids)
    linger: float = 1.0
    cancel_grace: float = 10.0
    migrate: bool = True
    telemetry: tuple[Telemetry, ...] = ()


@dataclasses.dataclass(slots=True)
class Opened:
    """An app while it is open."""

    store: Store
    client: Client
    loop: asyncio.AbstractEventLoop
    process: int
    worker: Worker | None = None


class Perdure(Registry, Completing, Fetching):
    """An app: tasks and activities, and the store they run on.

    `url` names the store (`sqlite:///jobs.db`, `memory://`; default `$PERDURE_URL`, else `sqlite:///perdure.db`);
    `storage` is one that exists. Times are seconds: `lease` until a silent worker's work is taken over, `poll` between
    looks for what no hint told, `drain` for running bodies at closing, `retention` until what is closed is removed
    (default: never). `concurrency` executions run at once, of `queues`. `codec` wraps stored bytes. Tasks log below `logger` (default: `perdure`). `telemetry` is who is told of it all: `True` is
    OpenTelemetry where that is set up. Each option is also `$PERDURE_<NAME>` and `[tool.perdure]`. Raises `ConfigurationError` naming option and range.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        storage: Storage | None = None,
        schema: str | None = None,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        retries: int | Retry | None = None,
        retention: Duration | None = None,
        lease: Duration | None = None,
        poll: Duration | None = None,
        drain: Duration | None = None,
        sizes: Sizes | None = None,
        codec: PayloadCodec | None = None,
        logger: logging.Logger | None = None,
        telemetry: bool | Telemetry | Sequence[Telemetry] | None = None,
    ) -> None:
        super().__init__()
        given = {
            "url": url, "schema": schema, "concurrency": concurrency, "queues": queues, "retries": retries,
            "retention": retention, "lease": lease, "poll": poll, "drain": drain, "sizes": sizes, "telemetry": telemetry,
        }  # fmt: skip
        self.settings: Settings = settings({name: value for name, value in given.items() if value is not None})
        self._sizes = self.settings.sizes
        self.payloads = Payloads(codec)
        self.logger = logger or logging.getLogger("perdure")
        self.parts = Parts(storage)
        self._opened: Opened | None = None
        self._thread: LoopThread | None = None
        self._opening = self._closing = False

    def __repr__(self) -> str:
        return f"Perdure({without_password(self.settings.url)!r}, {len(self._tasks)} tasks)"

    def _grew(self) -> None:
        super()._grew()
        opened = self._opened
        if opened is not None and opened.worker is not None and self.is_open:
            opened.loop.call_soon_threadsafe(opened.worker.serve, self.served)

    # -- opening and closing ------------------------------------------------------------------------------------------

    async def start(self, *, worker: bool = True) -> None:
        """Opens the storage, migrates it and, unless told otherwise, starts a worker in this process.

        Raises `ConfigurationError` when the app is open already, `StorageError` when the storage cannot be used.
        """
        self._leave_to_parent()
        if self._opened is not None or self._opening:
            raise ConfigurationError("this app is open already; one `async with app:` at a time")
        self._opening = True
        try:
            opened = await self._open()
            try:
                if worker:
                    opened.worker = self._make_worker(opened, {})
                    await opened.worker.start()
            except BaseException:
                await _close(opened, 0)
                raise
            self._opened = opened
        finally:
            self._opening = False

    async def _open(self) -> Opened:
        parts = self.parts
        storage = parts.storage or open_storage(self.settings.url, self.settings.schema)
        told = self.settings.told(*parts.telemetry)
        store = Store(observed(storage, told, parts.clock), parts.clock)
        await store.open(migrate=parts.migrate)
        client = Client(store, Names(self), parts.clock, parts.ids, self.payloads, self.sizes, self.settings.poll, told)
        return Opened(store, client, asyncio.get_running_loop(), os.getpid())

    async def close(self, *, drain: Duration | None = None) -> None:
        """Closes in order: no new claims, `ctx.shutting_down` turns true, up to `drain` seconds for running bodies,
        the rest is interrupted and released, then the storage is closed. Twice is no error; a cancel cuts it short."""
        self._leave_to_parent()
        opened = self._opened
        if opened is None or self._closing:
            return
        self._closing = True
        try:
            await _close(opened, self.settings.drain if drain is None else seconds(drain, "drain"))
        finally:
            self._opened, self._closing = None, False

    def _leave_to_parent(self) -> None:
        """In a forked child: what stands open belongs to the parent, and is only forgotten here."""
        if self._opened is not None and self._opened.process != os.getpid():
            self._opened = self._thread = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> BlockingClient:
        return self._enter_blocking(worker=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit_blocking()

    def connect(self) -> Connection:
        """The app as a client only: `async with app.connect():` or `with app.connect() as client:` run nothing."""
        return Connection(self)

    def _enter_blocking(self, *, worker: bool) -> BlockingClient:
        warn_of_running_loop()
        thread = LoopThread()
        try:
            thread.run(self.start(worker=worker))
        except BaseException:
            if self._opened is not None and self._opened.loop is thread.portal.loop:
                thread.run(self.close(drain=0))
            thread.close()
            raise
        self._thread = thread
        return BlockingClient(self, thread.portal)

    def _exit_blocking(self) -> None:
        self._leave_to_parent()
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self.close())
            finally:
                thread.close()

    def worker(
        self, *, concurrency: int | None = None, queues: Sequence[str] | None = None, drain: Duration | None = None
    ) -> WorkerService:
        """A worker to `await .run()`: it opens the app if need be and works until SIGTERM, SIGINT or `.stop()`.

        Raises `ConfigurationError` for a wrong option."""
        given = {"concurrency": concurrency, "queues": queues, "drain": drain}
        over = settings({name: value for name, value in given.items() if value is not None}, {})
        changed = {name: getattr(over, name) for name, value in given.items() if value is not None}
        return WorkerService(_ForWorker(self, changed))

    def _make_worker(self, opened: Opened, changed: Mapping[str, Any], kind: type[Worker] = Worker) -> Worker:
        own, parts = dataclasses.replace(self.settings, **changed), self.parts
        how = WorkerSettings(
            concurrency=own.concurrency, queues=own.queues, tasks=self.served, retries=own.retries,
            lease=own.lease, poll=own.poll, drain=own.drain, retention=own.retention, version=package_version(),
            logger=self.logger, cancel_grace=parts.cancel_grace, linger=parts.linger,
            told=opened.client.told,
        )  # fmt: skip
        return kind(opened.store, opened.client, Names(self), self.payloads, parts.ids, parts.clock, self.sizes, how)

    # -- the open app -------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the app is open, in this process."""
        return self._opened is not None and self._opened.process == os.getpid()

    @property
    def opened(self) -> Opened:
        """What an open app consists of. Raises `AppClosedError`, and after a fork `ConfigurationError`."""
        if self._opened is None:
            raise AppClosedError("the app is not open; use `async with app:` or `async with app.connect():`")
        if self._opened.process != os.getpid():
            raise ConfigurationError("this app was opened before a fork; open an app anew in the child process")
        return self._opened

    @property
    def client(self) -> Client:
        """The client of the open app. Raises `AppClosedError`; `ConfigurationError` in another event loop."""
        opened = self.opened
        if asyncio.get_running_loop() is not opened.loop:
            raise ConfigurationError("this app is open in another event loop; use it there, or `with app as client:`")
        return opened.client

    def transport(self) -> Transport:
        """Who answers tasks and handles: the open client."""
        return self.client

    def open_transport(self) -> Transport | None:
        """The open client, or `None`."""
        return None if self._opened is None else self.client

    def _here(self) -> Transport:
        scope = body_scope()
        return self.client if scope is None else scope.transport

    # -- verbs --------------------------------------------------------------------------------------------------------

    async def enqueue(self, call: Call[R]) -> Handle[R]:
        """Stores an execution of a call and answers its handle; durable once this returns. Raises as `Task.enqueue`."""
        return cast("Handle[R]", (await self._here().enqueue([call]))[0])

    async def run(self, call: Call[R]) -> R:
        """Stores a call and waits for its result. Raises as `Handle.result`."""
        return await self._here().run(call)

    async def enqueue_many(self, calls: Sequence[Call[R]]) -> list[Handle[R]]:
        """Stores many in one transaction: all or, for an input that is refused, none."""
        return cast("list[Handle[R]]", await self._here().enqueue(list(calls)))

    def handle(self, id: str) -> Handle[Any]:
        """A handle by id; its result is decoded by its task's type where that is declared here. Raises
        `ConfigurationError` for what can be no id."""
        return Handle(checked_id(id), None, self._here())

    def call(self, name: str, /, *args: object, **kwargs: object) -> Call[object]:
        """A call of a task by its name. Raises `TaskNotFoundError` naming the nearest, `InvalidInputError`."""
        return self.find_task(name).call(*args, **kwargs)

    async def search(
        self, query: str = "", order: Order = "newest", limit: int = 100, after: str | None = None
    ) -> Page[Execution[object]]:
        """A page of the executions that fit a query (`status:failed task:x since:2h`). Raises `InvalidQueryError`."""
        return await self.client.search(query, order, limit, after)

    async def count(self, query: str = "") -> int:
        """How many executions fit. Raises `InvalidQueryError`."""
        return await self.client.count(query)

    async def cancel_all(self, query: str, dry_run: bool = False, *, reason: str = "") -> int:
        """Cancels all open executions that fit; answers how many. Raises `InvalidQueryError`."""
        return await self.client.cancel_all(query, reason, dry_run)

    async def retry_all(self, query: str, dry_run: bool = False) -> int:
        """Retries all that fit and ended without success; answers how many. Raises `InvalidQueryError`."""
        return await self.client.retry_all(query, dry_run)

    async def stats(self) -> Stats:
        """The whole store in numbers."""
        return await self.client.stats()

    async def workers(self) -> list[WorkerInfo]:
        """The workers that the store knows."""
        return await self.client.workers()


class Connection(AbstractAsyncContextManager[Perdure]):
    """An app opened as a client only."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    async def __aenter__(self) -> Perdure:
        await self._app.start(worker=False)
        return self._app

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.close()

    def __enter__(self) -> BlockingClient:
        return self._app._enter_blocking(worker=False)  # pyright: ignore[reportPrivateUsage]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app._exit_blocking()  # pyright: ignore[reportPrivateUsage]


class _ForWorker:
    """How a `WorkerService` opens and closes an app around its worker."""

    def __init__(self, app: Perdure, changed: Mapping[str, Any]) -> None:
        self._app, self._changed = app, changed
        self._own = False

    async def open(self) -> Worker:
        """The worker, started; the app is opened if it is not."""
        self._own = not self._app.is_open
        if self._own:
            await self._app.start(worker=False)
        opened = self._app.opened
        if opened.worker is not None:
            raise ConfigurationError("a worker of this app runs here already; open the app by `app.connect()`")
        try:
            opened.worker = self._app._make_worker(opened, self._changed)  # pyright: ignore[reportPrivateUsage]
            await opened.worker.start()
        except BaseException:
            await self.close()
            raise
        return opened.worker

    async def close(self) -> None:
        """Drains the worker, and closes the app if this opened it."""
        opened = self._app.opened
        if self._own:
            await self._app.close(drain=self._changed.get("drain"))
        elif opened.worker is not None:
            try:
                await opened.worker.stop(self._changed.get("drain"))
            finally:
                opened.worker = None


async def _close(opened: Opened, drain: float) -> None:
    """In order: the worker drains, whoever waits learns of it, the storage is closed."""
    steps = Steps()
    try:
        if opened.worker is not None:
            await steps.take(opened.worker.stop(drain))
    finally:
        opened.client.close()
        await steps.take(opened.store.close())
    steps.end()


__all__ = ["Connection", "Parts", "Perdure"]
