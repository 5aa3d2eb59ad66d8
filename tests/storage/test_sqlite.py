"""The SQLite storage is held to the contract, in a file and in memory."""

# TO BE REPLACED. The SQLite helper wrote its own tests here (28,537 bytes, 2026-11-21 03:22:13, not committed); the
# memory helper overwrote them by mistake at 03:22:29 and no copy is left on disk. Whoever holds that text: put it back
# over this file. What stands below is the conformance suite alone and covers nothing that is SQLite's own.

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
