"""Moving a store: sealed, complete, and safe to interrupt. What moved behaves as before: see tests/differential."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from perdure.errors import StorageError
from perdure.storage._sql import transfer
from perdure.storage.check import check
from perdure.storage.moving import move
from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.conformance.hand import START, Hand, activity

Opening = Callable[[str], SQLiteStorage]


def unseen(table: str, done: int, total: int) -> None:
    """Nobody looks at the progress."""


KILLED = """
import os, signal, sys
from perdure.storage.moving import move
from perdure.storage.sqlite import SQLiteStorage

def die(table, done, total):
    if table == sys.argv[3] and done == total:
        os.kill(os.getpid(), signal.SIGKILL)

move(SQLiteStorage(sys.argv[1]), SQLiteStorage(sys.argv[2]), 0, die)
"""


@pytest.fixture
def opened(tmp_path: Path) -> Generator[Opening]:
    made: list[SQLiteStorage] = []

    def opening(name: str) -> SQLiteStorage:
        made.append(SQLiteStorage(str(tmp_path / name)))
        made[-1].migrate(0)
        return made[-1]

    yield opening
    for storage in made:
        storage.close()


@pytest.fixture
def full(opened: Opening) -> SQLiteStorage:
    """A store with more than a page of executions, one of which runs, one with a journal and one with a signal."""
    storage = opened("full.db")
    hand = Hand(storage)
    hand.beat("w1")
    hand.add(*(f"e{number:04}" for number in range(transfer.PAGE + 5)))
    hand.start("e0000")
    hand.commit("e0000", entries=[activity("act:1")])
    hand.send("e0001", "yes", "s1")
    return storage


def test_nothing_can_be_changed_at_the_source_any_more(full: SQLiteStorage, opened: Opening) -> None:
    move(full, opened("new.db"), START, unseen)
    hand = Hand(full)
    for change in (
        lambda: hand.add("new"),
        lambda: hand.commit("e0000", entries=[activity("act:2")]),
        lambda: hand.send("e0001", "yes", "s2"),
        lambda: hand.cancel("e0002"),
        lambda: hand.claim(),
        lambda: hand.beat("w1"),
    ):
        with pytest.raises(StorageError, match="moved to another store"):
            change()
    assert hand.row("e0000").status == "running"


def test_what_was_running_starts_again_at_the_destination(full: SQLiteStorage, opened: Opening) -> None:
    destination = opened("new.db")
    assert move(full, destination, START, unseen) == full.sizes()
    there = Hand(destination)
    there.beat("w2")
    destination.reclaim(there.now)
    assert there.start("e0000", "w2") > 1
    assert there.keys("e0000") == ["act:1"]
    assert check(destination) == []


@pytest.mark.parametrize("table", ["executions", "journal", "externals"])
def test_killed_while_copying_the_same_call_goes_on(full: SQLiteStorage, opened: Opening, table: str) -> None:
    destination = opened("new.db")
    done = subprocess.run([sys.executable, "-c", KILLED, full.path, destination.path, table], check=False)
    assert done.returncode == -signal.SIGKILL
    assert full.sealed()
    assert set(destination.sizes().values()) == {0}
    assert move(full, destination, START, unseen) == destination.sizes()


def test_when_copying_fails_the_source_goes_on(full: SQLiteStorage, opened: Opening) -> None:
    def out_of_patience(table: str, done: int, _: int) -> None:
        if table == "journal" and done:
            raise KeyboardInterrupt

    destination = opened("new.db")
    with pytest.raises(KeyboardInterrupt):
        move(full, destination, START, out_of_patience)
    assert set(destination.sizes().values()) == {0}
    Hand(full).add("after")
    assert Hand(full).status("after") == ["pending"]


def test_only_an_empty_store_is_filled(full: SQLiteStorage, opened: Opening) -> None:
    other = opened("other.db")
    Hand(other).add("mine")
    with pytest.raises(StorageError, match=r"not empty \(1 executions\)"):
        move(full, other, START, unseen)
    assert not full.sealed()
    assert Hand(other).count() == 1


def test_not_twice_and_not_to_itself(full: SQLiteStorage, opened: Opening) -> None:
    with pytest.raises(StorageError, match="the source itself"):
        move(full, SQLiteStorage(full.path), START, unseen)
    assert not full.sealed()
    destination = opened("new.db")
    move(full, destination, START, unseen)
    with pytest.raises(StorageError, match="copied before"):
        move(full, destination, START, unseen)
    assert full.sealed()


def test_a_seal_is_for_people_with_a_shell_too(full: SQLiteStorage) -> None:
    full.seal()
    with closing(sqlite3.connect(full.path)) as shell, pytest.raises(sqlite3.IntegrityError, match="moved"):
        shell.execute("DELETE FROM executions")


def test_every_table_is_copied_or_named_as_staying(full: SQLiteStorage) -> None:
    with closing(sqlite3.connect(full.path)) as shell:
        tables = {name for (name,) in shell.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {table.name for table in transfer.TABLES} | set(transfer.STAYING)
        for table in transfer.TABLES:
            shell.row_factory = sqlite3.Row
            columns = [row["name"] for row in shell.execute(f"PRAGMA table_info({table.name})")]
            text = Path(transfer.__file__).parents[1].joinpath(f"sqlite/sql/fill_{table.name}.sql").read_text()
            given = text.partition("(")[2].partition(")")[0]
            assert [column.strip() for column in given.split(",")] == columns
