"""A state diagram: checkout.mermaid is the process, this is what its states do. `perdure generate checkout.mermaid` wrote
checkout_diagram.py and, once, checkout_payloads.py. Run me: python examples/checkout/main.py"""

import asyncio

from checkout_diagram import CheckoutDiagram, PaidOutcome
from checkout_payloads import ChargePayload, NotifyPayload, ShipPayload

from perdure import Perdure
from perdure.mermaid import draw

app = Perdure()
tried: list[str] = []


@app.activity
async def charge_card(card: str, cents: int) -> bool:
    tried.append(card)
    if tried.count("slow") == 1:
        raise TimeoutError("the bank does not answer")
    return cents < 10_000


class Checkout(CheckoutDiagram):
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        if await charge_card(payload.card, payload.cents):
            return self.paid.accepted(ShipPayload("1 Main Street"))
        return self.paid.declined(NotifyPayload("too much"))

    async def ship(self, payload: ShipPayload) -> None:
        print("ship to", payload.address, "after", len(tried), "tries")

    async def notify(self, payload: NotifyPayload) -> None:
        print("declined:", payload.reason)


checkout = app.diagram(Checkout)


async def main() -> None:
    async with app:
        await checkout.run(ChargePayload("slow", 2450))
        await checkout.run(ChargePayload("fast", 99_999))
    print(draw(checkout.outline()).splitlines()[3])


if __name__ == "__main__":
    asyncio.run(main())
