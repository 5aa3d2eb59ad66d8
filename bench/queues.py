"""What the cells of the Postgres peers have in common: workers, and how long a queue took to drain."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.cell import percentile, stretch
from bench.drain import LATEST, last_words, start_worker
from bench.place import server_cpu

Enqueue = Callable[[], Awaitable[object]]


async def started(module: str, where: Path) -> Process:
    """A worker of a peer."""
    return await start_worker("bench.peer_process", module, str(where))


async def one_caller(enqueue: Enqueue, count: int) -> dict[str, float]:
    """W1: one after the other."""
    await enqueue()
    with stretch() as watch:
        for _ in range(count):
            await enqueue()
    return watch.rate(count)


async def many_callers(enqueue: Enqueue, count: int, callers: int) -> dict[str, float]:
    """W1: side by side."""
    await enqueue()
    each = max(count // callers, 1)

    async def caller() -> None:
        for _ in range(each):
            await enqueue()

    with stretch() as watch:
        await asyncio.gather(*(caller() for _ in range(callers)))
    return watch.rate(each * callers)


async def drained(
    module: str, where: Path, count: int, workers: int, left: Callable[[], Awaitable[int]]
) -> dict[str, float]:
    """W2: from the first body to the last one."""
    before = server_cpu()
    running = [await started(module, where) for _ in range(workers)]
    latest = time.monotonic() + LATEST
    while await left():
        if time.monotonic() > latest:
            raise TimeoutError(f"{module} has not drained its queue within {LATEST:g} s")
        await asyncio.sleep(0.1)
    said = [await last_words(worker) for worker in running]
    ran = sum(each["count"] for each in said)
    assert ran >= count, f"{ran} of {count} ran"
    seconds = (max(each["last"] for each in said) - min(each["first"] for each in said if each["count"])) / 1e9
    cpu = sum(each["cpu"] for each in said)
    return {"rate": count / seconds, "cpu": cpu / count * 1000, "server": (server_cpu() - before) / count * 1000}


async def picked_up(
    module: str, where: Path, count: int, enqueue: Enqueue, ran_at: Callable[[object], Awaitable[int]], pause: float
) -> dict[str, float]:
    """W4: from the enqueue to the body in another process."""
    worker, times = await started(module, where), list[float]()
    for _ in range(count + 1):
        await asyncio.sleep(pause)
        began = time.monotonic_ns()
        times.append((await ran_at(await enqueue()) - began) / 1e6)
    await last_words(worker)
    return {"p50": percentile(times[1:], 0.5), "p99": percentile(times[1:], 0.99)}
