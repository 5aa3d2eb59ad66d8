"""Sealing a file: triggers that refuse every change, for this program, older ones and people with a shell alike.

They cost nothing while they are not there, and no statement of ours has to ask. See `perdure.storage.moving`.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from perdure.storage._sql.transfer import GUARDED, SEALED

_TRIGGERS: Final = {
    f"sealed_{table}_{verb.lower()}": f"BEFORE {verb} ON {table}"
    for table in GUARDED
    for verb in ("INSERT", "UPDATE", "DELETE")
}


def seal(connection: sqlite3.Connection) -> None:
    """Inside a transaction; does nothing where it is done."""
    for name, when in _TRIGGERS.items():
        connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {when} BEGIN SELECT raise(ABORT, '{SEALED}'); END")


def unseal(connection: sqlite3.Connection) -> None:
    """Inside a transaction; does nothing where it is done."""
    for name in _TRIGGERS:
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")


def is_sealed(connection: sqlite3.Connection) -> bool:
    """Whether all triggers stand."""
    found = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'sealed\\_%' ESCAPE '\\'"
    )
    return int(found.fetchone()[0]) == len(_TRIGGERS)
