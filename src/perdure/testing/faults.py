"""`FaultyStorage`: any storage, with failures on demand.

A fault strikes `before` (the call raises and nothing of it happened), `after` (it happened, but the acknowledgement is lost:
the call raises all the same) or makes the call happen `twice` (the caller gets the second answer, as after a resend).
Faults come from a schedule (`fail`) or from a callable (`decide`). Inside a transaction a fault `after` strikes when the
transaction has been committed, because that is when an acknowledgement can be lost.

It must never change what a storage stores or answers, beyond making it happen or not.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Literal, TypeVar

import msgspec

from perdure.errors import StorageError
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
from perdure.storage import Storage
from perdure.storage.protocol import Order

T = TypeVar("T")
When = Literal["before", "after", "twice"]
OPERATIONS: Final = (
    "migrate", "transaction", "enqueue", "signal", "complete_external", "cancel", "retry", "forget", "claim", "commit",
    "heartbeat", "drain", "reclaim", "prune", "get", "settled", "journal", "search", "count", "stats", "workers",
)  # fmt: skip


class Operation(msgspec.Struct, frozen=True):
    """A call of a storage: its `name` and its first argument (`None` where it has none but the time). `number` counts
    the calls of that name from 0."""

    name: str
    argument: object
    number: int


class Fault(msgspec.Struct, frozen=True):
    """A failure of one call. `error` is what is raised; by default a `StorageError` that may be tried again."""

    when: When
    error: Exception | None = None


class FaultyStorage:
    """Wraps a storage. `decide(operation)` answers a `Fault`, its `when` alone, or `None`; see also `fail`."""

    def __init__(self, storage: Storage, decide: Callable[[Operation], Fault | When | None] | None = None) -> None:
        self.storage = storage
        self.inline = storage.inline
        self.solo = False  # every operation has the boundary of a transaction, where faults strike too
        self.decide = decide
        self.calls: Counter[str] = Counter()
        self._planned: dict[str, deque[Fault | None]] = {}
        self._local = threading.local()

    def fail(
        self, operation: str, when: When = "before", *, times: int = 1, skip: int = 0, error: Exception | None = None
    ) -> None:
        """Lets the next `times` calls of an operation fail, after `skip` that do not. Plans for one operation add up.

        `transaction` is an operation too. Raises `ValueError` for one that does not exist."""
        if operation not in OPERATIONS:
            raise ValueError(f"{operation!r} is no operation of a storage; there are {', '.join(OPERATIONS)}")
        plan = self._planned.setdefault(operation, deque())
        plan.extend([None] * skip)
        plan.extend([Fault(when, error)] * times)

    def heal(self) -> None:
        """Forgets all planned faults and the callable."""
        self._planned.clear()
        self.decide = None

    # -- striking -----------------------------------------------------------------------------------------------------

    def _next_fault(self, name: str, argument: object) -> Fault | None:
        operation = Operation(name, argument, self.calls[name])
        self.calls[name] += 1
        plan = self._planned.get(name)
        fault = plan.popleft() if plan else None
        if fault is None and self.decide is not None:
            decided = self.decide(operation)
            fault = Fault(decided) if isinstance(decided, str) else decided
        return fault

    def _do(self, name: str, argument: object, call: Callable[[], T]) -> T:
        fault = self._next_fault(name, argument)
        if fault is None:
            return call()
        if fault.when == "before":
            raise _error(fault, name)
        answer = call()
        if fault.when == "twice":
            return call()
        self._acknowledgement_lost(fault, name)
        return answer

    def _acknowledgement_lost(self, fault: Fault, name: str) -> None:
        """Raises, in a transaction only when that is committed."""
        owed: list[tuple[Fault, str]] | None = getattr(self._local, "owed", None)
        if owed is None:
            raise _error(fault, name)
        owed.append((fault, name))

    def transaction(self) -> AbstractContextManager[None]:
        """As the storage's own; faults `after` of what is inside strike at its end."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        outer: list[tuple[Fault, str]] | None = getattr(self._local, "owed", None)
        owed: list[tuple[Fault, str]] = [] if outer is None else outer
        fault = self._next_fault("transaction", None)
        if fault is not None and fault.when == "before":
            raise _error(fault, "transaction")
        self._local.owed = owed
        try:
            with self.storage.transaction():
                yield
        finally:
            self._local.owed = outer
        if fault is not None and fault.when == "after":
            owed.append((fault, "transaction"))
        if outer is None and owed:
            raise _error(*owed[0])

    # -- the operations -----------------------------------------------------------------------------------------------

    def migrate(self, now: int) -> int:
        return self._do("migrate", None, lambda: self.storage.migrate(now))

    def close(self) -> None:
        self.storage.close()

    def listen(self, callback: Callable[[], None]) -> None:
        self.storage.listen(callback)

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        return self._do("enqueue", items, lambda: self.storage.enqueue(items, now))

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        return self._do("signal", items, lambda: self.storage.signal(items, now))

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        return self._do("complete_external", items, lambda: self.storage.complete_external(items, now))

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        return self._do("cancel", items, lambda: self.storage.cancel(items, now))

    def retry(self, ids: Sequence[str], now: int) -> list[Status | None]:
        return self._do("retry", ids, lambda: self.storage.retry(ids, now))

    def forget(self, ids: Sequence[str], name: str, now: int) -> list[int]:
        return self._do("forget", ids, lambda: self.storage.forget(ids, name, now))

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        return self._do("claim", request, lambda: self.storage.claim(request, now))

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        return self._do("commit", transitions, lambda: self.storage.commit(transitions, now))

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        return self._do("heartbeat", beat, lambda: self.storage.heartbeat(beat, now))

    def drain(self, worker_ids: Sequence[str], now: int) -> list[bool]:
        return self._do("drain", worker_ids, lambda: self.storage.drain(worker_ids, now))

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        return self._do("reclaim", None, lambda: self.storage.reclaim(now, judged))

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        return self._do("prune", closed_before, lambda: self.storage.prune(now, closed_before, limit, spare_own))

    def get(self, ids: Sequence[str]) -> list[Row | None]:
        return self._do("get", ids, lambda: self.storage.get(ids))

    def settled(self, ids: Sequence[str]) -> list[Row | None]:
        return self._do("settled", ids, lambda: self.storage.settled(ids))

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        return self._do("journal", ids, lambda: self.storage.journal(ids))

    def search(self, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
        return self._do("search", query, lambda: self.storage.search(query, order, limit, after, now))

    def count(self, query: Query, now: int) -> int:
        return self._do("count", query, lambda: self.storage.count(query, now))

    def stats(self, now: int) -> list[Stat]:
        return self._do("stats", None, lambda: self.storage.stats(now))

    def workers(self, now: int) -> list[WorkerRow]:
        return self._do("workers", None, lambda: self.storage.workers(now))


def _error(fault: Fault, name: str) -> Exception:
    if fault.error is not None:
        return fault.error
    what = "nothing happened" if fault.when == "before" else "it happened, its acknowledgement is lost"
    return StorageError(f"planned failure of {name}: {what}", retryable=True)
