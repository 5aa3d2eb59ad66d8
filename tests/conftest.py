"""A PostgreSQL server for the tests that ask for one: started once per process of pytest, a database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from perdure.storage.postgres import PostgresStorage
from perdure.testing.postgres import Server, database, server, usual_server

Roles = Callable[[str], str]


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


@pytest.fixture(scope="module")
def module_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """The same, one for all tests of a module."""
    url = postgres_server.create(postgres_template)
    yield url
    postgres_server.drop(url)


@pytest.fixture
def roles(postgres_server: Server, empty_database: str) -> Iterator[Roles]:
    """The URL of the empty database by a role, made when it is first asked for."""
    parts, made, name = urlsplit(empty_database), set[str](), database(empty_database)

    def url(role: str) -> str:
        if role not in made:
            made.add(role)
            postgres_server.execute(f"CREATE ROLE {name}_{role} LOGIN")
        return parts._replace(netloc=f"{name}_{role}@{parts.hostname}:{parts.port}").geturl()

    yield url
    postgres_server.drop(empty_database)
    for role in made:
        postgres_server.execute(f"DROP ROLE {name}_{role}")


@pytest.fixture
def guarded() -> Iterator[str]:
    """The URL of a server of its own that asks `ann` for her password, which is `right`."""
    with server() as own:
        assert own.process is not None
        own.execute("CREATE ROLE ann LOGIN PASSWORD 'right'")
        rules = own.process.data / "pg_hba.conf"
        rules.write_text(f"host all ann all scram-sha-256\n{rules.read_text()}")
        own.execute("SELECT pg_reload_conf()")
        yield own.url
