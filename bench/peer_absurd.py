"""absurd on Postgres: its own schema (out of `absurdctl`), its worker with 100 tasks at once and its default polling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absurd_sdk import AsyncAbsurd
from absurdctl import BUNDLED_SCHEMA_SQL
from psycopg import AsyncConnection

from bench import queues
from bench.cell import stretch
from bench.ours import TEXT
from bench.peer_process import ran
from bench.place import url

CONCURRENCY = 100
QUEUE = "bench"
connections: list[AsyncConnection[Any]] = []


async def client_on(where: Path) -> AsyncAbsurd:
    """A client, its schema and queue made where they are missing."""
    connection = await AsyncConnection.connect(url(where), autocommit=True)
    connections.append(connection)
    known = await (await connection.execute("SELECT to_regnamespace('absurd') IS NOT NULL")).fetchone()
    assert known is not None
    client = AsyncAbsurd(connection, queue_name=QUEUE)
    if not known[0]:
        await connection.execute(BUNDLED_SCHEMA_SQL)
        await client.create_queue(QUEUE)
    register(client)
    return client


def register(client: AsyncAbsurd) -> None:
    """The tasks."""

    @client.register_task("noop")
    async def noop(params: Any, ctx: Any) -> Any:
        ran()
        return params

    @client.register_task("stamp")
    async def stamp(params: Any, ctx: Any) -> Any:
        return ran()

    @client.register_task("steps")
    async def steps(params: Any, ctx: Any) -> Any:
        async def nothing() -> str:
            return TEXT

        for number in range(params["count"]):
            await ctx.step(f"step-{number}", nothing)
        ran()
        return params["run"]


async def work(where: Path, ready: Callable[[], None]) -> None:
    """A worker until it is cancelled."""
    client = await client_on(where)
    ready()
    await client.start_worker(concurrency=CONCURRENCY)


async def enqueue_single(where: Path, count: int) -> dict[str, float]:
    """W1, one caller."""
    client = await client_on(where)
    return await queues.one_caller(lambda: client.spawn("noop", {"text": TEXT}), count)


async def enqueue_many(where: Path, count: int, callers: int) -> dict[str, float]:
    """W1, callers side by side on its one connection."""
    client = await client_on(where)
    return await queues.many_callers(lambda: client.spawn("noop", {"text": TEXT}), count, callers)


async def drain(where: Path, count: int, workers: int) -> dict[str, float]:
    """W2."""
    client = await client_on(where)
    for _ in range(count):
        await client.spawn("noop", {"text": TEXT})
    return await queues.drained("peer_absurd", where, count, workers, _left)


async def steps_spread(where: Path, workflows: int, each: int) -> dict[str, float]:
    """W3, many tasks of some steps, by a worker in this process."""
    client, worker = await client_on(where), await client_on(where)
    for run in range(workflows):
        await client.spawn("steps", {"run": run, "count": each})
    with stretch() as watch:
        running = asyncio.ensure_future(worker.start_worker(concurrency=CONCURRENCY))
        while await _left():
            await asyncio.sleep(0.02)
    worker.stop_worker()
    await running
    return watch.rate(workflows * each)


async def steps_sequence(where: Path, count: int) -> dict[str, float]:
    """W3, one task."""
    return await steps_spread(where, 1, count)


async def latency(where: Path, count: int) -> dict[str, float]:
    """W4: to the body in another process, at its default polling."""
    client = await client_on(where)

    async def ran_at(spawned: Any) -> int:
        return int((await client.await_task_result(spawned["task_id"])).result)  # type: ignore[arg-type]

    return await queues.picked_up(
        "peer_absurd", where, count, lambda: client.spawn("stamp", {"at": time.time()}), ran_at, 0.1
    )


async def _left() -> int:
    found = await connections[0].execute("SELECT count(*) FROM absurd.t_bench WHERE state <> 'completed'")
    row = await found.fetchone()
    assert row is not None
    return int(row[0])
