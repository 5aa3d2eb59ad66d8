"""The diagrams of `flows`, implemented: their states note in `seen` what they were given."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.diagrams.flows.checkout_diagram import CheckoutDiagram, PaidOutcome
from tests.diagrams.flows.checkout_payloads import ChargePayload, NotifyPayload, ShipPayload
from tests.diagrams.flows.countdown_diagram import CountdownDiagram, DecideOutcome
from tests.diagrams.flows.countdown_payloads import CountPayload
from tests.diagrams.flows.trip_diagram import BothPayload, FitsOutcome, SplitPayload, TripDiagram
from tests.diagrams.flows.trip_payloads import (
    FlyPayload,
    FlyResult,
    PlanPayload,
    ReservePayload,
    SearchPayload,
    SearchResult,
    SeatPayload,
    TravelPayload,
)

Seen = list[Any]


class Checkout(CheckoutDiagram):
    """Charges above 100 are declined; how often charging fails first is told from outside."""

    seen: ClassVar[Seen] = []
    failing: ClassVar[int] = 0

    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        self.seen.append(("charge", self.ctx.attempt))
        if self.ctx.attempt < self.failing:
            raise ValueError("no answer")
        if payload.amount > 100:
            return self.paid.declined(NotifyPayload("too much"))
        return self.paid.accepted(ShipPayload(payload.card))

    async def ship(self, payload: ShipPayload) -> None:
        self.seen.append(("ship", payload.parcel))

    def notify(self, payload: NotifyPayload) -> None:
        self.seen.append(("notify", payload.why, self.blocking.attempt))


class Countdown(CountdownDiagram):
    seen: ClassVar[Seen] = []

    def count(self, payload: CountPayload) -> DecideOutcome:
        self.seen.append(payload.left)
        return self.decide.again(CountPayload(payload.left - 1)) if payload.left else self.decide.over()


class Trip(TripDiagram):
    seen: ClassVar[Seen] = []
    room: ClassVar[str | None] = "blue"

    async def plan(self, payload: PlanPayload) -> SplitPayload:
        self.seen.append("plan")
        return SplitPayload(FlyPayload(payload.city), SearchPayload(payload.city))

    async def fly(self, payload: FlyPayload) -> SeatPayload:
        self.seen.append("fly")
        return SeatPayload(f"to {payload.city}")

    async def seat(self, payload: SeatPayload) -> FlyResult:
        self.seen.append("seat")
        return FlyResult(f"1A {payload.flight}")

    async def search(self, payload: SearchPayload) -> FitsOutcome:
        self.seen.append("search")
        return self.fits.yes(ReservePayload(self.room)) if self.room else self.fits.no(SearchResult(None))

    async def reserve(self, payload: ReservePayload) -> SearchResult:
        self.seen.append("reserve")
        return SearchResult(payload.room)

    async def both(self, payload: BothPayload) -> TravelPayload:
        self.seen.append("both")
        return TravelPayload(payload.fly.seat, payload.search.room)

    async def travel(self, payload: TravelPayload) -> None:
        self.seen.append(payload)
