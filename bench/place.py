"""Where a cell's data stands: an SQLite file in its folder, or a database of its own on a Postgres server.

The server is one for the whole run, started by `python -m bench --on postgres`; cells and their workers find it by an
environment variable. Nothing here is timed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SERVER = "PERDURE_BENCH_POSTGRES"
PROCESS = "PERDURE_BENCH_POSTGRES_PROCESS"
LOG = "PERDURE_BENCH_POSTGRES_LOG"
"""The URL of the server, the number of its first process, and its log."""
TICKS = os.sysconf("SC_CLK_TCK")


def on_postgres() -> bool:
    """Which of the two."""
    return SERVER in os.environ


def database_name() -> str:
    """For tables of results."""
    return "Postgres" if on_postgres() else "SQLite"


def url(where: Path, name: str = "bench") -> str:
    """The URL of a database in a cell's place; on Postgres the names are schemas, or databases, of their own."""
    if not on_postgres():
        return f"sqlite:///{where}/{name}.db"
    return urlsplit(os.environ[SERVER])._replace(path=f"/{_database(where, name)}").geturl()


def connect(where: Path, name: str = "bench", schema: str = "perdure") -> Any:
    """A connection of the plain driver, each statement a commit."""
    if not on_postgres():
        return sqlite3.connect(where / f"{name}.db", isolation_level=None)
    import psycopg

    return psycopg.connect(url(where, name), autocommit=True, options=f"-c search_path={schema}")


@contextmanager
def databases(where: Path, *names: str) -> Generator[None]:
    """Makes what a cell in this folder needs, and removes it."""
    if not on_postgres():
        yield
        return
    for name in names:
        _execute(f'CREATE DATABASE "{_database(where, name)}"')
    try:
        yield
    finally:
        for name in names:
            _execute(f'DROP DATABASE IF EXISTS "{_database(where, name)}" WITH (FORCE)')


def server_version() -> str:
    """The server's own words."""
    import psycopg

    with psycopg.connect(os.environ[SERVER], autocommit=True) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else ""


def log_statements(where: Path, name: str) -> None:
    """Has the server log what later connections to a database say."""
    _execute(f"ALTER DATABASE \"{_database(where, name)}\" SET log_statement = 'all'")


def server_cpu() -> float:
    """CPU seconds of the server's processes so far, those that have ended included; 0 without a server (Linux)."""
    first = int(os.environ.get(PROCESS, "0"))
    if not first:
        return 0.0
    spent = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            own = int(entry.name) == first
            if own or int(fields[1]) == first:
                spent += sum(map(int, fields[11 : 15 if own else 13]))
    return spent / TICKS


def _database(where: Path, name: str) -> str:
    return f"{where.name}_{name}".lower()


def _execute(statement: str) -> None:
    import psycopg

    with psycopg.connect(os.environ[SERVER], autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
