"""One connection of this process to the server: opened, checked, and inside a transaction.

A server that cannot be used (too old, another encoding) is refused when the connection is made, a standby when something is
to be changed; each with what to do. This module must never repeat anything: that is `database`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from perdure.errors import StorageError
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.session import SCANS, Connection, PostgresSession, texts

T = TypeVar("T")
OLDEST: Final = 140000
PREPARED_AFTER: Final = 3
BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
LOOK: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
STALLED: Final = 10_000
"""Milliseconds: the server ends the session of a process that stands still inside a transaction for so long. It holds locks, and
whoever is stopped or cut off without a word would hold them for ever. While it waits for the rest of what is being sent the
server counts the session as active, and this limit does not hold: there the heartbeats of others end it (`stalled.sql`)."""
USUAL: Final = f"""
SELECT
    pg_catalog.set_config('default_transaction_isolation', 'read committed', FALSE),
    pg_catalog.set_config('default_transaction_read_only', 'off', FALSE),
    pg_catalog.set_config('idle_in_transaction_session_timeout', '{STALLED}', FALSE)
""".encode()
"""What holds for each transaction, also for one of a single statement."""
COLLATIONS: Final = """
SELECT collname FROM pg_catalog.pg_collation
WHERE collname IN ('pg_c_utf8', 'und-x-icu') AND collnamespace = 'pg_catalog'::regnamespace::oid
ORDER BY collname
LIMIT 1
"""


def connect(parameters: dict[str, Any]) -> Connection:
    """A new connection, outside any transaction. Raises `psycopg.Error`."""
    given = cast("dict[str, Any]", {"prepare_threshold": None, **parameters})
    return psycopg.Connection[tuple[Any, ...]].connect(
        autocommit=True, cursor_factory=psycopg.RawCursor[tuple[Any, ...]], **given
    )


def check(name: str, version: int, parameter: Callable[[str], str | None]) -> None:
    """Raises `StorageError` for a server that cannot be used; `parameter` answers what it reported of itself."""
    if version < OLDEST:
        raise StorageError(
            f"PostgreSQL database {name}: the server is version {version // 10000}.{version % 10000}; perdure needs 14 or newer"
        )
    if parameter("server_encoding") != "UTF8":
        raise StorageError(
            f"PostgreSQL database {name} has encoding {parameter('server_encoding')}: create one with ENCODING 'UTF8'"
        )


def check_writes(name: str, parameter: Callable[[str], str | None]) -> None:
    """Raises `StorageError` for a server that only reads: a standby answers questions, and takes no changes."""
    if parameter("in_hot_standby") == "on":
        raise StorageError(
            f"PostgreSQL database {name}: this server is a standby and only reads; connect to the primary (with several "
            f"hosts in the URL the primary is found: postgresql://one,two/database)",
            retryable=True,
        )


class Link:
    """A connection and its session."""

    def __init__(self, place: Place, collation: Callable[[Connection], str | None]) -> None:
        connection = connect(place.parameters)
        try:
            check(place.name, connection.info.server_version, connection.info.parameter_status)
            self.session = PostgresSession(connection, texts(place.schema, collation(connection)))
        except BaseException:
            connection.close()
            raise
        self.connection, self._name = connection, place.name
        self._pipeline, self._begun = ExitStack(), False

    def prepare(self) -> None:
        """From now on the server keeps plans for this connection, and settings (`USUAL`, `SCANS`). Raises `psycopg.Error`."""
        if not self.session.prepared:
            self.connection.execute(USUAL)
            self.connection.execute(SCANS, ["off"])
            self.connection.prepare_threshold, self.session.prepared = PREPARED_AFTER, True

    def begin(self, how: bytes = BEGIN, *, alone: bool = False) -> None:
        """Begins a transaction, for one work alone or for several; nothing is waited for. For one alone it is put off: a
        statement that is all of it needs none. Raises `StorageError` where it may not write, and is to."""
        if how == BEGIN:
            check_writes(self._name, self.connection.info.parameter_status)
        session = self.session
        session.notable, session.changes, session.alone, session.committing = False, 0, alone, None
        if alone and session.prepared:
            session.put_off = self._begin
        else:
            self._begin(how)

    def _begin(self, how: bytes = BEGIN) -> None:
        """What limits it is said each time where the session may not be ours, behind a pooler."""
        self.session.pipeline = self._pipeline.enter_context(self.connection.pipeline())
        self._begun = True
        self.connection.execute(how)
        if not self.session.prepared:
            self.connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {STALLED}".encode())

    def commit(self) -> None:
        """Ends the transaction; all is durable. Raises `psycopg.Error`."""
        cursor = self.session.committing
        if cursor is None and self._begun:
            cursor = self.connection.execute(b"COMMIT")
        self.session.pipeline = self.session.put_off = None
        self._pipeline.close()
        if cursor is not None and cursor.statusmessage == "ROLLBACK":
            raise StorageError("the server rolled the transaction back", retryable=True)
        self._begun = False

    def roll_back(self) -> None:
        """Ends the transaction, whatever came of it; raises nothing. After an error the server passes over what was sent behind
        it, also what it was to prepare, which the driver takes for prepared: then both forget all that is."""
        pipeline, self.session.pipeline = self.session.pipeline, None
        self.session.put_off = None
        begun, self._begun = self._begun, False
        with suppress(psycopg.Error, OSError):
            if pipeline is not None:
                with suppress(psycopg.Error):
                    pipeline.sync()
            with suppress(psycopg.Error):
                self._pipeline.close()
            status = self.connection.pgconn.transaction_status
            if status == TransactionStatus.INTRANS:
                self.connection.execute(b"ROLLBACK")
            elif status != TransactionStatus.IDLE:
                self.connection.rollback()
            elif self.session.prepared and (begun or self.session.committing is not None):
                self.connection.close()  # what failed (a beginning, a single statement) was rolled back by nothing

    def stands(self) -> bool:
        """As `usable`, after a look at what the server said since: that it restarted, or ended this session."""
        with suppress(psycopg.Error):
            self.connection.pgconn.consume_input()
            self.connection.pgconn.consume_input()  # the first one hears its last words, this one that they were
        return self.usable

    @property
    def usable(self) -> bool:
        """Whether it is open and outside any transaction."""
        return not self.connection.closed and self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    def close(self) -> None:
        """Gives it back to the server."""
        with suppress(psycopg.Error, OSError):
            self.connection.close()


def best_collation(connection: Connection) -> str | None:
    """A collation of the server that knows the lower case of all letters, if there is one."""
    row = connection.execute(COLLATIONS.encode()).fetchone()
    return None if row is None else str(row[0])
