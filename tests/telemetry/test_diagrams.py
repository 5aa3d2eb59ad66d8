"""Each try of a diagram's state is a span of its own, below that of its pass; an activity belongs to its state."""

from __future__ import annotations

from perdure.testing import TestApp
from tests.diagrams.flows.checkout_payloads import ChargePayload
from tests.diagrams.implemented import Checkout
from tests.telemetry.conftest import Seen, facts_of, id_of, parent_of


async def test_states_are_spans(seen: Seen) -> None:
    app = seen.app()
    Checkout.failing, Checkout.seen = 1, []
    checkout = app.diagram(Checkout)
    async with TestApp(app) as t:
        handle = await checkout.enqueue(ChargePayload("visa", 5))
        await t.advance(minutes=1)
        await handle.result()
    Checkout.failing = 0
    failed, charged = seen.named("state Checkout.charge")
    shipped = seen.one("state Checkout.ship")
    assert [span.status.is_ok for span in (failed, charged, shipped)] == [False, True, True]
    assert [facts_of(span)["perdure.number"] for span in (failed, charged, shipped)] == [0, 0, 1]
    first, second = seen.named("run Checkout")
    assert [parent_of(span) for span in (failed, charged, shipped)] == [id_of(first), id_of(second), id_of(second)]
