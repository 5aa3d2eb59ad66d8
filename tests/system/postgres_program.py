"""An app on a server for the tests of processes: steps that leave a line each in a file."""

from __future__ import annotations

import asyncio
import os

from perdure import Context, Perdure

app = Perdure(
    os.environ.get("STORE", "memory://"), lease=60, poll=float(os.environ.get("POLL", "0.25")), concurrency=20
)


@app.activity
async def step(name: str, number: int) -> int:
    await asyncio.sleep(0.05)
    with open(os.environ["EFFECTS"], "a") as file:
        file.write(f"{name} {number} {os.getpid()}\n")
    return number


@app.task
async def steps(ctx: Context, name: str, count: int) -> int:
    for number in range(count):
        await step(name, number)
    return count


@app.task
async def family(ctx: Context, name: str, size: int) -> int:
    return sum(await asyncio.gather(*(steps(f"{name}.{number}", 3) for number in range(size))))
