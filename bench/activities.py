"""W3: activities recorded, 500 executions of 10 each, and 1,000 one after the other in a single execution."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench import counting, place
from bench.cell import stretch
from bench.model import Cell, Gate, Workload
from bench.ours import app_on, steps


async def spread(where: Path, executions: int, each: int) -> dict[str, float]:
    """Many executions, enqueued in bulk, run and awaited in one process."""
    async with app_on(where) as app:
        await steps.run(0, 1)
        with stretch() as watch:
            handles = await app.enqueue_many([steps.call(run, each) for run in range(executions)])
            await asyncio.gather(*(handle.result() for handle in handles))
    return watch.rate(executions * each)


async def sequence(where: Path, count: int) -> dict[str, float]:
    """One execution, one activity after the other."""
    async with app_on(where):
        await steps.run(0, 1)
        with stretch() as watch:
            await steps.run(1, count)
    return watch.rate(count)


async def counted(where: Path, executions: int, each: int) -> dict[str, float]:
    """What `spread` asks of SQLite for each activity."""
    counted = counting.install(where)
    async with app_on(where) as app:
        await steps.run(0, 1)
        counted.reset()
        handles = await app.enqueue_many([steps.call(run, each) for run in range(executions)])
        await asyncio.gather(*(handle.result() for handle in handles))
        asked = counted.read()
        return {name: asked[name] / (executions * each) for name in ("commits", "statements")}


def absurd(quick: bool) -> tuple[Cell, ...]:
    """The peer that records steps and needs Postgres."""
    runs, steps = (5, 20) if quick else (50, 200)
    return (
        Cell(
            "absurd.spread", f"absurd, {runs} tasks of 10", "peer_absurd:steps_spread", {"workflows": runs, "each": 10}
        ),
        Cell("absurd.sequence", f"absurd, {steps} in sequence", "peer_absurd:steps_sequence", {"count": steps}),
    )


def workload(quick: bool) -> Workload:
    """W3."""
    executions, length = (100, 200) if quick else (500, 1_000)
    runs, steps = (3, 20) if quick else (15, 80)
    others = place.on_postgres()
    return Workload(
        "W3",
        "activities",
        (
            Cell("spread", f"{executions} executions of 10", "activities:spread", {"executions": executions, "each": 10}),
            Cell("dbos.spread", f"dbos, {runs} workflows of 10", "peer:steps_spread", {"workflows": runs, "each": 10}),
            Cell("bare.single", f"bare {place.database_name()}, one row in each commit", "bare:single", {"count": length}),
            Cell("sequence", f"{length} in sequence", "activities:sequence", {"count": length}),
            Cell("dbos.sequence", f"dbos, {steps} in sequence", "peer:steps_sequence", {"count": steps}),
            Cell("counted", f"{executions} executions of 10, counted", "activities:counted",
                 {"executions": executions, "each": 10}, 1),
            Cell("dbos.counted", f"dbos, {runs} workflows of 10, counted", "peer:steps_counted",
                 {"workflows": runs, "each": 10}, 1),
            *(absurd(quick) if others else ()),
        ),
        (
            Gate("spread / dbos", lambda of: of("spread", "rate") / of("dbos.spread", "rate"), 150),
            Gate("sequence / single commits", lambda of: of("sequence", "rate") / of("bare.single", "rate"), 0.8 if others else 0.5),
            *([Gate("spread / absurd", lambda of: of("spread", "rate") / of("absurd.spread", "rate"), 60)] if others else []),
            Gate("sequence / dbos", lambda of: of("sequence", "rate") / of("dbos.sequence", "rate"), 10),
        ),
    )  # fmt: skip
