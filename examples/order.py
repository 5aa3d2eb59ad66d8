"""One order, from the charge to the parcel: the program of docs/tutorial.md.

    python examples/order.py            starts order-7, or goes on with it
    python examples/order.py approve    says yes, from any process, whether or not the other one runs

Kill the first at any moment and start it again: what was recorded does not happen twice.
"""

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta

from perdure import Context, Perdure, Signal

app = Perdure()  # $PERDURE_URL, else sqlite:///perdure.db


@dataclass
class Decision:
    approved: bool
    by: str


approval = Signal("approval", Decision)


@app.activity(retries=5, timeout=30)
async def charge(order_id: str, cents: int) -> str:
    print(f"charge {cents} cents for {order_id}", flush=True)
    return f"receipt-{order_id}"


@app.activity
async def reserve(order_id: str, item: str) -> str:
    print(f"reserve {item}", flush=True)
    return f"shelf-3/{item}"


@app.activity
async def refund(receipt: str) -> None:
    print(f"refund {receipt}", flush=True)


@app.activity
async def ship(place: str) -> str:
    print(f"ship from {place}", flush=True)
    return "parcel-1"


@app.task
async def order(ctx: Context, item: str, cents: int) -> str:
    receipt = await charge(ctx.execution_id, cents)
    place = await reserve(ctx.execution_id, item)
    try:
        decision = await ctx.wait_for(approval, timeout=timedelta(days=3))
    except TimeoutError:
        decision = Decision(approved=False, by="nobody")
    if not decision.approved:
        await refund(receipt)
        return f"refused by {decision.by}"
    return await ship(place)


async def main(approve: bool) -> None:
    if approve:
        async with app.connect():
            await app.handle("order-7").signal(approval, Decision(approved=True, by="Ada"))
            return
    async with app:
        handle = await order.options(id="order-7").enqueue("teapot", 2450)
        print("the result is", await handle.result(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] == ["approve"]))
