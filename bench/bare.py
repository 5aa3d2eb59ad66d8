"""The bare database: what SQLite itself does through Python's `sqlite3`, in WAL with `synchronous=FULL`."""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path

from bench.cell import percentile, stretch

AT_ONCE = 500
TEXT = "a small piece of text, as an argument of a task may be, some ninety bytes with what is around"


def table(where: Path) -> sqlite3.Connection:
    """A table of an id, a name, a time and a text."""
    connection = sqlite3.connect(where / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT, due_at INTEGER, input TEXT)")
    return connection


def rows(count: int) -> list[tuple[str, str, int, str]]:
    """Rows for it, in order of their ids."""
    return [(f"{number:012x}-{uuid.uuid4()}"[:36], "noop", number, TEXT) for number in range(count)]


def single(where: Path, count: int) -> dict[str, float]:
    """One row, one commit, again and again."""
    connection, times = table(where), list[float]()
    with stretch() as watch:
        for row in rows(count):
            began = time.perf_counter()
            connection.execute("INSERT INTO item VALUES (?, ?, ?, ?)", row)
            times.append((time.perf_counter() - began) * 1000)
    return {**watch.rate(count), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def paced(where: Path, count: int, pause: float) -> dict[str, float]:
    """One commit, after a pause, so that everything has gone to sleep."""
    connection, times = table(where), list[float]()
    for row in rows(count):
        time.sleep(pause)
        began = time.perf_counter()
        connection.execute("INSERT INTO item VALUES (?, ?, ?, ?)", row)
        times.append((time.perf_counter() - began) * 1000)
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def batch(where: Path, count: int) -> dict[str, float]:
    """All rows in one transaction, some hundreds in each statement: the quickest way in."""
    connection, given = table(where), rows(count)
    places = ", ".join(["(?, ?, ?, ?)"] * AT_ONCE)
    with stretch() as watch:
        connection.execute("BEGIN IMMEDIATE")
        for start in range(0, count, AT_ONCE):
            values = [value for row in given[start : start + AT_ONCE] for value in row]
            connection.execute(f"INSERT INTO item VALUES {places}", values)
        connection.execute("COMMIT")
    return watch.rate(count)
