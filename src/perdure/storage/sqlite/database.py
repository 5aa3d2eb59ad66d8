"""One SQLite file and the connections of this process to it: a writer, used by one thread at a time, and some readers.

WAL, `synchronous=FULL`, transactions that write begin with BEGIN IMMEDIATE (a transaction that read first and then
wants to write fails at once instead of waiting). A reader sees one snapshot. Connections are opened when first needed
and again after `close`; they are useless after a fork and say so.

This module must never look into what the statements do.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

from perdure.errors import StorageError
from perdure.storage.forks import in_child
from perdure.storage.sqlite.checkpoints import Checkpoints, is_affected
from perdure.storage.sqlite.failures import explaining, is_busy
from perdure.storage.sqlite.session import SQLiteSession

OLDEST: Final = (3, 35, 0)
MEMORY: Final = ":memory:"
PATIENCE: Final = 30.0
"""Seconds to wait for another's lock, each try."""
TRIES: Final = 4
READERS: Final = 4
"""Idle ones that are kept."""
WRITER_CACHE, READER_CACHE = -32_768, -8_192
"""Page caches, in KiB as SQLite writes them."""
LOG_LIMIT: Final = 64 * 1024 * 1024
"""The log's file is cut to so many bytes when it starts anew."""

_inherited: list[object] = []
"""Connections that a fork copied into this process: to be left alone for ever."""


class Database:
    """See the module's docstring. `committed` is called after each transaction that a plan marked as notable."""

    def __init__(self, path: str, committed: Callable[[], None]) -> None:
        self.path = path if path == MEMORY else os.path.abspath(path)
        self._committed = committed
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._writer: SQLiteSession | None = None
        self._file = (0, 0)
        self._owner = self._depth = 0
        self._broken = False
        self._afterwards: list[Callable[[], None]] = []
        self._readers: list[SQLiteSession] = []
        self.checkpoints: Checkpoints | None = None
        in_child(self._abandon)

    @contextmanager
    def writing(self) -> Generator[SQLiteSession]:
        """A transaction that may write; inside one of the same thread, a part of it."""
        self._check_fork()
        with self._lock, explaining(self.path):
            session = self._writer or self._open()
            if self._depth:
                with self._part(session):
                    yield session
                return
            self._begin(session)
            try:
                self._check_place()
                yield session
                if self._broken:
                    raise StorageError("an operation of this transaction failed half-way: none of it is kept")
                session.connection.execute("COMMIT")
            except BaseException:
                self._roll_back(session.connection)
                raise
            finally:
                self._depth = self._owner = 0
                afterwards, self._afterwards = self._afterwards, []
            self._after_commit(session)
            for each in afterwards:
                each()

    def afterwards(self, action: Callable[[], None]) -> None:
        """Does something once the transaction of this thread is durable; never, if it is not."""
        self._afterwards.append(action)

    @contextmanager
    def reading(self) -> Generator[SQLiteSession]:
        """A snapshot; inside a transaction of the same thread, what that has written is seen."""
        self._check_fork()
        if self.path == MEMORY or self._owner == threading.get_ident():
            with self._lock, explaining(self.path):
                yield self._writer or self._open()
            return
        with explaining(self.path):
            session = self._reader()
            try:
                session.connection.execute("BEGIN")
                yield session
            finally:
                self._give_back(session)

    def close(self) -> None:
        """Closes the connections; the next use opens them again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            readers, self._readers = self._readers, []
            for reader in readers:
                reader.connection.close()
            if self._writer is not None:
                if self.checkpoints is not None and _identity(self.path) == self._file:
                    self.checkpoints.close(self._writer.connection)
                self._writer.connection.close()
            self._writer = self.checkpoints = None

    def connect(self, cache: int = READER_CACHE) -> sqlite3.Connection:
        """A new connection, set up. Raises `sqlite3.Error`."""
        connection = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        try:
            for pragma in (
                "synchronous = FULL", "temp_store = MEMORY", f"cache_size = {cache}", f"journal_size_limit = {LOG_LIMIT}",
            ):  # fmt: skip
                connection.execute(f"PRAGMA {pragma}")
            if sys.platform == "darwin":
                connection.execute("PRAGMA fullfsync = ON")
                connection.execute("PRAGMA checkpoint_fullfsync = ON")
            if is_affected(sqlite3.sqlite_version_info):
                connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.create_function("fold", 1, str.lower, deterministic=True)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self) -> SQLiteSession:
        if sqlite3.sqlite_version_info < OLDEST:
            raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old; perdure needs 3.35 or newer")
        if self.path != MEMORY:
            _create(self.path)
        connection = self.connect(WRITER_CACHE)
        try:
            if self.path != MEMORY:
                _use_log(connection)
                if is_affected(sqlite3.sqlite_version_info):
                    self.checkpoints = Checkpoints(self.path, self.connect)
        except BaseException:
            connection.close()
            raise
        self._writer, self._file = SQLiteSession(connection), _identity(self.path)
        return self._writer

    def _begin(self, session: SQLiteSession) -> None:
        for remaining in reversed(range(TRIES)):
            try:
                session.connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or not remaining:
                    raise
        self._depth, self._owner = 1, threading.get_ident()
        self._broken = session.notable = False

    @contextmanager
    def _part(self, session: SQLiteSession) -> Generator[None]:
        """An operation inside a transaction: when it fails after it wrote something, all fails."""
        before = session.connection.total_changes
        try:
            yield
        except BaseException:
            connection = session.connection
            self._broken = self._broken or connection.total_changes != before or not connection.in_transaction
            raise

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _after_commit(self, session: SQLiteSession) -> None:
        if self.checkpoints is not None:
            self.checkpoints.after_commit(session.connection)
        if session.notable:
            self._committed()

    def _reader(self) -> SQLiteSession:
        if self._writer is None:
            with self._lock:
                _ = self._writer or self._open()
        self._check_place()
        try:
            return self._readers.pop()
        except IndexError:
            connection = self.connect()
            connection.execute("PRAGMA query_only = ON")
            return SQLiteSession(connection)

    def _give_back(self, session: SQLiteSession) -> None:
        self._roll_back(session.connection)
        if self._writer is None or len(self._readers) >= READERS or session.connection.in_transaction:
            session.connection.close()
        else:
            self._readers.append(session)

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            raise StorageError(
                f"SQLite database {self.path!r} was opened before this process was forked: open a new storage here"
            )

    def _check_place(self) -> None:
        """What is written to a file that nobody can find any more is lost, and a new file at its place is another's."""
        if self.path != MEMORY and _identity(self.path) != self._file:
            raise StorageError(
                f"SQLite database {self.path!r} was moved, deleted or replaced while it was open: put it back together with "
                f"its -wal file and work goes on, or stop this process",
                retryable=True,
            )

    def _abandon(self) -> None:
        """In a forked child: never close what belongs to the parent."""
        _inherited.extend((self._writer, self._readers, self.checkpoints))
        self._writer, self._readers, self.checkpoints = None, [], None
        self._lock = threading.RLock()


def _identity(path: str) -> tuple[int, int]:
    """Which file stands at a path; a pair of zeros where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _create(path: str) -> None:
    """Makes the file, for this user alone, without opening it."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise StorageError(
            f"SQLite database {path!r}: there is no folder {folder!r}; create it, or choose another path"
        )
    if os.path.isdir(path):
        raise StorageError(f"SQLite database {path!r} is a folder; choose another path")
    if not os.path.exists(path):
        with suppress(OSError):  # what cannot be made here, SQLite will complain about
            if hasattr(os, "mknod"):
                os.mknod(path, 0o600 | stat.S_IFREG)


def _use_log(connection: sqlite3.Connection) -> None:
    """Turns the write-ahead log on. Processes that open a new file at once may find it locked: they try again."""
    pause = threading.Event()
    for remaining in reversed(range(200)):
        try:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if mode != "wal":
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if not is_busy(error) or not remaining:
                raise
            pause.wait(0.05)
    else:
        raise AssertionError
    if mode != "wal":
        raise StorageError(
            f"SQLite keeps journal mode {mode!r} here: the file system cannot share memory (a network one?)"
        )
