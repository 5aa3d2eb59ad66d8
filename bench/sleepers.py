"""W8: 100,000 sleeping executions in one worker, their wake-ups spread over a minute: memory, and how late they wake.

Another process puts them in, so that the memory is the worker's alone.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from array import array
from pathlib import Path

from bench.cell import percentile
from bench.model import Cell, Gate, Workload
from bench.ours import app_on
from perdure import Context, Registry

registry = Registry()
BITE = 10_000
GRACE = 120.0


class Alarm:
    """When the first one wakes, how many milliseconds lie between two, and how late they woke."""

    first = 0.0
    apart = 0.0
    late = array("d")


@registry.task
async def nap(ctx: Context, number: int) -> None:
    """Sleeps until its moment, and says how late it is."""
    due = Alarm.first + number * Alarm.apart
    await ctx.sleep(max(due - time.time() * 1000, 0.0) / 1000)
    Alarm.late.append(time.time() * 1000 - due)


async def fill(where: Path, count: int) -> None:
    """Puts them in."""
    app = app_on(where)
    app.include(registry)
    async with app.connect():
        for start in range(0, count, BITE):
            await app.enqueue_many([nap.call(number) for number in range(start, min(start + BITE, count))])


async def sleeping(where: Path, count: int, spread: float, margin: float) -> dict[str, float]:
    """Lets all fall asleep within `margin` seconds, then wakes them over `spread` seconds."""
    filling = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.sleepers", str(where), str(count))
    assert await filling.wait() == 0
    began = time.time()
    Alarm.first, Alarm.apart = (began + margin) * 1000, spread * 1000 / count
    app, asleep = app_on(where), margin
    app.include(registry)
    async with app:
        while time.time() < began + margin:
            await asyncio.sleep(0.5)
            if asleep == margin and not await app.count("status:pending,running"):
                asleep = time.time() - began
        while len(Alarm.late) < count and time.time() < began + margin + spread + GRACE:
            await asyncio.sleep(0.5)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    late = [*Alarm.late, *([GRACE * 1000] * (count - len(Alarm.late)))]
    scale = 1024 if sys.platform == "linux" else 1024 * 1024
    return {
        "mib": peak / scale, "p50": percentile(late, 0.5), "p99": percentile(late, 0.99), "asleep": asleep,
    }  # fmt: skip


def workload(quick: bool) -> Workload:
    """W8."""
    count, spread, margin = (3_000, 5, 6) if quick else (100_000, 60, 60)
    return Workload(
        "W8",
        f"{count:,} sleeping executions in one worker, waking over {spread} s",
        (
            Cell("sleeping", "sleeping, then waking", "sleepers:sleeping",
                 {"count": count, "spread": spread, "margin": margin}, 1),
        ),
        (
            Gate("MiB", lambda of: of("sleeping", "mib"), most=200),
            Gate("late at p99, ms", lambda of: of("sleeping", "p99"), most=100),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
