"""A worker as a process that can die while the test lives: what it has in memory is lost, what it stored is not.

`Life` is one such process. Its line to the store is a `Wire`: once the process is dead, nothing that it asked for is written
any more and no answer reaches it. The test's own client has a wire too; what it asks for while a worker dies is asked
again, under the same ids, as a client elsewhere would (rule R4). Bodies cannot be killed inside one process: they are
unwound like those of a lost lease, which lets their `finally` run and records nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec

from perdure.engine.driver import Driver
from perdure.engine.scope import current
from perdure.errors import StorageError
from perdure.model.records import Heartbeat, NewExecution
from perdure.storage import Storage
from perdure.storage.store import Store, Verb
from perdure.testing.clock import LifeClock, VirtualClock
from perdure.worker.worker import Worker

T = TypeVar("T")
PAUSE: Final = 0.05


class ProcessDiedError(StorageError):
    """What a call of the storage raises in which the process died."""

    def __init__(self, message: str = "the process died here") -> None:
        super().__init__(message, retryable=True)


class Life:
    """One worker process, from its start to its death."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = LifeClock(clock, owner)
        self.worker: Worker | None = None
        self.dead = False

    @property
    def drivers(self) -> list[Driver]:
        """What runs or lingers in it."""
        return [] if self.worker is None else list(self.worker._drivers.values())  # pyright: ignore[reportPrivateUsage]

    @property
    def awaits_reality(self) -> bool:
        """Whether a body may be busy with something that no virtual clock brings about."""
        if self.worker is None or self.dead:
            return False
        if self.worker.pools.busy:
            return True
        return any(_plain(driver) and not self.clock.sleepers[driver.claim.id] for driver in self.drivers)

    def handed(self, spec: NewExecution, stored: bool) -> None:
        """What became of an execution that was leased to a worker at its enqueue; those of a dead one are passed over."""
        if self.worker is None or self.dead or spec.worker_id != self.worker.id:
            return
        if stored:
            self.worker.spawned(spec)
        else:
            self.worker.dropped((spec,))

    def end(self) -> None:
        """Kills it: nothing more is written, no call of its clock comes, its bodies are unwound."""
        self.dead = True
        self.clock.end()
        worker = self.worker
        if worker is None:
            return
        if worker in worker.store.listeners:
            worker.store.listeners.remove(worker)
        for driver in self.drivers:
            driver.lose(None)
        for job in tuple(worker._jobs):  # pyright: ignore[reportPrivateUsage]
            job.cancel()
        worker.pools.close()


class Wire(Store):
    """The line of one process to a store that several share. `life` answers whose request it is: `None` for one that
    survives, like those of the test itself."""

    def __init__(self, base: Store, life: Callable[[], Life | None]) -> None:
        super().__init__(base.storage, base.clock)
        self._loop = asyncio.get_running_loop()
        self._base, self._life = base, life
        self.listeners = base.listeners

    async def read(self, function: Callable[[Storage], T]) -> T:
        """As `Store.read`."""
        return await self._base.read(function)

    def put(
        self,
        verb: Verb,
        item: object,
        done: Callable[[Any], None],
        *,
        take: Callable[[], object] | None = None,
        stubborn: bool = False,
    ) -> None:
        """As `Store.put`, as long as the process lives."""
        _Asked(self._base, self._life(), verb, item, done, take, stubborn).send()


class _Asked:
    """One request on a wire."""

    def __init__(
        self, store: Store, life: Life | None, verb: Verb, item: object, done: Callable[[Any], None],
        take: Callable[[], object] | None, stubborn: bool,
    ) -> None:  # fmt: skip
        self._store, self._life, self._item = store, life, item
        self._verb: Verb = verb
        self._done, self._take, self._stubborn = done, take, stubborn

    def send(self) -> None:
        """Puts it into the next batch."""
        late = self._take is not None or self._item is not None
        self._store.put(self._verb, self._item, self._answered, take=self._make if late else None)

    @property
    def _void(self) -> bool:
        return self._life is not None and self._life.dead

    def _make(self) -> object:
        if self._void:
            return None
        if self._take is not None:
            self._item, self._take = self._take(), None
        return self._item

    def _answered(self, answer: object) -> None:
        if self._void:
            return
        if isinstance(answer, ProcessDiedError):
            if self._verb == "enqueue":
                specs = cast("list[NewExecution]", self._item)
                self._item = [msgspec.structs.replace(spec, worker_id=None) for spec in specs]
            self.send()
        elif isinstance(answer, StorageError) and self._stubborn:
            self._store.clock.call_later(PAUSE, self.send)
        else:
            self._done(answer)


def owner() -> str | None:
    """The execution to which the calling code belongs."""
    scope = current.get()
    return cast("Driver", scope.body).claim.id if scope is not None else None


def _plain(driver: Driver) -> bool:
    """Whether a body awaits something that is not durable."""
    if driver.phase == "lingering":
        return driver._awaits_other  # pyright: ignore[reportPrivateUsage]
    return driver.phase in ("running", "unwinding")


def expire(storage: Storage, worker_id: str, now: int) -> None:
    """Ends the lease of a worker that is dead, so that the next look takes back what it held."""
    for row in storage.workers(now):
        if row.id == worker_id:
            storage.heartbeat(Heartbeat(msgspec.structs.replace(row, lease_until=now)), now)
