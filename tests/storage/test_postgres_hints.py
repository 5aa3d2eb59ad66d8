"""Hints between processes on a server, and the session by whose end others see that a worker is dead."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

import psycopg
import pytest

from perdure.model.query import Query
from perdure.storage.postgres import PostgresStorage, hints, liveness
from perdure.storage.postgres.hints import LONGEST_RETRY, NOBODY
from perdure.storage.postgres.liveness import PATIENCE, SETTLED, Liveness
from perdure.testing.clock import VirtualClock
from perdure.testing.conformance.hand import LEASE, Hand

Opening = Callable[[], PostgresStorage]
LONG = 20.0
"""Seconds within which a server surely answers."""


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Opening]:
    made: list[PostgresStorage] = []

    def opening() -> PostgresStorage:
        made.append(PostgresStorage(postgres_url))
        return made[-1]

    yield opening
    for storage in made:
        storage.close()


def heard_by(storage: PostgresStorage) -> threading.Event:
    """Set whenever the storage hears that others changed something; proven to hear."""
    heard, began = threading.Event(), threading.Event()

    def callback() -> None:
        (heard if began.is_set() else began).set()

    storage.listen(callback)
    assert began.wait(LONG)
    return heard


def test_others_hear_of_changes(opened: Opening) -> None:
    one, two = opened(), opened()
    to_two, to_one = heard_by(two), heard_by(one)  # whoever comes later is heard of by the other
    to_two.clear()
    Hand(one).add("a")
    assert to_two.wait(LONG)
    Hand(two).cancel("a")
    assert to_one.wait(LONG)


def test_who_may_not_speak_yet_hears(opened: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever enqueued something waits for the answer."""
    monkeypatch.setattr(hints, "PAUSE", 10 * LONG)
    one, two = opened(), opened()
    to_two, to_one = heard_by(two), heard_by(one)
    Hand(one).add("a")
    assert to_two.wait(LONG)
    Hand(one).add("b")
    Hand(two).cancel("a")
    assert to_one.wait(LONG)


def test_nobody_hears_of_heartbeats(opened: Opening) -> None:
    one, two = opened(), opened()
    heard_by(one)
    to_two = heard_by(two)
    hand = Hand(one)
    hand.beat("w1")
    assert not to_two.is_set()
    hand.add("a")
    assert to_two.wait(LONG)


def prepared_by(storage: PostgresStorage) -> list[str]:
    """What the server keeps for the connection of a storage that is used by one thread."""
    hand = Hand(storage)
    for number in range(8):
        hand.add(f"p{number}")
    found = storage.search(Query(), "newest", 3, None, 0)
    assert [row.id for row in found.rows] == ["p7", "p6", "p5"]
    link = storage._database.take()  # pyright: ignore[reportPrivateUsage]
    try:
        kept = link.connection.execute(b"SELECT statement FROM pg_prepared_statements").fetchall()
        asked = b"SELECT current_setting('enable_seqscan'), current_setting('jit')"
        scans, compiles = link.connection.execute(asked).fetchone() or ()
    finally:
        storage._database.give(link)  # pyright: ignore[reportPrivateUsage]
    assert scans == ("off" if kept else "on")
    assert compiles == "off" or not kept
    return [text.split()[0] for (text,) in kept]


def test_who_hears_has_statements_prepared(opened: Opening) -> None:
    storage = opened()
    assert prepared_by(storage) == []
    storage.close()
    heard_by(storage)
    assert "WITH" in prepared_by(storage)


@pytest.mark.parametrize("said", ["prepare=off", "listen_url"])
def test_nothing_is_prepared_through_a_pooler(postgres_url: str, said: str) -> None:
    storage = PostgresStorage(f"{postgres_url}?{f'listen_url={quote(postgres_url)}' if said == 'listen_url' else said}")
    try:
        heard_by(storage)
        assert prepared_by(storage) == []
    finally:
        storage.close()


def test_hints_may_be_off(postgres_url: str) -> None:
    storage = PostgresStorage(f"{postgres_url}?hints=off")
    storage.listen(lambda: None)
    Hand(storage).add("a")
    assert storage.status()["hints"] is False
    storage.close()


def test_behind_a_pooler(opened: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """LISTEN is accepted and nothing arrives: then the session stands for nobody."""
    monkeypatch.setattr(hints, "PROOF", 0.05)
    storage = opened()
    monkeypatch.setattr(storage._hints, "_prove", lambda channel, text: None)
    storage.listen(lambda: None)
    hand = Hand(storage)
    hand.beat("w1")
    assert not storage._hints.works(0.5)
    assert storage._hints.witness == NOBODY
    hand.add("a")
    assert hand.start("a") == 1


def sessions(url: str) -> dict[str, int]:
    """Which process of the server each worker's row names."""
    with psycopg.connect(url, autocommit=True) as connection:
        return dict(connection.execute("SELECT id, session_process FROM perdure.workers").fetchall())


def test_a_worker_names_its_session_with_its_first_word(
    opened: Opening, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would miss one that is killed in its first moments, before its lease ends."""
    storage, late = opened(), threading.Event()
    prove = storage._hints._prove  # pyright: ignore[reportPrivateUsage]

    def slowly(channel: str, text: str) -> None:
        late.wait(0.1)
        prove(channel, text)

    monkeypatch.setattr(storage._hints, "_prove", slowly)
    storage.listen(lambda: None)
    Hand(storage).beat("w1")
    assert sessions(postgres_url)["w1"] == storage._hints.witness[1] > 0


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen is believed at once."""
    monkeypatch.setattr(liveness, "PATIENCE", 0.0)
    monkeypatch.setattr(liveness, "SETTLED", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_worker_whose_session_ended_is_dead(opened: Opening, postgres_url: str) -> None:
    dying, other = opened(), opened()
    heard_by(dying)
    heard_by(other)
    hand, watching = Hand(dying), Hand(other)
    hand.beat("w1")
    watching.beat("w2")
    hand.add("a")
    hand.start("a")
    assert other.reclaim(hand.now).workers == ()
    session = dying._hints.witness[1]
    dying._liveness.mine.clear()  # a process that is killed says nothing
    dying._hints.close()
    await_end(postgres_url, session)
    assert [row.lease_until for row in other.workers(hand.now)] == [hand.now, hand.now + LEASE]
    answer = other.reclaim(hand.now)
    assert (answer.workers, answer.released) == (("w1",), ("a",))
    assert watching.row("a").attempt == 0


@pytest.mark.usefixtures("at_once")
def test_a_session_that_is_made_anew_vouches_again(opened: Opening, postgres_url: str) -> None:
    storage, other = opened(), opened()
    heard_by(other)
    again = threading.Event()
    heard_by(storage)
    Hand(storage).beat("w1")
    before = sessions(postgres_url)["w1"]
    storage.listen(again.set)
    end_session(postgres_url, before)
    assert again.wait(LONG)
    assert sessions(postgres_url)["w1"] not in (before, 0)
    assert other.reclaim(Hand(other).now).workers == ()


def await_end(url: str, process: int) -> None:
    """Returns when the server has noticed that a session is over."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [process]).fetchone() is not None:
            pass


def end_session(url: str, process: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [process])


def test_what_was_owed_when_a_session_ended_is_given_by_the_next(opened: Opening, postgres_url: str) -> None:
    """Even where nobody else ever says a word."""
    one, two = opened(), opened()
    heard_by(one)
    to_two = heard_by(two)
    hand = Hand(one)
    one._hints._owing = True  # taken up, and then the session ended
    end_session(postgres_url, one._hints.witness[1])
    hand.add("a")
    assert to_two.wait(LONG)
    to_two.clear()
    hand.add("b")
    assert to_two.wait(LONG)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """What is opened from now on has numbers that `select` does not take."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2048), limits[1]))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for each in held:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("many_descriptors")
def test_a_process_with_many_descriptors_hears(opened: Opening) -> None:
    one, two = opened(), opened()
    to_one = heard_by(one)
    heard_by(two)
    session = one._hints.witness
    Hand(two).add("a")
    assert to_one.wait(LONG)
    assert one._hints.witness == session != NOBODY


class Waits(threading.Event):
    """Nothing is waited for; over after six times."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.given.append(timeout)
        if len(self.given) == 6:
            self.set()
        return self.is_set()


@pytest.mark.parametrize(("stood", "waits"), [(0, [0.5, 1, 2, 4, 5, 5]), (LONGEST_RETRY + 1, [0.5] * 6)])
def test_sessions_that_soon_end_are_made_anew_ever_more_slowly(
    opened: Opening, monkeypatch: pytest.MonkeyPatch, stood: float, waits: list[float]
) -> None:
    clock, pauses, own = VirtualClock(), Waits(), opened()._hints

    def ends(*given: object) -> None:
        clock.move(stood)
        raise OSError("the session ended")

    monkeypatch.setattr(own, "_clock", clock)
    monkeypatch.setattr(own, "_closed", pauses)
    monkeypatch.setattr(own, "_step", ends)
    own.listen(lambda: None)
    thread = own._thread
    assert thread is not None
    thread.join(LONG)
    assert pauses.given == waits


def test_no_worker_names_a_session_that_is_being_made_anew(
    opened: Opening, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, tried = opened(), threading.Event()

    def refused(*given: object) -> object:
        tried.set()
        raise psycopg.OperationalError("the server takes no more connections")

    heard_by(storage)
    Hand(storage).beat("w1")
    monkeypatch.setattr(hints, "connect", refused)
    end_session(postgres_url, sessions(postgres_url)["w1"])
    assert tried.wait(LONG)
    assert sessions(postgres_url) == {"w1": 0}


def test_a_schema_of_the_longest_name(postgres_url: str) -> None:
    storage = PostgresStorage(postgres_url, schema="s" * 63)
    storage.listen(lambda: None)
    assert storage._hints.works(LONG)
    storage.close()


def test_to_close_is_not_to_die(opened: Opening, postgres_url: str) -> None:
    storage = opened()
    heard_by(storage)
    Hand(storage).beat("w1")
    assert sessions(postgres_url)["w1"] != 0
    storage.close()
    assert sessions(postgres_url) == {"w1": 0}


def test_death_is_believed_late_and_only_by_who_stands() -> None:
    clock = VirtualClock()
    seen = Liveness(clock)
    seen.mine.add("me")
    gone = [("w1", ("1", 7)), ("me", ("2", 8)), ("w3", NOBODY)]
    assert seen.dead(gone, SETTLED) == []
    clock.move(PATIENCE)
    assert seen.dead(gone, SETTLED - 0.1) == []
    assert seen.dead(gone, SETTLED) == ["w1"]
    assert seen.dead([("w1", ("3", 9))], SETTLED) == []
    clock.move(PATIENCE)
    assert seen.dead([], SETTLED) == []
    assert seen.dead(gone, SETTLED) == []


def test_a_forked_child_speaks_for_no_worker_of_its_parent() -> None:
    seen = Liveness(VirtualClock())
    seen.mine.add("w1")
    child = os.fork()
    if child == 0:
        os._exit(len(seen.mine))
    assert os.waitpid(child, 0)[1] == 0
    assert seen.mine == {"w1"}
