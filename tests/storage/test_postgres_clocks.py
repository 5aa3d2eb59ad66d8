"""Hosts whose clocks differ: leases follow the server's (P9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from perdure.clock import SystemClock
from perdure.model.records import Reclaimed
from perdure.storage.postgres import PostgresStorage, clocks
from perdure.storage.postgres.clocks import EVERY, PAUSE, SLACK, ServerClock
from perdure.testing.clock import VirtualClock
from perdure.testing.conformance.hand import LEASE, Hand

HOUR = 3_600_000
OnHost = Callable[[int], Hand]


@pytest.fixture
def on_host(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnHost]:
    """A storage on a host whose clock is so many milliseconds ahead."""
    made: list[PostgresStorage] = []

    def opened(by: int) -> Hand:
        class Off(SystemClock):
            def now(self) -> int:
                return super().now() + by

        with monkeypatch.context() as patched:
            patched.setattr(clocks, "SystemClock", Off)
            made.append(PostgresStorage(f"{postgres_url}?hints=off"))
        return Hand(made[-1], Off().now())

    yield opened
    for storage in made:
        storage.close()


@pytest.fixture(params=[HOUR, -HOUR])
def hosts(on_host: OnHost, request: pytest.FixtureRequest) -> tuple[Hand, Hand]:
    """Two hosts, on each a worker: `right`, and `wrong` whose clock is off."""
    right, wrong = on_host(0), on_host(request.param)
    right.beat("right")
    wrong.beat("wrong")
    return right, wrong


def test_a_clock_that_is_wrong_kills_nobody(hosts: tuple[Hand, Hand]) -> None:
    right, _ = hosts
    right.add("a", "b")
    right.start("a", "right")
    right.start("b", "wrong")
    for hand in hosts:
        assert hand.storage.reclaim(hand.now) == Reclaimed()
        assert [row.lease_until > hand.now for row in hand.storage.workers(hand.now)] == [True, True]
        hand.wait(2 * LEASE)
        assert [row.lease_until > hand.now for row in hand.storage.workers(hand.now)] == [False, False]
    assert right.status("a", "b") == ["running", "running"]


def test_a_clock_that_is_wrong_keeps_nobody_alive(hosts: tuple[Hand, Hand]) -> None:
    """What its host takes back is due now, by the clocks of others."""
    right, wrong = hosts
    right.add("a")
    right.start("a", "right")
    for hand in hosts:
        hand.wait(2 * LEASE)
    assert wrong.storage.reclaim(wrong.now, 0) == Reclaimed()
    assert wrong.storage.reclaim(wrong.now).workers == ("right", "wrong")
    assert right.row("a").due_at == pytest.approx(right.now, abs=LEASE)


def test_what_a_leaving_worker_gives_back_is_due_at_once(hosts: tuple[Hand, Hand]) -> None:
    right, wrong = hosts
    right.add("a")
    right.start("a", "wrong")
    wrong.beat("wrong", leaving=True)
    assert right.row("a").due_at == pytest.approx(right.now, abs=LEASE)


class Server:
    """A server whose clock is ahead of a host's, and which is asked at `cost` seconds."""

    def __init__(self, host: VirtualClock) -> None:
        self.host, self.ahead, self.cost, self.asked = host, 0, 0.0, 0

    def now(self) -> int:
        self.asked += 1
        self.host.move(self.cost / 2)
        answer = self.host.now() + self.ahead
        self.host.move(self.cost / 2)
        return answer


@pytest.fixture
def server() -> Server:
    return Server(VirtualClock())


@pytest.fixture
def clock(server: Server, monkeypatch: pytest.MonkeyPatch) -> ServerClock:
    monkeypatch.setattr(clocks, "SystemClock", lambda: server.host)
    return ServerClock("db", server.now)


def test_it_is_measured_now_and_then(server: Server, clock: ServerClock) -> None:
    server.ahead = -HOUR
    assert [clock.ahead() for _ in range(3)] == [-HOUR] * 3
    assert clock.judged(2 * HOUR) == HOUR
    assert server.asked == 1
    server.host.move(EVERY)
    assert clock.ahead() == -HOUR
    assert server.asked == 2


def test_nobody_is_to_be_judged(server: Server, clock: ServerClock) -> None:
    server.ahead = HOUR
    assert clock.judged(0) == 0


@pytest.mark.parametrize("ahead", [2000, -2000])
def test_what_the_way_leaves_uncertain_is_not_corrected(server: Server, clock: ServerClock, ahead: int) -> None:
    server.ahead, server.cost = ahead, 4.0
    assert clock.ahead() == clock.measured() == 0
    server.host.move(EVERY)
    server.cost = 0.0
    assert clock.ahead() == clock.measured() == ahead


def test_what_does_not_matter_is_not_corrected(server: Server, clock: ServerClock) -> None:
    server.ahead = SLACK
    assert (clock.ahead(), clock.measured()) == (0, SLACK)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_when_the_clock_of_the_server_is_set_leases_are_not_judged_for_a_while(
    server: Server, clock: ServerClock, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert clock.judged(10 * HOUR) == 10 * HOUR
    server.ahead = step
    server.host.move(EVERY)
    assert clock.judged(10 * HOUR) == 0
    assert f"moved by {step / 1000:+.1f} s" in caplog.text
    assert f"{step / 1000:+.1f} s off this host's" in caplog.text
    server.host.move(PAUSE)
    assert clock.judged(10 * HOUR) == 10 * HOUR + step


def test_a_host_whose_clock_is_set_measures_at_once(server: Server, clock: ServerClock) -> None:
    assert clock.ahead() == 0
    steady = server.host.now
    server.host.now = lambda: steady() + HOUR  # type: ignore[method-assign]
    server.ahead = -HOUR
    assert clock.ahead() == -HOUR
