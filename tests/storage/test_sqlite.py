"""The SQLite storage is held to the contract, in a file and in memory."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.conformance import StorageConformance


def opened(path: str) -> Generator[SQLiteStorage]:
    storage = SQLiteStorage(path)
    storage.migrate(0)
    yield storage
    storage.close()


class TestSQLite(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Generator[SQLiteStorage]:
        yield from opened(str(tmp_path / "it.db"))


class TestSQLiteInMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> Generator[SQLiteStorage]:
        yield from opened(":memory:")
