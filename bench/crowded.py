"""W7: W2 in a store that is not empty: a million settled executions, a million pending ones, a reader that keeps an old
snapshot open.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import place
from bench.drain import CONCURRENCY, clear, finished, start_worker, stop_worker
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop

SPAN = "SELECT count(finished_at), min(started_at), max(finished_at) FROM executions WHERE id >= '{first}' AND priority = -1"
"""Of those that go first: of ids that rise, the last ones, so that asking costs little in a large table."""
BITE = 100_000
UNIQUE = ("id", "root_id")
"""Columns that a copy of a row has of its own."""
GIVEN = ("seq",)
"""Columns that the database fills in."""


async def drained(where: Path, count: int, settled: int, pending: int, pinned: bool) -> dict[str, float]:
    """Drains `count` tasks that go before whatever else is there."""
    first = noop.options(priority=-1)
    async with app_on(where).connect() as app:
        worker = await start_worker("bench.worker", str(where), "--concurrency", str(CONCURRENCY))
        await noop.run(TEXT)
        await stop_worker(worker)
        multiply(where, settled)
        if not settled:
            clear(where)
        if pending:
            await noop.enqueue(TEXT)
            multiply(where, pending, "status = 'pending'")
        with pin(where, wanted=pinned):
            handles = await app.enqueue_many([first.call(TEXT) for _ in range(count)])
            worker = await start_worker("bench.worker", str(where), "--concurrency", str(CONCURRENCY))
            seconds = await finished(place.connect(where), SPAN.format(first=min(each.id for each in handles)), count)
            await stop_worker(worker)
    return {"rate": count / seconds}


def multiply(where: Path, count: int, which: str = "TRUE") -> None:
    """Copies the one execution there is, under new ids."""
    connection = place.connect(where)
    columns = [column[0] for column in connection.execute("SELECT * FROM executions LIMIT 0").description]
    columns = [column for column in columns if column not in GIVEN]
    values = ", ".join(f"{name} || '-' || n" if name in UNIQUE else name for name in columns)
    for start in range(0, count, BITE):
        until = min(start + BITE, count)
        series = (
            f"generate_series({start + 1}, {until}) AS series (n)" if place.on_postgres() else
            f"(WITH RECURSIVE s (n) AS (SELECT {start + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {until}) SELECT n FROM s)"
        )  # fmt: skip
        one = f"(SELECT * FROM executions WHERE {which} ORDER BY length(id) LIMIT 1) AS one"
        connection.execute(f"INSERT INTO executions ({', '.join(columns)}) SELECT {values} FROM {one}, {series}")
    if count and place.on_postgres():
        connection.execute("VACUUM ANALYZE executions")
    connection.close()


@contextmanager
def pin(where: Path, *, wanted: bool) -> Generator[None]:
    """A reader that does not end its transaction."""
    if not wanted:
        yield
        return
    connection: Any = place.connect(where)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if place.on_postgres() else "BEGIN")
    connection.execute("SELECT count(*) FROM executions").fetchone()
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def workload(quick: bool) -> Workload:
    """W7."""
    count, lots = (2_000, 20_000) if quick else (10_000, 1_000_000)
    empty = {"count": count, "settled": 0, "pending": 0, "pinned": False}
    crowds = {"settled": f"{lots:,} settled", "pending": f"{lots:,} pending", "pinned": "a reader pins a snapshot"}
    return Workload(
        "W7",
        "drain in a store that is not empty",
        (
            Cell("empty", f"{count:,} tasks, empty store", "crowded:drained", empty),
            *(
                Cell(key, f"{count:,} tasks, {label}", "crowded:drained",
                     {**empty, key: True if key == "pinned" else lots}, 3)
                for key, label in crowds.items()
            ),
        ),
        tuple(
            Gate(f"{label} / empty", lambda of, key=key: of(key, "rate") / of("empty", "rate"), 0.85)  # type: ignore[misc]
            for key, label in crowds.items()
        ),
    )  # fmt: skip
