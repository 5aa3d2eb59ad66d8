"""`SQLiteStorage`: the operations of the contract over one SQLite file.

Each operation is its plan (`perdure.storage._sql`) inside one transaction of the file's writer, or one snapshot of a
reader. Beside the plans stand what only SQLite does: locks by which dead workers are seen, and hints to other
processes. This module must never hold a rule of the contract.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar

from perdure.errors import StorageError
from perdure.model.records import (
    Beat,
    Heartbeat,
    Reclaimed,
    WorkerRow,
)
from perdure.storage._sql import leases, maintenance, migrations, reading
from perdure.storage._sql.session import Session
from perdure.storage._sql.storage import PlannedStorage
from perdure.storage._sql.transfer import UNDER_WAY
from perdure.storage.sqlite import seals
from perdure.storage.sqlite.checkpoints import is_affected
from perdure.storage.sqlite.database import MEMORY, Database
from perdure.storage.sqlite.hints import Hints
from perdure.storage.sqlite.ledger import SQLiteLedger
from perdure.storage.sqlite.liveness import Liveness, Witness
from perdure.storage.sqlite.session import PACKAGE

T = TypeVar("T")
MIGRATIONS: Final = f"{PACKAGE}.migrations"
MOVER: Final = "copy"
"""Whose lock is held by who moves the store."""


class SQLiteStorage(PlannedStorage):
    """Executions in the file at `path` (or `:memory:`). See `perdure.storage.protocol.Storage` for each operation.

    Any number of threads and processes may use the file. Nothing is opened before the first operation, and after
    `close` the next one opens it again. Lock files and sockets stand in the folder `<path>.workers`.
    """

    migrations_package = MIGRATIONS

    def __init__(self, path: str) -> None:
        self._database = Database(path, self._committed)
        self._now = 0
        folder = "" if self._database.path == MEMORY else f"{self._database.path}.workers"
        self._liveness = Liveness(folder)
        self._hints = Hints(folder, self._database.connect)

    @property
    def path(self) -> str:
        """The file's absolute path."""
        return self._database.path

    def migrate(self, now: int) -> int:
        with self._database.writing() as session:
            ledger = SQLiteLedger(session.connection)
            return migrations.migrate(ledger, migrations.load(MIGRATIONS), now)

    def close(self) -> None:
        self._hints.close()
        self._liveness.close()
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        return self._grouped()

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls back when another process, or another storage object on this file, changed something."""
        self._hints.listen(callback)

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        held = ("", 0) if beat.leaving else self._liveness.hold(beat.worker.id)
        with self._database.writing() as session:
            self._now = now
            if beat.leaving:
                self._database.afterwards(lambda: self._liveness.release(beat.worker.id))
            return leases.heartbeat(session, beat, now, held)

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        with self._database.writing() as session:
            self._now = now
            witnesses = _witnesses(session)
            dead = self._liveness.dead(witnesses)
            answer = maintenance.reclaim(session, dead, now, now if judged is None else judged)
            if answer.workers:
                alive = {id for id, _, _ in witnesses}.difference(answer.workers)
                self._database.afterwards(lambda: self._liveness.bury(answer.workers, alive))
            return answer

    def workers(self, now: int) -> list[WorkerRow]:
        with self._database.reading() as session:
            rows = reading.workers(session)
            dead = set(self._liveness.dead(_witnesses(session)))
        return reading.with_dead(rows, dead, now)

    def seal(self) -> None:
        with self._database.writing() as session:
            seals.seal(session.connection)

    def unseal(self) -> None:
        with self._database.writing() as session:
            seals.unseal(session.connection)

    def sealed(self) -> bool:
        with self._database.reading() as session:
            return seals.is_sealed(session.connection)

    @contextmanager
    def moving(self) -> Generator[None]:
        if self._liveness.hold(MOVER) == ("", 0) and self._liveness.works:
            raise StorageError(f"SQLite database {self.path}: {UNDER_WAY}")
        try:
            yield
        finally:
            self._liveness.release(MOVER)

    def schema_version(self) -> int:
        with self._database.reading() as session:
            return max(SQLiteLedger(session.connection).applied(), default=0)

    def status(self) -> dict[str, object]:
        """What a check-up of this storage wants to know. Raises `StorageError` when the file cannot be opened."""
        with self._database.reading() as session:
            connection = session.connection
            checkpoints = self._database.checkpoints
            return {
                "path": self.path,
                "sqlite_version": sqlite3.sqlite_version,
                "wal_reset_bug": is_affected(sqlite3.sqlite_version_info),
                "journal_mode": connection.execute("PRAGMA journal_mode").fetchone()[0],
                "wal_bytes": checkpoints.wal_bytes() if checkpoints is not None else None,
                "locks_work": self._liveness.works,
                "hints_work": self._hints.works,
            }

    def _write(self, work: Callable[[Session], T], now: int) -> T:
        with self._database.writing() as session:
            self._now = now
            return work(session)

    def _read(self, work: Callable[[Session], T], *, snapshot: bool = False) -> T:
        with self._database.reading() as session:
            return work(session)

    @contextmanager
    def _grouped(self) -> Generator[None]:
        with self._database.writing():
            yield

    def _committed(self) -> None:
        self._hints.give(self._now)


def _witnesses(session: Session) -> list[Witness]:
    return [(id, boot_id, inode) for id, boot_id, inode in session.read("witnesses")]
