"""A process that stands still in the middle of a transaction: stopped, or cut off without a word. The server does not know,
and what it holds is locked. Others must not wait for it for ever, and it must change nothing once it goes on."""

from __future__ import annotations

import threading
from contextlib import closing, suppress

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
SELECT FROM pg_stat_activity
WHERE pid = %s AND state = 'active' AND wait_event = 'ClientRead' AND query LIKE '%%FOR UPDATE'
"""


def begun(url: str, connection: psycopg.Connection) -> None:
    """Holds an execution, and is in the midst of sending more."""
    connection.execute("BEGIN")
    connection.execute("SELECT FROM perdure.executions WHERE id = 'a' FOR UPDATE")
    connection.pgconn.send_flush_request()
    connection.pgconn.flush()
    with closing(psycopg.connect(url, autocommit=True)) as other:
        while other.execute(STANDS_STILL, [connection.info.backend_pid]).fetchone() is None:
            pass


def test_one_that_stands_still_while_it_sends_is_ended(postgres_url: str) -> None:
    """Between two statements of a pipeline the server counts a session as active: its own limits do not hold there."""
    waiting, beating = (Hand(PostgresStorage(f"{postgres_url}?hints=off")) for _ in range(2))
    waiting.add("a")
    cancelled = threading.Event()

    def cancel() -> None:
        waiting.cancel("a")
        cancelled.set()

    waiter = threading.Thread(target=cancel)
    with closing(psycopg.connect(postgres_url, autocommit=True)) as stalled:
        with suppress(psycopg.OperationalError), stalled.pipeline():
            begun(postgres_url, stalled)
            waiter.start()
            while not cancelled.wait(0.05):
                beating.beat("w2")
        with pytest.raises(psycopg.OperationalError):
            stalled.execute("COMMIT")
    waiter.join()
    assert waiting.row("a").status == "cancelled"
    for hand in (waiting, beating):
        hand.storage.close()


def test_what_others_pass_over_is_freed_too(postgres_url: str) -> None:
    """Nobody waits for what a claim finds held."""
    hand = Hand(PostgresStorage(f"{postgres_url}?hints=off"))
    hand.add("a")
    hand.beat("w2")
    with (
        closing(psycopg.connect(postgres_url, autocommit=True)) as stalled,
        suppress(psycopg.OperationalError),
        stalled.pipeline(),
    ):
        begun(postgres_url, stalled)
        assert hand.claim().claims == ()
        while not hand.claim("w2").claims:
            hand.beat("w2")
    assert hand.row("a").status == "running"
    hand.storage.close()


def test_who_brings_a_copy_is_left_alone(postgres_url: str) -> None:
    """A restore, say; it may wait for its disk."""
    hand = Hand(PostgresStorage(f"{postgres_url}?hints=off"))
    hand.beat("w2")
    with closing(psycopg.connect(postgres_url, autocommit=True)) as slow:
        with slow.cursor() as cursor, cursor.copy("COPY perdure.executions FROM STDIN"):
            threading.Event().wait(0.5)
            hand.beat("w2")
        assert not slow.closed
    hand.storage.close()
