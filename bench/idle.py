"""W10: what a worker costs that has nothing to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench import counting
from bench.cell import stretch
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop


async def resting(where: Path, seconds: float) -> dict[str, float]:
    """CPU time and statements (without BEGIN and COMMIT) of a worker in the default configuration."""
    counted = counting.install(where)
    async with app_on(where):
        await noop.run(TEXT)
        await asyncio.sleep(2)
        counted.reset()
        with stretch() as watch:
            await asyncio.sleep(seconds)
        found = counted.read()["statements"]
    return {"percent": watch.cpu / seconds * 100, "per_second": found / seconds}


def workload(quick: bool) -> Workload:
    """W10."""
    seconds = 3 if quick else 10
    return Workload(
        "W10",
        "an idle worker",
        (
            Cell("resting", "idle worker", "idle:resting", {"seconds": seconds}),
            Cell("dbos.resting", "dbos, idle", "peer:idle", {"seconds": seconds}),
        ),
        (
            Gate("% of a core", lambda of: of("resting", "percent"), most=1.0),
            Gate("statements per second", lambda of: of("resting", "per_second"), most=5.0),
        ),
    )
