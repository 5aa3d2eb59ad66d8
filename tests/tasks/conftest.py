"""What the tests of tasks share: an app of one's own, on memory.

`PERDURE_TEST_TASKS_ON=postgres` runs them on a server, one schema emptied for each. Virtual hours then take their time, for
every look costs what a look costs: so workers look around seldom.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from perdure import Perdure
from perdure.storage import Storage
from perdure.storage.postgres import PostgresStorage
from perdure.testing import TestApp
from perdure.testing.postgres import Server

ON_POSTGRES = os.environ.get("PERDURE_TEST_TASKS_ON") == "postgres"


@pytest.fixture
def app() -> Perdure:
    """An app without tasks, not open."""
    return Perdure("memory://")


@pytest.fixture(scope="session")
def tasks_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The database of all these tests, if they are to run on one."""
    if not ON_POSTGRES:
        yield None
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.create(request.getfixturevalue("postgres_template"))
    yield url
    server.drop(url)


@pytest.fixture(autouse=True)
def _on_postgres(tasks_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if tasks_url is None:
        yield
        return

    def make_storage(_: TestApp) -> Storage:
        tables = ("executions", "journal", "signals", "externals", "workers")
        with psycopg.connect(tasks_url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {', '.join(f'perdure.{table}' for table in tables)}")
        storage = PostgresStorage(f"{tasks_url}?hints=off")
        storage.inline = True
        return storage

    monkeypatch.setenv("PERDURE_POLL", "60")
    monkeypatch.setattr(TestApp, "make_storage", make_storage)
    yield
