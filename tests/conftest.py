"""A PostgreSQL server for the tests that ask for one: started once per process of pytest, a database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perdure.storage.postgres import PostgresStorage
from perdure.testing.postgres import Server, usual_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server of this run, or the one that $PERDURE_TEST_POSTGRES_URL names."""
    with usual_server() as found:
        yield found


@pytest.fixture
def empty_database(postgres_server: Server) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """The URL of a database with our schema, to be copied."""
    url = postgres_server.create()
    storage = PostgresStorage(url)
    storage.migrate(0)
    storage.close()
    return url


@pytest.fixture
def postgres_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """The URL of a database with our schema and nothing in it."""
    url = postgres_server.create(postgres_template)
    yield url
    postgres_server.drop(url)
