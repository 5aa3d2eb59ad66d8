"""What the server keeps prepared for a session, and what the driver believes it keeps: the two must never part for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from perdure.errors import StorageError
from perdure.model.records import Enqueued
from perdure.storage._sql.session import Session
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.link import Link
from perdure.storage.postgres.session import PostgresSession
from perdure.testing.conformance.hand import DONE, Hand, activity
from perdure.testing.postgres import Server, database

# pyright: reportPrivateUsage=false


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(f"{postgres_url}?hints=off&prepare=on&options=-c%20lock_timeout%3D50")
    opened.migrate(0)
    yield opened
    opened.close()


def link_of(storage: PostgresStorage) -> Link:
    """The only connection of a storage that one thread uses."""
    database = storage._database
    link = database.take()
    database.give(link)
    return link


@pytest.mark.parametrize("before", range(6))
def test_after_an_error_everything_works_again(storage: PostgresStorage, postgres_url: str, before: int) -> None:
    """Whatever was to be prepared behind the statement that failed."""
    hand = Hand(storage)
    storage.journal(["x"])
    for _ in range(before):
        hand.beat("w1")
    with psycopg.connect(postgres_url) as blocker:
        blocker.execute("LOCK TABLE perdure.workers IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StorageError, match="lock timeout"):
            hand.beat("w1")
    for _ in range(5):
        hand.beat("w1")
        storage.journal(["x"])


@pytest.mark.parametrize("before", range(6))
def test_a_beginning_that_fails(storage: PostgresStorage, before: int) -> None:
    """Of the transaction there is nothing to roll back then."""
    hand, database = Hand(storage), storage._database
    for _ in range(before):
        hand.beat("w1")
    link = database.take()
    with pytest.raises(psycopg.Error):  # it may come at once, or with the first answer
        link.begin(b"BEGIN ISOLATION LEVEL OF SOME OTHER KIND")
        link.session.read("has_entries", "x")
    link.roll_back()
    database.give(link)
    hand.beat("w1")


def test_what_is_a_single_statement_is_a_transaction_by_itself(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begins(link: Link) -> None:
        raise AssertionError("a transaction begins")

    hand = Hand(storage)
    hand.beat("w1")
    monkeypatch.setattr(Link, "_begin", begins)
    hand.add("a")
    assert hand.claimed("w1") == ["a"]
    assert hand.claimed("w1") == []
    hand.commit("a", entries=[activity("one")], token=1)
    assert hand.commit("a", DONE, token=1).status == "completed"
    assert hand.row("a").status == "completed"


def test_nothing_is_sent_to_a_session_that_ended(
    storage: PostgresStorage, postgres_server: Server, postgres_url: str
) -> None:
    """Where the answer to what commits breaks off nobody knows what came of it, and it would be an error."""
    hand = Hand(storage)
    hand.add("a")
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database(postgres_url)}'"
    )
    hand.add("b")
    assert hand.status("a", "b") == ["pending", "pending"]


def test_a_connection_that_is_new_is_not_looked_at(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each one is ended at once, another would be made for ever."""
    monkeypatch.setattr(Link, "stands", lambda link: False)
    assert storage.get(["x"]) == [None]


def test_a_column_whose_type_changed(storage: PostgresStorage, postgres_url: str) -> None:
    """As a migration may: the server refuses plans that it kept, be they of single statements, of others, or of reads."""
    hand = Hand(storage)
    hand.beat("w1")
    for _ in range(6):
        assert hand.claimed("w1") == []
        hand.add("a")
        assert hand.claimed("w1", ids=("a",)) in (["a"], [])
        assert hand.row("a").crashes == 1
    hand.add("b")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE perdure.executions ALTER COLUMN crashes TYPE bigint")
    assert hand.claimed("w1") == ["b"]
    hand.add("c")
    assert hand.claimed("w1", ids=("c",)) == ["c"]
    assert hand.row("c").crashes == 1


def test_a_single_statement_whose_answer_is_lost(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, for it may have happened; of a claim the worker hears so, and its heartbeat gives back what it does not
    hold."""
    hand, execute = Hand(storage), PostgresSession._execute
    hand.beat("w1")
    hand.add("a")

    def cut(session: PostgresSession, *given: Any) -> Any:
        execute(session, *given)
        session._connection.close()
        monkeypatch.undo()
        raise psycopg.OperationalError("the connection broke")

    monkeypatch.setattr(PostgresSession, "_execute", cut)
    with pytest.raises(StorageError, match="nobody knows"):
        hand.claim("w1")
    assert hand.status("a") == ["running"]
    hand.beat("w1", holding=())
    assert hand.status("a") == ["pending"]
    monkeypatch.setattr(PostgresSession, "_execute", cut)
    with pytest.raises(StorageError, match="nobody knows") as caught:
        hand.add("c")
    assert caught.value.retryable
    assert [each.created for each in hand.add("c") if isinstance(each, Enqueued)] == [False]


@pytest.mark.parametrize("error", [errors.LockNotAvailable, errors.QueryCanceled, errors.lookup("26000")])
def test_an_error_after_a_single_statement_repeats_nothing(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch, error: type[psycopg.Error]
) -> None:
    """A claim asks once more what may be expected; what it leased is leased by then."""
    hand, execute = Hand(storage), PostgresSession._execute
    hand.beat("w1")
    hand.add("a", "b")
    hand.add("later", due_at=hand.now + 1000)

    def failing(session: PostgresSession, cursor: Any, name: str, given: Any) -> Any:
        if name == "outlook":
            raise error("it failed")
        return execute(session, cursor, name, given)

    with monkeypatch.context() as patched, pytest.raises(StorageError, match="nobody knows") as caught:
        patched.setattr(PostgresSession, "_execute", failing)
        hand.claim("w1", 1)
    assert caught.value.retryable
    assert hand.status("a", "b") == ["running", "pending"]
    assert hand.claimed("w1") == ["b"]


def test_a_session_that_lost_what_was_prepared_is_replaced(storage: PostgresStorage) -> None:
    hand = Hand(storage)
    uses: tuple[Callable[[], object], ...] = (
        lambda: hand.beat("w1"), lambda: storage.get(["x"]), lambda: hand.add("a"), lambda: hand.claim("w1"),
    )  # fmt: skip
    for _ in range(6):
        for use in uses:
            use()
    for lost in uses:
        link_of(storage).connection.pgconn.exec_(b"DEALLOCATE ALL")
        lost()
        for _ in range(6):
            for use in uses:
                use()


@pytest.mark.parametrize("state", ["26000", "42P05"])
def test_where_it_happens_again_and_again_the_pooler_is_named(storage: PostgresStorage, state: str) -> None:
    def work(session: Session) -> None:
        raise errors.lookup(state)("prepared statement _pg3_2")

    for use in (storage._database.write, lambda work: storage._database.read(work, snapshot=False)):
        with pytest.raises(StorageError, match=r"pooler in between.*prepare=off") as caught:
            use(work)
        assert caught.value.retryable
