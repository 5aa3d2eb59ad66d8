"""`crash_everywhere`: tests that survive, tests that must not, and proof that the crashes happen."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta

import pytest

from perdure import Context, Perdure
from perdure.model.policy import Retry
from perdure.testing import CrashError, TestApp, crash_everywhere

app = Perdure("memory://")
charges: list[str] = []
stocks: list[int] = []


@app.activity
async def charge(order: str) -> str:
    charges.append(order)
    return f"paid {order}"


@app.activity
async def count_up() -> int:
    stocks.append(len(stocks))
    return len(stocks)


@app.task
async def ship(order: str) -> str:
    return f"shipped {order}"


@app.task(retries=Retry(max_retries=1, delay=5, jitter=False))
async def checkout(ctx: Context, order: str) -> list[str]:
    paid = await charge(order)
    await ctx.sleep(timedelta(days=1))
    approved = await ctx.wait_for("approve", bool)
    parts = await asyncio.gather(ship(order), ship.options(key="twice")(order))
    if ctx.attempt == 0:
        raise ValueError("the first attempt fails")
    return [paid, str(approved), *parts]


EXPECTED = ["paid book", "True", "shipped book", "shipped book"]
runs: list[TestApp] = []


@crash_everywhere(app)
async def test_checkout(t: TestApp):
    runs.append(t)
    handle = await checkout.options(id="order-1").enqueue("book")
    await t.advance(days=1)
    await handle.signal("approve", True)
    assert await handle.result() == EXPECTED
    execution = await handle.execution()
    assert execution.attempt == 1
    assert len(await handle.children()) == 2
    assert await app.count() == 3


@pytest.fixture
def expected() -> list[str]:
    return EXPECTED


@crash_everywhere(app, always_replay=True)
async def test_fixtures_come_along(t: TestApp, expected: list[str]):
    handle = await checkout.enqueue("book")
    await handle.signal("approve", True)
    assert await handle.result() == expected


@crash_everywhere(app)
async def test_cancels_and_operators_retries_survive(t: TestApp):
    handle = await checkout.enqueue("book")
    await t.advance(hours=1)
    await handle.cancel("changed my mind")
    assert (await handle.wait()).status == "cancelled"
    await handle.retry()
    await handle.signal("approve", True)
    assert await handle.result() == EXPECTED
    assert (await handle.execution()).generation == 1


async def test_each_boundary_is_crashed_twice():
    seen: list[tuple[int, int]] = []
    began: list[TestApp] = []

    @crash_everywhere(app)
    async def job(t: TestApp) -> None:
        began.append(t)
        assert await ship.run("book") == "shipped book"
        seen.append((len(began), t.crashes))

    await job()
    assert seen[0] == (1, 0)
    assert all(crashes == 1 for _, crashes in seen[1:])
    assert len(seen) >= 5
    assert len(seen) % 2 == 1


async def test_a_test_that_counts_on_memory_fails_and_names_the_boundary():
    @crash_everywhere(app)
    async def forgetful(t: TestApp) -> None:
        before = len(charges)
        handle = await checkout.enqueue("book")
        await handle.signal("approve", True)
        await handle.result()
        assert len(charges) == before + 1

    with pytest.raises(
        CrashError, match=r"crash just before the commit of boundary \d+ of \d+ \(commit charge"
    ) as caught:
        await forgetful()
    assert isinstance(caught.value.__cause__, AssertionError)


async def test_a_test_that_fails_clean_fails_as_it_is():
    @crash_everywhere(app)
    async def wrong(t: TestApp) -> None:
        assert await ship.run("book") == "lost"

    with pytest.raises(AssertionError) as caught:
        await wrong()
    assert not isinstance(caught.value, CrashError)


async def test_a_test_that_writes_nothing_proves_nothing():
    @crash_everywhere(app)
    async def nothing(t: TestApp) -> None:
        await t.idle()

    with pytest.raises(CrashError, match="writes nothing"):
        await nothing()


async def test_a_test_that_takes_another_way_each_time_is_found():
    times: list[int] = []

    @crash_everywhere(app)
    async def moody(t: TestApp) -> None:
        times.append(1)
        if len(times) == 1:
            await ship.run("a")
        await ship.run("b")

    with pytest.raises(CrashError, match="did not happen"):
        await moody()


def test_pytest_sees_only_the_fixtures():
    assert list(inspect.signature(test_fixtures_come_along).parameters) == ["expected"]
    assert list(inspect.signature(test_checkout).parameters) == []
    assert inspect.iscoroutinefunction(test_checkout)
