"""Telling telemetry from time to time how things stand: slots, queues, workers, how late the event loop is.

It reads the store seldom, since counting may take a while on a large one, and it does nothing at all where nobody listens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from perdure.clock import Cancellable, Clock
from perdure.errors import AppClosedError, StorageError
from perdure.model.records import Stat
from perdure.model.status import SETTLED
from perdure.storage.store import Store
from perdure.telemetry import DEPTH, LAG, OLDEST, SLOTS_TOTAL, SLOTS_USED, UNSERVED, WORKERS, Told

INTERVAL: Final = 1.0
READ_EVERY: Final = 15.0
"""Seconds between two readings of the store."""
logger = logging.getLogger("perdure")


class Gauges:
    """Looks every second. `slots` answers how many are used, of how many; `start` runs a job of the worker's."""

    def __init__(
        self, store: Store, clock: Clock, told: Told | None, slots: Callable[[], tuple[int, int]],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:  # fmt: skip
        self._store, self._clock, self._told = store, clock, told
        self._slots, self._start = slots, start
        self._timer: Cancellable | None = None
        self._closed = False
        self._expected = self._read_at = 0.0
        self._ages: dict[str, float] = {}
        self._depths: dict[tuple[str, str], int] = {}

    def start(self) -> None:
        """Looks at once, then regularly."""
        if self._told is not None:
            self._expected = self._read_at = self._clock.monotonic()
            self._look()

    def close(self) -> None:
        """No further looks."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        told, now = self._told, self._clock.monotonic()
        if self._closed or told is None:
            return
        told.measure(LAG, max(now - self._expected, 0.0))
        used, total = self._slots()
        told.level(SLOTS_USED, used)
        told.level(SLOTS_TOTAL, total)
        if now >= self._read_at:
            self._read_at = now + READ_EVERY
            self._start(self._read(told))
        self._expected = now + INTERVAL
        self._timer = self._clock.call_later(INTERVAL, self._look)

    async def _read(self, told: Told) -> None:
        now = self._clock.now()
        try:
            stats = await self._store.read(lambda storage: storage.stats(now))
            workers = await self._store.read(lambda storage: storage.workers(now))
        except (StorageError, AppClosedError) as error:  # the next look reads again
            logger.debug("the store cannot be counted: %s", error)
            return
        alive = [worker for worker in workers if worker.lease_until > now]
        served = {task for worker in alive for task in worker.tasks}
        unfinished = [stat for stat in stats if stat.status not in SETTLED]
        told.level(WORKERS, len(alive))
        told.level(UNSERVED, len({stat.task_name for stat in unfinished} - served))
        self._tell_queues(told, unfinished, now)

    def _tell_queues(self, told: Told, unfinished: Sequence[Stat], now: int) -> None:
        """A queue that was told of once is told of always: it may be empty now."""
        self._depths = dict.fromkeys(self._depths, 0)
        self._ages = dict.fromkeys(self._ages, 0.0)
        for stat in unfinished:
            place = stat.queue, stat.status
            self._depths[place] = self._depths.get(place, 0) + stat.count
            age = 0.0 if stat.oldest_due is None else max(now - stat.oldest_due, 0) / 1000
            self._ages[stat.queue] = max(self._ages.get(stat.queue, 0.0), age)
        for (queue, status), depth in self._depths.items():
            told.level(DEPTH, depth, queue, status)
        for queue, age in self._ages.items():
            told.level(OLDEST, age, queue)
