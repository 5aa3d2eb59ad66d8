"""Diagrams run: each state once, recorded; a crash resumes at the state that was reached; forks run as children."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure import (
    ConfigurationError,
    ExecutionFailedError,
    GiveUp,
    IdempotencyConflictError,
    InvalidInputError,
    NotInExecutionError,
    Perdure,
    Registry,
    Sizes,
)
from perdure.testing import TestApp, crash_everywhere
from tests.diagrams.flows.checkout_diagram import CheckoutDiagram, PaidOutcome
from tests.diagrams.flows.checkout_payloads import ChargePayload, NotifyPayload, ShipPayload
from tests.diagrams.flows.countdown_payloads import CountPayload
from tests.diagrams.flows.trip_diagram import FitsOutcome
from tests.diagrams.flows.trip_payloads import (
    FlyPayload,
    PlanPayload,
    SearchPayload,
    SeatPayload,
    TravelPayload,
)
from tests.diagrams.implemented import Checkout, Countdown, Seen, Trip


async def states(handle: Any) -> list[str]:
    return [entry.name for entry in await handle.activities() if entry.kind == "state"]


@pytest.mark.parametrize("always_replay", [False, True])
async def test_one_way_through(app: Perdure, seen: Seen, always_replay: bool) -> None:
    checkout = app.diagram(Checkout)
    async with TestApp(app, always_replay=always_replay):
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        assert await handle.result() is None
        execution = await handle.execution()
        assert (execution.task_name, execution.progress.state, execution.version) == (
            "Checkout",
            "ship",
            checkout.settings.version,
        )
        assert await states(handle) == ["charge", "ship"]
        assert await checkout.run(ChargePayload("visa", 500)) is None
    assert seen == [("charge", 0), ("ship", "visa"), ("charge", 0), ("notify", "too much", 0)]


async def test_the_diagrams_attempts_and_backoff(app: Perdure, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    Checkout.failing = 2
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("pending", 1)
        assert execution.due_at is not None
        assert timedelta() <= execution.due_at - t.now <= timedelta(seconds=2)
        await t.advance(minutes=1)
        assert await handle.result() is None
    assert seen == [("charge", 0), ("charge", 1), ("charge", 2), ("ship", "visa")]


async def test_attempts_come_to_an_end_and_retry_goes_on_there(app: Perdure, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    Checkout.failing = 9
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        await t.advance(minutes=1)
        with pytest.raises(ExecutionFailedError, match="no answer"):
            await handle.result()
        assert len(seen) == 3
        Checkout.failing = 0
        await handle.retry()
        await t.idle()
        assert (await handle.execution()).status == "completed"
    assert seen[3:] == [("charge", 0), ("ship", "visa")]


async def test_round_and_round_through_a_choice(app: Perdure, seen: Seen) -> None:
    countdown = app.diagram(Countdown)
    async with TestApp(app):
        handle = await countdown.enqueue(CountPayload(4))
        await handle.result()
        assert await states(handle) == ["count"] * 5
    assert seen == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("room", ["blue", None])
async def test_forks_run_as_children(app: Perdure, seen: Seen, room: str | None) -> None:
    trip = app.diagram(Trip)
    Trip.room = room
    async with TestApp(app):
        handle = await trip.enqueue(PlanPayload("Rome"))
        await handle.result()
        children = await handle.children()
        assert [child.task_name for child in children] == ["Trip.split.fly", "Trip.split.search"]
        assert await states(handle) == ["plan", "split", "both", "travel"]
    assert seen[-1] == TravelPayload("1A to Rome", room)
    assert sorted(map(str, seen[1:-2])) == ["fly", *(["reserve"] if room else []), "search", "seat"]


async def test_a_branch_that_fails_fails_the_diagram(app: Perdure) -> None:
    class Bumpy(Trip):
        async def search(self, payload: SearchPayload) -> FitsOutcome:
            raise GiveUp("no room in Rome")

    trip = app.diagram(Bumpy)
    async with TestApp(app):
        handle = await trip.enqueue(PlanPayload("Rome"))
        with pytest.raises(ExecutionFailedError, match="no room in Rome"):
            await handle.result()
        failure = (await handle.execution()).failure
        assert failure is not None
        assert failure.kind == "children_failed"


crashing = Perdure("memory://")
crashing_trip = crashing.diagram(Trip)
crashing_checkout = crashing.diagram(Checkout)


@crash_everywhere(crashing)
async def test_a_crash_at_every_boundary_of_a_fork(t: TestApp) -> None:
    handle = await crashing_trip.options(id="rome").enqueue(PlanPayload("Rome"))
    await t.advance(minutes=5)
    await handle.result()
    assert await states(handle) == ["plan", "split", "both", "travel"]


@crash_everywhere(crashing)
async def test_a_crash_at_every_state(t: TestApp) -> None:
    handle = await crashing_checkout.options(id="c").enqueue(ChargePayload("visa", 5))
    await t.advance(minutes=5)
    await handle.result()
    assert await states(handle) == ["charge", "ship"]


async def test_a_store_that_fails_meanwhile(app: Perdure, seen: Seen) -> None:
    """The step forward cannot be written at once: it is tried again, and the state does not run a second time."""
    checkout = app.diagram(Checkout)
    for when in ("before", "after"):
        seen.clear()
        async with TestApp(app) as t:
            handle = await checkout.enqueue(ChargePayload("visa", 5))
            t.faults.fail("commit", when, times=2)
            await t.advance(minutes=1)
            assert (await handle.execution()).status == "completed"
        assert seen == [("charge", 0), ("ship", "visa")]


async def test_progress_keeps_the_state(app: Perdure) -> None:
    class Slow(Checkout):
        async def charge(self, payload: ChargePayload) -> PaidOutcome:
            self.ctx.progress(1, 2, "asking")
            await self.ctx.sleep(60)
            return await super().charge(payload)

    checkout = app.diagram(Slow)
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        await t.advance(seconds=10)
        progress = (await handle.execution()).progress
        assert progress is not None
        assert (progress.state, progress.done, progress.total, progress.text) == ("charge", 1, 2, "asking")
        assert await app.count("state:charge status:waiting") == 1


async def test_the_tries_of_one_call(app: Perdure, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    Checkout.failing = 9
    async with TestApp(app) as t:
        handle = await checkout.options(retries=0).enqueue(ChargePayload("visa", 5))
        await t.advance(minutes=1)
        assert (await handle.execution()).status == "failed"
    assert seen == [("charge", 0)]


async def test_a_state_that_runs_over_its_time(app: Perdure) -> None:
    class Slow(Checkout):
        async def charge(self, payload: ChargePayload) -> PaidOutcome:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    checkout = app.diagram(Slow, timeout=5)
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        await t.advance(minutes=2)
        execution = await handle.execution()
        assert execution.status == "timed_out"
        assert execution.attempt == 2


async def test_cancel(app: Perdure, seen: Seen) -> None:
    class Slow(Trip):
        async def fly(self, payload: FlyPayload) -> SeatPayload:
            await self.ctx.sleep(3600)
            return await super().fly(payload)

    trip = app.diagram(Slow)
    async with TestApp(app) as t:
        handle = await trip.enqueue(PlanPayload("Rome"))
        await t.advance(seconds=1)
        await handle.cancel("no trip")
        await t.idle()
        assert (await handle.execution()).status == "cancelled"
        assert {child.status for child in await handle.children()} == {"cancelled", "completed"}


async def test_a_diagram_as_a_child_and_in_a_registry(app: Perdure, seen: Seen) -> None:
    flows = Registry(prefix="shop.")
    checkout = flows.diagram(Checkout, aliases=["old-checkout"])
    app.include(flows)

    @app.task
    async def order(amount: int) -> str:
        await checkout(ChargePayload("visa", amount))
        return "done"

    async with TestApp(app):
        assert await order.run(5) == "done"
        assert checkout.name == "shop.Checkout"
        await app.run(app.call("old-checkout", {"card": "amex", "amount": 1}))
    assert seen[-1] == ("ship", "amex")


async def test_the_same_id_twice_is_one_execution(app: Perdure, seen: Seen) -> None:
    checkout = app.diagram(Checkout)
    async with TestApp(app):
        first = await checkout.options(id="c-1").enqueue(ChargePayload("visa", 5))
        await first.result()
        await (await checkout.options(id="c-1").enqueue(ChargePayload("visa", 5))).result()
        with pytest.raises(IdempotencyConflictError):
            await checkout.options(id="c-1").enqueue(ChargePayload("visa", 6))
        with pytest.raises(InvalidInputError, match="charge"):
            await checkout.enqueue(ShipPayload("x"))  # type: ignore[arg-type]
    assert len(seen) == 2


# --- what is wrong with a class


def test_a_class_without_a_state(app: Perdure) -> None:
    class Half(CheckoutDiagram):
        async def ship(self, payload: ShipPayload) -> None: ...

    with pytest.raises(ConfigurationError, match="Half has no method for charge, notify"):
        app.diagram(Half)
    with pytest.raises(ConfigurationError, match="the factory cannot make a diagram: .*abstract"):
        app.diagram(lambda: Half())  # type: ignore[abstract]
    assert app.tasks == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (42, "app.diagram takes a class or a function"),
        (int, "int is no subclass of a class that `perdure generate` wrote"),
        (lambda: 3, "int is no subclass"),
    ],
)
def test_what_is_no_diagram(app: Perdure, make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        app.diagram(make)


def test_a_method_that_cannot_be_given_its_payload(app: Perdure) -> None:
    class Empty(Checkout):
        async def ship(self) -> None: ...  # type: ignore[override]

    class Greedy(Checkout):
        def notify(self, payload: NotifyPayload, text: str) -> None: ...  # type: ignore[override]

    for wrong, said in (
        (Empty, "Empty.ship must take self and its payload: too many"),
        (Greedy, "Greedy.notify .*'text'"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            app.diagram(wrong)
    assert app.tasks == {}


def test_a_constructor_with_arguments_needs_a_factory(app: Perdure, seen: Seen) -> None:
    class Gated(Checkout):
        def __init__(self, gateway: str) -> None:
            self.gateway = gateway

    with pytest.raises(
        ConfigurationError, match=r"missing a required argument: 'gateway'; give a function that makes one"
    ):
        app.diagram(Gated)  # type: ignore[arg-type]
    assert app.diagram(lambda: Gated("x")).name == "Checkout"


def test_retries_stand_in_the_diagram(app: Perdure) -> None:
    with pytest.raises(ConfigurationError, match="stands in the diagram, as attempts"):
        app.diagram(Checkout, retries=3)  # type: ignore[call-arg]


async def test_what_the_diagram_does_not_allow(app: Perdure) -> None:
    class Wrong(Checkout):
        answer: Any = None

        async def charge(self, payload: ChargePayload) -> PaidOutcome:
            return self.answer

    checkout = app.diagram(Wrong)
    async with TestApp(app):
        for answer, said in (
            (
                None,
                r"state charge of diagram Wrong returned None; the choice paid follows, so it returns self.paid.accepted",
            ),
            (ShipPayload("x"), "the choice paid follows"),
            (Wrong().paid.accepted(NotifyPayload("x")), "ship follows, so it returns ShipPayload"),  # type: ignore[arg-type]
        ):
            Wrong.answer = answer
            with pytest.raises(ExecutionFailedError, match=said):
                await checkout.run(ChargePayload("visa", 5))


async def test_a_payload_that_is_too_large() -> None:
    class Wordy(Checkout):
        words = 5000

        async def charge(self, payload: ChargePayload) -> PaidOutcome:
            return self.paid.accepted(ShipPayload("x" * self.words))

    app = Perdure("memory://", sizes=Sizes(result=1000))
    checkout = app.diagram(Wordy)
    async with TestApp(app):
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        with pytest.raises(
            ExecutionFailedError, match=r"state charge of task Checkout returned has over 1000 bytes; see S"
        ):
            await handle.result()
        assert await states(handle) == []
        Wordy.words = 500
        await handle.retry()
        await handle.result()
        assert await states(handle) == ["charge", "ship"]


async def test_contexts_of_both_kinds_of_states(app: Perdure, seen: Seen) -> None:
    class Both(Checkout):
        def notify(self, payload: NotifyPayload) -> None:
            assert self.ctx is self.blocking  # type: ignore[comparison-overlap]
            self.blocking.sleep(30)
            seen.append(self.ctx.task_name)

        async def charge(self, payload: ChargePayload) -> PaidOutcome:
            with pytest.raises(NotInExecutionError, match=r"an async def state uses self.ctx"):
                _ = self.blocking
            return await super().charge(payload)

    checkout = app.diagram(Both)
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 500))
        await t.advance(minutes=1)
        await handle.result()
    assert seen[-1] == "Checkout"


def test_contexts_belong_to_a_state() -> None:
    with pytest.raises(Exception, match=r"Checkout.ctx: no state of it runs"):
        _ = Checkout().ctx
