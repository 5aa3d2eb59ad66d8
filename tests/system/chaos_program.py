"""The program that the chaos tests run and kill: tasks of every kind whose bodies leave a trace that the engine does not
write, and a nursery that forks workers quickly.

`python chaos_program.py EFFECTS LEASE` reads URLs of stores, line by line, and answers the process id of the worker that it
forked for each.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass, replace

from perdure import Abort, Context, Continue, Done, Joined, Perdure, Registry, Retry, Spawn, Task, current_context
from perdure.styles.tree.declaring import ParentSettings

registry = Registry()
STURDY = 1_000_000


def note(what: str) -> None:
    """One line in the effect log, in one write: execution, activity, when."""
    line = f"{current_context().execution_id} {what} {time.time_ns() // 1_000_000}\n"
    descriptor = os.open(os.environ["CHAOS_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@registry.activity
async def double(number: int) -> int:
    """Twice the number, after a moment in which a kill may strike."""
    note(f"double({number})")
    await asyncio.sleep(0.004)
    return number * 2


@registry.activity(retries=Retry(20, delay=0.01))
async def moody(number: int) -> int:
    """Fails now and then."""
    note(f"moody({number})")
    if time.time_ns() // 1000 % 3 == 0:
        raise ValueError("not now")
    return number


@registry.task(max_crashes=STURDY)
async def chain(length: int) -> int:
    """Activities one after another."""
    total = 0
    for number in range(length):
        total += await double(number)
    return total


@registry.task(max_crashes=STURDY)
async def leaf(number: int) -> int:
    """A child."""
    return await double(number) + 1


@registry.task(max_crashes=STURDY)
async def fan(ctx: Context, width: int) -> int:
    """Children in parallel, joined."""
    return sum(await ctx.map(leaf, list(range(width))))


@registry.task(max_crashes=STURDY)
async def sleeper(ctx: Context, number: int) -> int:
    """Sleeps between two activities, beside a branch that works."""

    async def nap() -> int:
        await ctx.sleep(0.05)
        return await double(number)

    first, second = await asyncio.gather(nap(), moody(number))
    return first + second


async def _round(ctx: Context, total: int) -> Continue | Done[int]:
    total += await double(ctx.iteration)
    return Done(total) if ctx.iteration == 5 else Continue(total)


rounds = registry.loop("rounds", _round, delay=lambda iteration: 0.01 * iteration, max_crashes=STURDY)
pipeline = registry.sequence("pipeline", leaf, leaf, chain, max_crashes=STURDY)
answer = registry.external_task("answer", int, max_crashes=STURDY)


@registry.task(max_crashes=STURDY)
async def informed(key: str) -> int:
    """What was answered from outside, twice."""
    return await double(await answer(key))


@registry.task(max_crashes=STURDY)
async def asker(ctx: Context, number: int) -> int:
    """Waits for a signal and adds it."""
    value = await ctx.wait_for("number", int, timeout=600)
    return await double(number) + value


@registry.task(max_crashes=STURDY, retries=0)
async def broken(number: int) -> int:
    """A child that fails for good."""
    raise ValueError(f"{await double(number)} is broken")


@dataclass(frozen=True)
class Shape:
    """A tree: so many leaves, children that fail, and trees below; does it fail fast, and how many run at once?"""

    leaves: int
    broken: int = 0
    below: tuple[Shape, ...] = ()
    fast: bool = False
    narrow: bool = False

    @property
    def value(self) -> int | None:
        """What it comes to; `None` where it fails."""
        below = [each.value for each in self.below]
        if self.fast and (self.broken or None in below):
            return None
        return 2 * (self.leaves**2 + sum(each for each in below if each is not None))


@registry.task(max_crashes=STURDY)
async def total(joined: Joined[Shape, int]) -> int:
    """The finalizer of all trees."""
    assert joined.output == len(joined.children)
    return await double(sum(child.output for child in joined.children if child.status == "completed"))


def declare(fast: bool, narrow: bool) -> Task[[Shape], int]:
    """A parent task; there is one for each policy."""
    options = ParentSettings(
        name=f"tree-{fast}-{narrow}", on_child_failure="cancel_siblings" if fast else "collect", max_crashes=STURDY
    )
    if narrow:
        options["max_parallel"] = 2

    @registry.parent_task(finalize=total, **options)
    async def tree(shape: Shape) -> Spawn[int]:
        children = [
            *(trees[each.fast, each.narrow].call(each) for each in shape.below),
            *(leaf.call(number) for number in range(shape.leaves)),
            *(broken.call(number) for number in range(shape.broken)),
        ]
        return Spawn(len(children), children)

    return tree


trees = {(fast, narrow): declare(fast, narrow) for fast in (False, True) for narrow in (False, True)}


@registry.task(max_crashes=STURDY)
async def pair(number: int) -> int:
    """An item of two activities that no other item of its list has."""
    return await double(number) + await double(number + 1000)


@registry.task(max_crashes=STURDY)
async def picky(number: int, scope: str) -> int:
    """An item that aborts itself, or with scope `list` the list it is in."""
    raise Abort("enough", scope="list" if scope == "list" else "item", value=await double(number))


@registry.task(max_crashes=3, retries=0)
async def poison() -> int:
    """Takes its worker with it each time."""
    os.kill(os.getpid(), 9)
    return 0


def make_app(url: str, lease: float) -> Perdure:
    """The app of one process."""
    app = Perdure(url, lease=lease, poll=0.2, retries=Retry(20, delay=0.01), drain=5)
    app.include(registry)
    app.list_task.settings = replace(app.list_task.settings, max_crashes=STURDY)
    return app


def main() -> None:
    """Forks a worker for each line read."""
    effects, lease = sys.argv[1:3]
    os.environ["CHAOS_EFFECTS"] = effects
    for url in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(make_app(url.strip(), float(lease)).worker(concurrency=20).run())
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
