"""`Worker`: runs executions in this process. It owns the loops and the drivers, and is the drivers' host.

Order of closing: no new claims or work; `shutting_down` turns true; wait up to `drain`; interrupt bodies and release their
leases; stop the loops. A waiting execution holds no slot; its body may linger in memory a short while.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from perdure.client.client import Client
from perdure.clock import Clock, Timeout
from perdure.closing import Steps
from perdure.codec import Payloads
from perdure.engine import scope
from perdure.engine.driver import Driver
from perdure.engine.options import LIST
from perdure.engine.ports import Directory, Reader
from perdure.engine.runner import begin
from perdure.errors import StoreSealedError
from perdure.ids import Ids
from perdure.model.policy import Sizes
from perdure.model.records import (
    Beat,
    Claim,
    Claimed,
    ClaimRequest,
    Committed,
    Conflict,
    Enqueued,
    Heartbeat,
    JournalView,
    NewExecution,
    Released,
    Transition,
    WorkerRow,
)
from perdure.storage.store import Ending, Store
from perdure.worker.beats import beat_of, obey
from perdure.worker.claimer import Claimer
from perdure.worker.gauges import Gauges
from perdure.worker.heartbeat import Heart
from perdure.worker.journals import read_claimed
from perdure.worker.maintenance import Maintenance
from perdure.worker.news import News
from perdure.worker.pools import Pools
from perdure.worker.records import WorkerSettings, claim_of, worker_row

R = TypeVar("R")
LINGERING, INTERRUPT_BOUND = 256, 6.0
logger = logging.getLogger("perdure")


class Worker:
    """Runs executions of an app's tasks until stopped."""

    singly = False

    def __init__(
        self, store: Store, client: Client, directory: Directory, payloads: Payloads, ids: Ids, clock: Clock,
        sizes: Sizes, settings: WorkerSettings,
    ) -> None:  # fmt: skip
        self.store, self.directory, self.payloads, self._client = store, directory, payloads, client
        self.ids, self.clock, self.sizes, self.settings = ids, clock, sizes, settings
        self.logger, self.told = settings.logger, settings.told
        self.retries, self.cancel_grace, self.linger = settings.retries, settings.cancel_grace, settings.linger
        self.id = ids.new(clock.now())
        self.shutting_down = self._hurried = False
        self.drained = asyncio.Event()
        self.refused: StoreSealedError | None = None
        self._tasks, self._queues = frozenset(settings.tasks), frozenset(settings.queues)
        self._drivers: dict[str, Driver] = {}
        self._active: set[str] = set()
        self._lingering: OrderedDict[str, Driver] = OrderedDict()
        self._handed_off: set[str] = set()
        self._jobs: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._started_at = clock.now()
        self.pools = Pools(settings.concurrency, self._relieved)
        self._heart = Heart(store, clock, settings.lease, self._beat, self._whole_beat, self._heard)
        self._news = News(store, self._drivers, self._job)
        self._claimer = Claimer(
            store, clock, settings.poll, self._demand, self._take, self._heart.doubt, self._news.look
        )
        self._gauges = Gauges(store, clock, settings.told, lambda: (len(self._active), settings.concurrency), self._job)
        self._maintenance = Maintenance(store, clock, max(settings.poll, 0.05), settings.retention, self._heart.judged)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Registers the worker and begins to claim. Raises `StorageError`."""
        scope.install(self._loop)
        await self._heart.start()
        self.store.listeners.append(self)
        self._client.hand_off, self._client.handed = self.hand_off, self._handed
        self._maintenance.start()
        self._gauges.start()
        self._claimer.due()
        queues, tasks = ", ".join(sorted(self._queues)), len(self._tasks - {LIST})
        logger.info("worker %s started (tasks: %d, queues: %s)", self.id, tasks, queues)

    def serve(self, tasks: tuple[str, ...]) -> None:
        """These are the app's tasks from now on: some were declared while it worked."""
        self._tasks, self.settings = frozenset(tasks), dataclasses.replace(self.settings, tasks=tasks)
        self._heart.beat_soon()
        self._claimer.due()

    async def stop(self, drain: float | None = None) -> None:
        """Ends in order, waiting up to `drain` seconds for running bodies; then they are interrupted and released.
        A cancel does not break that off: it only ends the waiting at which it comes, and is passed on at the end."""
        if self.shutting_down:
            return
        self.shutting_down = True
        self._claimer.close()
        bound = self.settings.drain if drain is None else drain
        if self._active and not self._hurried:
            logger.info("worker %s drains: what runs (%d) may go on for %.3g s", self.id, len(self._active), bound)
        steps = Steps()
        await steps.take(self._emptied(0 if self._hurried else bound))
        for driver in list(self._drivers.values()):
            driver.interrupt()
        await steps.take(self._emptied(INTERRUPT_BOUND))
        self._maintenance.close()
        self._gauges.close()
        for job in tuple(self._jobs):
            job.cancel()
        await steps.take(self._heart.leave(Heartbeat(self._row(), (), leaving=True)))
        self.pools.close()
        if self in self.store.listeners:
            self.store.listeners.remove(self)
            logger.info("worker %s stopped", self.id)
        steps.end()

    async def _emptied(self, bound: float) -> None:
        """Returns when nothing runs any more, or after `bound` seconds."""
        self._idle.clear()
        if not self._holding or bound <= 0:
            return
        try:
            async with Timeout(self.clock, bound):
                await self._idle.wait()
        except TimeoutError:
            return

    def hurry(self) -> None:
        """Stops waiting for running bodies: they are interrupted now."""
        self._hurried = True
        self._idle.set()

    @property
    def _holding(self) -> bool:
        return bool(self._claimer.asking or self._handed_off or self._jobs or len(self._drivers) > len(self._lingering))

    @property
    def running(self) -> int:
        """How many executions hold a slot."""
        return len(self._active)

    # -- claiming -----------------------------------------------------------------------------------------------------

    def _free(self) -> int:
        free = self.settings.concurrency - len(self._active) - len(self._handed_off)
        return free if self.pools.room else 0

    def _relieved(self) -> None:
        """In some thread: one that nobody waited for has ended."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._claimer.slot_free)

    def _demand(self) -> ClaimRequest | None:
        free = self._free()
        if free <= 0 or self.shutting_down or not self._tasks:
            return None
        suspects = all(driver.claim.crashes <= 2 for driver in self._drivers.values())
        return ClaimRequest(self.id, self.settings.queues, self.settings.tasks, free, suspects)

    def _take(self, claimed: Claimed) -> None:
        """Starts what was claimed; what has a journal is read first, all in one go."""
        if self.shutting_down:  # it was on its way when the closing began
            for claim in claimed.claims:
                self._leave_to_others(claim)
            self._check_idle()
            return
        unread: list[Claim] = []
        for claim in claimed.claims:
            self._active.add(claim.id)
            if claim.journaled:
                unread.append(claim)
            else:
                self._begin(claim, JournalView())
        if unread:
            self._job(self._read_and_begin(unread))

    async def _read_and_begin(self, claims: list[Claim]) -> None:
        for claim, view in await read_claimed(self.store, claims, self._lingering):
            try:
                self._begin(claim, view)
            except Exception:  # its neighbours begin all the same
                logger.exception("execution %s cannot be gone on with; it is left to others", claim.id)
                self._leave_to_others(claim)

    def _begin(self, claim: Claim, view: JournalView | None) -> None:
        lingering = self._lingering.pop(claim.id, None)
        if view is None:
            if lingering is not None:
                lingering.unwind()
            self._leave_to_others(claim)
            return
        if lingering is not None:
            if lingering.follows(claim):
                lingering.resume(claim, view)
                return
            lingering.unwind()
        self._drivers[claim.id] = begin(self, claim, view, self._context.copy())

    def _leave_to_others(self, claim: Claim) -> None:
        """Gives an execution back untouched."""
        transition = Transition(claim.id, claim.token, outcome=Released(self.clock.now()))
        self.store.put("commit", transition, lambda _: self._freed(claim.id), stubborn=True)

    def _job(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, task: asyncio.Task[Any]) -> None:
        self._jobs.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreSealedError):
            logger.error("a worker's job failed", exc_info=error)
        self._check_idle()

    def _check_idle(self) -> None:
        if self.shutting_down and not self._holding:
            self._idle.set()

    # -- host of the drivers ------------------------------------------------------------------------------------------

    @property
    def client(self) -> Reader:
        """The client for what is not part of the journal."""
        return self._client

    def commit(self, take: Callable[[], Transition | None], done: Callable[[Committed | BaseException], None]) -> None:
        """Writes a transition with the next batch."""
        self.store.put("commit", None, done, take=take, stubborn=True)

    def hand_off(self, spec: NewExecution) -> NewExecution:
        """The same execution, leased to this worker where nothing older waits and a slot is free."""
        if not self._claimer.short or self._free() <= 0 or self.shutting_down:
            return spec
        due = spec.due_at is None or spec.due_at <= self.clock.now()
        if not due or spec.task_name not in self._tasks or spec.queue not in self._queues:
            return spec
        self._handed_off.add(spec.id)
        return msgspec.structs.replace(spec, worker_id=self.id)

    def _handed(self, spec: NewExecution, stored: bool) -> None:
        if spec.worker_id is not None:
            self.spawned(spec) if stored else self.dropped((spec,))

    def dropped(self, spawned: Sequence[NewExecution]) -> None:
        """Executions that were handed off but not stored, as far as the answer tells."""
        unknown = [spec.id for spec in spawned if spec.worker_id is not None]
        if unknown:
            self._handed_off.difference_update(unknown)
            self._heart.doubt()
        self._check_idle()

    def spawned(self, spec: NewExecution) -> None:
        """Starts an execution that was inserted leased to this worker."""
        self._handed_off.discard(spec.id)
        self._active.add(spec.id)
        claim = claim_of(spec, self.clock.now())
        if spec.entries:
            self._job(self._read_and_begin([claim]))
        else:
            self._begin(claim, JournalView())

    async def store_executions(self, specs: Sequence[NewExecution]) -> list[Enqueued | Conflict]:
        """Stores independent executions in one transaction."""
        return await self._client.store_executions(specs)

    async def send_signal(self, signal_id: str, execution_id: str, name: str, text: str) -> None:
        """Sends a signal under an id of its own."""
        await self._client.send_signal(signal_id, execution_id, name, text)

    def freeing(self, driver: Driver) -> None:
        """The driver's last change is on its way: its slot may be filled by the same batch."""
        self._freed(driver.claim.id)

    def _freed(self, execution_id: str) -> None:
        self._active.discard(execution_id)
        self._claimer.slot_free()

    def suspended(self, driver: Driver) -> bool:
        """The execution waits. Answers whether its body may stay in memory."""
        if self.shutting_down:
            return False
        self._lingering[driver.claim.id] = driver
        if len(self._lingering) > LINGERING:
            self._lingering.popitem(last=False)[1].unwind()
        self._check_idle()
        return True

    def gone(self, driver: Driver) -> None:
        """The driver holds nothing any more."""
        execution_id = driver.claim.id
        if self._drivers.get(execution_id) is driver:
            del self._drivers[execution_id]
            self._active.discard(execution_id)
        if self._lingering.get(execution_id) is driver:
            del self._lingering[execution_id]
        if driver.claim.parent_id is not None:
            self._news.ended(driver)
        self._claimer.slot_free()
        self._check_idle()

    def reacquire(self, driver: Driver) -> None:
        """Claims a lingering execution again and resumes it, or unwinds it when somebody else was quicker."""
        self._job(self._reacquire(driver))

    async def _reacquire(self, driver: Driver) -> None:
        request = ClaimRequest(
            self.id, self.settings.queues, self.settings.tasks, 1, suspects=True, ids=(driver.claim.id,)
        )
        claimed = cast("Claimed", await self.store.ask("claim", request, stubborn=True))
        if claimed.claims:
            self._active.add(driver.claim.id)
            await self._read_and_begin(list(claimed.claims))
        else:
            self._heart.doubt()  # the claim may have been sent twice
            driver.unwind()

    def in_thread(self, function: Callable[[], R], *, body: bool) -> Awaitable[R]:
        """Runs a function in a thread, in the caller's context."""
        return self.pools.in_thread(function, body=body)

    def in_process(self, function: Callable[..., object], arguments: str) -> Awaitable[str]:
        """Runs an importable activity in another process."""
        return self.pools.in_process(function, arguments)

    # -- what the store and the heart tell ----------------------------------------------------------------------------

    def settled(self, endings: dict[str, Ending]) -> None:
        """Executions that settled by this process: a driver of theirs that lingers is over."""
        for execution_id in self._lingering.keys() & endings.keys():
            self._lingering[execution_id].unwind()

    def due(self, woken: Iterable[str]) -> None:
        """Work may have fallen due."""
        self._news.look_at(id for id in woken if id in self._active)
        self._claimer.due()

    def hinted(self) -> None:
        """Another process, or a cancel here, may have changed something."""
        self._claimer.due()
        if self._drivers:
            self._heart.beat_soon()
            self._news.look()

    def sealed(self, error: StoreSealedError) -> None:
        """The store was moved: what runs here can be recorded by nobody, and goes on there. So this worker is through."""
        if self.refused is None:
            self.refused = error
            logger.error("worker %s stops: its store was moved and takes no changes; use the other one", self.id)
            self._claimer.close()
            self._maintenance.close()
            self._heart.sealed()
            self.hurry()
            for driver in list(self._drivers.values()):
                driver.lose(error)
            self.drained.set()

    def _row(self) -> WorkerRow:
        return worker_row(self.id, self.settings, self._started_at, self.clock.now(), self.shutting_down)

    def _beat(self) -> Heartbeat:
        return beat_of(self._row(), list(self._drivers.values()))

    def _whole_beat(self) -> Heartbeat:
        """Made while nothing is in flight: what is not named here was never handed over."""
        holding = self._drivers.keys() | self._active | self._handed_off
        return beat_of(self._row(), list(self._drivers.values()), holding)

    def _heard(self, asked: Heartbeat, beat: Beat) -> None:
        obey(asked, beat, self._drivers)
        if beat.drain:
            self.drained.set()
