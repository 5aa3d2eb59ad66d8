"""The schema's ledger in SQLite: which migrations were applied, in the table `schema_version`.

`user_version` of the file has the version too, for people with a shell. It is the runner that decides (`_sql`).
"""

from __future__ import annotations

import sqlite3

from perdure.storage._sql.migrations import Migration, statements

TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at INTEGER NOT NULL
)
"""


class SQLiteLedger:
    """See `perdure.storage._sql.migrations.Ledger`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def applied(self) -> dict[int, str]:
        known = self._connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'")
        if known.fetchone() is None:
            return {}
        return dict(self._connection.execute("SELECT version, checksum FROM schema_version"))

    def apply(self, migration: Migration, now: int) -> None:
        self._connection.execute(TABLE)
        for statement in statements(migration.text):
            self._connection.execute(statement)
        self._connection.execute(
            "INSERT INTO schema_version VALUES (?, ?, ?, ?)",
            (migration.version, migration.name, migration.checksum, now),
        )
        self._connection.execute(f"PRAGMA user_version = {migration.version}")
