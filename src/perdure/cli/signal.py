"""`signal` sends a value that an execution waits for; `fork` makes a copy that goes on from one of its entries."""

from __future__ import annotations

from typing import Any, cast

import click

from perdure.app import Perdure
from perdure.cli.naming import named
from perdure.cli.screen import print_json, say, styled
from perdure.cli.shell_completion import execution_ids
from perdure.cli.text import safe_text
from perdure.cli.values import check_names, json_of
from perdure.cli.where import Where, shared
from perdure.model.execution import Execution


@click.command()
@click.argument("id", shell_complete=execution_ids)
@click.argument("name")
@click.argument("value", default="null", metavar="[JSON | -]")
@click.option("--text", is_flag=True, help="VALUE is a plain text, not JSON.")
@shared()
def signal(where: Where, id: str, name: str, value: str, text: bool) -> None:
    """Send execution ID a value under NAME; it is kept until the execution asks for it."""
    sent = value if text else json_of(value, "the value", "or give --text")

    async def send(app: Perdure) -> Execution[Any]:
        handle = await named(app, id)
        before = await handle.execution()
        await handle.signal(name, sent)
        return before

    before = where.read(send)
    awaited = sorted({wait.name for wait in before.waits if wait.kind == "signal"})
    if where.json:
        print_json({"id": before.id, "signal": name, "status": before.status, "awaited": awaited})
        return
    say(styled("sent", "green"), f"  {name} to {before.id}, which is {before.status}")
    if before.settled:
        say(styled("nobody will take it: the execution is settled", "yellow"), error=True)
    elif awaited and name not in awaited:
        say(
            styled(f"! it waits for {', '.join(awaited)}, not {name}; it is kept until asked for", "yellow"), error=True
        )


@click.command()
@click.argument("id", shell_complete=execution_ids)
@click.option("--from", "from_activity", metavar="KEY", help="Keep what was recorded before this entry (key or name).")
@click.option("--input", "typed", metavar="JSON", help="Another input: an object of arguments by name.")
@shared()
def fork(where: Where, id: str, from_activity: str | None, typed: str | None) -> None:
    """Start a copy of execution ID and print the copy's id.

    With --from it has what was recorded before that entry, and goes on from there; without, it starts afresh.
    """
    given = None if typed is None else cast("object", json_of(typed, "the input"))

    async def copy(app: Perdure) -> tuple[str, str]:
        handle = await named(app, id)
        task = app.tasks.get((await handle.execution()).task_name)
        if task is not None:
            check_names(task, _names(given))
        return handle.id, (await handle.fork(from_activity=from_activity, input=given)).id

    original, copied = where.read(copy, natural=False)
    print_json({"id": copied, "forked_from": original}) if where.json else click.echo(safe_text(copied))


def _names(given: object) -> dict[str, object]:
    """What is given by name: an object is arguments, never one of them."""
    return cast("dict[str, object]", given) if isinstance(given, dict) else {}
