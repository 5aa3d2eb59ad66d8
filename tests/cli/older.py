"""`tests.cli.shop` after a careless deploy: `charge` and `nap` are gone, `echo` takes another input."""

from __future__ import annotations

from perdure import Context, Perdure

app = Perdure("sqlite:///shop.db")


@app.task
async def order(ctx: Context, customer: int, note: str = "") -> None: ...


@app.task
async def echo(words: list[str]) -> None: ...
