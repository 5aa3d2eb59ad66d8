"""An app with diagrams, for the command line."""

from __future__ import annotations

from perdure import Perdure
from tests.diagrams.flows.checkout_diagram import CheckoutDiagram, PaidOutcome
from tests.diagrams.flows.checkout_payloads import ChargePayload, NotifyPayload, ShipPayload
from tests.diagrams.test_running import Trip

app = Perdure("sqlite:///shop.db")


class Checkout(CheckoutDiagram):
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.accepted(ShipPayload(payload.card))

    async def ship(self, payload: ShipPayload) -> None:
        await self.ctx.wait_for("shipped", object)

    async def notify(self, payload: NotifyPayload) -> None: ...


checkout = app.diagram(Checkout)
trip = app.diagram(Trip)


@app.task
async def plain() -> None: ...
