"""W2: draining 10,000 tasks that do nothing, by one and by two worker processes that were there before.

The drain is timed by the database's own columns, from the first start to the last end, so that nobody has to ask while it
goes on. CPU time is that of the workers, from when they were ready.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import place
from bench.cell import stretch
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop

SPAN = "SELECT count(finished_at), min(started_at), max(finished_at) FROM executions"
LATEST = 300.0
CONCURRENCY = 100


async def processes(where: Path, count: int, workers: int, concurrency: int) -> dict[str, float]:
    """Worker processes; this one only enqueues."""
    async with app_on(where).connect() as app:
        given = ("--concurrency", str(concurrency))
        started = [await start_worker("bench.worker", str(where), *given) for _ in range(workers)]
        await noop.run(TEXT)
        clear(where)
        before = place.server_cpu()
        await app.enqueue_many([noop.call(TEXT) for _ in range(count)])
        seconds = await finished(place.connect(where), SPAN, count)
        spent = sum([await stop_worker(worker) for worker in started])
    figures = {"rate": count / seconds, "cpu": spent / count * 1000}
    return {**figures, "server": (place.server_cpu() - before) / count * 1000} if place.on_postgres() else figures


async def inside(where: Path, count: int, concurrency: int) -> dict[str, float]:
    """One worker in this process, for profiles: from its start to the last result."""
    async with app_on(where).connect() as app:
        handles = await app.enqueue_many([noop.call(TEXT) for _ in range(count)])
    async with app_on(where, concurrency=concurrency) as app:
        with stretch() as watch:
            await asyncio.gather(*(noop.handle(handle.id).wait() for handle in handles[-concurrency:]))
    return watch.rate(count)


def clear(where: Path) -> None:
    """Removes what warmed the workers up."""
    connection = place.connect(where)
    connection.execute("DELETE FROM executions")
    connection.close()


async def start_worker(module: str, *arguments: str) -> Process:
    """A process that says when it is ready. Raises `RuntimeError` when it ends before."""
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdout=PIPE)
    assert worker.stdout is not None
    while line := await worker.stdout.readline():
        if line == b"ready\n":
            return worker
    raise RuntimeError(f"{module} ended with {await worker.wait()} before it was ready")


async def last_words(worker: Process) -> Mapping[str, Any]:
    """Stops it, and answers what it says of itself."""
    worker.send_signal(signal.SIGTERM)
    output, _ = await worker.communicate()
    return json.loads(output.splitlines()[-1])


async def stop_worker(worker: Process) -> float:
    """Stops it and answers the CPU seconds that it says it took."""
    return float((await last_words(worker))["cpu"])


async def finished(connection: Any, query: str, count: int) -> float:
    """How long it took in seconds, once as many have ended; asked seldom, at small cost."""
    latest = time.monotonic() + LATEST
    while time.monotonic() < latest:
        done, began, ended = connection.execute(query).fetchone()
        if done >= count:
            connection.close()
            return (ended - began) / 1000
        await asyncio.sleep(0.1)
    raise TimeoutError(f"it was not drained within {LATEST:g} s")


def peers(quick: bool) -> tuple[Cell, ...]:
    """Those that need Postgres."""
    counts = {"absurd": 100, "pgqueuer": 2_000, "procrastinate": 200} if quick else {
        "absurd": 1_000, "pgqueuer": 10_000, "procrastinate": 1_000,
    }  # fmt: skip
    return tuple(
        Cell(f"{name}.{word}", f"{name}, {count:,} tasks, {workers} processes", f"peer_{name}:drain",
             {"count": count, "workers": workers})
        for name, count in counts.items()
        for word, workers in (("one", 1), ("two", 2))
    )  # fmt: skip


def over(name: str, processes: str, least: float) -> Gate:
    """Our rate over a peer's."""
    return Gate(
        f"{'1 process' if processes == 'one' else '2 processes'} / {name}",
        lambda of: of(processes, "rate") / of(f"{name}.{processes}", "rate"),
        least,
    )


def workload(quick: bool) -> Workload:
    """W2."""
    count, peer = (2_000, 40) if quick else (10_000, 300)
    others = place.on_postgres()
    gates = [over("dbos", each, 25 if others else 100) for each in ("one", "two")]
    if others:
        gates += [over("absurd", each, 25) for each in ("one", "two")]
        gates += [over("pgqueuer", each, 2.5) for each in ("one", "two")]
    ours, theirs = {"count": count, "concurrency": CONCURRENCY}, {"count": peer}
    return Workload(
        "W2",
        "drain",
        (
            Cell("one", f"{count:,} tasks, 1 process", "drain:processes", {**ours, "workers": 1}),
            Cell("dbos.one", f"dbos, {peer} workflows, 1 process", "peer:drain", {**theirs, "workers": 1}),
            Cell("two", f"{count:,} tasks, 2 processes", "drain:processes", {**ours, "workers": 2}),
            Cell("dbos.two", f"dbos, {peer} workflows, 2 processes", "peer:drain", {**theirs, "workers": 2}),
            *(peers(quick) if others else ()),
        ),
        (
            *gates,
            Gate("CPU of dbos / ours", lambda of: of("dbos.one", "cpu") / of("one", "cpu"), 50),
        ),
    )
