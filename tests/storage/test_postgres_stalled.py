"""A process that stands still in the middle of a transaction: stopped, or cut off without a word. The server does not know,
and what it holds is locked. Others must not wait for it for ever, and it must change nothing once it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import LiteralString

import psycopg
import pytest

from perdure.errors import StorageError
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage, link
from perdure.testing.conformance.hand import DONE, LEASE, Hand, activity

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not wait for long."""
    monkeypatch.setattr(link, "STALLED", 300)


def test_what_a_stalled_process_holds_is_taken_back(postgres_url: str) -> None:
    stalled, other = (Hand(PostgresStorage(f"{postgres_url}?hints=off")) for _ in range(2))
    stalled.beat("w1")
    stalled.add("a", "b")
    stalled.start("a")

    def stand_still() -> None:
        with stalled.storage.transaction():
            assert stalled.commit("a", DONE, entries=[activity("x")]).status == "completed"
            assert other.storage.reclaim(other.now + 2 * LEASE).released == ("a",)  # it waits, but not for ever
            other.beat("w2")
            assert other.start("a", "w2") == 3
            stalled.commit("a", DONE, entries=[activity("x")])

    with pytest.raises(StorageError, match="others changed meanwhile") as caught:
        stand_still()
    assert caught.value.retryable
    assert stalled.commit("a", DONE, token=1).lost
    assert other.keys("a") == []
    assert other.commit("a", DONE).status == "completed"
    assert check(other.storage) == []
    for hand in (stalled, other):
        hand.storage.close()


STANDS_STILL = """
SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND wait_event = 'ClientRead' AND query = %s
"""
EXECUTION = "SELECT FROM perdure.executions WHERE id = 'a' FOR UPDATE"
WORKER = "UPDATE perdure.workers SET session = '', session_process = 0 WHERE id = 'w1'"


@contextmanager
def standing_still(url: str, statement: LiteralString, name: str = "perdure") -> Generator[psycopg.Connection]:
    """A session that has run a statement in a transaction, and is in the midst of sending more."""
    with (
        closing(psycopg.connect(url, autocommit=True, application_name=name)) as connection,
        suppress(psycopg.OperationalError),
        connection.pipeline(),
    ):
        connection.execute("BEGIN")
        connection.execute(statement)
        connection.pgconn.send_flush_request()
        connection.pgconn.flush()
        with closing(psycopg.connect(url, autocommit=True)) as other:
            while other.execute(STANDS_STILL, [connection.info.backend_pid, statement]).fetchone() is None:
                pass
        yield connection


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[[], Hand]]:
    hands: list[Hand] = []

    def opening() -> Hand:
        hands.append(Hand(PostgresStorage(f"{postgres_url}?hints=off")))
        return hands[-1]

    yield opening
    for hand in hands:
        hand.storage.close()


def with_beats_of(beating: Hand, work: Callable[[], object]) -> None:
    """Does work that waits for a stalled session, while another worker beats."""
    waiter = threading.Thread(target=work)
    waiter.start()
    while waiter.is_alive():
        beating.beat("w2")
        waiter.join(0.05)


def test_one_that_stands_still_while_it_sends_is_ended(postgres_url: str, opened: Callable[[], Hand]) -> None:
    """Between two statements of a pipeline the server counts a session as active: its own limits do not hold there."""
    waiting, beating = opened(), opened()
    waiting.add("a")
    with standing_still(postgres_url, EXECUTION) as stalled:
        with_beats_of(beating, lambda: waiting.cancel("a"))
        with pytest.raises(psycopg.OperationalError):
            stalled.execute("COMMIT").fetchone()
    assert waiting.row("a").status == "cancelled"


def test_one_that_holds_no_more_than_a_worker_is_ended_too(postgres_url: str, opened: Callable[[], Hand]) -> None:
    """What takes back the work of the dead waits for it."""
    waiting, beating = opened(), opened()
    waiting.beat("w1")
    with standing_still(postgres_url, WORKER):
        with_beats_of(beating, lambda: waiting.lose("w1"))
    assert "w1" not in [row.id for row in waiting.storage.workers(waiting.now)]


def test_what_others_pass_over_is_freed_too(postgres_url: str, opened: Callable[[], Hand]) -> None:
    """Nobody waits for what a claim finds held."""
    hand = opened()
    hand.add("a")
    hand.beat("w2")
    with standing_still(postgres_url, EXECUTION):
        assert hand.claim().claims == ()
        while not hand.claim("w2").claims:
            hand.beat("w2")
    assert hand.row("a").status == "running"


def test_who_brings_a_copy_is_left_alone(postgres_url: str, opened: Callable[[], Hand]) -> None:
    """A restore, say; it may wait for its disk."""
    hand = opened()
    hand.beat("w2")
    with closing(psycopg.connect(postgres_url, autocommit=True, application_name="perdure")) as slow:
        with slow.cursor() as cursor, cursor.copy("COPY perdure.executions FROM STDIN"):
            threading.Event().wait(0.5)
            hand.beat("w2")
        assert not slow.closed


def test_another_program_is_left_alone(postgres_url: str, opened: Callable[[], Hand]) -> None:
    hand, answers = opened(), list[object]()
    hand.add("a")
    with standing_still(postgres_url, EXECUTION, "shop") as other:
        threading.Event().wait(0.5)
        hand.beat("w2")
        answers.append(other.execute("SELECT 1").fetchone())
    assert answers == [(1,)]


OPERATORS = """
CREATE FUNCTION public.fails(integer, interval) RETURNS interval LANGUAGE plpgsql AS $$BEGIN RAISE 'not ours'; END$$;
CREATE FUNCTION public.fails(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'not ours'; END$$;
CREATE OPERATOR public.* (LEFTARG = integer, RIGHTARG = interval, FUNCTION = public.fails);
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.fails);
"""


def test_operators_of_others_are_not_met(postgres_url: str, opened: Callable[[], Hand]) -> None:
    """One that fits better than the server's own is taken, from whatever schema."""
    hand = opened()
    hand.add("a")
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute(OPERATORS)
    with standing_still(postgres_url, EXECUTION):
        while not hand.claim("w2").claims:
            hand.beat("w2")
