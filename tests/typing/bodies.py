# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The durable verbs inside a body, awaited and blocking."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_type
from uuid import UUID

from perdure import BlockingContext, Context, Failure, Handle, Perdure, Retry, Signal

app = Perdure("memory://")


@dataclass
class Decision:
    accepted: bool


@app.task
async def half(number: int, *, exact: bool = True) -> float:
    return number / 2 if exact else number // 2


@app.task
def spell(number: int) -> str:
    return str(number)


@app.activity
async def fetch(url: str, retries: int = 3) -> bytes:
    return url.encode() * retries


@app.activity
def measure(data: bytes) -> int:
    return len(data)


async def rating(text: str, strict: bool = False) -> float:
    return float(len(text)) + strict


def weight(text: str, factor: float = 1.0) -> float:
    return len(text) * factor


approval = Signal("approval", Decision)
flags = Signal("flags", list[bool])
choice: Signal[int | None] = Signal("choice", int | None)


@app.task
async def body(ctx: Context, urls: list[str]) -> None:
    # children
    assert_type(await half(1), float)
    assert_type(await spell(1), str)
    assert_type(await half.run(1, exact=False), float)
    assert_type(await ctx.run(half.call(1)), float)
    assert_type(await ctx.run(spell.call(1)), str)
    assert_type(await ctx.spawn(spell.call(1)), Handle[str])
    assert_type(await (await ctx.spawn(spell.options(key="a").call(1))).result(), str)
    assert_type(await ctx.enqueue(half.call(1)), Handle[float])

    # activities
    assert_type(await fetch("a"), bytes)
    assert_type(await fetch.aio("a"), bytes)
    assert_type(await measure.aio(b"a"), int)

    # maps
    assert_type(await ctx.map(fetch, urls), list[bytes])
    assert_type(await ctx.map(fetch, (url for url in urls), concurrency=3), list[bytes])
    assert_type(await ctx.map(measure, [b"a"]), list[int])
    assert_type(await ctx.map(half, [1, 2]), list[float])
    assert_type(await ctx.map(spell, range(3)), list[str])
    assert_type(await ctx.map(fetch, urls, tolerate=0.05), list[bytes | Failure])
    assert_type(await ctx.map(spell, {1, 2}, tolerate=2), list[str | Failure])
    for result in await ctx.map(measure, [b"a"], tolerate=1):
        assert_type(result.message if isinstance(result, Failure) else result, str | int)

    # records
    assert_type(await ctx.record(rating, "a"), float)
    assert_type(await ctx.record(rating, "a", True, key="b", retries=3), float)
    assert_type(await ctx.record(weight, "a", retries=Retry.forever()), float)
    assert_type(await ctx.record(fetch, "a"), bytes)
    assert_type(await ctx.record(measure, b"a"), int)
    assert_type(await ctx.record(lambda: {"a": 1}, key="c"), dict[str, int])
    assert_type(await ctx.record(lambda: rating("a"), key="d"), float)

    # signals
    assert_type(await ctx.wait_for(approval), Decision)
    assert_type(await ctx.wait_for(approval, timeout=3, key="a"), Decision)
    assert_type(await ctx.wait_for(flags), list[bool])
    assert_type(await ctx.wait_for(choice), int | None)
    assert_type(await ctx.wait_for("approval", Decision), Decision)
    assert_type(await ctx.wait_for("flags", list[bool], timeout=3), list[bool])
    assert_type(await ctx.wait_for("anything"), object)

    # time and chance
    await ctx.sleep(3.5, key="a")
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid(key="a"), UUID)
    assert_type(ctx.random(), float)


@app.task
def blocking_body(ctx: BlockingContext, urls: list[str]) -> None:
    assert_type(ctx.run(half.call(1)), float)
    assert_type(ctx.run(spell.call(1)), str)
    assert_type(ctx.spawn(spell.call(1)).result(), str)
    assert_type(ctx.enqueue(half.call(1)).result(), float)

    assert_type(measure(b"a"), int)

    assert_type(ctx.map(fetch, urls), list[bytes])
    assert_type(ctx.map(measure, [b"a"], concurrency=3), list[int])
    assert_type(ctx.map(half, [1, 2]), list[float])
    assert_type(ctx.map(spell, range(3), tolerate=0.5), list[str | Failure])

    assert_type(ctx.record(fetch, "a"), bytes)
    assert_type(ctx.record(rating, "a", True, key="b", retries=3), float)
    assert_type(ctx.record(weight, "a"), float)
    assert_type(ctx.record(lambda: {"a": 1}, key="c"), dict[str, int])

    assert_type(ctx.wait_for(approval, timeout=3), Decision)
    assert_type(ctx.wait_for(choice), int | None)
    assert_type(ctx.wait_for("approval", Decision), Decision)
    assert_type(ctx.wait_for("anything"), object)

    assert_type(ctx.sleep(3), None)
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid(), UUID)
    assert_type(ctx.random(key="a"), float)
