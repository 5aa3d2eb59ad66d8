"""The shop once more, as another process would import it: an app is open at most once at a time."""

from __future__ import annotations

from perdure import Perdure

app = Perdure("sqlite:///shop.db", poll=0.05)


@app.task(retries=0)
async def broken(why: str = "just so") -> int:
    raise ValueError(why)


@app.task
async def echo(value: object) -> object:
    return value
