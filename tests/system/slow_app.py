"""What the workers of the system tests run: bodies that take their time. `START` may make a worker die at import."""

from __future__ import annotations

import asyncio
import os
import time

from perdure import BlockingContext, Context, Perdure

if os.path.exists(os.environ.get("DIE_WHILE", "/nonexistent")):
    raise SystemExit(7)

app = Perdure("sqlite:///jobs.db", poll=0.1)


@app.activity
async def step(n: int) -> int:
    await asyncio.sleep(0.1)
    return n


@app.activity
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.task
async def steps(ctx: Context, count: int) -> int:
    for n in range(count):
        await step(n)
        ctx.progress(n + 1, count, "step")
    return count


@app.task
async def spinning() -> None:
    while True:
        pass


@app.task
def blocked(ctx: BlockingContext, seconds: float) -> float:
    return block(seconds)
