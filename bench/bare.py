"""The bare database: what SQLite does through Python's `sqlite3`, in WAL with `synchronous=FULL`, or Postgres through
psycopg."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from bench import place
from bench.cell import percentile, stretch

AT_ONCE = 500
TEXT = "a small piece of text, as an argument of a task may be, some ninety bytes with what is around"


def table(where: Path) -> Any:
    """A table of an id, a name, a time and a text."""
    connection = place.connect(where, schema="public")
    if not place.on_postgres():
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT, due_at INTEGER, input TEXT)")
    return connection


def inserting(count: int) -> str:
    """The statement that puts so many rows in."""
    mark = "%s" if place.on_postgres() else "?"
    return "INSERT INTO item VALUES " + ", ".join([f"({mark}, {mark}, {mark}, {mark})"] * count)


def rows(count: int) -> list[tuple[str, str, int, str]]:
    """Rows for it, in order of their ids."""
    return [(f"{number:012x}-{uuid.uuid4()}"[:36], "noop", number, TEXT) for number in range(count)]


def single(where: Path, count: int) -> dict[str, float]:
    """One row, one commit, again and again."""
    connection, times, text = table(where), list[float](), inserting(1)
    with stretch() as watch:
        for row in rows(count):
            began = time.perf_counter()
            connection.execute(text, row)
            times.append((time.perf_counter() - began) * 1000)
    return {**watch.rate(count), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def paced(where: Path, count: int, pause: float) -> dict[str, float]:
    """One commit, after a pause, so that everything has gone to sleep."""
    connection, times, text = table(where), list[float](), inserting(1)
    for row in rows(count):
        time.sleep(pause)
        began = time.perf_counter()
        connection.execute(text, row)
        times.append((time.perf_counter() - began) * 1000)
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def batch(where: Path, count: int) -> dict[str, float]:
    """All rows in one transaction, some hundreds in each statement: the quickest way in."""
    connection, given = table(where), rows(count)
    text = inserting(AT_ONCE)
    with stretch() as watch:
        connection.execute("BEGIN" if place.on_postgres() else "BEGIN IMMEDIATE")
        for start in range(0, count, AT_ONCE):
            values = [value for row in given[start : start + AT_ONCE] for value in row]
            connection.execute(text, values)
        connection.execute("COMMIT")
    return watch.rate(count)
