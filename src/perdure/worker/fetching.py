"""Fetching work oneself: one execution, one state of a diagram (of other tasks: to the next wait), for tests and programs that
run once.

A fetcher is a worker that claims nothing by itself, only what it is told to, by id; whoever else was quicker has it. It is
there for one call, and leaves in order.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

from perdure.client.client import Client
from perdure.clock import Duration, seconds
from perdure.engine import scope
from perdure.engine.driver import Driver
from perdure.engine.handle import Handle
from perdure.errors import ConfigurationError
from perdure.model.execution import Execution
from perdure.model.query import parse
from perdure.model.records import Claim, Claimed, ClaimRequest, NewExecution, Released, Row, Transition
from perdure.model.status import SETTLED
from perdure.worker.worker import Worker

FetchOrder = Literal["oldest", "newest", "random"]
BITE = 200
CHOICE = 1000
"""Among so many `random` chooses."""


class Fetcher(Worker):
    """A worker that runs what it is told to, and of a diagram one state."""

    singly = True

    async def start(self) -> None:
        """Registers it. Raises `StorageError`."""
        self._ended: dict[str, asyncio.Future[None]] = {}
        self.linger = 0.0
        scope.install(self._loop)
        await self._heart.start()
        self.store.listeners.append(self)
        self._maintenance.start()

    def _demand(self) -> ClaimRequest | None:
        return None

    def hand_off(self, spec: NewExecution) -> NewExecution:
        """Work that comes up is for whoever fetches it."""
        return spec

    def serves(self, row: Row) -> bool:
        """Whether this app has the task and the queue."""
        return row.task_name in self._tasks and row.queue in self._queues

    async def take(self, execution_id: str) -> bool:
        """Runs one state of an execution, if it can be had; returns once that is written."""
        queues, tasks = self.settings.queues, self.settings.tasks
        request = ClaimRequest(self.id, queues, tasks, 1, suspects=True, ids=(execution_id,))
        claimed = cast("Claimed", await self.store.ask("claim", request, stubborn=True))
        if not claimed.claims:
            return False
        claim = claimed.claims[0]
        if self._waits_to_retry(claim):
            outcome = Released(cast("int", claim.due_at))
            await self.store.ask("commit", Transition(claim.id, claim.token, outcome=outcome), stubborn=True)
            return False
        ended = self._ended[claim.id] = self._loop.create_future()
        self._active.add(claim.id)
        await self._read_and_begin([claim])
        await ended
        return True

    def _waits_to_retry(self, claim: Claim) -> bool:
        """Whether somebody else ran it in between, and it failed: then its pause is not cut short."""
        return claim.attempt > 0 and claim.due_at is not None and claim.due_at > self.clock.now()

    def gone(self, driver: Driver) -> None:
        """The driver holds nothing any more."""
        super().gone(driver)
        ended = self._ended.pop(driver.claim.id, None)
        if ended is not None and not ended.done():
            ended.set_result(None)


class Fetching(ABC):
    """The part of an app that runs work one by one."""

    @property
    @abstractmethod
    def client(self) -> Client:
        """The client of the open app."""

    @property
    @abstractmethod
    def opened(self) -> object:
        """What the open app consists of."""

    @abstractmethod
    def _make_worker(self, opened: Any, changed: Mapping[str, Any], kind: type[Worker] = Worker) -> Worker:
        """A worker of the open app, not started."""

    async def run_one(
        self, query: str = "", order: FetchOrder = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None:
        """Runs one execution that is due and fits the query: one state of a diagram, of another task to its next wait.
        Answers how it stands then, or `None` where nothing was due within `timeout` seconds.

        Raises `InvalidQueryError`, `ConfigurationError` for a wrong order."""
        async with self._fetching(query, order) as fetcher:
            run = await _Run(self.client, fetcher, query, order).one(seconds(timeout, "timeout"))
            return None if run is None else await self._snapshot(run)

    async def run_until_settled(
        self, query: str = "", order: FetchOrder = "oldest", timeout: Duration = 0
    ) -> Execution[object] | None:
        """As `run_one`, and goes on with that execution, and with what belongs to it, until it is settled or has to wait: for
        a retry (it is `pending` then, with `due_at`), a timer, a signal."""
        async with self._fetching(query, order) as fetcher:
            run = await _Run(self.client, fetcher, query, order).one(seconds(timeout, "timeout"))
            if run is None:
                return None
            root = (await self.client.row(run)).root_id
            below = _Run(self.client, fetcher, f'root:"{root}"', "oldest")
            while (await self.client.row(run)).status not in SETTLED and await below.one(0) is not None:
                pass
            return await self._snapshot(run)

    async def _snapshot(self, execution_id: str) -> Execution[object]:
        return await self.client.execution(Handle[object](execution_id, None, self.client))

    @asynccontextmanager
    async def _fetching(self, query: str, order: str) -> AsyncGenerator[Fetcher]:
        parse(query)  # so that a complaint quotes what was written
        if order not in ("oldest", "newest", "random"):
            raise ConfigurationError(f"order is {order!r}; it must be oldest, newest or random")
        fetcher = cast("Fetcher", self._make_worker(self.opened, {}, Fetcher))
        await fetcher.start()
        try:
            yield fetcher
        finally:
            await fetcher.stop(0)


class _Run:
    """Looks for what is due, and takes one of it."""

    def __init__(self, client: Client, fetcher: Fetcher, query: str, order: FetchOrder) -> None:
        self._client, self._fetcher = client, fetcher
        self._query, self._order = parse(f"{query} status:pending,waiting"), order

    async def one(self, timeout: float) -> str | None:
        """The id of the execution that was run, or `None`."""
        clock = self._client.clock
        until = clock.monotonic() + timeout
        while True:
            async for execution_id in self._due():
                if await self._fetcher.take(execution_id):
                    return execution_id
            left = until - clock.monotonic()
            if left <= 0:
                return None
            await clock.sleep(min(left, self._client.poll, 0.05))

    async def _due(self) -> AsyncIterator[str]:
        """What is due, in the order asked for."""
        if self._order != "random":
            async for row in self._rows("newest" if self._order == "newest" else "oldest"):
                yield row.id
            return
        found: list[str] = []
        async for row in self._rows("oldest"):
            found.append(row.id)
            if len(found) == CHOICE:
                break
        while found:
            yield found.pop(int(self._client.ids.uniform(0, len(found))) % len(found))

    async def _rows(self, order: Literal["newest", "oldest"]) -> AsyncIterator[Row]:
        after: str | None = None
        while True:
            now = self._client.clock.now()
            page = await self._client.store.read(
                lambda storage, after=after, now=now: storage.search(self._query, order, BITE, after, now)
            )
            for row in page.rows:
                if row.due_at is not None and row.due_at <= now and self._fetcher.serves(row):
                    yield row
            after = page.after
            if after is None:
                return
