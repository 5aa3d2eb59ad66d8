"""The memory storage is held to the contract, and is what the other storages are held against."""

from __future__ import annotations

import pytest

from perdure.model.records import ClaimRequest, NewExecution
from perdure.storage import Storage
from perdure.storage.memory import MemoryStorage
from perdure.testing.conformance import StorageConformance


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


def test_closing_keeps_the_data() -> None:
    storage = MemoryStorage()
    assert storage.inline
    storage.enqueue([NewExecution("a", "work", "{}")], 0)
    storage.close()
    storage.close()
    assert storage.migrate(1) == 1
    assert storage.get(["a"])[0] is not None


def test_a_hundred_thousand() -> None:
    """A claim scans neither what is not due, nor what another queue or task has."""
    storage = MemoryStorage()
    ids = [f"e{number:06}" for number in range(100_000)]
    storage.enqueue([NewExecution(id, "work", "{}", due_at=10**6, queue="later") for id in ids], 0)
    storage.enqueue([NewExecution("now", "work", "{}", queue="later")], 0)
    request = ClaimRequest("w1", ("later",), ("work",), 10)
    assert [claim.id for claim in storage.claim(request, 5).claims] == ["now"]
    for _ in range(2000):
        assert storage.claim(request, 5).next_due == 10**6
    assert [claim.id for claim in storage.claim(request, 10**6).claims] == ids[:10]
