"""What a program asks of SQLite, counted at the connection, whatever stands above it: statements, and commits that wrote.

A counted run is slower; nothing of it may be timed.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

CONTROL = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITING = ("INSERT", "UPDATE", "DELETE", "REPLACE")
counts: Counter[str] = Counter()


class Counted(sqlite3.Connection):
    """A connection that counts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._wrote = False
        self.set_trace_callback(self._count)

    def _count(self, statement: str) -> None:
        words = statement.lstrip().upper()
        if words.startswith("--"):  # what a trigger does
            return
        if words.startswith(CONTROL):
            counts["commits"] += self._wrote and words.startswith(("COMMIT", "END"))
            self._wrote = self._wrote and not words.startswith(("COMMIT", "END", "ROLLBACK"))
            return
        counts["statements"] += 1
        # A statement by itself is a commit too, but nobody here writes outside a transaction.
        self._wrote = self._wrote or any(word in words for word in WRITING)


def install() -> None:
    """Counts on every connection that is opened from now on."""
    for module in (sqlite3, sqlite3.dbapi2):
        module.connect = _connect  # type: ignore[attr-defined]


def _connect(*args: Any, **options: Any) -> sqlite3.Connection:
    options.pop("factory", None)
    return Counted(*args, **options)
