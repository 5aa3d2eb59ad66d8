"""pgqueuer on Postgres, with asyncpg, in batches of 100: a queue without results or steps, jobs deleted when done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench import queues
from bench.ours import TEXT
from bench.peer_process import ran
from bench.place import url

BYTES = TEXT.encode()
BATCH = 100
POOL = 10


async def queries_on(where: Path) -> tuple[Any, Queries]:
    """A pool, and what enqueues; the schema is made where it is missing."""
    pool = await asyncpg.create_pool(url(where), min_size=1, max_size=POOL)
    queries = Queries(AsyncpgPoolDriver(pool))
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    return pool, queries


async def work(where: Path, ready: Callable[[], None]) -> None:
    """A worker until it is cancelled."""
    connection = await asyncpg.connect(url(where))
    manager = PgQueuer(AsyncpgDriver(connection))

    @manager.entrypoint("noop")
    async def noop(job: Job) -> None:
        ran()

    ready()
    await manager.run(batch_size=BATCH)


async def enqueue_single(where: Path, count: int) -> dict[str, float]:
    """W1, one caller."""
    _, queries = await queries_on(where)
    return await queues.one_caller(lambda: queries.enqueue("noop", BYTES), count)


async def enqueue_many(where: Path, count: int, callers: int) -> dict[str, float]:
    """W1, callers side by side on a pool."""
    _, queries = await queries_on(where)
    return await queues.many_callers(lambda: queries.enqueue("noop", BYTES), count, callers)


async def drain(where: Path, count: int, workers: int) -> dict[str, float]:
    """W2."""
    pool, queries = await queries_on(where)
    for _ in range(0, count, 1000):
        await queries.enqueue(["noop"] * 1000, [BYTES] * 1000, [0] * 1000)

    async def left() -> int:
        return int(await pool.fetchval("SELECT count(*) FROM pgqueuer"))

    return await queues.drained("peer_pgqueuer", where, count, workers, left)
