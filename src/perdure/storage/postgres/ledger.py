"""The schema's ledger in PostgreSQL: which migrations were applied, in the table `schema_version`.

It is the runner that decides (`_sql`). Looking needs no right but to read, so a role that may not change the schema opens a
store whose schema is up to date.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, LiteralString, cast

from perdure.errors import StorageError
from perdure.storage._sql.migrations import Migration, statements
from perdure.storage._sql.transfer import GUARDED
from perdure.storage.postgres.session import Connection, located

TABLE: Final = """
CREATE TABLE IF NOT EXISTS perdure.schema_version (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)
"""


class PostgresLedger:
    """See `perdure.storage._sql.migrations.Ledger`."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection, self._schema = connection, schema

    def applied(self) -> dict[int, str]:
        tables = {
            row[0]
            for row in self._connection.execute(
                b"SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1", [self._schema]
            ).fetchall()
        }
        if "schema_version" not in tables:
            if found := sorted(tables & set(GUARDED)):
                raise StorageError(
                    f"schema {self._schema!r} holds tables of something else ({', '.join(found)}): choose another one with "
                    f"schema=…"
                )
            return {}
        rows = self._connection.execute(
            located("SELECT version, checksum FROM perdure.schema_version", self._schema).encode()
        )
        return {int(row[0]): str(row[1]) for row in rows.fetchall()}

    def hold(self) -> None:
        """Keeps other migrations of this schema out until the transaction ends."""
        number = int.from_bytes(blake2b(f"perdure {self._schema}".encode(), digest_size=8).digest(), "big", signed=True)
        self._connection.execute(b"SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)", [number])

    def apply(self, migration: Migration, now: int) -> None:
        known = self._connection.execute(b"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", [self._schema])
        if known.fetchone() is None:  # who may use a schema may not always make one
            self._run(f"CREATE SCHEMA {self._schema}")
        self._run(located(TABLE, self._schema))
        for statement in statements(migration.text):
            self._run(located(statement, self._schema))
        self._connection.execute(
            located("INSERT INTO perdure.schema_version VALUES ($1, $2, $3, $4)", self._schema).encode(),
            [migration.version, migration.name, migration.checksum, now],
        )

    def _run(self, statement: str) -> None:
        """Runs a statement made of our own words and a checked name."""
        self._connection.execute(cast("LiteralString", statement))
