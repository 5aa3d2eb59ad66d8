"""W5: a parent with 1,000 children, started together, joined, added up."""

from __future__ import annotations

from pathlib import Path

from bench.cell import stretch
from bench.model import Cell, Gate, Workload
from bench.ours import app_on, parent
from bench.place import on_postgres


async def joined(where: Path, children: int) -> dict[str, float]:
    """From the enqueue of the parent to its result."""
    async with app_on(where):
        await parent.run(2)
        with stretch() as watch:
            await parent.run(children)
    return {"ms": watch.wall * 1000, "cpu": watch.cpu / children * 1000}


def workload(quick: bool) -> Workload:
    """W5."""
    peer = 10 if quick else 50
    return Workload(
        "W5",
        "a parent with 1,000 children",
        (
            Cell("joined", "1,000 children", "tree:joined", {"children": 1_000}),
            Cell("dbos.joined", f"dbos, {peer} children, times {1000 // peer}", "peer:tree", {"children": peer}),
        ),
        (
            Gate("ms", lambda of: of("joined", "ms"), most=250 if on_postgres() else 150),
            Gate("dbos / ours", lambda of: of("dbos.joined", "ms") / of("joined", "ms"), 100),
        ),
    )
