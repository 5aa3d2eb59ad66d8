"""`Observed`: any storage, each call of which is timed and told to telemetry.

It must never change what a storage stores, answers or raises. Calls are told under the name of their operation;
`transaction` is the whole of one, its commit included.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from perdure.clock import Clock
from perdure.model.externals import Answered, NewCompletion
from perdure.model.query import Query
from perdure.model.records import (
    Beat,
    Claimed,
    ClaimRequest,
    Committed,
    Conflict,
    Enqueued,
    Found,
    Heartbeat,
    JournalView,
    NewExecution,
    NewSignal,
    Reclaimed,
    Row,
    Stat,
    Transition,
    WorkerRow,
)
from perdure.model.status import Status
from perdure.storage.protocol import Order, Storage
from perdure.telemetry import RECLAIMED, STORAGE, STORAGE_ERRORS, Told

T = TypeVar("T")


def observed(storage: Storage, told: Told | None, clock: Clock) -> Storage:
    """The storage itself where nobody listens."""
    return storage if told is None else Observed(storage, told, clock)


class Observed:
    """Wraps a storage."""

    def __init__(self, storage: Storage, told: Told, clock: Clock) -> None:
        self.storage, self._told, self._clock = storage, told, clock
        self.inline, self.solo = storage.inline, storage.solo

    def _do(self, name: str, call: Callable[[], T]) -> T:
        began = self._clock.monotonic()
        try:
            return call()
        except Exception:
            self._told.count(STORAGE_ERRORS, name)
            raise
        finally:
            self._told.measure(STORAGE, self._clock.monotonic() - began, name)

    def transaction(self) -> AbstractContextManager[None]:
        """As the storage's own. What fails inside is the error of that operation; here only the commit counts."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        began, inside = self._clock.monotonic(), False
        try:
            with self.storage.transaction():
                inside = True
                yield
                inside = False
        except Exception:
            if not inside:
                self._told.count(STORAGE_ERRORS, "transaction")
            raise
        finally:
            self._told.measure(STORAGE, self._clock.monotonic() - began, "transaction")

    # -- the operations -----------------------------------------------------------------------------------------------

    def migrate(self, now: int) -> int:
        return self._do("migrate", lambda: self.storage.migrate(now))

    def close(self) -> None:
        self.storage.close()

    def listen(self, callback: Callable[[], None]) -> None:
        self.storage.listen(callback)

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        return self._do("enqueue", lambda: self.storage.enqueue(items, now))

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        return self._do("signal", lambda: self.storage.signal(items, now))

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        return self._do("complete_external", lambda: self.storage.complete_external(items, now))

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        return self._do("cancel", lambda: self.storage.cancel(items, now))

    def retry(self, ids: Sequence[str], now: int) -> list[Status | None]:
        return self._do("retry", lambda: self.storage.retry(ids, now))

    def forget(self, ids: Sequence[str], name: str, now: int) -> list[int]:
        return self._do("forget", lambda: self.storage.forget(ids, name, now))

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        return self._do("claim", lambda: self.storage.claim(request, now))

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        return self._do("commit", lambda: self.storage.commit(transitions, now))

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        return self._do("heartbeat", lambda: self.storage.heartbeat(beat, now))

    def drain(self, worker_ids: Sequence[str], now: int) -> list[bool]:
        return self._do("drain", lambda: self.storage.drain(worker_ids, now))

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        found = self._do("reclaim", lambda: self.storage.reclaim(now, judged))
        for how, ids in (("released", found.released), ("poisoned", found.poisoned), ("expired", found.expired)):
            if ids:
                self._told.count(RECLAIMED, how, number=len(ids))
        return found

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        return self._do("prune", lambda: self.storage.prune(now, closed_before, limit, spare_own))

    def get(self, ids: Sequence[str]) -> list[Row | None]:
        return self._do("get", lambda: self.storage.get(ids))

    def settled(self, ids: Sequence[str]) -> list[Row | None]:
        return self._do("settled", lambda: self.storage.settled(ids))

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        return self._do("journal", lambda: self.storage.journal(ids))

    def search(self, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
        return self._do("search", lambda: self.storage.search(query, order, limit, after, now))

    def count(self, query: Query, now: int) -> int:
        return self._do("count", lambda: self.storage.count(query, now))

    def stats(self, now: int) -> list[Stat]:
        return self._do("stats", lambda: self.storage.stats(now))

    def workers(self, now: int) -> list[WorkerRow]:
        return self._do("workers", lambda: self.storage.workers(now))


__all__ = ["Observed", "observed"]
