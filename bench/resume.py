"""W6: going on with an execution that has recorded thousands of activities: from its claim to its body past the replay."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench import place
from bench.model import Cell, Gate, Workload
from bench.ours import app_on
from perdure import Context, Registry
from perdure.model.records import Claimed, ClaimRequest
from perdure.storage import Storage
from perdure.storage.opening import open_storage

registry = Registry()
passed: list[float] = []
"""When the body got past its replay."""


@registry.activity(durability="relaxed")
async def note(number: int) -> int:
    """Nothing, recorded; the next one does not wait for its commit."""
    return number


@registry.task
async def long(ctx: Context, count: int) -> int:
    """Activities in sequence, then a wait."""
    total = 0
    for number in range(count):
        total += await note(number)
    await ctx.wait_for("go", str)
    passed.append(time.perf_counter())
    return total


def watched(storage: Storage, claimed: list[float]) -> Storage:
    """The storage, which notes when it hands out work."""
    claim = storage.claim

    def noted(request: ClaimRequest, now: int) -> Claimed:
        answer = claim(request, now)
        if answer.claims:
            claimed.append(time.perf_counter())
        return answer

    storage.claim = noted  # type: ignore[method-assign]
    return storage


async def resumed(where: Path, count: int) -> dict[str, float]:
    """Records, stops, sends the signal that it waits for, starts a worker, and looks at the clock in the body."""
    app = app_on(where)
    app.include(registry)
    async with app:
        handle = await app.enqueue(long.call(count))
        while await handle.status() != "waiting":
            await asyncio.sleep(0.05)
    async with app_on(where).connect() as app:
        await app.handle(handle.id).signal("go", "now")
    claimed: list[float] = []
    app = app_on(where, storage=watched(open_storage(place.url(where)), claimed))
    app.include(registry)
    async with app:
        assert await app.handle(handle.id).result() == sum(range(count))
    took = passed[0] - claimed[0]
    return {"ms": took * 1000, "us": took / count * 1e6}


def workload(quick: bool) -> Workload:
    """W6."""
    few, lots = (1_000, 5_000) if quick else (5_000, 50_000)
    peer = 50 if quick else 300
    return Workload(
        "W6",
        "resume",
        (
            Cell("few", f"{few:,} recorded activities", "resume:resumed", {"count": few}),
            Cell("lots", f"{lots:,} recorded activities", "resume:resumed", {"count": lots}),
            Cell("dbos", f"dbos, {peer} recorded steps, without the read", "peer:resumed", {"count": peer}),
        ),
        (
            Gate(f"{few:,}, ms", lambda of: of("few", "ms"), most=few / 5_000 * 40),
            Gate(f"{lots:,}, ms", lambda of: of("lots", "ms"), most=lots / 50_000 * 400),
            Gate("dbos / ours, each", lambda of: of("dbos", "us") / of("lots", "us"), 100),
        ),
    )
