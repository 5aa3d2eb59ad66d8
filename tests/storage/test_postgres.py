"""The PostgreSQL storage is held to the contract; beside it stands what is PostgreSQL's alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from perdure.storage._sql import statements
from perdure.storage.postgres import PostgresStorage
from perdure.testing.conformance import StorageConformance


class Shared:
    """One storage for the whole module: a database for each test would take most of the time."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        self.storage, self._connection = PostgresStorage(url), connection

    def emptied(self) -> PostgresStorage:
        tables = ("executions", "journal", "signals", "externals", "workers")
        self._connection.execute(f"TRUNCATE {', '.join(f'perdure.{table}' for table in tables)}")
        return self.storage


@pytest.fixture(scope="module", params=["off", "on"])
def shared(module_url: str, request: pytest.FixtureRequest) -> Iterator[Shared]:
    """In sessions that may be a pooler's, and in ones of our own."""
    with psycopg.connect(module_url, autocommit=True) as connection:
        found = Shared(f"{module_url}?prepare={request.param}", connection)
        yield found
        found.storage.close()


class TestPostgres(StorageConformance):
    """The contract, rule by rule."""

    @pytest.fixture
    def storage(self, shared: Shared) -> PostgresStorage:
        return shared.emptied()


@pytest.mark.parametrize("folder", ["sql", "sql.terms"])
def test_both_databases_have_the_same_statements(folder: str) -> None:
    ours, theirs = (statements.texts(f"perdure.storage.{name}.{folder}") for name in ("postgres", "sqlite"))
    assert ours.keys() == theirs.keys()
