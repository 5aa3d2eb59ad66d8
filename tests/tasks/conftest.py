"""What the tests of tasks share: an app of one's own, on memory.

`PERDURE_TEST_TASKS_ON=postgres` runs them on a server, a schema for each. Virtual hours then take their time, for every look
costs what a look costs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from perdure import Perdure
from perdure.storage import Storage
from perdure.storage.postgres import PostgresStorage
from perdure.testing import TestApp
from perdure.testing.postgres import Server

NUMBERS = count()
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
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(autouse=True)
def _on_postgres(tasks_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if tasks_url is None:
        yield
        return

    def make_storage(_: TestApp) -> Storage:
        storage = PostgresStorage(f"{tasks_url}?hints=off", f"tasks_{next(NUMBERS)}")
        storage.inline = True
        return storage

    monkeypatch.setattr(TestApp, "make_storage", make_storage)
    yield
