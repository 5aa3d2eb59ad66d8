"""`PostgresStorage`: the operations of the contract over a schema of a PostgreSQL database.

Each operation is its plan (`perdure.storage._sql`) inside one transaction. Beside the plans stand what only PostgreSQL does:
sessions by which dead workers are seen, the clock that leases follow, and hints to other processes. This module must never
hold a rule of the contract.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Final, TypeVar, cast

from msgspec.structs import replace

from perdure.errors import StorageError
from perdure.model.records import Beat, Heartbeat, Reclaimed, WorkerRow
from perdure.storage._sql import leases, maintenance, migrations, reading, statements, transfer
from perdure.storage._sql.session import Answer, Session
from perdure.storage._sql.storage import PlannedStorage
from perdure.storage.postgres import link, seals
from perdure.storage.postgres.clocks import ServerClock
from perdure.storage.postgres.database import Database
from perdure.storage.postgres.failures import explaining
from perdure.storage.postgres.hints import NOBODY, Hints, Witness, notify
from perdure.storage.postgres.ledger import PostgresLedger
from perdure.storage.postgres.liveness import Liveness
from perdure.storage.postgres.place import place
from perdure.storage.postgres.session import PACKAGE, PostgresSession, located

T = TypeVar("T")
MIGRATIONS: Final = f"{PACKAGE}.migrations"
logger = logging.getLogger("perdure")


MOVING: Final = b"SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended($1, 0::bigint))"
SECOND_LOOK: Final = 0.3
"""Seconds until a standby that seems to be behind is asked again."""
FACTS: Final = b"""
SELECT
    pg_catalog.current_setting('server_version'),
    coalesce((SELECT max(age(backend_xmin)) FROM pg_catalog.pg_stat_activity), 0)::bigint,
    CASE
        WHEN NOT pg_is_in_recovery() THEN NULL
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000::numeric, 0)
    END::bigint
"""


class PostgresStorage(PlannedStorage):
    """Executions in a schema of the database at `url`. See `perdure.storage.protocol.Storage` for each operation, and
    `place` for what the URL may say. Raises `ConfigurationError` for a URL that cannot be read.

    Any number of threads, processes and hosts may use it. Nothing is opened before the first operation, and after `close`
    the next one opens it again.
    """

    migrations_package = MIGRATIONS
    solo = True

    def __init__(self, url: str, schema: str = "perdure") -> None:
        self.place = place(url, schema)
        self._database = Database(self.place, self._committed)
        self._liveness = Liveness()
        self._clock = ServerClock(self.place.name, lambda: self._read(_server_now))
        session = statements.texts(f"{PACKAGE}.sql.own")["session"]
        self._hints = Hints(self.place, session, self._prove, self._vouch)

    def migrate(self, now: int) -> int:
        known = migrations.load(self.migrations_package)
        version = migrations.check(self._applied(), known)
        if version < len(known):
            version = self._database.write(lambda session: self._migrate(session, now))
        self._clock.ahead()  # warns
        return version

    def close(self) -> None:
        if self._liveness.mine:
            self._vouch(NOBODY)  # to close a storage is not to die: the lease decides
            self._liveness.mine.clear()
        self._hints.close()
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.group()

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls back when another process, or another storage object on this schema, changed something."""
        self._hints.listen(callback)

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        self._end_stalled()
        mine, ahead = self._liveness.mine, self._clock.ahead()
        if beat.leaving:
            mine.discard(beat.worker.id)
            witness = NOBODY
        else:
            witness = self._hints.witness if beat.worker.id in mine else self._hints.decided()
            mine.add(beat.worker.id)
        worker = replace(beat.worker, lease_until=beat.worker.lease_until + ahead)
        kept = replace(beat, worker=worker)
        return self._write(lambda session: leases.heartbeat(session, kept, now + ahead, witness), now)

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        dead = dict(self._dead())
        until, server_now = self._clock.judged(now if judged is None else judged), now + self._clock.ahead()

        def work(session: Session) -> Reclaimed:
            gone = _gone(session) if dead else []
            still = [id for id, witness in gone if dead.get(id) == witness]
            return maintenance.reclaim(session, still, server_now, until)

        return self._write(work, now)

    def workers(self, now: int) -> list[WorkerRow]:
        dead, ahead = dict(self._dead()), self._clock.ahead()
        rows = [replace(row, lease_until=row.lease_until - ahead) for row in self._read(reading.workers)]
        return reading.with_dead(rows, dead, now)

    def seal(self) -> None:
        self._database.write(lambda session: seals.seal(_own(session).connection, self.place.schema))

    def unseal(self) -> None:
        self._database.write(lambda session: seals.unseal(_own(session).connection, self.place.schema))

    def sealed(self) -> bool:
        return self._read(lambda session: seals.is_sealed(_own(session).connection, self.place.schema))

    @contextmanager
    def moving(self) -> Generator[None]:
        """The lock is a transaction's, which stays open: a session's would be left behind in a pooler."""
        with explaining(self.place.name), closing(link.connect(self.place.parameters)) as held, held.transaction():
            held.execute(b"SET LOCAL idle_in_transaction_session_timeout = 0")
            row = held.execute(MOVING, [f"perdure copy {self.place.schema}"]).fetchone()
            if row is None or not row[0]:
                raise StorageError(f"PostgreSQL database {self.place.name}: {transfer.UNDER_WAY}")
            yield

    def fill(self, table: transfer.Table, rows: Answer) -> None:
        self._database.write(lambda session: transfer.fill(session, table, rows), repeats=False)

    def sql_script(self) -> str:
        """The schema's migrations as one text."""
        return f"CREATE SCHEMA IF NOT EXISTS {self.place.schema};\n\n{located(super().sql_script(), self.place.schema)}"

    def schema_version(self) -> int:
        return max(self._applied(), default=0)

    def status(self) -> dict[str, object]:
        """What a check-up of this storage wants to know. Raises `StorageError` when it cannot be opened."""
        version, oldest, behind = self._read(_facts)
        if behind:  # something may just have come that nobody had time for
            threading.Event().wait(SECOND_LOOK)
            behind = min(behind, self._read(_facts)[2] or 0)
        return {
            "server_version": version,
            "clock_ahead": self._clock.measured(),
            "oldest_snapshot": oldest,
            "hints": self.place.direct is not None,
            "listen_url": self.place.direct is not None and self.place.direct is not self.place.parameters,
            "hints_work": self._hints.works(5.0) if self.place.direct is not None and behind is None else False,
            "standby_behind": behind,
        }

    def _write(self, work: Callable[[Session], T], now: int) -> T:
        return self._database.write(work)

    def _read(self, work: Callable[[Session], T], *, snapshot: bool = False) -> T:
        return self._database.read(work, snapshot=snapshot)

    def _applied(self) -> dict[int, str]:
        return self._read(lambda session: PostgresLedger(_own(session).connection, self.place.schema).applied())

    def _migrate(self, session: Session, now: int) -> int:
        ledger = PostgresLedger(_own(session).connection, self.place.schema)
        ledger.hold()
        return migrations.migrate(ledger, migrations.load(self.migrations_package), now)

    def _dead(self) -> list[tuple[str, Witness]]:
        """Other workers whose sessions have been gone for long enough."""
        age = self._hints.age()
        if age == 0.0:
            return []
        gone = self._read(_gone)
        dead = set(self._liveness.dead(gone, age))
        return [(id, witness) for id, witness in gone if id in dead]

    def _end_stalled(self) -> None:
        """A worker that is stopped while it sends a transaction keeps others from what that has locked, until it is ended."""
        for process, ended in self._read(lambda session: session.read("stalled", link.STALLED)):
            if ended:
                logger.warning(
                    "ended session %s of the server: its process stands still and holds what others need", process
                )

    def _prove(self, channel: str, text: str) -> None:
        taken = self._database.take()
        try:
            notify(taken.connection, channel, text)
        finally:
            self._database.give(taken)

    def _vouch(self, witness: Witness) -> None:
        """The rows of our workers name another session from now on. One that hears is no pooler's: what leads to it may
        keep prepared statements."""
        if witness != NOBODY and self.place.prepare is None:
            self._database.prepares = True
        mine = sorted(self._liveness.mine)
        if mine:
            with suppress(StorageError):  # the next heartbeat says it again
                self._database.write(lambda session: session.do("vouch", mine, *witness))

    def _committed(self) -> None:
        self._hints.give()


def _gone(session: Session) -> list[tuple[str, Witness]]:
    return [(str(id), (str(start), int(process))) for id, start, process in session.read("gone")]


def _server_now(session: Session) -> int:
    return _own(session).clock()


def _facts(session: Session) -> tuple[str, int, int | None]:
    row = _own(session).connection.execute(FACTS).fetchone()
    assert row is not None
    return str(row[0]), int(row[1]), None if row[2] is None else int(row[2])


def _own(session: Session) -> PostgresSession:
    return cast("PostgresSession", session)
