"""dbos on SQLite or Postgres, set up as its own documentation does: the defaults, and a polling interval of 0.1 s where it drains a queue.

Cells here have the same names and figures as ours, with fewer of everything: rates are compared, not totals. Whatever takes
a few seconds to start (its queue's thread, its recovery) is not timed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSClient

from bench import counting, place
from bench.cell import percentile, stretch
from bench.drain import finished, start_worker, stop_worker
from bench.ours import TEXT

QUEUE = "bench"
moments: dict[str, float] = {}
SPAN = "SELECT count(completed_at), min(started_at_epoch_ms), max(completed_at) FROM workflow_status"


@DBOS.workflow()
async def noop(text: str) -> str:
    """Nothing, with an argument and a result of some ninety bytes."""
    return text


@DBOS.workflow()
async def stamp() -> int:
    """When it runs, on the clock that all processes of a machine share."""
    return time.monotonic_ns()


@DBOS.step()
async def step(number: int, text: str) -> str:
    """Nothing, recorded."""
    return text


@DBOS.workflow()
async def steps(run: int, count: int) -> int:
    """Steps in sequence."""
    for number in range(count):
        await step(number, TEXT)
    return run


@DBOS.workflow()
async def long(count: int) -> None:
    """Steps in sequence, and in the first process then the end."""
    moments["began"] = time.perf_counter()
    for number in range(count):
        await step(number, TEXT)
    moments["replayed"] = time.perf_counter()
    if moments.pop("cut", None):
        os._exit(0)


@DBOS.workflow()
async def child(number: int) -> int:
    """One of many below a parent."""
    return number


@DBOS.workflow()
async def parent(count: int) -> int:
    """Starts children, joins them, adds up."""
    handles = [await DBOS.start_workflow_async(child, number) for number in range(count)]
    return sum([await handle.get_result() for handle in handles])


def url_in(where: Path) -> str:
    """Its database in a cell's place."""
    return place.url(where, "dbos")


async def launch(where: Path, *, polling: float = 1.0) -> None:
    """Starts it in this process, with a queue."""
    DBOS(config={"name": "bench", "system_database_url": url_in(where), "log_level": "ERROR"})
    await asyncio.to_thread(DBOS.launch)
    await DBOS.register_queue_async(QUEUE, polling_interval_sec=polling)


async def client_on(where: Path) -> DBOSClient:
    """A client only; an application in another process makes the database and the queue."""
    await stop_worker(await start_worker("bench.peer_worker", str(where)))
    return await asyncio.to_thread(lambda: DBOSClient(system_database_url=url_in(where)))


def options(workflow: str) -> Any:
    """What an enqueue by a client says."""
    return {"queue_name": QUEUE, "workflow_name": workflow}


async def enqueue_single(where: Path, count: int) -> dict[str, float]:
    """W1, one caller."""
    client = await client_on(where)
    await client.enqueue_async(options("noop"), TEXT)
    with stretch() as watch:
        for _ in range(count):
            await client.enqueue_async(options("noop"), TEXT)
    return watch.rate(count)


async def enqueue_many(where: Path, count: int, callers: int) -> dict[str, float]:
    """W1, callers side by side."""
    client = await client_on(where)
    await client.enqueue_async(options("noop"), TEXT)

    async def caller() -> None:
        for _ in range(max(count // callers, 1)):
            await client.enqueue_async(options("noop"), TEXT)

    with stretch() as watch:
        await asyncio.gather(*(caller() for _ in range(callers)))
    return watch.rate(max(count // callers, 1) * callers)


async def drain(where: Path, count: int, workers: int) -> dict[str, float]:
    """W2: workers that start on a full queue; timed from the first start, as their columns tell."""
    client = await client_on(where)
    for _ in range(count):
        await client.enqueue_async(options("noop"), TEXT)
    started = [await start_worker("bench.peer_worker", str(where)) for _ in range(workers)]
    seconds = await finished(place.connect(where, "dbos", "dbos"), SPAN, count)
    spent = sum([await stop_worker(worker) for worker in started])
    return {"rate": count / seconds, "cpu": spent / count * 1000}


async def steps_spread(where: Path, workflows: int, each: int) -> dict[str, float]:
    """W3, many workflows at once."""
    await launch(where)
    await (await DBOS.start_workflow_async(steps, 0, 1)).get_result()
    with stretch() as watch:
        handles = [await DBOS.start_workflow_async(steps, run, each) for run in range(workflows)]
        await asyncio.gather(*(handle.get_result() for handle in handles))
    return watch.rate(workflows * each)


async def steps_sequence(where: Path, count: int) -> dict[str, float]:
    """W3, one workflow."""
    await launch(where)
    await (await DBOS.start_workflow_async(steps, 0, 1)).get_result()
    with stretch() as watch:
        await (await DBOS.start_workflow_async(steps, 1, count)).get_result()
    return watch.rate(count)


async def steps_counted(where: Path, workflows: int, each: int) -> dict[str, float]:
    """W3, what it asks of SQLite for each step."""
    counted = counting.install(where)
    await launch(where)
    counted.reset()
    handles = [await DBOS.start_workflow_async(steps, run, each) for run in range(workflows)]
    await asyncio.gather(*(handle.get_result() for handle in handles))
    asked = counted.read()
    return {name: asked[name] / (workflows * each) for name in ("commits", "statements")}


async def latency(where: Path, count: int) -> dict[str, float]:
    """W4 in one process: a workflow started directly, and its result."""
    await launch(where)
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await (await DBOS.start_workflow_async(noop, TEXT)).get_result()
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.005)
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


async def pickup(where: Path, count: int) -> dict[str, float]:
    """W4 between processes, by its queue at its default polling."""
    client = await client_on(where)
    worker = await start_worker("bench.peer_worker", str(where), "--polling", "1.0")
    times: list[float] = []
    for _ in range(count + 1):
        began = time.monotonic_ns()
        handle = await client.enqueue_async(options("stamp"))
        times.append((await handle.get_result() - began) / 1e6)
    await stop_worker(worker)
    return {"p50": percentile(times[1:], 0.5), "p99": percentile(times[1:], 0.99)}


async def tree(where: Path, children: int) -> dict[str, float]:
    """W5: a parent, and the time for each 1,000 of its children."""
    await launch(where)
    await (await DBOS.start_workflow_async(parent, 2)).get_result()
    with stretch() as watch:
        await (await DBOS.start_workflow_async(parent, children)).get_result()
    return {"ms": watch.wall * 1000 / children * 1000, "cpu": watch.cpu / children * 1000}


async def resumed(where: Path, count: int) -> dict[str, float]:
    """W6: a workflow that was cut off after its steps is recovered; from its body's start to past the replay."""
    cut = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.peer_worker", str(where), "--cut", str(count)
    )
    await cut.wait()
    await launch(where)
    while "replayed" not in moments:
        await asyncio.sleep(0.01)
    took = moments["replayed"] - moments["began"]
    return {"ms": took * 1000, "us": took / count * 1e6}


async def idle(where: Path, seconds: float) -> dict[str, float]:
    """W10: nothing to do."""
    counted = counting.install(where)
    await launch(where)
    await asyncio.sleep(2)
    counted.reset()
    with stretch() as watch:
        await asyncio.sleep(seconds)
    return {"percent": watch.cpu / seconds * 100, "per_second": counted.read()["statements"] / seconds}
