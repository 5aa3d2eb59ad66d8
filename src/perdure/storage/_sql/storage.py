"""`PlannedStorage`: the operations of the contract as their plans, for every database alike.

Each operation is its plan inside one transaction that may write, or inside one reading. How a transaction is begun,
repeated and ended is the database's business; so are liveness and hints. This module must never hold a rule of the
contract, nor know a database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from perdure.model.externals import Answered, NewCompletion
from perdure.model.query import Query
from perdure.model.records import (
    Claimed,
    ClaimRequest,
    Committed,
    Conflict,
    Enqueued,
    Found,
    JournalView,
    NewExecution,
    NewSignal,
    Row,
    Stat,
    Transition,
)
from perdure.model.status import Status
from perdure.storage._sql import commits, externals, intake, leases, maintenance, migrations, reading, transfer
from perdure.storage._sql.session import Answer, Session
from perdure.storage.protocol import Order

T = TypeVar("T")


class PlannedStorage(ABC):
    """What databases share of a storage. See `perdure.storage.protocol.Storage` for each operation."""

    inline: bool = False
    solo: bool = False
    migrations_package: ClassVar[str]

    @abstractmethod
    def _write(self, work: Callable[[Session], T], now: int) -> T:
        """Does work in a transaction that may write; inside one of this thread, as a part of it. Where others get in the
        way, the work may be done more than once, each time from the start."""

    @abstractmethod
    def _read(self, work: Callable[[Session], T], *, snapshot: bool = False) -> T:
        """Does work that only reads; with `snapshot` several statements, which see one moment."""

    @abstractmethod
    def schema_version(self) -> int:
        """The version of the schema as it stands, 0 where there is none. Raises `StorageError` where it cannot be opened."""

    @abstractmethod
    def status(self) -> dict[str, object]:
        """What a check-up of this storage wants to know. Raises `StorageError` where it cannot be opened."""

    @abstractmethod
    def listen(self, callback: Callable[[], None]) -> None:
        """See the protocol."""

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        return self._write(lambda session: intake.enqueue(session, items, now), now)

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        return self._write(lambda session: intake.signal(session, items, now), now)

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        return self._write(lambda session: externals.complete_external(session, items, now), now)

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        return self._write(lambda session: intake.cancel(session, items, now), now)

    def retry(self, ids: Sequence[str], now: int) -> list[Status | None]:
        return self._write(lambda session: intake.retry(session, ids, now), now)

    def forget(self, ids: Sequence[str], name: str, now: int) -> list[int]:
        return self._write(lambda session: intake.forget(session, ids, name, now), now)

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        return self._write(lambda session: leases.claim(session, request, now), now)

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        commits.check(transitions)
        return self._write(lambda session: commits.commit(session, transitions, now), now)

    def drain(self, worker_ids: Sequence[str], now: int) -> list[bool]:
        return self._write(lambda session: leases.drain(session, worker_ids), now)

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        return self._write(lambda session: maintenance.prune(session, now, closed_before, limit, spare_own), now)

    def get(self, ids: Sequence[str]) -> list[Row | None]:
        return self._read(lambda session: reading.get(session, ids))

    def settled(self, ids: Sequence[str]) -> list[Row | None]:
        return self._read(lambda session: reading.get(session, ids, "settled"))

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        return self._read(lambda session: reading.journal(session, ids), snapshot=True)

    def search(self, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
        return self._read(lambda session: reading.search(session, query, order, limit, after, now))

    def count(self, query: Query, now: int) -> int:
        return self._read(lambda session: reading.count(session, query, now))

    def stats(self, now: int) -> list[Stat]:
        return self._read(lambda session: reading.stats(session, now))

    def sizes(self) -> dict[str, int]:
        """How many rows each table has."""
        return self._read(transfer.sizes, snapshot=True)

    def page(self, table: transfer.Table, after: Sequence[Any]) -> Answer:
        """Rows of a table, from a place on."""
        return self._read(lambda session: transfer.page(session, table, after))

    def fill(self, table: transfer.Table, rows: Answer) -> None:
        """Puts such rows in."""
        self._write(lambda session: transfer.fill(session, table, rows), 0)

    def sql_script(self) -> str:
        """The schema's migrations as one text."""
        return migrations.script(migrations.load(self.migrations_package))
