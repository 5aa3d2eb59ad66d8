"""The program that the chaos tests run and kill: tasks of every kind whose bodies leave a trace that the engine does not
write, and a nursery that forks workers quickly.

`python chaos_program.py DATABASE EFFECTS LEASE` reads `spawn` lines and answers the process id of each worker it forked.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from perdure import Context, Continue, Done, Perdure, Registry, Retry, current_context

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


@registry.activity(retries=Retry(5, delay=0.01))
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


@registry.task(max_crashes=3, retries=0)
async def poison() -> int:
    """Takes its worker with it each time."""
    os.kill(os.getpid(), 9)
    return 0


def make_app(database: str, lease: float) -> Perdure:
    """The app of one process."""
    app = Perdure(f"sqlite:///{database}", lease=lease, poll=0.2, retries=Retry(20, delay=0.01), drain=5)
    app.include(registry)
    return app


def main() -> None:
    """Forks a worker for each line read."""
    database, effects, lease = sys.argv[1:4]
    os.environ["CHAOS_EFFECTS"] = effects
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(make_app(database, float(lease)).worker(concurrency=20).run())
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
