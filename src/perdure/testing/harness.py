"""`TestApp`: an app on fresh memory storage and a virtual clock, for as long as a block lasts.

Nothing sleeps: due work runs at once, `advance` moves the clock from one due moment to the next (see
`perdure.testing.driving`). Awaiting a result moves it too, when nothing else can go on and only as far as the answer needs
(see `perdure.testing.patience`), so that no test hangs for a timer. Threads, sockets and short timers of the real clock are
waited for truly.

`crash` and `restart` end the worker's process and start another (see `perdure.testing.process`); the test, its handles and
what is stored go on.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Self

from perdure.app import Opened, Parts, Perdure
from perdure.clock import Duration, seconds
from perdure.engine.scope import current, make_task
from perdure.errors import ConfigurationError
from perdure.ids import Ids
from perdure.storage import Storage
from perdure.storage.opening import open_storage
from perdure.testing.clock import START, VirtualClock
from perdure.testing.driving import Drive
from perdure.testing.faults import FaultyStorage
from perdure.testing.idleness import LoopWatch
from perdure.testing.patience import PatientWaiters
from perdure.testing.process import Life, Wire, expire
from perdure.worker.worker import Worker


class TestApp:
    """`async with TestApp(app) as t:` binds an app to memory and to a virtual clock that begins at `start`, and opens it
    with a worker. Raises `ConfigurationError` on an app that is open.

    `always_replay` unwinds every body at every wait (pytest's `--perdure-always-replay` makes it the default). `patience` is for how many real seconds a body that awaits something
    real is waited for. `seed` makes ids and jitter repeatable. `t.faults` is the storage, a `FaultyStorage`.
    """

    __test__ = False
    replays_by_default: ClassVar[bool] = False

    def __init__(
        self,
        app: Perdure,
        start: datetime = START,
        *,
        always_replay: bool | None = None,
        patience: float = 5.0,
        seed: int = 0,
    ) -> None:
        self.app, self.clock = app, VirtualClock(start)
        self.faults = FaultyStorage(self.make_storage())
        self.crashes = 0
        self._always_replay = self.replays_by_default if always_replay is None else always_replay
        self._patience, self._ids = patience, Ids(seed)
        self._starting: asyncio.Task[None] | None = None

    def make_storage(self) -> Storage:
        """A new, empty storage. For a subclass on another one: it must be `inline`, for virtual time waits for no thread."""
        return open_storage("memory://")

    # -- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        app = self.app
        if app.is_open:
            raise ConfigurationError("TestApp binds an app to memory and opens it; this app is open already")
        self._before, self._context = app.parts, contextvars.copy_context()
        linger = 0.0 if self._always_replay else self._before.linger
        app.parts = Parts(self.faults, self.clock, self._ids, linger, self._before.cancel_grace)
        self._life = Life(self.clock)
        self._watch = LoopWatch(asyncio.get_running_loop(), self._patience)
        self._drive = Drive(self.clock, self.faults, app.settings.queues, self._watch, self)
        try:
            await app.start(worker=False)
            self._opened = app.opened
            self._wire_client(self._opened)
            self._watch.attach()
            await self._start_worker()
        except BaseException:
            await self._leave()
            raise
        return self

    def _wire_client(self, opened: Opened) -> None:
        """The test's own client outlives the worker; what a body asks it for does not."""
        client, store = opened.client, opened.store
        store.listeners.remove(client.waiters)
        client.store = Wire(store, lambda: None if current.get() is None else self._life)
        client.waiters = PatientWaiters(client.store, self.clock, client.poll, self._drive)
        store.listeners.append(client.waiters)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with self._drive.turn():
                await self._drive.until(self.app.close(drain=0))
        finally:
            await self._leave()

    async def _leave(self) -> None:
        self._watch.detach()
        if self.app.is_open:
            await self.app.close(drain=0)
        self.app.parts = self._before

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The moment at which the clock stands, UTC."""
        return self.clock.datetime

    async def idle(self) -> None:
        """Returns when nothing can go on at this moment of the clock: all that is due has run as far as it can."""
        async with self._drive.turn():
            await self._drive.settle()

    async def advance(
        self, span: Duration = 0.0, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Lets everything due run until all is idle, then moves the clock from one due moment to the next, doing the same
        at each, until the span (seconds or a timedelta, and what is named beside it) is over."""
        length = _microseconds(span) + round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000)
        if length < 0:
            raise ConfigurationError("the clock cannot go back: advance by a span from 0")
        async with self._drive.turn():
            await self._drive.span(length)

    # -- the worker's process -----------------------------------------------------------------------------------------

    def crash(self) -> Awaitable[None]:
        """The worker's process dies now: what is stored stays, what was in memory is lost, nothing more is written. Another
        worker starts and takes over at once; await the answer to have it stand, or go on."""
        self.crashes += 1
        died, self._life = self._life, Life(self.clock)
        died.end()
        client = self._opened.client
        client.hand_off, client.handed = lambda spec: spec, died.handed
        if self._starting is not None:
            self._starting.cancel()
        coroutine = self._start_worker(died)
        self._starting = make_task(asyncio.get_running_loop(), coroutine, self._context.copy())
        return asyncio.shield(self._starting)

    async def restart(self) -> None:
        """The worker's process stops in order, running bodies may finish within the app's `drain`, and another starts."""
        async with self._drive.turn():
            if self._life.worker is not None:
                await self._drive.until(self._life.worker.stop())
            self._life = Life(self.clock)
            await self._start_worker()

    async def _start_worker(self, died: Life | None = None) -> None:
        if died is not None and died.worker is not None:
            expire(self.faults.storage, died.worker.id, self.clock.now())
        life, opened = self._life, self._opened
        opened.worker = life.worker = self._make_worker(life, Wire(opened.store, lambda: life))
        await life.worker.start()
        opened.client.handed = life.handed

    def _make_worker(self, life: Life, wire: Wire) -> Worker:
        parts = self.app.parts
        self.app.parts = dataclasses.replace(parts, clock=life.clock)
        try:
            opened = dataclasses.replace(self._opened, store=wire)
            return self.app._make_worker(opened, {})  # pyright: ignore[reportPrivateUsage]
        finally:
            self.app.parts = parts

    @property
    def awaits_reality(self) -> bool:
        """Whether a body may be busy with something that no virtual clock brings about."""
        return self._life.awaits_reality

    async def stand(self) -> None:
        """Returns once a worker that is being started stands."""
        while self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])
        if self._starting is not None and not self._starting.cancelled():
            self._starting.result()


@contextmanager
def always_replay(app: Perdure) -> Generator[Perdure]:
    """Every wait of an app that is opened inside the block unwinds its body, which is then replayed from the top:

        with always_replay(app):
            async with app: ...

    The same as `TestApp(app, always_replay=True)`, for an app on its real storage and clock.
    """
    before, app.parts = app.parts, dataclasses.replace(app.parts, linger=0.0)
    try:
        yield app
    finally:
        app.parts.linger = before.linger


def _microseconds(span: Duration) -> int:
    return round(seconds(span, "span") * 1_000_000)
