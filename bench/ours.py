"""The tasks that cells run on Perdure, and how their app is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench import place
from perdure import Context, Joined, Perdure, Registry, Spawn

registry = Registry()
TEXT = "a small piece of text, as an argument of a task may be, some ninety bytes with what is around"


@registry.task
async def noop(text: str) -> str:
    """Nothing, with an argument and a result of some ninety bytes."""
    return text


@registry.task
async def stamp() -> int:
    """When it runs, on the clock that all processes of a machine share."""
    return time.monotonic_ns()


@registry.activity
async def step(number: int, text: str) -> str:
    """Nothing, recorded."""
    return text


@registry.task
async def steps(run: int, count: int) -> int:
    """Activities in sequence."""
    for number in range(count):
        await step(number, TEXT)
    return run


@registry.task
async def child(number: int) -> int:
    """One of many below a parent."""
    return number


@registry.task
async def parent(ctx: Context, count: int) -> int:
    """Starts children, joins them, adds up."""
    return sum(await ctx.map(child, range(count)))


async def added(joined: Joined[int, None]) -> int:
    """The finalizer of a tree."""
    return sum(joined.all(child))


@registry.parent_task(finalize=added)
async def tree(count: int) -> Spawn[None]:
    """The same, as a parent task."""
    return Spawn(None, [child.call(number) for number in range(count)])


def app_on(where: Path, **options: Any) -> Perdure:
    """An app with these tasks in a cell's place."""
    app = Perdure(place.url(where), **options)
    app.include(registry)
    return app
