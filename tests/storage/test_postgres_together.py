"""Many connections at once: every pair of operations on the same executions, from threads that begin together.

No deadlock reaches a caller, nothing is claimed or counted twice, and the checker finds nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement

import pytest

from perdure.errors import StorageError
from perdure.model.externals import NewCompletion
from perdure.model.records import ClaimRequest, NewExecution, NewSignal, Suspended, Wait
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.session import PostgresSession
from perdure.testing.conformance.hand import DONE, FAILED, LEASE, Hand, activity, joining

pytestmark = pytest.mark.timeout(300)
ROUNDS = int(os.environ.get("PERDURE_ROUNDS", "3"))
Deed = Callable[[Hand, int], object]


@pytest.fixture(params=["off", "on"])
def hands(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[list[Hand]]:
    """Three processes, as it were; in sessions of their own (`on`) what is a single statement is a transaction by itself."""
    storages = [PostgresStorage(f"{postgres_url}?hints=off&prepare={request.param}") for _ in range(3)]
    yield [Hand(storage) for storage in storages]
    for storage in storages:
        storage.close()


def together(*deeds: Callable[[], object]) -> list[object]:
    """Does all at once; answers what they answered, or the errors of storage and values."""
    barrier, answers = threading.Barrier(len(deeds)), [None] * len(deeds)

    def run(place: int, deed: Callable[[], object]) -> None:
        barrier.wait()
        try:
            answers[place] = deed()  # type: ignore[call-overload]
        except Exception as error:
            answers[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(answers)


def claim(hand: Hand, n: int) -> object:
    return hand.claim("w2", 100)


def heartbeat(hand: Hand, n: int) -> object:
    return hand.beat("w1", holding=[])


def complete(hand: Hand, n: int) -> object:
    return [hand.commit(id, DONE, entries=[activity("x")]) for id in (f"a{n}", f"c{n}", f"d{n}")]


def fail(hand: Hand, n: int) -> object:
    return hand.commit(f"c{n}", FAILED)


def suspend(hand: Hand, n: int) -> object:
    outcome = Suspended((Wait("signal", "go"),), None, ("go",), (0,))
    return hand.commit(f"a{n}", outcome)


def record(hand: Hand, n: int) -> object:
    return [hand.commit(id, entries=[activity("y")]) for id in (f"d{n}", f"c{n}", f"a{n}")]


def spawn(hand: Hand, n: int) -> object:
    return hand.commit(f"c{n}", spawns=hand.children(f"c{n}", f"g{n}"))


def cancel(hand: Hand, n: int) -> object:
    return hand.cancel(f"p{n}", f"a{n}")


def reclaim(hand: Hand, n: int) -> object:
    return hand.storage.reclaim(hand.now + 2 * LEASE)


def signal(hand: Hand, n: int) -> object:
    return hand.storage.signal([NewSignal(f"s{n}", id, "go", "1") for id in (f"d{n}", f"a{n}")], hand.now)


def retry(hand: Hand, n: int) -> object:
    return hand.storage.retry([f"f{n}", f"c{n}"], hand.now)


def enqueue(hand: Hand, n: int) -> object:
    keys = range(10) if threading.get_ident() % 2 else reversed(range(10))
    items = [
        NewExecution(f"{threading.get_ident()}-{n}-{key}", "work", "{}", idempotency_key=f"k{n}-{key}") for key in keys
    ]
    return hand.storage.enqueue(items, hand.now)


def answer(hand: Hand, n: int) -> object:
    return hand.storage.complete_external([NewCompletion(f"x{threading.get_ident()}", "mail", f"e{n}", "1")], hand.now)


def prune(hand: Hand, n: int) -> object:
    return hand.storage.prune(hand.now, hand.now + 1, 100)


DEEDS: list[Deed] = [
    claim, heartbeat, complete, fail, suspend, record, spawn, cancel, reclaim, signal, retry, enqueue, answer, prune,
]  # fmt: skip


def prepare(hand: Hand, n: int) -> None:
    """A running execution, a tree with two running children and one that failed, one that is pending."""
    hand.beat("w1")
    hand.beat("w2")
    hand.add(f"a{n}", f"b{n}", f"p{n}")
    hand.start(f"a{n}")
    hand.start(f"p{n}")
    ids = (f"c{n}", f"d{n}", f"f{n}")
    hand.commit(f"p{n}", joining(all=3), spawns=hand.children(f"p{n}", *ids))
    for id in ids:
        hand.start(id)
    hand.commit(f"f{n}", FAILED)


@pytest.mark.parametrize(
    "pair", list(combinations_with_replacement(DEEDS, 2)), ids=lambda pair: "-".join(d.__name__ for d in pair)
)
def test_every_pair(hands: list[Hand], pair: tuple[Deed, Deed]) -> None:
    for n in range(ROUNDS):
        prepare(hands[2], n)
        answers = together(lambda n=n: pair[0](hands[0], n), lambda n=n: pair[1](hands[1], n))
        assert [each for each in answers if isinstance(each, Exception)] == []
        assert prune in pair or None not in hands[2].status(*made(n))
    assert check(hands[2].storage) == []


def made(n: int) -> list[str]:
    """What `prepare` made."""
    return [f"{letter}{n}" for letter in "abpcdf"]


class Pause:
    """Holds one thread up in the middle of its transaction, after so many of its answers, until the others have done what
    they can."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.reached, self.over = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def waited(self, wait: Callable[[PostgresSession], None], session: PostgresSession) -> None:
        wait(session)
        if threading.current_thread() is self.thread and session.pipeline is not None:
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                self.over.wait(BLOCKED)


NAMED: list[Deed] = [claim, heartbeat, complete, cancel, reclaim, signal, spawn, retry, prune, answer]
BLOCKED = 0.1
"""Seconds after which one that has not answered waits for a lock."""


@pytest.mark.parametrize("first", NAMED, ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("second", NAMED, ids=lambda deed: deed.__name__)
def test_one_in_the_middle_of_the_other(
    hands: list[Hand], first: Deed, second: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stops after its first answer, or its second, with all that it holds; the second comes; the first goes on."""
    wait = PostgresSession._wait
    for n in range(2):
        prepare(hands[2], n)
        pause = Pause(n + 1)
        monkeypatch.setattr(PostgresSession, "_wait", lambda session, pause=pause: pause.waited(wait, session))
        errors: list[Exception] = []
        threads = [
            threading.Thread(target=tried, args=(deed, hands[place], n, errors))
            for place, deed in enumerate((first, second))
        ]
        pause.thread = threads[0]
        threads[0].start()
        pause.reached.wait(BLOCKED)
        threads[1].start()
        threads[1].join(BLOCKED)
        pause.over.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert errors == []
        assert prune in (first, second) or None not in hands[2].status(*made(n))
    assert check(hands[2].storage) == []


def tried(deed: Deed, hand: Hand, n: int, errors: list[Exception]) -> None:
    try:
        deed(hand, n)
    except Exception as error:
        errors.append(error)


def test_many_claimers_take_each_once(hands: list[Hand]) -> None:
    hands[0].beat("w0")
    hands[0].add(*(f"e{number:03}" for number in range(300)))
    taken: list[str] = []

    def take(hand: Hand, worker: str) -> None:
        while ids := [each.id for each in claimed(hand, worker)]:
            assert len(ids) <= 7
            taken.extend(ids)

    def claimed(hand: Hand, worker: str) -> tuple[object, ...]:
        return hand.storage.claim(ClaimRequest(worker, ("default",), ("work",), 7), hand.now).claims

    answers = together(*(lambda hand=hand, name=f"w{place}": take(hand, name) for place, hand in enumerate(hands)))
    assert not [each for each in answers if isinstance(each, StorageError)]
    take(hands[0], "w0")
    assert sorted(taken) == [f"e{number:03}" for number in range(300)]


def test_whoever_misses_work_that_others_hold_looks_again_soon(hands: list[Hand]) -> None:
    hands[0].beat("w0")
    hands[0].add("a")
    with hands[0].storage.transaction():
        assert hands[0].claimed("w0") == ["a"]
        answer = hands[1].claim("w1")
        assert (answer.claims, answer.short) == ((), True)
        assert answer.next_due is not None
        assert 0 < answer.next_due - hands[1].now < 1000
    assert hands[1].claim("w1").next_due is None
