"""Looking at a storage from outside, before it is used: is it there, does its schema fit, is all well with it?

For commands that must neither make nor migrate what they look at, and for the check-up. A storage that this module does not
know answers that nothing is known of it; it is used as it is. Nothing here changes a storage.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec

from perdure.clock import CLOCK_DIFFERS
from perdure.errors import StorageError
from perdure.storage._sql import migrations
from perdure.storage._sql.storage import PlannedStorage
from perdure.storage.memory import MemoryStorage
from perdure.storage.moving import Movable
from perdure.storage.protocol import Storage
from perdure.storage.sqlite import SQLiteStorage

Level = Literal["ok", "warn", "bad"]
SEAL: Final = "sealed"
STANDBY: Final = "standby"
"""Names of findings."""
LARGE_LOG: Final = 256 * 1024 * 1024
STANDBY_LAGS: Final = 10_000
"""Milliseconds."""
OLD_SNAPSHOT: Final = 1_000_000
"""Transactions."""


class Schema(msgspec.Struct, frozen=True):
    """Where a schema stands. `version` is that of the store (0: none yet), `known` that of this program, `pending` the
    names of migrations still to come."""

    version: int
    known: int
    pending: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True):
    """A line of a check-up: what was looked at, how it is, and what to do."""

    level: Level
    name: str
    detail: str
    advice: str = ""


def lives_here(storage: Storage) -> bool:
    """Whether it exists only inside the process that made it."""
    return isinstance(storage, MemoryStorage) or (isinstance(storage, SQLiteStorage) and storage.path == ":memory:")


def missing(storage: Storage) -> str | None:
    """What is not there: the path of a file that does not exist; `None` where it does, or nobody can tell."""
    if isinstance(storage, SQLiteStorage) and storage.path != ":memory:" and not os.path.exists(storage.path):
        return storage.path
    return None


def schema(storage: Storage) -> Schema | None:
    """Its schema's version, read without migrating. Raises `StorageError` where it cannot be opened or is too new."""
    if not isinstance(storage, PlannedStorage):
        return None
    known = migrations.load(storage.migrations_package)
    version = 0 if missing(storage) else storage.schema_version()
    if version > len(known) + 1:
        raise StorageError(f"the store has schema version {version}, this perdure knows {len(known)}: upgrade perdure")
    return Schema(version, len(known), tuple(f"{each.version:04} {each.name}" for each in known[version:]))


def script(storage: Storage) -> str | None:
    """The whole schema as SQL, for reading or for running by hand; `None` for a storage without one."""
    return storage.sql_script() if isinstance(storage, PlannedStorage) else None


def findings(storage: Storage) -> list[Finding]:
    """What a check-up of the store itself found, beside what it holds. Raises `StorageError` when it cannot be opened."""
    if isinstance(storage, SQLiteStorage):
        return [*_seal(storage), *_sqlite(storage)]
    if isinstance(storage, PlannedStorage):
        storage.listen(lambda: None)
        seal = _seal(cast("Movable", storage)) if storage.schema_version() else []
        return [*seal, *server_findings(storage.status())]
    return [Finding("ok", "storage", type(storage).__name__)]


def _sqlite(storage: SQLiteStorage) -> list[Finding]:
    storage.listen(lambda: None)
    known = storage.status()
    return [
        _version(str(known["sqlite_version"]), bool(known["wal_reset_bug"])),
        _journal_mode(str(known["journal_mode"])),
        _mode(storage.path),
        _folder(storage.path),
        _log(int(str(known["wal_bytes"] or 0))),
        _locks(bool(known["locks_work"])),
        _hints(bool(known["hints_work"])),
    ]


def _seal(storage: Movable) -> list[Finding]:
    if not storage.sealed():
        return []
    advice = "use the other store; if there is none"
    return [Finding("bad", SEAL, "moved away by `perdure copy`, takes no changes any more", advice)]


def _version(version: str, affected: bool) -> Finding:
    if affected:
        return Finding(
            "ok", "SQLite", f"{version}, which has the WAL-reset bug; checkpoints run only under the write lock here",
            "other programs must not write this file with an SQLite before 3.51.3",
        )  # fmt: skip
    return Finding("ok", "SQLite", f"{version}, without the WAL-reset bug")


def _journal_mode(mode: str) -> Finding:
    if mode == "wal":
        return Finding("ok", "journal mode", "wal")
    return Finding("bad", "journal mode", mode, "stop what else uses the file; perdure sets wal when it opens it")


def _mode(path: str) -> Finding:
    found = os.stat(path)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return Finding(
            "warn", "file mode", f"{mode:03o}: others on this host can read or write it", f"chmod 600 {path}"
        )
    return Finding("ok", "file mode", f"{mode:03o}, {found.st_size:,} bytes")


def _folder(path: str) -> Finding:
    folder = os.path.dirname(path)
    if os.access(folder, os.W_OK):
        return Finding("ok", "folder", folder)
    return Finding("bad", "folder", f"{folder} is not writable", "the log and the locks stand beside the file")


def _log(size: int) -> Finding:
    if size > LARGE_LOG:
        return Finding("warn", "log", f"{size:,} bytes are not in the file yet", "look for a reader that never ends")
    return Finding("ok", "log", f"{size:,} bytes")


def _locks(work: bool) -> Finding:
    if work:
        return Finding("ok", "locks", "a dead worker of this host is seen at once")
    return Finding("warn", "locks", "file locks do not exclude here", "dead workers are noticed when their lease ends")


def _hints(work: bool) -> Finding:
    if work:
        return Finding("ok", "hints", "processes of this host tell each other of changes")
    return Finding("warn", "hints", "no socket can be had beside the file", "changes are found by asking every 50 ms")


def server_findings(known: Mapping[str, object]) -> list[Finding]:
    """What a server says of itself, as a PostgreSQL storage reports it (`status`)."""
    behind = known.get("standby_behind")
    return [
        Finding("ok", "PostgreSQL", str(known["server_version"])),
        _server_hints(bool(known["hints"]), bool(known["hints_work"]), bool(known.get("listen_url")))
        if behind is None
        else _standby(int(str(behind))),
        _server_clock(int(str(known["clock_ahead"]))),
        _snapshots(int(str(known["oldest_snapshot"]))),
    ]


def _server_hints(wanted: bool, work: bool, own_url: bool) -> Finding:
    if not wanted:
        return Finding("ok", "hints", "off: changes of others are found by looking, dead workers when their lease ends")
    if work:
        return Finding("ok", "hints", "LISTEN was tried out: processes tell each other of changes, the dead are seen")
    if own_url:
        return Finding(
            "warn", "hints", "LISTEN is accepted at listen_url, but nothing arrives: another database, or a pooler",
            "listen_url must lead to the same database as the URL, on the server itself, past every pooler",
        )  # fmt: skip
    return Finding(
        "warn", "hints", "LISTEN is accepted, but nothing arrives: a pooler stands in between",
        "give listen_url=postgresql://… a direct connection, or say hints=off; work is found by looking until then",
    )  # fmt: skip


def _standby(behind: int) -> Finding:
    if behind > STANDBY_LAGS:
        detail = f"only reads, and stands where the primary stood {behind / 1000:,.0f} s ago"
        return Finding("warn", STANDBY, detail, "look at pg_stat_replication on the primary; ask it where it matters")
    return Finding("ok", STANDBY, "only reads: for list, show, search; workers and clients need the primary")


def _server_clock(ahead: int) -> Finding:
    if abs(ahead) > CLOCK_DIFFERS:
        side = "ahead of" if ahead > 0 else "behind"
        detail = f"the server's clock is {abs(ahead) / 1000:,.1f} s {side} this host's"
        return Finding("warn", "server clock", detail, "set the clocks of all hosts by NTP: due times follow them")
    return Finding("ok", "server clock", f"agrees with this host's within {CLOCK_DIFFERS / 1000:g} s")


def _snapshots(age: int) -> Finding:
    if age > OLD_SNAPSHOT:
        detail = f"a session holds a snapshot that is {age:,} transactions old"
        return Finding(
            "warn", "vacuum", detail, "look for idle transactions in pg_stat_activity: tables grow meanwhile"
        )
    return Finding("ok", "vacuum", "no session holds an old snapshot")
