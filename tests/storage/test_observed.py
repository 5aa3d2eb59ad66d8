"""`Observed` is held to the contract like the storage that it wraps: watching changes nothing."""

from __future__ import annotations

import pytest

from perdure.clock import SystemClock
from perdure.storage import Storage
from perdure.storage.memory import MemoryStorage
from perdure.storage.observed import Observed, observed
from perdure.storage.store import Store
from perdure.telemetry import STORAGE, STORAGE_ERRORS, Metric, Telemetry, Told
from perdure.testing.conformance import StorageConformance
from perdure.testing.faults import OPERATIONS


class Counted(Telemetry):
    """Counts calls by metric and operation."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def count(self, metric: Metric, labels: tuple[str, ...], number: int) -> None:
        self.calls.append((metric.name, labels[0]))

    def measure(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        assert value >= 0
        self.calls.append((metric.name, labels[0]))


class TestObserved(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return Observed(MemoryStorage(), Told([Counted()]), SystemClock())


def test_each_operation_is_wrapped() -> None:
    public = {name for name in vars(Observed) if not name.startswith("_")}
    assert public == {*OPERATIONS, "close", "listen"}


@pytest.mark.parametrize("solo", [True, False])
async def test_it_is_called_as_the_storage_wants_to_be(solo: bool) -> None:
    """Being watched must not cost the shorter way."""
    storage, counted = MemoryStorage(), Counted()
    storage.solo = solo
    store = Store(Observed(storage, Told([counted]), SystemClock()), SystemClock())
    await store.open()
    assert await store.ask("cancel", ("nobody", "")) is None
    await store.close()
    assert ((STORAGE.name, "transaction") in counted.calls) is not solo


def test_it_is_the_storage_itself_where_nobody_listens() -> None:
    storage = MemoryStorage()
    assert observed(storage, None, SystemClock()) is storage


def test_an_error_inside_a_transaction_is_its_operations() -> None:
    counted = Counted()
    storage = Observed(MemoryStorage(), Told([counted]), SystemClock())
    with pytest.raises(ZeroDivisionError), storage.transaction():
        storage.stats(0)
        raise ZeroDivisionError
    assert counted.calls == [(STORAGE.name, "stats"), (STORAGE.name, "transaction")]
    counted.calls.clear()
    with pytest.raises(AttributeError):
        storage.enqueue([None], 0)  # type: ignore[list-item]
    assert counted.calls == [(STORAGE_ERRORS.name, "enqueue"), (STORAGE.name, "enqueue")]
