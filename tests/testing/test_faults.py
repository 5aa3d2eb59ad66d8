"""`FaultyStorage`: failures on demand, and nothing else."""

from __future__ import annotations

import pytest

from perdure.errors import StorageError
from perdure.model.records import NewExecution
from perdure.storage import Storage
from perdure.storage.opening import open_storage
from perdure.testing import Fault, FaultyStorage, Operation
from perdure.testing.conformance import StorageConformance


class TestWithoutFaults(StorageConformance):
    """With nothing planned it is the storage that it wraps."""

    @pytest.fixture
    def storage(self) -> Storage:
        return FaultyStorage(open_storage("memory://"))


@pytest.fixture
def faulty() -> FaultyStorage:
    return FaultyStorage(open_storage("memory://"))


def item(id: str = "a") -> NewExecution:
    return NewExecution(id, "task", "{}")


def test_before_nothing_happens(faulty: FaultyStorage):
    faulty.fail("enqueue")
    with pytest.raises(StorageError) as caught:
        faulty.enqueue([item()], 0)
    assert caught.value.retryable
    assert faulty.get(["a"]) == [None]
    assert faulty.enqueue([item()], 0)


def test_after_it_happened(faulty: FaultyStorage):
    faulty.fail("enqueue", "after")
    with pytest.raises(StorageError, match="acknowledgement is lost"):
        faulty.enqueue([item()], 0)
    assert faulty.get(["a"]) != [None]


def test_twice_is_answered_as_a_resend(faulty: FaultyStorage):
    faulty.fail("enqueue", "twice")
    answer = faulty.enqueue([item()], 0)[0]
    assert not getattr(answer, "created", True)


def test_plans_add_up_and_skip(faulty: FaultyStorage):
    mine = ValueError("mine")
    faulty.fail("get", skip=1, times=2)
    faulty.fail("get", error=mine)
    faulty.get([])
    for expected in (StorageError, StorageError, ValueError):
        with pytest.raises(expected):
            faulty.get([])
    faulty.get([])
    assert faulty.calls["get"] == 5


def test_inside_a_transaction_before_undoes_all(faulty: FaultyStorage):
    faulty.fail("enqueue", skip=1)
    with pytest.raises(StorageError), faulty.transaction():
        faulty.enqueue([item("a")], 0)
        faulty.enqueue([item("b")], 0)
    assert faulty.get(["a", "b"]) == [None, None]


def test_inside_a_transaction_after_strikes_once_it_is_committed(faulty: FaultyStorage):
    faulty.fail("enqueue", "after")
    reached = False
    with pytest.raises(StorageError), faulty.transaction():
        faulty.enqueue([item("a")], 0)
        faulty.enqueue([item("b")], 0)
        reached = True
    assert reached
    assert None not in faulty.get(["a", "b"])


@pytest.mark.parametrize(("when", "kept"), [("before", False), ("after", True)])
def test_a_whole_transaction_fails(faulty: FaultyStorage, when: str, kept: bool):
    faulty.fail("transaction", "after" if when == "after" else "before")
    with pytest.raises(StorageError), faulty.transaction():
        faulty.enqueue([item("a")], 0)
    assert (faulty.get(["a"]) != [None]) is kept


def test_a_callable_decides(faulty: FaultyStorage):
    seen: list[Operation] = []

    def decide(operation: Operation) -> Fault | None:
        seen.append(operation)
        return Fault("before") if operation.name == "claim" else None

    faulty.decide = decide
    faulty.get(["x"])
    assert seen == [Operation("get", ["x"], 0)]
    faulty.heal()
    faulty.get(["x"])
    assert len(seen) == 1


def test_an_unknown_operation_is_refused(faulty: FaultyStorage):
    with pytest.raises(ValueError, match="no operation"):
        faulty.fail("comit")


def test_every_operation_of_a_storage_can_fail():
    verbs = {name for name in vars(Storage) if not name.startswith("_")} - {"inline", "close", "listen"}
    faulty = FaultyStorage(open_storage("memory://"))
    for verb in verbs:
        faulty.fail(verb)
