"""Moving a store, within a database and from one to the other: sealed, complete, and safe to interrupt. What moved behaves
as before: see tests/differential."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from perdure.errors import StorageError
from perdure.storage._sql import transfer
from perdure.storage.check import check
from perdure.storage.moving import move, moved_before
from perdure.storage.postgres import PostgresStorage
from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.conformance.hand import DONE, START, Hand, activity
from perdure.testing.postgres import Server

Store = SQLiteStorage | PostgresStorage
Opening = Callable[[], Store]
WAYS = ["sqlite-sqlite", "sqlite-postgres", "postgres-sqlite", "postgres-postgres"]


def unseen(table: str, done: int, total: int) -> None:
    """Nobody looks at the progress."""


KILLED = """
import os, signal, sys
from perdure.storage.moving import move
from perdure.storage.opening import open_storage

def die(table, done, total):
    if table == sys.argv[3] and done == total:
        os.kill(os.getpid(), signal.SIGKILL)

move(open_storage(sys.argv[1]), open_storage(sys.argv[2]), 0, die)
"""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """From what to what."""
    there, _, here = request.param.partition("-")
    return there, here


@pytest.fixture
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Callable[[str], Store]]:
    """Makes new stores of a kind."""
    made: list[Store] = []
    ends: list[Callable[[], None]] = []

    def open_one(kind: str) -> Store:
        if kind == "sqlite":
            made.append(SQLiteStorage(str(tmp_path / f"{len(made)}.db")))
        else:
            server: Server = request.getfixturevalue("postgres_server")
            url = server.create(request.getfixturevalue("postgres_template"))
            ends.append(lambda: server.drop(url))
            made.append(PostgresStorage(url))
            urls[made[-1]] = url
        made[-1].migrate(0)
        return made[-1]

    urls.clear()
    yield open_one
    for storage in made:
        storage.close()
    for end in ends:
        end()


urls: dict[Store, str] = {}
"""Of those on the server."""


def url_of(storage: Store) -> str:
    return f"sqlite:///{storage.path}" if isinstance(storage, SQLiteStorage) else urls[storage]


def again(storage: Store) -> Store:
    """The same store, opened once more."""
    return type(storage)(storage.path if isinstance(storage, SQLiteStorage) else urls[storage])


@pytest.fixture
def opened(way: tuple[str, str], opening: Callable[[str], Store]) -> Opening:
    """Makes new destinations."""
    return lambda: opening(way[1])


@pytest.fixture
def full(way: tuple[str, str], opening: Callable[[str], Store]) -> Store:
    """A store with more than a page of executions, one of which runs, one with a journal and one with a signal."""
    storage = opening(way[0])
    hand = Hand(storage)
    hand.beat("w1")
    hand.add(*(f"e{number:04}" for number in range(transfer.PAGE + 5)))
    hand.start("e0000")
    hand.commit("e0000", entries=[activity("act:1")])
    hand.send("e0001", "yes", "s1")
    return storage


def test_nothing_can_be_changed_at_the_source_any_more(full: Store, opened: Opening) -> None:
    move(full, opened(), START, unseen)
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


def test_what_was_running_starts_again_at_the_destination(full: Store, opened: Opening) -> None:
    destination = opened()
    assert move(full, destination, START, unseen) == full.sizes()
    there = Hand(destination)
    there.beat("w2")
    destination.reclaim(there.now)
    assert there.start("e0000", "w2") > 1
    assert there.keys("e0000") == ["act:1"]
    assert check(destination) == []


@pytest.mark.parametrize("table", ["executions", "journal", "externals"])
def test_killed_while_copying_the_same_call_goes_on(full: Store, opened: Opening, table: str) -> None:
    destination = opened()
    done = subprocess.run([sys.executable, "-c", KILLED, url_of(full), url_of(destination), table], check=False)
    assert done.returncode == -signal.SIGKILL
    assert full.sealed()
    assert set(destination.sizes().values()) == {0}
    assert move(full, destination, START, unseen) == destination.sizes()


def test_when_copying_fails_the_source_goes_on(full: Store, opened: Opening) -> None:
    def out_of_patience(table: str, done: int, _: int) -> None:
        if table == "journal" and done:
            raise KeyboardInterrupt

    destination = opened()
    with pytest.raises(KeyboardInterrupt):
        move(full, destination, START, out_of_patience)
    assert set(destination.sizes().values()) == {0}
    Hand(full).add("after")
    assert Hand(full).status("after") == ["pending"]


def test_where_all_may_have_arrived_the_source_stays_sealed(
    full: Store, opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks during the commit: nobody knows whether it happened."""
    destination = opened()
    real = destination.transaction

    @contextmanager
    def cut() -> Generator[None]:
        with real():
            yield
        raise StorageError("the connection broke", retryable=True)

    monkeypatch.setattr(destination, "transaction", cut)
    with pytest.raises(StorageError, match="broke; the source stays sealed"):
        move(full, destination, START, unseen)
    assert full.sealed()
    assert destination.sizes() == full.sizes()


def test_a_connection_that_breaks_while_a_server_is_filled(opening: Callable[[str], Store]) -> None:
    """What was put in is not kept to be put in again: it may be all there is."""
    source, destination = opening("sqlite"), opening("postgres")
    Hand(source).add("a")

    def break_it(table: str, done: int, _: int) -> None:
        if table == "executions" and done:
            with closing(psycopg.connect(urls[destination], autocommit=True)) as shell:
                shell.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                              "AND datname = current_database()")  # fmt: skip

    with pytest.raises(StorageError, match="the source stays sealed"):
        move(source, destination, START, break_it)
    assert set(destination.sizes().values()) == {0}
    assert move(source, destination, START, unseen)["executions"] == 1


def test_of_two_at_the_same_time_one_is_refused(full: Store, opened: Opening) -> None:
    """Else the source would be moved to both, or opened again by the one while the other copies."""
    second = opened()
    seen: list[str] = []

    def another(table: str, done: int, _: int) -> None:
        if not done and not seen:
            with (
                closing(again(full)) as same,
                pytest.raises(StorageError, match="another copy of this store is under way"),
            ):
                move(same, second, START, unseen)
            seen.append(table)

    move(full, opened(), START, another)
    assert seen
    assert full.sealed()
    assert set(second.sizes().values()) == {0}


def test_only_an_empty_store_is_filled(full: Store, opened: Opening) -> None:
    other = opened()
    Hand(other).add("mine")
    with pytest.raises(StorageError, match=r"not empty \(1 executions\)"):
        move(full, other, START, unseen)
    assert not full.sealed()
    assert Hand(other).count() == 1


def test_not_twice_and_not_to_itself(full: Store, opened: Opening) -> None:
    with closing(again(full)) as itself, pytest.raises(StorageError, match="the source itself"):
        move(full, itself, START, unseen)
    assert not full.sealed()
    destination = opened()
    move(full, destination, START, unseen)
    with pytest.raises(StorageError, match="as many rows"):
        move(full, destination, START, unseen)
    assert full.sealed()


def test_a_complete_copy_is_known_also_once_it_went_on(full: Store, opened: Opening) -> None:
    hand = Hand(full)
    hand.add("settled", "again")
    hand.run("settled", DONE)
    hand.cancel("again")
    destination = opened()
    assert not moved_before(full, destination)
    move(full, destination, START, unseen)
    assert moved_before(full, destination)
    there = Hand(destination)
    there.beat("w2")
    destination.reclaim(there.now)
    there.start("e0000", "w2")
    there.commit("e0000", entries=[activity("act:2")])
    there.cancel("e0002")
    destination.retry(["again"], there.now)
    there.send("e0003", "yes", "s2")
    there.add("new")
    assert moved_before(full, destination)
    full.unseal()
    assert not moved_before(full, destination)


def _recorded(hand: Hand) -> None:
    hand.commit("e0000", entries=[activity("act:2")])


def _sent(hand: Hand) -> None:
    hand.send("e0003", "yes", "s2")


def _settled(hand: Hand) -> None:
    hand.cancel("e0002")


def _added(hand: Hand) -> None:
    hand.add("new")


def _asked_to_end(hand: Hand) -> None:
    hand.cancel("e0000")


@pytest.mark.parametrize("change", [_recorded, _sent, _settled, _added, _asked_to_end])
def test_an_older_copy_is_not_taken_for_a_complete_one(
    full: Store, opened: Opening, change: Callable[[Hand], None]
) -> None:
    older = opened()
    move(full, older, START, unseen)
    full.unseal()
    change(Hand(full))
    full.seal()
    assert not moved_before(full, older)
    assert not moved_before(full, opened())


def test_children_stay_in_their_order_and_numbers_go_on(full: Store, opened: Opening) -> None:
    """A parent has its children in the order in which it spawned them, here and there."""
    hand = Hand(full)
    hand.parent("p", "k3", "k1", "k2")
    destination = opened()
    move(full, destination, START, unseen)
    there = Hand(destination)
    there.beat("w2")
    destination.reclaim(there.now)
    there.start("p", "w2")
    there.commit("p", spawns=there.children("p", "k0"))
    assert [child.id for child in there.journal("p").children] == ["k3", "k1", "k2", "k0"]


def test_every_word_arrives(full: Store, opened: Opening) -> None:
    Hand(full).add(
        "odd",
        input='"\\u0000 ß 漢 \\ud83d\\ude00 \\\\"',
        tags='{"k":"v\'\\""}',
        trace="t\n",
        queue="größe",
        due_at=2**52,
    )
    destination = opened()
    move(full, destination, START, unseen)
    assert Hand(destination).row("odd") == Hand(full).row("odd")


def test_there_and_back(full: Store, opened: Opening, way: tuple[str, str], opening: Callable[[str], Store]) -> None:
    """Nothing changes on the way, were it twice."""
    there, back = opened(), opening(way[0])
    move(full, there, START, unseen)
    move(there, back, START, unseen)
    ids = Hand(full).find("", 1000)
    assert back.get(ids) == full.get(ids)
    assert back.journal(ids) == full.journal(ids)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_seal_is_for_people_with_a_shell_too(opening: Callable[[str], Store], kind: str) -> None:
    storage = opening(kind)
    Hand(storage).add("a")
    storage.seal()
    if isinstance(storage, SQLiteStorage):
        with closing(sqlite3.connect(storage.path)) as shell, pytest.raises(sqlite3.IntegrityError, match="moved"):
            shell.execute("DELETE FROM executions")
    else:
        for statement in ("DELETE FROM", "TRUNCATE"):
            with psycopg.connect(urls[storage]) as shell, pytest.raises(psycopg.Error, match="moved"):
                shell.execute(f"{statement} perdure.executions")  # type: ignore[arg-type]
    storage.unseal()
    assert not storage.sealed()
    Hand(storage).add("b")


def test_every_table_is_copied_or_named_as_staying(opening: Callable[[str], Store]) -> None:
    storage = opening("sqlite")
    assert isinstance(storage, SQLiteStorage)
    with closing(sqlite3.connect(storage.path)) as shell:
        tables = {name for (name,) in shell.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {table.name for table in transfer.TABLES} | set(transfer.STAYING)
        shell.row_factory = sqlite3.Row
        for table in transfer.TABLES:
            columns = [row["name"] for row in shell.execute(f"PRAGMA table_info({table.name})")]
            assert filled("sqlite", table.name) == columns


def test_every_table_of_a_server_is_too(opening: Callable[[str], Store]) -> None:
    with psycopg.connect(urls[opening("postgres")]) as shell:
        found = shell.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'perdure' "
            "ORDER BY table_name, ordinal_position"
        ).fetchall()
    assert {table for table, _ in found} == {table.name for table in transfer.TABLES} | set(transfer.STAYING)
    for table in transfer.TABLES:
        columns = [column for name, column in found if name == table.name]
        assert set(filled("postgres", table.name)) | {"seq", "place"} >= set(columns)


def filled(kind: str, table: str) -> list[str]:
    """The columns that a moved row is given."""
    text = Path(transfer.__file__).parents[1].joinpath(f"{kind}/sql/fill_{table}.sql").read_text()
    return [
        column.strip() for column in text.partition("INSERT INTO")[2].partition("(")[2].partition(")")[0].split(",")
    ]
