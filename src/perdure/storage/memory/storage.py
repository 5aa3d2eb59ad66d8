"""`MemoryStorage`: the operations of the contract, each one step under one lock.

It owns the lock and the grouping of operations; what they do stands in the modules beside it. An operation that raises
leaves nothing, and so does a `transaction` block: every write can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Final

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
from perdure.storage.memory import commits, externals, intake, leases, maintenance, reading
from perdure.storage.memory.tables import Tables
from perdure.storage.protocol import Order

SCHEMA: Final = 1


class MemoryStorage:
    """Executions in plain dictionaries. See `perdure.storage.protocol.Storage` for what each operation means.

    Other threads wait while one holds a `transaction` block open. Closing it keeps the data: it can be opened again as
    long as the object lives.
    """

    inline: bool = True
    solo: bool = False

    def __init__(self) -> None:
        self._tables = Tables()
        self._lock = RLock()

    def migrate(self, now: int) -> int:
        return SCHEMA

    def close(self) -> None:
        pass

    def transaction(self) -> AbstractContextManager[None]:
        return self._step()

    def listen(self, callback: Callable[[], None]) -> None:
        """Never calls back: no other process can change anything."""

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        with self._step():
            return intake.enqueue(self._tables, items, now)

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        with self._step():
            return intake.signal(self._tables, items, now)

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        with self._step():
            return externals.complete_external(self._tables, items, now)

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        with self._step():
            return intake.cancel(self._tables, items, now)

    def retry(self, ids: Sequence[str], now: int) -> list[Status | None]:
        with self._step():
            return intake.retry(self._tables, ids, now)

    def forget(self, ids: Sequence[str], name: str, now: int) -> list[int]:
        with self._step():
            return intake.forget(self._tables, ids, name, now)

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        with self._step():
            return leases.claim(self._tables, request, now)

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        with self._step():
            return commits.commit(self._tables, transitions, now)

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        with self._step():
            return leases.heartbeat(self._tables, beat, now)

    def drain(self, worker_ids: Sequence[str], now: int) -> list[bool]:
        with self._step():
            return leases.drain(self._tables, worker_ids)

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        with self._step():
            return maintenance.reclaim(self._tables, now, now if judged is None else judged)

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        with self._step():
            return maintenance.prune(self._tables, now, closed_before, limit, spare_own)

    def get(self, ids: Sequence[str]) -> list[Row | None]:
        with self._lock:
            return reading.get(self._tables, ids)

    def settled(self, ids: Sequence[str]) -> list[Row | None]:
        with self._lock:
            return reading.settled(self._tables, ids)

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        with self._lock:
            return reading.journal(self._tables, ids)

    def search(self, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
        with self._lock:
            return reading.search(self._tables, query, order, limit, after, now)

    def count(self, query: Query, now: int) -> int:
        with self._lock:
            return reading.count(self._tables, query, now)

    def stats(self, now: int) -> list[Stat]:
        with self._lock:
            return reading.stats(self._tables, now)

    def workers(self, now: int) -> list[WorkerRow]:
        with self._lock:
            return reading.workers(self._tables)

    @contextmanager
    def _step(self) -> Generator[None]:
        with self._lock, self._tables.atomic():
            yield
