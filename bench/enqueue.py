"""W1: putting work in, by one caller, by 100 at once, and 10,000 in bulk. Nothing runs; a client alone is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from bench.cell import stretch
from bench.model import Cell, Gate, Reading, Workload
from bench.ours import TEXT, app_on, noop
from bench.place import database_name, on_postgres


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


def peers(quick: bool) -> tuple[Cell, ...]:
    """Those that need Postgres."""
    few, lots = (100, 300) if quick else (500, 3_000)
    return tuple(
        cell
        for name in ("absurd", "pgqueuer", "procrastinate")
        for cell in (
            Cell(f"{name}.one", f"{name}, one caller", f"peer_{name}:enqueue_single", {"count": few}),
            Cell(f"{name}.many", f"{name}, 100 callers", f"peer_{name}:enqueue_many", {"count": lots, "callers": 100}),
        )
    )


def ratio(name: str) -> Callable[[Reading], float]:
    """Ours over a peer's, 100 callers."""
    return lambda of: of("many", "rate") / of(f"{name}.many", "rate")


def workload(quick: bool) -> Workload:
    """W1."""
    few, lots = (300, 3_000) if quick else (2_000, 20_000)
    peer = 40 if quick else 150
    others = on_postgres()
    return Workload(
        "W1",
        "enqueue",
        (
            Cell("bare.single", f"bare {database_name()}, one row in each commit", "bare:single", {"count": few}),
            Cell("one", "one caller", "enqueue:single", {"count": few}),
            Cell("dbos.one", "dbos, one caller", "peer:enqueue_single", {"count": peer}),
            Cell("many", "100 callers", "enqueue:many", {"count": lots, "callers": 100}),
            Cell("dbos.many", "dbos, 100 callers", "peer:enqueue_many", {"count": peer * 2, "callers": 100}),
            Cell("bulk", "bulk of 10,000", "enqueue:bulk", {"count": 10_000}),
            Cell("bare.batch", f"bare {database_name()}, batch insert of 10,000", "bare:batch", {"count": 10_000}),
            *(peers(quick) if others else ()),
        ),
        (
            Gate("100 callers / bulk", lambda of: of("many", "rate") / of("bulk", "rate"), 0.3),
            Gate("one caller / single commits", lambda of: of("one", "rate") / of("bare.single", "rate"), 0.4),
            Gate("bulk / batch insert", lambda of: of("bulk", "rate") / of("bare.batch", "rate"), 0.4),
            *([Gate("100 callers / absurd", ratio("absurd"), 20)] if others else []),
            *([Gate("100 callers / pgqueuer", ratio("pgqueuer"), 30)] if others else []),
        ),
    )
