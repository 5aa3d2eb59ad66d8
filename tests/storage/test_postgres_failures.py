"""What goes wrong around a PostgreSQL server: each has a message that says what to do, and what can be mended by waiting is
mended by waiting."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
import pytest

from perdure.errors import ConfigurationError, StorageError
from perdure.model.execution import moment
from perdure.storage import inspection
from perdure.storage.inspection import server_findings
from perdure.storage.opening import open_storage
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.hints import NOBODY
from perdure.storage.postgres.link import check
from perdure.storage.postgres.place import checked_schema, place
from perdure.testing.conformance.hand import DONE, START, Hand, activity
from perdure.testing.postgres import Server, database, server
from tests.conftest import Roles


def changed(url: str, **parts: str) -> str:
    """A URL with other parts."""
    return urlsplit(url)._replace(**parts).geturl()


def refused(url: str, schema: str = "perdure") -> StorageError:
    """Why a store cannot be opened."""
    storage = PostgresStorage(url, schema)
    with pytest.raises(StorageError) as caught:
        storage.migrate(0)
    storage.close()
    return caught.value


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(f"{postgres_url}?hints=off")
    yield opened
    opened.close()


@pytest.fixture
def hand(storage: PostgresStorage) -> Hand:
    found = Hand(storage)
    found.beat("w1")
    return found


# -- URLs -------------------------------------------------------------------------------------------------------------


def test_what_a_url_may_say() -> None:
    url = "postgres://ann:secret@db.example:6432/shop?sslmode=require&schema=jobs&prepare=on"
    found = place(f"{url}&listen_url=postgresql://ann@direct/shop", "perdure")
    assert (found.schema, found.prepare, found.name) == ("jobs", True, "'shop' at db.example:6432")
    assert (found.parameters["sslmode"], found.parameters["port"], found.parameters["password"]) == (
        "require", "6432", "secret",
    )  # fmt: skip
    assert found.direct is not None
    assert (found.direct["host"], "sslmode" in found.direct) == ("direct", False)
    assert place("postgresql+psycopg://host/db?hints=off", "perdure").direct is None
    assert place("postgresql://one,two/db", "perdure").parameters["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://host:many/db", "cannot be read"),
        ("postgresql://host/db?color=red", "color.*postgresql://user:password@host:5432/database"),
        ("postgresql://host/db?hints=maybe", "hints='maybe'; it must be on or off"),
        ("postgresql://host/db?schema=a-b", "schema 'a-b' cannot be used"),
        ("postgresql://host/db?schema=pg_toast", "pg_"),
        ("postgresql://host/db?schema=order", "schema 'order' cannot be used.*choose another"),
        ("postgresql://host/db?schema=information_schema", "cannot be used.*choose another"),
        ('postgresql://host/db?schema=x";drop', "cannot be used"),
        ("postgresql://host/db?listen_url=postgresql://host:many/db", "cannot be read"),
        ("postgresql://ann:secret/db", "the port is no number"),
    ],
)
def test_wrong_urls(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["sec@ret", "sec#ret", "sec/ret", "sec?ret", "sec[ret", "1/sec@ret#", "sec?a=ret", "sec%ret"]
)
@pytest.mark.parametrize(
    "place", ["postgresql://{}@host/db?sslmode=require", "postgresql://h/db?listen_url=postgresql://{}@host/db"]
)
def test_a_password_that_is_not_encoded(password: str, place: str) -> None:
    """It is not shown, not even in part, and the message says how it is written."""
    with pytest.raises(ConfigurationError, match="in a password write @ as %40") as caught:
        open_storage(place.format(f"ann:{password}"))
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("perdure.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'perdure\[postgres\]'") as caught:
        open_storage("postgresql://ann:secret@host/db")
    assert "secret" not in str(caught.value)


# -- servers that cannot be used --------------------------------------------------------------------------------------


def test_nothing_listens() -> None:
    error = refused("postgresql://ann:secret@127.0.0.1:1/db")
    assert "start the server, or mend host and port" in str(error)
    assert "secret" not in str(error)
    assert error.retryable


def test_no_schema_has_a_reserved_name(postgres_server: Server) -> None:
    words = postgres_server.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert len(words) > 90
    for (word,) in words:
        with pytest.raises(ConfigurationError, match="cannot be used"):
            checked_schema(word)


def test_every_connection_is_taken() -> None:
    """Also where the last ones are kept for others."""
    with server(max_connections="5", superuser_reserved_connections="3") as own:
        own.execute("CREATE ROLE ann LOGIN")
        parts = urlsplit(own.url)
        url = changed(own.url, netloc=f"ann@{parts.hostname}:{parts.port}")
        taken: list[psycopg.Connection[tuple[object, ...]]] = []
        for _ in range(2):  # who made the role may be about to go
            with suppress(psycopg.OperationalError):
                while True:
                    taken.append(psycopg.connect(url))
        error = refused(url)
        assert "raise max_connections, or put a pooler in between" in str(error)
        assert error.retryable
        for each in taken:
            each.close()


def test_a_missing_database(postgres_url: str) -> None:
    error = refused(changed(postgres_url, path="/nowhere"))
    assert "no such database" in str(error)
    assert not error.retryable


def test_a_missing_user(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    error = refused(changed(postgres_url, netloc=f"nobody@{parts.hostname}:{parts.port}"))
    assert "there is no such user on this server" in str(error)
    assert not error.retryable


def test_a_server_without_encryption(postgres_url: str) -> None:
    error = refused(f"{postgres_url}?sslmode=require")
    assert "the server speaks no SSL: switch it on there, or say sslmode=prefer" in str(error)
    assert not error.retryable


def test_a_role_that_has_all_its_connections(roles: Roles, postgres_server: Server, empty_database: str) -> None:
    url = roles("narrow")
    postgres_server.execute(f"ALTER ROLE {database(empty_database)}_narrow CONNECTION LIMIT 1")
    with psycopg.connect(url):
        error = refused(url)
    assert "this user's limit is reached: ALTER ROLE" in str(error)
    assert error.retryable


def test_a_wrong_password(guarded: str) -> None:
    parts = urlsplit(guarded)
    for user, words in (("ann:wrong", "the password is wrong"), ("ann", "the URL has no password")):
        error = refused(changed(guarded, netloc=f"{user}@{parts.hostname}:{parts.port}"))
        assert words in str(error)
        assert not error.retryable
        assert "wrong@" not in str(error)


def reported(**given: str) -> dict[str, str]:
    return {"server_encoding": "UTF8", "in_hot_standby": "off"} | given


@pytest.mark.parametrize(
    ("version", "given", "words", "retryable"),
    [
        (130011, reported(), "version 13.11; perdure needs 14 or newer", False),
        (160000, reported(server_encoding="SQL_ASCII"), "ENCODING 'UTF8'", False),
    ],
)
def test_servers_of_the_wrong_kind(version: int, given: dict[str, str], words: str, retryable: bool) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        check("'db'", version, given.get)
    assert caught.value.retryable is retryable
    check("'db'", 140000, reported().get)


def test_a_database_that_only_reads(storage: PostgresStorage, postgres_server: Server, postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    postgres_server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    hand = Hand(storage)
    hand.add("a")  # our transactions say that they write
    assert storage.get(["a"])[0] is not None


def test_a_schema_of_something_else(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA perdure")
        connection.execute("CREATE TABLE perdure.workers (name text)")
    error = refused(empty_database)
    assert "'perdure' holds tables of something else (workers): choose another one with schema=" in str(error)
    other = PostgresStorage(empty_database, "jobs")
    assert other.migrate(0) == 1
    other.close()


def test_a_schema_that_is_missing(empty_database: str) -> None:
    storage = PostgresStorage(empty_database)
    with pytest.raises(StorageError, match="`perdure migrate` makes"):
        storage.get(["a"])
    assert storage.schema_version() == 0
    storage.close()


def test_a_schema_that_is_too_new(storage: PostgresStorage, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO perdure.schema_version VALUES (2, 'next', 'x', 0)")
        assert storage.migrate(0) == 2
        connection.execute("INSERT INTO perdure.schema_version VALUES (3, 'after', 'x', 0)")
    with pytest.raises(StorageError, match="upgrade perdure here"):
        storage.migrate(0)


def test_three_roles(roles: Roles, postgres_server: Server, empty_database: str) -> None:
    """The owner migrates, the app works without changing the schema, the reader reads: as the page about PostgreSQL says."""
    name, url = database(empty_database), {role: roles(role) for role in ("owner", "app", "reader")}
    postgres_server.execute(f'GRANT CREATE ON DATABASE "{name}" TO {name}_owner')
    assert "run `perdure migrate` as the owner" in str(refused(url["app"]))
    owner, app, reader = (PostgresStorage(url[role]) for role in ("owner", "app", "reader"))
    assert owner.migrate(0) == 1
    with psycopg.connect(url["owner"], autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA perdure TO {name}_app, {name}_reader")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA perdure TO {name}_app")
        connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA perdure TO {name}_app")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA perdure TO {name}_reader")
    assert app.migrate(0) == reader.migrate(0) == 1
    hand = Hand(app)
    hand.beat("w1")
    hand.add("a")
    assert hand.run("a", DONE).status == "completed"
    assert reader.get(["a"]) == app.get(["a"])
    with pytest.raises(StorageError, match="this user may not do that"):
        Hand(reader).add("b")
    for each in (owner, app, reader):
        each.close()


def test_a_worker_that_puts_another_role_on(roles: Roles, postgres_server: Server, empty_database: str) -> None:
    """It may not see who it is to the server: then its row names no session, and nobody takes it for one that is gone."""
    name, login = database(empty_database), roles("login")
    assert roles("app") != login
    owner = PostgresStorage(empty_database)
    owner.migrate(0)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA perdure TO {name}_app")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA perdure TO {name}_app")
        connection.execute(f"ALTER ROLE {name}_login NOINHERIT")
        connection.execute(f"GRANT {name}_app TO {name}_login")
    worker, heard = PostgresStorage(f"{login}?options=-c%20role%3D{name}_app"), threading.Event()
    worker.listen(heard.set)
    assert heard.wait(20.0)
    Hand(worker).beat("w1")
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT session, session_process FROM perdure.workers").fetchall() == [NOBODY]
    for each in (owner, worker):
        each.close()


def test_the_clock_of_another_host() -> None:
    known = {"server_version": "18", "hints": True, "hints_work": False, "clock_ahead": -9000, "oldest_snapshot": 10**7}
    words = {finding.name: (finding.level, finding.detail) for finding in server_findings(known)}
    assert words["server clock"] == ("warn", "the server's clock is 9.0 s behind this host's")
    assert words["vacuum"][0] == words["hints"][0] == "warn"
    assert "pooler stands in between" in words["hints"][1]


def test_a_listen_url_that_leads_elsewhere(postgres_server: Server, postgres_url: str) -> None:
    elsewhere = postgres_server.create()
    storage = PostgresStorage(f"{postgres_url}?listen_url={elsewhere}")
    (hints,) = (finding for finding in inspection.findings(storage) if finding.name == "hints")
    storage.close()
    postgres_server.drop(elsewhere)
    assert hints.level == "warn"
    assert "another database, or a pooler" in hints.detail
    assert "listen_url must lead to the same database" in hints.advice


def test_a_check_up(postgres_url: str) -> None:
    storage = PostgresStorage(postgres_url)
    assert {finding.level for finding in inspection.findings(storage)} == {"ok"}
    assert inspection.schema(storage) == inspection.Schema(1, 1, ())
    assert "CREATE TABLE perdure.executions" in str(inspection.script(storage))
    storage.close()


# -- values that cannot be stored -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"idempotency_key": "a\0b"}, {"priority": 10**10}, {"deadline_at": 10**30}])
def test_values_that_cannot_be_stored(hand: Hand, fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot store"):
        hand.add("bad", **fields)
    hand.add("good")
    assert hand.row("good").status == "pending"


@pytest.mark.parametrize("ids", ["abac", "abca"])
def test_of_one_operation_all_goes_in_or_nothing(hand: Hand, storage: PostgresStorage, ids: str) -> None:
    """Also where the items are written in several steps, because some of them meet each other."""
    items = [hand.new(id) for id in ids]
    items[-1] = hand.new(ids[-1], priority=10**10)
    with pytest.raises(ValueError, match="cannot store"):
        storage.enqueue(items, hand.now)
    assert hand.status(*"abc") == [None] * 3
    assert [answer.id for answer in hand.add(*ids)] == list(ids)


def test_a_nul_in_json_does_not_break_a_search(hand: Hand) -> None:
    hand.add("a", input=r'"\u0000 \\u0000"', tags=r'{"k\u0000":"v\\u0000"}')
    assert hand.row("a").input == r'"\u0000 \\u0000"'
    assert hand.find(r"tag:k=v\u0000") == ["a"]
    assert hand.find("error:x") == []


# -- a server that goes away ------------------------------------------------------------------------------------------


def end_sessions(url: str) -> None:
    """Ends all sessions of a database but our own."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_ended_sessions_are_made_anew(hand: Hand, storage: PostgresStorage, postgres_url: str) -> None:
    hand.add("a")
    end_sessions(postgres_url)
    assert hand.start("a") == 1
    end_sessions(postgres_url)
    assert hand.row("a").status == "running"


def test_a_read_that_outlasts_the_storage_keeps_no_connection(storage: PostgresStorage) -> None:
    """A thread may still read while its app closes."""
    storage.migrate(0)
    database = storage._database  # pyright: ignore[reportPrivateUsage]
    link = database.take()
    storage.close()
    database.give(link)
    assert link.connection.closed


def test_a_session_that_ends_inside_a_transaction(hand: Hand, storage: PostgresStorage, postgres_url: str) -> None:
    hand.add("a")
    with storage.transaction():
        hand.start("a")
        end_sessions(postgres_url)
        assert hand.commit("a", DONE, entries=[activity("x")]).status == "completed"
    row = hand.row("a")
    assert (row.status, row.token, len(hand.journal("a").entries)) == ("completed", 1, 1)


def test_what_others_changed_meanwhile_is_not_passed_over(
    hand: Hand, storage: PostgresStorage, postgres_url: str
) -> None:
    """The answers of a transaction that begins again are held against those that were given."""
    other = Hand(PostgresStorage(f"{postgres_url}?hints=off"))
    other.beat("w2")
    hand.add("a")

    def wanders() -> None:
        with storage.transaction():
            hand.start("a")
            end_sessions(postgres_url)
            other.start("a", worker="w2")
            hand.add("b")

    with pytest.raises(StorageError, match="others changed meanwhile") as caught:
        wanders()
    assert caught.value.retryable
    assert hand.row("a").worker_id == "w2"
    assert storage.get(["b"]) == [None]
    other.storage.close()


def test_a_statement_that_takes_too_long(postgres_server: Server, postgres_url: str) -> None:
    storage = PostgresStorage(f"{postgres_url}?hints=off&options=-c%20statement_timeout%3D100")
    hand = Hand(storage)
    hand.add("a")
    with psycopg.connect(postgres_url) as blocker:
        blocker.execute("SELECT 1 FROM perdure.executions FOR UPDATE")
        with pytest.raises(StorageError, match="statement_timeout") as caught:
            hand.cancel("a")
    assert caught.value.retryable
    assert hand.cancel("a") == ["cancelled"]
    storage.close()


def test_a_server_that_restarts() -> None:
    with server(durable=True) as own:
        assert own.process is not None
        storage = PostgresStorage(f"{own.create()}?hints=off")
        storage.migrate(0)
        hand = Hand(storage)
        hand.beat("w1")
        hand.add("a")
        own.process.kill()
        with pytest.raises(StorageError, match="start the server") as caught:
            hand.start("a")
        assert caught.value.retryable
        own.process.start()
        assert hand.start("a") == 1
        assert moment(hand.row("a").created_at) == moment(START)
        storage.close()
