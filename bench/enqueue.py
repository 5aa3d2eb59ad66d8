"""W1: putting work in, by one caller, by 100 at once, and 10,000 in bulk. Nothing runs; a client alone is open."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.cell import stretch
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop


async def single(where: Path, count: int) -> dict[str, float]:
    """One caller, one after the other."""
    async with app_on(where).connect():
        await noop.enqueue(TEXT)
        with stretch() as watch:
            for _ in range(count):
                await noop.enqueue(TEXT)
    return watch.rate(count)


async def many(where: Path, count: int, callers: int) -> dict[str, float]:
    """Callers side by side, each one after the other."""

    async def caller() -> None:
        for _ in range(count // callers):
            await noop.enqueue(TEXT)

    async with app_on(where).connect():
        await noop.enqueue(TEXT)
        with stretch() as watch:
            await asyncio.gather(*(caller() for _ in range(callers)))
    return watch.rate(count // callers * callers)


async def bulk(where: Path, count: int) -> dict[str, float]:
    """All in one call, one transaction."""
    async with app_on(where).connect() as app:
        await noop.enqueue(TEXT)
        with stretch() as watch:
            await app.enqueue_many([noop.call(TEXT) for _ in range(count)])
    return watch.rate(count)


def workload(quick: bool) -> Workload:
    """W1."""
    few, lots = (300, 3_000) if quick else (2_000, 20_000)
    peer = 40 if quick else 150
    return Workload(
        "W1",
        "enqueue",
        (
            Cell("bare.single", "bare SQLite, one row in each commit", "bare:single", {"count": few}),
            Cell("one", "one caller", "enqueue:single", {"count": few}),
            Cell("dbos.one", "dbos, one caller", "peer:enqueue_single", {"count": peer}),
            Cell("many", "100 callers", "enqueue:many", {"count": lots, "callers": 100}),
            Cell("dbos.many", "dbos, 100 callers", "peer:enqueue_many", {"count": peer * 2, "callers": 100}),
            Cell("bulk", "bulk of 10,000", "enqueue:bulk", {"count": 10_000}),
            Cell("bare.batch", "bare SQLite, batch insert of 10,000", "bare:batch", {"count": 10_000}),
        ),
        (
            Gate("100 callers / bulk", lambda of: of("many", "rate") / of("bulk", "rate"), 0.3),
            Gate("one caller / single commits", lambda of: of("one", "rate") / of("bare.single", "rate"), 0.4),
            Gate("bulk / batch insert", lambda of: of("bulk", "rate") / of("bare.batch", "rate"), 0.4),
        ),
    )
