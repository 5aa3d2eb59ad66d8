"""The memory storage is held to the contract, and is what the other storages are held against."""

from __future__ import annotations

import pytest

from perdure.storage import Storage
from perdure.storage.memory import MemoryStorage
from perdure.testing.conformance import StorageConformance


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()
