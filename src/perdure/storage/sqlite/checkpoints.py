"""Moving the write-ahead log into the database file, on SQLites with the WAL-reset bug too.

Versions from 3.7.0 on, before 3.51.3, 3.50.7 and 3.44.6, can corrupt a file when one connection checkpoints while
another one's commit starts the log anew (sqlite.org/wal.html#walresetbug). There no connection of ours checkpoints by
itself. Instead, once the log has grown by about four megabytes, one connection takes the write lock, by which every
writer is shut out, another one checkpoints (PASSIVE) meanwhile, and the lock is given back unused. Newer versions
checkpoint by themselves.

The size of the log is not asked of the file alone, because it is used again from its start after a checkpoint: pages
are estimated from changed rows, and the file's size tells of large payloads. The log is never opened here: closing it
would drop SQLite's own locks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

PAGES: Final = 1000
"""Checkpoint when the log may have grown by so many pages."""
GROWTH: Final = PAGES * 4096
"""Or when its file has grown by so many bytes."""
STUBBORN: Final = 4 * PAGES
"""From here on wait for the write lock, if need be."""
PAGES_PER_COMMIT: Final = 8
ROWS_PER_PAGE: Final = 3
PATIENCE: Final = 5000
"""Milliseconds."""


def is_affected(version: tuple[int, ...]) -> bool:
    """Whether an SQLite of this version has the WAL-reset bug."""
    if version[:2] == (3, 44):
        return version < (3, 44, 6)
    if version[:2] == (3, 50):
        return version < (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3)


class Checkpoints:
    """Checkpoints of one file by one process. Use it under the writer's lock, between transactions."""

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._wal, self._connect = f"{path}-wal", connect
        self._guard: sqlite3.Connection | None = None
        self._pages = self._changes = self._size = 0

    def after_commit(self, writer: sqlite3.Connection) -> None:
        """Counts what was written, and checkpoints when it is time. Raises nothing: the commit stands."""
        changes = writer.total_changes
        self._pages += PAGES_PER_COMMIT + (changes - self._changes) // ROWS_PER_PAGE
        self._changes = changes
        if self._pages >= PAGES or self.wal_bytes() - self._size >= GROWTH:
            with suppress(sqlite3.Error):
                self.run(writer)

    def run(self, writer: sqlite3.Connection) -> bool:
        """Checkpoints while the write lock is held; false when the lock was not to be had."""
        guard = self._guard = self._guard or self._connect()
        guard.execute(f"PRAGMA busy_timeout = {PATIENCE if self._pages >= STUBBORN else 0}")
        try:
            guard.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        try:
            writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._pages, self._size = 0, self.wal_bytes()
        finally:
            guard.execute("ROLLBACK")
        return True

    def wal_bytes(self) -> int:
        """The size of the log's file."""
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0

    def close(self, writer: sqlite3.Connection) -> None:
        """A last checkpoint, if the lock is free."""
        with suppress(sqlite3.Error):
            if self._pages:
                self.run(writer)
        if self._guard is not None:
            self._guard.close()
            self._guard = None
