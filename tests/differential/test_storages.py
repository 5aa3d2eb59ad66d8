"""Every storage against the memory storage, operation by operation (see `perdure.testing.stateful`).

The default run is short and always the same; `PERDURE_EXAMPLES=5000` makes it long and random.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from perdure.storage import Storage
from perdure.storage.memory import MemoryStorage
from perdure.storage.moving import move
from perdure.storage.postgres import PostgresStorage
from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.postgres import Server
from perdure.testing.stateful import StorageMachine, against

pytestmark = pytest.mark.timeout(1800)
"""A run that holds takes seconds; one that fails is shrunk for minutes, so that it can be read."""

EXAMPLES = int(os.environ.get("PERDURE_EXAMPLES", "0"))
COMMON = {
    "enqueue: done", "enqueue: met", "enqueue: conflict", "claim: done",
    "commit: lost", "commit: running", "commit: waiting", "commit: pending", "commit: completed", "commit: failed",
    "signal: None", "signal: pending", "signal: running", "cancel: None", "cancel: running", "cancel: cancelled",
    "retry: None", "retry: pending", "forget: none", "drain: True", "drain: False", "prune: some", "prune: none",
    "reclaim: nothing", "reclaim: released", "complete: first", "complete: stood", "complete: woke",
    "tree: finalized",
}  # fmt: skip
"""Answers that every run of some length must have seen."""


def hold(machine: type[StorageMachine], examples: int, expected: set[str]) -> None:
    """Runs the machine, and sees that what is expected came up."""
    profile = settings(
        max_examples=EXAMPLES or examples,
        stateful_step_count=50,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)
    assert expected - machine.tally.keys() == set()


def test_memory_against_itself() -> None:
    hold(against(MemoryStorage), 15, set())


def test_sqlite_in_memory() -> None:
    hold(against(lambda: SQLiteStorage(":memory:")), 100, COMMON)


def test_sqlite_in_a_file_that_is_reopened(tmp_path: Path) -> None:
    numbers = count()

    def reopened(storage: Storage) -> Storage:
        assert isinstance(storage, SQLiteStorage)
        storage.close()
        return SQLiteStorage(storage.path)

    hold(against(lambda: SQLiteStorage(str(tmp_path / f"{next(numbers)}.db")), reopened), 15, set())


@pytest.fixture
def fresh(postgres_server: Server, postgres_template: str) -> Iterator[Callable[[], str]]:
    """Makes databases, each example its own: the one before is dropped when the next is made, the last one with the test."""
    made: list[str] = []

    def make() -> str:
        if made:
            postgres_server.drop(made.pop())
        made.append(postgres_server.create(postgres_template))
        return made[0]

    yield make
    for url in made:
        postgres_server.drop(url)


@pytest.mark.parametrize("prepare", ["off", "on"])
def test_postgres(fresh: Callable[[], str], prepare: str) -> None:
    url = ""

    def new() -> PostgresStorage:
        nonlocal url
        url = f"{fresh()}?prepare={prepare}"
        return PostgresStorage(url)

    def reopened(storage: Storage) -> Storage:
        assert isinstance(storage, PostgresStorage)
        storage.close()
        return PostgresStorage(url)

    hold(
        against(new, reopened), 30, COMMON - {"complete: stood", "complete: woke"}
    )  # so few examples may not meet them


def rows(storage: SQLiteStorage | PostgresStorage, statement: str, *given: Sequence[Any]) -> list[Any]:
    """Past the contract: what a statement answers, or puts in. `%s` stands for each value."""
    if isinstance(storage, SQLiteStorage):
        with closing(sqlite3.connect(storage.path)) as connection, connection:
            if given:
                connection.executemany(statement.replace("%s", "?"), given)
                return []
            return connection.execute(statement).fetchall()
    parameters = {**storage.place.parameters, "options": "-c search_path=perdure"}
    with psycopg.connect(**parameters) as shell, shell.cursor() as cursor:
        if given:
            cursor.executemany(cast("LiteralString", statement), given)
            return []
        return cursor.execute(cast("LiteralString", statement)).fetchall()


WORKERS = "id, host, process, version, queues, tasks, concurrency, started_at, lease_until, draining"


def moved_on(storage: Storage, there: SQLiteStorage | PostgresStorage) -> Storage:
    """The same store elsewhere. Workers stay where they are; the model's did not move, so they are carried after it."""
    assert isinstance(storage, SQLiteStorage | PostgresStorage)
    move(storage, there, 0, lambda *_: None)
    if workers := rows(storage, f"SELECT {WORKERS} FROM workers"):
        nobody = "boot_id, inode" if isinstance(there, SQLiteStorage) else "session, session_process"
        places = ", ".join(["%s"] * len(workers[0]))
        rows(there, f"INSERT INTO workers ({WORKERS}, {nobody}) VALUES ({places}, '', 0)", *workers)
    storage.close()
    return there


def test_sqlite_moved_to_another_file(tmp_path: Path) -> None:
    """A store that was copied answers everything as if it had always stood there."""
    numbers = count()

    def new() -> SQLiteStorage:
        return SQLiteStorage(str(tmp_path / f"{next(numbers)}.db"))

    hold(against(new, lambda storage: moved_on(storage, new())), 15, set())


def test_moved_from_a_file_to_a_server_and_back(tmp_path: Path, fresh: Callable[[], str]) -> None:
    """And so on, to and fro."""
    numbers = count()

    def file() -> SQLiteStorage:
        return SQLiteStorage(str(tmp_path / f"{next(numbers)}.db"))

    def elsewhere(storage: Storage) -> Storage:
        if isinstance(storage, PostgresStorage):
            return moved_on(storage, file())
        return moved_on(storage, PostgresStorage(fresh()))

    hold(against(file, elsewhere), 5, set())
