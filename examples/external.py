"""External tasks: completed from outside by a key that both sides know, before or while somebody waits.

python examples/external.py
"""

import asyncio
from dataclasses import dataclass

from perdure import ExecutionFailedError, Perdure

app = Perdure()


@dataclass
class Payment:
    cents: int
    by: str


payment = app.external_task("payment", Payment, timeout=86_400)


@app.task
async def order(number: str) -> str:
    """Waits for the bank without holding a worker's slot; the bank knows the order's number, no execution's id."""
    try:
        paid = await payment(number)
    except ExecutionFailedError as error:
        return f"{number} not paid: {error.failure.message if error.failure else ''}"
    return f"{number} paid {paid.cents / 100:.2f} by {paid.by}"


async def callback(number: str, cents: int) -> str:
    """What a web handler does. A callback that is delivered twice does no harm: the first answer stands."""
    answer = await app.complete("payment", number, {"cents": cents, "by": "card"})
    return "accepted" if answer.first else "known already"


async def main() -> None:
    async with app:
        first, second = await order.enqueue("o-1"), await order.enqueue("o-2")
        print(await callback("o-1", 995), "|", await callback("o-1", 995))
        print(await first.result())

        await payment.fail("o-2", "card expired")
        print(await second.result())

        await callback("o-3", 100)  # before anybody waits: it is kept
        print(await order.run("o-3"))


if __name__ == "__main__":
    asyncio.run(main())
