"""Work fetched one by one: a state at a time, in the order asked for, by as many as like; none runs twice, none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from perdure import ConfigurationError, Context, Execution, InvalidQueryError, Perdure, Retry, StorageError
from perdure.app import Parts
from perdure.ids import Ids
from perdure.model.policy import SquareBackoff
from perdure.storage.opening import open_storage
from perdure.testing.clock import VirtualClock
from perdure.worker.fetching import Fetcher
from tests.diagrams.flows.checkout_payloads import ChargePayload
from tests.diagrams.flows.countdown_payloads import CountPayload
from tests.diagrams.flows.trip_payloads import PlanPayload, TravelPayload
from tests.diagrams.implemented import Checkout, Countdown, Seen, Trip


@pytest.fixture
async def clock(app: Perdure) -> AsyncIterator[VirtualClock]:
    """The app, open as a client on a memory store; its clock stands still."""
    clock = VirtualClock()
    app.parts = Parts(open_storage("memory://"), clock, Ids(7))
    async with app.connect():
        yield clock


def state(execution: Execution[object] | None) -> tuple[str, str, int]:
    assert execution is not None
    progress = execution.progress
    return execution.status, "" if progress is None else progress.state, execution.attempt


async def test_a_state_at_a_time(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    await checkout.enqueue(ChargePayload("visa", 5))
    assert state(await app.run_one()) == ("pending", "ship", 0)
    assert seen == [("charge", 0)]
    assert await app.count("state:ship") == 1
    assert await app.run_one("state:notify") is None
    assert state(await app.run_one("state:ship task:Checkout")) == ("completed", "ship", 0)
    assert await app.run_one() is None
    assert seen == [("charge", 0), ("ship", "visa")]
    assert await app.workers() == []


async def test_until_settled(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    countdown = app.diagram(Countdown)
    await countdown.enqueue(CountPayload(4))
    assert state(await app.run_until_settled()) == ("completed", "count", 0)
    assert seen == [4, 3, 2, 1, 0]


async def test_a_retry_is_waited_for(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    Checkout.failing = 1
    await checkout.enqueue(ChargePayload("visa", 5))
    stopped = await app.run_until_settled()
    assert state(stopped) == ("pending", "charge", 1)
    assert stopped is not None
    assert stopped.due_at is not None
    assert await app.run_one() is None
    clock.move(3)
    assert state(await app.run_until_settled()) == ("completed", "ship", 0)
    assert seen == [("charge", 0), ("charge", 1), ("ship", "visa")]


async def test_what_cannot_be_recovered_is_retried_on_demand(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    Checkout.failing = 9
    for amount in (1, 2, 3):
        await checkout.enqueue(ChargePayload("visa", amount))
    while await app.count("status:failed task:Checkout") < 3:
        await app.run_until_settled()
        clock.move(30)
    assert await app.retry_all("status:failed task:Checkout", dry_run=True) == 3
    assert await app.retry_all("status:failed task:Checkout") == 3
    Checkout.failing = 0
    assert state(await app.run_one()) == ("pending", "ship", 0)


@pytest.mark.parametrize(("order", "expected"), [("oldest", [0, 1, 2]), ("newest", [2, 1, 0])])
async def test_orders(app: Perdure, clock: VirtualClock, seen: Seen, order: Any, expected: list[int]) -> None:
    countdown = app.diagram(Countdown)
    for name in "abc":
        await countdown.options(id=name).enqueue(CountPayload(0))
        clock.move(1)
    ran = [await app.run_one(order=order) for _ in range(3)]
    assert [["a", "b", "c"].index(each.id) for each in ran if each is not None] == expected


async def test_any_of_them(app: Perdure, clock: VirtualClock) -> None:
    countdown = app.diagram(Countdown)
    await app.enqueue_many([countdown.options(id=f"{at:02}").call(CountPayload(0)) for at in range(12)])
    ran = [(await app.run_one(order="random")).id for _ in range(12)]  # type: ignore[union-attr]
    assert sorted(ran) == [f"{at:02}" for at in range(12)]
    assert ran != sorted(ran)


async def test_many_fetch_at_once(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    handles = await app.enqueue_many([checkout.call(ChargePayload(str(at), 5)) for at in range(6)])
    for _ in range(4):
        await asyncio.gather(*(app.run_one(order="random") for _ in range(8)))
    assert sorted(each for each in seen if each[0] == "ship") == [("ship", str(at)) for at in range(6)]
    assert seen.count(("charge", 0)) == 6
    assert {(await handle.execution()).status for handle in handles} == {"completed"}


async def test_two_processes_on_one_store(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    """As two programs: two apps, each with a client of its own."""
    other = Perdure("memory://")
    other.parts = Parts(app.opened.store.storage, clock, Ids(8), migrate=False)
    mine, theirs = app.diagram(Countdown), other.diagram(Countdown)
    assert mine.settings.version == theirs.settings.version
    async with other.connect():
        handle = await mine.enqueue(CountPayload(3))
        while (await handle.execution()).status == "pending":
            await asyncio.gather(app.run_one(), other.run_one())
    assert seen == [3, 2, 1, 0]


async def test_whoever_comes_late_leaves_alone_what_waits_by_now(
    app: Perdure, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was due when it was found; somebody else ran it before it was claimed. The signal is not missed."""

    @app.task(retries=Retry(3, delay=1))
    async def asking(ctx: Context) -> str:
        if ctx.attempt == 0:
            raise ValueError("not yet")
        return await ctx.wait_for("go", str, timeout=86400)

    handle = await asking.enqueue()
    await app.run_one()
    clock.move(100)
    take = Fetcher.take

    async def late(fetcher: Fetcher, execution_id: str) -> bool:
        monkeypatch.undo()
        assert state(await app.run_one())[0] == "waiting"
        return await take(fetcher, execution_id)

    monkeypatch.setattr(Fetcher, "take", late)
    assert await app.run_one() is None
    assert await handle.status() == "waiting"
    await handle.signal("go", "now")
    assert state(await app.run_one())[0] == "completed"


async def test_a_journal_that_cannot_be_read(
    app: Perdure, clock: VirtualClock, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was claimed is given back: the call ends, and the next one has it."""

    def journal(ids: object) -> object:
        raise StorageError("the disk is away")

    handle = await app.diagram(Checkout).enqueue(ChargePayload("visa", 5))
    with monkeypatch.context() as patched:
        patched.setattr(app.opened.store.storage, "journal", journal)
        assert await app.run_one() is None
    assert (await handle.execution()).status == "pending"
    assert seen == []
    assert state(await app.run_one()) == ("pending", "ship", 0)


async def test_two_programs_on_one_file(tmp_path: Path, seen: Seen) -> None:
    url = f"sqlite:///{tmp_path / 'flows.db'}"
    one, two = Perdure(url), Perdure(url)
    mine = one.diagram(Checkout)
    two.diagram(Checkout)
    async with one.connect(), two.connect():
        handles = await one.enqueue_many([mine.call(ChargePayload(str(at), 5)) for at in range(8)])
        while await one.count("status:pending"):
            await asyncio.gather(*(app.run_one(order="random") for app in (one, two, one, two)))
        assert {(await handle.execution()).status for handle in handles} == {"completed"}
    assert seen.count(("charge", 0)) == 8
    assert sorted(each[1] for each in seen if each[0] == "ship") == [str(at) for at in range(8)]


async def test_forks_are_fetched_too(app: Perdure, clock: VirtualClock, seen: Seen) -> None:
    trip = app.diagram(Trip)
    await trip.enqueue(PlanPayload("Rome"))
    assert state(await app.run_one()) == ("pending", "split", 0)
    assert state(await app.run_one()) == ("waiting", "split", 0)
    assert state(await app.run_until_settled("task:Trip.split.search")) == ("completed", "reserve", 0)
    assert state(await app.run_until_settled("task:Trip")) is not None
    assert seen[-1] == TravelPayload("1A to Rome", "blue")


async def test_other_styles_run_to_the_next_wait(app: Perdure, clock: VirtualClock) -> None:
    @app.task
    async def nap(ctx: Context) -> str:
        await ctx.sleep(60)
        return "rested"

    handle = await nap.enqueue()
    waiting = await app.run_one()
    assert waiting is not None
    assert (waiting.status, waiting.waiting_on) == ("waiting", "timer")
    assert await app.run_one() is None
    clock.move(61)
    settled = await app.run_one()
    assert settled is not None
    assert settled.result == "rested"
    assert await handle.result() == "rested"


async def test_nothing_due(app: Perdure, clock: VirtualClock) -> None:
    app.diagram(Countdown)
    assert await app.run_one() is None
    assert await app.run_until_settled() is None


async def test_what_is_wrong_with_the_words(app: Perdure, clock: VirtualClock) -> None:
    with pytest.raises(InvalidQueryError, match="nope"):
        await app.run_one("nope:1")
    with pytest.raises(ConfigurationError, match="it must be oldest, newest or random"):
        await app.run_one(order="sideways")  # type: ignore[arg-type]


def test_fetching_from_a_synchronous_program(seen: Seen) -> None:
    app = Perdure("memory://")
    checkout = app.diagram(Checkout)
    with app.connect() as client:
        client.enqueue(checkout.call(ChargePayload("visa", 5)))
        assert state(client.run_one()) == ("pending", "ship", 0)
        assert state(client.run_until_settled()) == ("completed", "ship", 0)


async def test_beside_a_worker(seen: Seen) -> None:
    app = Perdure("memory://")
    countdown = app.diagram(Countdown)
    async with app:
        handles = await app.enqueue_many([countdown.call(CountPayload(2)) for _ in range(5)])
        await asyncio.gather(*(app.run_one(order="random") for _ in range(5)))
        for handle in handles:
            await handle.result(timeout=30)
    assert sorted(seen) == sorted([2, 1, 0] * 5)


def test_backoff_is_uniform_below_the_square() -> None:
    ids = Ids(3)
    for attempt in range(4):
        most = 2.0 * (attempt + 1) ** 2
        drawn = [SquareBackoff(9, 2.0).pause(attempt, ids.uniform) for _ in range(1000)]
        assert all(0 <= each <= most for each in drawn)
        assert abs(sum(drawn) / 1000 - most / 2) < most / 20
