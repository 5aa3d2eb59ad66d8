"""W9: what lists, diagrams and trees cost, beside as many activities of plain tasks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.cell import stretch
from bench.line_diagram import LineDiagram
from bench.line_payloads import FifthPayload, FirstPayload, FourthPayload, SecondPayload, ThirdPayload
from bench.model import Cell, Gate, Workload
from bench.ours import TEXT, app_on, noop, registry, steps, tree

ITEMS, STATES, CHILDREN = 5, 5, 10


class Line(LineDiagram):
    """Five states in a row that hand a text on."""

    async def first(self, payload: FirstPayload) -> SecondPayload:
        return SecondPayload(payload.text)

    async def second(self, payload: SecondPayload) -> ThirdPayload:
        return ThirdPayload(payload.text)

    async def third(self, payload: ThirdPayload) -> FourthPayload:
        return FourthPayload(payload.text)

    async def fourth(self, payload: FourthPayload) -> FifthPayload:
        return FifthPayload(payload.text)

    async def fifth(self, payload: FifthPayload) -> None:
        """The end."""


line = registry.diagram(Line)


async def lists(where: Path, count: int) -> dict[str, float]:
    """Lists of five items each, run and awaited in one process."""
    items = [noop.call(TEXT)] * ITEMS
    async with app_on(where) as app:
        await (await app.enqueue_list("first", items)).result()
        with stretch() as watch:
            handles = await asyncio.gather(*(app.enqueue_list(f"list-{number}", items) for number in range(count)))
            await asyncio.gather(*(handle.result() for handle in handles))
    return watch.rate(count * ITEMS)


async def diagrams(where: Path, count: int) -> dict[str, float]:
    """Diagrams of five states each, run and awaited in one process."""
    async with app_on(where) as app:
        await line.run(FirstPayload(TEXT))
        with stretch() as watch:
            handles = await app.enqueue_many([line.call(FirstPayload(TEXT))] * count)
            await asyncio.gather(*(handle.result() for handle in handles))
    return watch.rate(count * STATES)


async def trees(where: Path, count: int) -> dict[str, float]:
    """Trees of a parent, ten children and a finalizer each, run and awaited in one process."""
    async with app_on(where) as app:
        await tree.run(1)
        with stretch() as watch:
            handles = await app.enqueue_many([tree.call(CHILDREN)] * count)
            await asyncio.gather(*(handle.result() for handle in handles))
    return watch.rate(count * (1 + CHILDREN + 1))


async def activities(where: Path, count: int, each: int) -> dict[str, float]:
    """Plain tasks of so many activities, enqueued as lists and trees are."""
    async with app_on(where) as app:
        await steps.run(0, 1)
        with stretch() as watch:
            handles = await app.enqueue_many([steps.call(run, each) for run in range(count)])
            await asyncio.gather(*(handle.result() for handle in handles))
    return watch.rate(count * each)


def workload(quick: bool) -> Workload:
    """W9."""
    count, nodes = 50 if quick else 500, 1 + CHILDREN + 1
    return Workload(
        "W9",
        "lists, diagrams and trees, beside as many activities",
        (
            Cell("lists", f"items of {count} lists of {ITEMS}", "styles:lists", {"count": count}),
            Cell("diagrams", f"states of {count} diagrams of {STATES}", "styles:diagrams", {"count": count}),
            Cell("activities.lists", f"activities of {count} executions of {ITEMS}", "styles:activities",
                 {"count": count, "each": ITEMS}),
            Cell("trees", f"executions of {count} trees of 1 + {CHILDREN} + finalizer", "styles:trees", {"count": count}),
            Cell("activities.trees", f"activities of {count} executions of {nodes}", "styles:activities",
                 {"count": count, "each": nodes}),
        ),
        (
            Gate("items / activities", lambda of: of("lists", "rate") / of("activities.lists", "rate"), 0.7),
            Gate("states / activities", lambda of: of("diagrams", "rate") / of("activities.lists", "rate"), 0.7),
            Gate("tree's executions / activities", lambda of: of("trees", "rate") / of("activities.trees", "rate"), 0.7),
        ),
    )  # fmt: skip
