"""An app with diagrams, for the command line."""

from __future__ import annotations

from perdure import Perdure, Registry
from tests.diagrams.flows.checkout_diagram import CheckoutDiagram, PaidOutcome
from tests.diagrams.flows.checkout_payloads import ChargePayload, NotifyPayload, ShipPayload
from tests.diagrams.implemented import Trip

app = Perdure("sqlite:///shop.db")


class Checkout(CheckoutDiagram):
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.accepted(ShipPayload(payload.card))

    async def ship(self, payload: ShipPayload) -> None:
        await self.ctx.wait_for("shipped", object)

    async def notify(self, payload: NotifyPayload) -> None: ...


checkout = app.diagram(Checkout)
trip = app.diagram(Trip)

flows = Registry(prefix="shop.")
inner = flows.diagram(Checkout, name="inner")


class Outer(Checkout):
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        await inner(payload)
        return await super().charge(payload)


outer = flows.diagram(Outer, name="outer")
app.include(flows)


@app.task(name="shop.parcel")
async def parcel() -> None: ...


class Parcels(Checkout):
    """Its name has a dot, and so has that of another task, which it starts."""

    async def ship(self, payload: ShipPayload) -> None:
        await parcel()


parcels = app.diagram(Parcels, name="shop.checkout")


@app.task
async def plain() -> None: ...
