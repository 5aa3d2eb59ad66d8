"""The app that the tests of the command line name: `tests.cli.shop:app`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from perdure import Context, Continue, Done, Joined, Perdure, Retry, Spawn

app = Perdure("sqlite:///shop.db", poll=0.05)
no_app = object()


@dataclass
class Order:
    customer: int
    items: list[str]


@app.activity(retries=2, timeout=30)
async def charge(customer: int, amount: float = 9.95) -> str:
    """Charge a card."""
    return f"receipt-{customer}"


@app.task(queue="default", retries=5)
async def order(ctx: Context, customer: int, note: str = "") -> Order:
    """Take an order from cart to door.

    Nobody reads the second line.
    """
    await charge(customer)
    ctx.progress(1, 2, "waiting [bold]")
    await ctx.wait_for("approval", bool)
    return Order(customer, ["tea", note])


@app.task(retries=0)
async def broken(why: str = "just so") -> int:
    raise ValueError(why)


@app.task(retries=Retry(3, delay=3600, max_delay=7200))
async def flaky() -> int:
    raise RuntimeError("not today")


@app.task
async def nap(ctx: Context, seconds: float = 0.0) -> None:
    await ctx.sleep(seconds)


@app.task
async def family(ctx: Context) -> str:
    children = [await ctx.spawn(echo.call(n)) for n in range(2)]
    return " ".join([str(await child.result()) for child in children])


@app.task(aliases=["say"])
async def echo(value: object) -> object:
    return value


decision = app.external_task("decision", Order, timeout=3600)
shipment = app.external_task("shipment", str)


@app.task
async def sale(id: str) -> Order:
    return await decision(id)


@app.task
async def many(items: list[str]) -> int:
    return len(items)


@app.task
async def typed(day: date, count: int, on: bool, name: str) -> str:
    return f"{day:%Y} {count + 1} {on} {name}"


async def _look(ctx: Context, page: int) -> Continue | Done[str]:
    return Done("there") if page > 2 else Continue(page + 1)


def _total(joined: Joined[int, None]) -> float:
    return sum(child.output for child in joined.children)


@app.parent_task(finalize=_total)
async def fan(count: int) -> Spawn[None]:
    return Spawn(None, [echo.call(number) for number in range(count)])


look = app.loop("look", _look, delay=1)
chain = app.sequence("chain", many, echo)
