"""What a program asks of its database, counted whatever stands above it: statements, and commits that wrote.

SQLite is counted at the connection, Postgres by the server's own log. A counted run is slower; nothing of it may be timed.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from bench import place

CONTROL = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITING = ("INSERT", "UPDATE", "DELETE", "REPLACE")
SPOKEN = ("statement: ", "execute ")


class Count:
    """What was counted since `install`, or since `reset`."""

    def __init__(self, where: Path) -> None:
        self._database, self._from = place.url(where).rpartition("/")[2], 0
        self._log = Path(os.environ.get(place.LOG, os.devnull))

    def reset(self) -> None:
        """Begins anew."""
        counts.clear()
        self._from = self._log.stat().st_size

    def read(self) -> Counter[str]:
        """Statements and commits."""
        if place.on_postgres():
            with self._log.open("rb") as log:
                log.seek(self._from)
                text = log.read()
            self._from += len(text)
            _count_log(text.decode("utf-8", "replace"), self._database)
        return counts


counts: Counter[str] = Counter()


def install(where: Path) -> Count:
    """Counts on every connection that is opened from now on."""
    if place.on_postgres():
        for name in ("bench", "dbos"):
            place.log_statements(where, name)
    else:
        for module in (sqlite3, sqlite3.dbapi2):
            module.connect = _connect  # type: ignore[attr-defined]
    return Count(where)


class Session:
    """One connection: whether its transaction wrote."""

    def __init__(self) -> None:
        self.wrote = self.open = False

    def said(self, statement: str, *, alone: bool) -> None:
        """A statement; `alone` where one outside a transaction is a commit too."""
        words = statement.lstrip().upper()
        if words.startswith("--"):  # what a trigger does
            return
        if words.startswith(CONTROL):
            counts["commits"] += self.wrote and words.startswith(("COMMIT", "END"))
            self.open = words.startswith(("BEGIN", "START")) or (
                self.open and not words.startswith(("COMMIT", "END", "ROLLBACK"))
            )
            self.wrote = self.wrote and self.open
            return
        counts["statements"] += 1
        writes = any(word in words for word in WRITING)
        if alone and not self.open:
            counts["commits"] += writes
        else:
            self.wrote = self.wrote or writes


class Counted(sqlite3.Connection):
    """A connection that counts. Nobody here writes outside a transaction."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        session = Session()
        self.set_trace_callback(lambda statement: session.said(statement, alone=False))


def _connect(*args: Any, **options: Any) -> sqlite3.Connection:
    options.pop("factory", None)
    return Counted(*args, **options)


def _count_log(text: str, database: str) -> None:
    """Lines are `database|process|LOG:  statement: …`; a line that goes on begins with a tab."""
    sessions: dict[str, Session] = {}
    for entry in text.replace("\n\t", " ").splitlines():
        name, _, rest = entry.partition("|")
        process, _, message = rest.partition("|")
        if name.rpartition("_")[0] != database.rpartition("_")[0]:
            continue
        message = message.partition("LOG:  ")[2]
        if message.startswith(SPOKEN):
            sessions.setdefault(process, Session()).said(message.partition(": ")[2], alone=True)
