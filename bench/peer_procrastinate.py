"""procrastinate on Postgres, as documented, with 100 jobs at once: a queue without results or steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import procrastinate

from bench import queues
from bench.ours import TEXT
from bench.peer_process import ran
from bench.place import url

CONCURRENCY = 100
REACHED = "SELECT count(*) AS left FROM procrastinate_jobs WHERE status <> 'succeeded'"


async def app_on(where: Path) -> procrastinate.App:
    """An open app; the schema is made where it is missing."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url(where)))
    app.task(name="noop")(noop)
    await app.open_async()
    known = await app.connector.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS known")
    if not known["known"]:
        await app.schema_manager.apply_schema_async()
    return app


async def noop(text: str) -> None:
    """Nothing, with an argument of some ninety bytes."""
    ran()


async def work(where: Path, ready: Callable[[], None]) -> None:
    """A worker until it is cancelled."""
    app = await app_on(where)
    ready()
    await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)


async def enqueue_single(where: Path, count: int) -> dict[str, float]:
    """W1, one caller."""
    app = await app_on(where)
    return await queues.one_caller(lambda: app.configure_task("noop").defer_async(text=TEXT), count)


async def enqueue_many(where: Path, count: int, callers: int) -> dict[str, float]:
    """W1, callers side by side on its pool."""
    app = await app_on(where)
    return await queues.many_callers(lambda: app.configure_task("noop").defer_async(text=TEXT), count, callers)


async def drain(where: Path, count: int, workers: int) -> dict[str, float]:
    """W2."""
    app = await app_on(where)
    await app.configure_task("noop").batch_defer_async(*({"text": TEXT} for _ in range(count)))

    async def left() -> int:
        return int((await app.connector.execute_query_one_async(REACHED))["left"])

    return await queues.drained("peer_procrastinate", where, count, workers, left)
