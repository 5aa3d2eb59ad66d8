"""The in-process client is held to the client suite, on memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.testing.conformance import OperatorConformance


class InProcess(OperatorConformance):
    @pytest.fixture
    async def client(self, app: Perdure) -> AsyncIterator[Perdure]:
        async with app:
            yield app
            await app.close(drain=0)


class TestOnMemory(InProcess):
    """Everything in one process, nothing stored."""


class TestOnSQLite(InProcess):
    """The default storage."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/jobs.db"


class TestBesideAWorker(OperatorConformance):
    """A client that runs nothing, beside a worker of another app on the same file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/jobs.db"

    @pytest.fixture
    async def client(self, app: Perdure, url: str) -> AsyncIterator[Perdure]:
        other = Perdure(url, poll=0.05, sizes=app.sizes)
        other.include(app)
        async with app, other.connect():
            yield other
            await app.close(drain=0)


class TestOnPostgres(InProcess):
    """A server."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestBesideAWorkerOnPostgres(TestBesideAWorker):
    """The same beside a worker of another app in the same schema."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
