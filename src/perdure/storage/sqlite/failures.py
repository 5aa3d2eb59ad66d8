"""What an error of SQLite means, and what to do about it: every one becomes a `StorageError`.

`retryable` is set where time or somebody else may mend it: a full disk, a lock, an I/O error. This module must never
hide an error, nor turn one of the program (a wrong parameter) into one of the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from perdure.errors import StorageError, StoreSealedError
from perdure.storage._sql.transfer import MOVED, SEALED

RETRYABLE: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_NOMEM,
    }
)
ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk (or the quota) is full: free some space; nothing is lost, it is tried again",
    sqlite3.SQLITE_BUSY: "another process holds its lock for very long: look for a hanging transaction on this file",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock: try again",
    sqlite3.SQLITE_PROTOCOL: "its lock could not be taken: too many processes, or a network file system; try again",
    sqlite3.SQLITE_IOERR: "reading or writing failed: look at the disk, and do not use a network file system",
    sqlite3.SQLITE_READONLY: "it, or its folder, may not be written: give this user write access to both",
    sqlite3.SQLITE_PERM: "this user may not access it: give write access to it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: create its folder, and give this user write access to it",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database (or an encrypted one): choose another path, or move it away",
    sqlite3.SQLITE_CORRUPT: "it is damaged: stop all processes, keep a copy, restore a backup or use `.recover`",
    sqlite3.SQLITE_TOOBIG: "a value is larger than SQLite allows: store large data elsewhere and pass a reference",
}


def primary(error: sqlite3.Error) -> int:
    """SQLite's primary code of an error; 0 when it comes from the driver itself."""
    code: object = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds a lock."""
    return primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def explained(error: sqlite3.Error, path: str) -> StorageError:
    """The `StorageError` for an error of SQLite."""
    code = primary(error)
    advice = ADVICE.get(code)
    if advice is None and "no such table" in str(error):
        advice = "its schema is missing: call `migrate` first"
    if str(error) == SEALED:
        return StoreSealedError(f"SQLite database {path!r}: {MOVED}")
    text = f"SQLite database {path!r}: {advice} ({error})" if advice else f"SQLite database {path!r}: {error}"
    return StorageError(text, retryable=code in RETRYABLE)


@contextmanager
def explaining(path: str) -> Generator[None]:
    """Errors of SQLite inside the block become `StorageError`, values that it cannot take `ValueError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, path) from error
    except OverflowError as error:
        raise ValueError(f"a number is too large to be stored: {error}") from error
