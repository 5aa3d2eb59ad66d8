"""Migrations: numbered scripts that bring a schema up to date, each applied once, in one transaction.

What was applied is kept with a checksum, and a script that was changed afterwards is an error, not a surprise. A schema
one version newer than this program is used as it is (old and new workers run side by side during a deploy, so a
migration may only add what its predecessor can overlook); one newer still is refused.

The runner sees a database only through `Ledger`, inside a transaction that keeps other processes out. It must never
change anything outside that transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Protocol

import msgspec

from perdure.errors import StorageError

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_COMMENT = re.compile(r"--[^\n]*")


class Migration(msgspec.Struct, frozen=True):
    """One script; `checksum` is over its text without comments and blanks."""

    version: int
    name: str
    text: str
    checksum: str


class Ledger(Protocol):
    """What the runner needs of a database."""

    def applied(self) -> dict[int, str]:
        """The checksums of applied migrations by version; empty before the first."""
        ...

    def apply(self, migration: Migration, now: int) -> None:
        """Runs a script and notes it."""
        ...


@cache
def load(package: str) -> tuple[Migration, ...]:
    """The migrations of a package, in order. Raises `ValueError` for a gap in their numbers."""
    found = [(match, entry) for entry in files(package).iterdir() if (match := _NAME.fullmatch(entry.name))]
    read = sorted((_read(int(match[1]), match[2], entry.read_text("utf-8")) for match, entry in found), key=_version)
    if [migration.version for migration in read] != list(range(1, len(read) + 1)) or not read:
        raise ValueError(f"the migrations of {package} are not numbered from 0001 without a gap")
    return tuple(read)


def migrate(ledger: Ledger, migrations: Sequence[Migration], now: int) -> int:
    """Applies what is missing and answers the schema's version. Raises `StorageError`."""
    applied = ledger.applied()
    version = check(applied, migrations)
    for migration in migrations[version:]:
        ledger.apply(migration, now)
    return max(version, len(migrations))


def check(applied: dict[int, str], migrations: Sequence[Migration]) -> int:
    """The version of a schema that this program can use; raises `StorageError` for one that it cannot."""
    version, known = max(applied, default=0), len(migrations)
    if version > known + 1:
        raise StorageError(
            f"the database has schema version {version}, this perdure knows {known}: it was opened by a newer release; "
            f"upgrade perdure here"
        )
    for migration in migrations[:version]:
        if applied.get(migration.version) != migration.checksum:
            raise StorageError(
                f"migration {migration.version:04} {migration.name!r} of the database is not the one of this perdure: "
                f"the schema was changed by hand, or comes from a build that was never released"
            )
    return version


def script(migrations: Sequence[Migration]) -> str:
    """All migrations as one text, for reading or for running by hand."""
    return "\n".join(f"-- {each.version:04} {each.name} ({each.checksum})\n\n{each.text}" for each in migrations)


def statements(text: str) -> list[str]:
    """The statements of a script. A semicolon ends a statement, so no text in a migration may hold one."""
    return [part.strip() for part in _COMMENT.sub("", text).split(";") if part.strip()]


def _read(version: int, name: str, text: str) -> Migration:
    essence = " ".join(_COMMENT.sub("", text).split())
    return Migration(version, name, text, sha256(essence.encode()).hexdigest()[:16])


def _version(migration: Migration) -> int:
    return migration.version
