"""W4: how long one task takes when nothing else is going on, in one process and between two."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench import place
from bench.cell import percentile
from bench.drain import start_worker, stop_worker
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop, stamp

PAUSE = 0.005
"""Seconds between two tasks: each one finds everybody idle."""


async def inside(where: Path, count: int) -> dict[str, float]:
    """From the enqueue to the result, the worker in the same process."""
    times: list[float] = []
    async with app_on(where):
        await noop.run(TEXT)
        for _ in range(count):
            await asyncio.sleep(PAUSE)
            began = time.perf_counter()
            await noop.run(TEXT)
            times.append((time.perf_counter() - began) * 1000)
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


async def between(where: Path, count: int) -> dict[str, float]:
    """From the enqueue in this process to the body in another; and to the result here."""
    there: list[float] = []
    back: list[float] = []
    async with app_on(where).connect():
        worker = await start_worker("bench.worker", str(where))
        await stamp.run()
        for _ in range(count):
            await asyncio.sleep(PAUSE)
            began = time.monotonic_ns()
            ran = await stamp.run()
            back.append((time.monotonic_ns() - began) / 1e6)
            there.append((ran - began) / 1e6)
        await stop_worker(worker)
    return {"p50": percentile(there, 0.5), "p99": percentile(there, 0.99), "back": percentile(back, 0.5)}


def absurd(count: int) -> Cell:
    """A peer that needs Postgres."""
    return Cell("absurd.between", "absurd, enqueue to body, another process", "peer_absurd:latency", {"count": count})


def workload(quick: bool) -> Workload:
    """W4."""
    count, peer = (100, 10) if quick else (300, 30)
    return Workload(
        "W4",
        "latency of one task, all else idle",
        (
            Cell(
                "bare.single",
                f"bare {place.database_name()}, one commit",
                "bare:paced",
                {"count": count, "pause": PAUSE},
            ),
            Cell("inside", "enqueue to result, one process", "latency:inside", {"count": count}),
            Cell("dbos.inside", "dbos, start to result, one process", "peer:latency", {"count": peer}),
            Cell("between", "enqueue to body, another process", "latency:between", {"count": count}),
            Cell("dbos.between", "dbos, enqueue to body, another process", "peer:pickup", {"count": max(peer // 3, 3)}),
            *([absurd(peer)] if place.on_postgres() else []),
        ),
        (
            Gate("p50 less two commits, ms", lambda of: of("inside", "p50") - 2 * of("bare.single", "p50"), most=1.0),
            Gate("p50 of another process, ms", lambda of: of("between", "p50"), most=3.0),
            Gate("dbos / ours, one process", lambda of: of("dbos.inside", "p50") / of("inside", "p50"), 4),
            Gate("dbos / ours, another process", lambda of: of("dbos.between", "p50") / of("between", "p50"), 100),
        ),
    )
