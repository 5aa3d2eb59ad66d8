"""Fanning out: an activity over many items, bounded; children over regions, some of which may fail.

python examples/fan_out.py
"""

import asyncio

from perdure import Context, Failure, GiveUp, Perdure

app = Perdure()


@app.activity(retries=2)
async def fetch_price(article: str) -> int:
    if article == "unicorn":
        raise GiveUp("nobody sells it")  # no retry helps
    await asyncio.sleep(0.01)  # a slow web service
    return len(article) * 100


@app.task
async def total_of(ctx: Context, region: str, articles: list[str]) -> int:
    """One region: all of its articles, four at a time. The first failure fails it."""
    return sum(await ctx.map(fetch_price, articles, concurrency=4))


@app.task
async def total_of_all(ctx: Context, regions: dict[str, list[str]]) -> dict[str, int]:
    """Each region is a child: an execution of its own, on any worker. This one holds no slot while it waits."""
    children = [await ctx.spawn(total_of.call(region, articles)) for region, articles in regions.items()]
    return {region: await child.result() for region, child in zip(regions, children, strict=True)}


@app.task
async def prices_where_known(ctx: Context, articles: list[str]) -> list[int | None]:
    """Up to half of the items may fail; what failed stands in the list as a `Failure`."""
    found = await ctx.map(fetch_price, articles, concurrency=4, tolerate=0.5)
    return [None if isinstance(each, Failure) else each for each in found]


async def main() -> None:
    async with app:
        regions = {"north": ["tea", "sugar", "milk"], "south": [f"cup {number}" for number in range(20)]}
        print("totals", await total_of_all.run(regions))
        print("prices", await prices_where_known.run(["tea", "unicorn", "milk"]))


if __name__ == "__main__":
    asyncio.run(main())
