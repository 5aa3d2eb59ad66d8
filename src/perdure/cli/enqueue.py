"""`enqueue`: start an execution from the terminal, checked by the task's own signature before anything is stored."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

from perdure.app import Perdure
from perdure.cli.problems import Problem
from perdure.cli.screen import console, present, print_json, say, say_new_store, styled
from perdure.cli.shapes import execution_shape
from perdure.cli.shell_completion import queues, task_names
from perdure.cli.text import safe_text
from perdure.cli.values import arguments_of, check_names, duration_typed, moment_typed, tag_typed
from perdure.cli.where import NOBODY, Where, new_store, shared
from perdure.cli.why import why
from perdure.engine.handle import Handle
from perdure.engine.task import Task
from perdure.errors import InvalidInputError

PATIENCE: Final = 3.0
"""Seconds of waiting for a result without a word."""


@click.command()
@click.argument("task", shell_complete=task_names)
@click.argument("arguments", nargs=-1, metavar="[JSON | - | NAME=VALUE …]")
@click.option("--wait", is_flag=True, help="Wait for the result and print it; exit 1 if it did not complete.")
@click.option("--id", "id_", metavar="ID", help="An id of your own: enqueuing it again starts nothing twice.")
@click.option("--key", metavar="KEY", help="An idempotency key, unique per task.")
@click.option("--tag", "tags", type=tag_typed, metavar="KEY=VALUE", multiple=True, help="A tag; may be repeated.")
@click.option(
    "--at",
    "start_at",
    type=moment_typed,
    metavar="TIME",
    help="Not before this moment (ISO 8601, local time without offset).",
)
@click.option(
    "--in", "delay", type=duration_typed, metavar="DURATION", help="Not before this time has passed: 90s, 30m, 2h, 30d."
)
@click.option("--queue", metavar="NAME", shell_complete=queues, help="The queue, in place of the task's own.")
@click.option("--priority", type=int, help="Lower runs first; default the task's own.")
@shared()
def enqueue(where: Where, task: str, arguments: tuple[str, ...], wait: bool, **given: Any) -> int:
    """Start an execution of TASK and print its id.

    The arguments are a JSON object (by name) or array (by position), `-` for JSON on standard input, or NAME=VALUE pairs,
    read by the types of the task's parameters:

    \b
        perdure enqueue send_invoice customer=42 amount=9.95
        perdure enqueue send_invoice '{"customer": 42, "amount": 9.95}' --wait
    """
    app = where.app()
    found = app.find_task(task)
    call = _with_options(found, given)
    args, kwargs = arguments_of(found, arguments)
    check_names(found, kwargs)
    try:
        prepared = call.call(*args, **kwargs)
    except InvalidInputError as error:
        raise _misfit(found, error) from None
    say_new_store(new_store(app))
    return where.write(app, lambda app: _start(app, prepared, where, wait))


def _with_options(task: Task[..., Any], given: dict[str, Any]) -> Task[..., Any]:
    start_at: datetime | None = given["start_at"]
    delay: timedelta | None = given["delay"]
    if start_at is not None and delay is not None:
        raise click.UsageError("--at and --in exclude each other")
    named = {
        "id": given["id_"], "idempotency_key": given["key"], "tags": dict(given["tags"]) or None,
        "start_at": start_at, "start_delay": delay, "queue": given["queue"], "priority": given["priority"],
    }  # fmt: skip
    return task.options(**{name: value for name, value in named.items() if value is not None})  # type: ignore[typeddict-item]


async def _start(app: Perdure, call: Any, where: Where, wait: bool) -> int:
    try:
        handle = await app.enqueue(call)
    except InvalidInputError as error:
        raise _misfit(call.task, error) from None
    if not wait:
        if where.json:
            print_json({"id": handle.id, "task": call.task.name})
        else:
            click.echo(safe_text(handle.id))
            if console().is_terminal:
                say(styled(f"follow it: {where.again(f'perdure watch {handle.id}')}", "dim"), error=True)
        return 0
    if console(error=True).is_terminal:
        say(styled(f"{handle.id} is stored; ^C leaves it alone", "dim"), error=True)
    await _settled(app, handle, where.worker)
    return await _result(app, handle.id, where.json)


async def _settled(app: Perdure, handle: Handle[Any], start: str) -> None:
    """Returns once it is settled. Where that takes a while, says why it is not moving."""
    try:
        await handle.wait(timeout=PATIENCE)
    except TimeoutError:
        reason = why(await handle.execution(), await app.workers(), present(), start)
        following = f"   ({reason.following})" if reason.following else ""
        say(styled(f"waiting: {reason.sentence}{following}", "dim"), error=True)
        await handle.wait()


async def _result(app: Perdure, execution_id: str, as_json: bool) -> int:
    """Prints the result as JSON, or how it ended; answers the exit code."""
    app.client.directory = NOBODY
    ended = await app.handle(execution_id).execution()
    if as_json:
        print_json(execution_shape(ended))
    elif ended.status == "completed":
        print_json(execution_shape(ended)["result"])
    else:
        said = f"{ended.failure.type}: {ended.failure.message}" if ended.failure else ""
        raise Problem(1, f"execution {ended.id} {ended.status}", said, f"perdure show {ended.id}")
    return 0 if ended.status == "completed" else 1


def _misfit(task: Task[..., Any], error: InvalidInputError) -> Problem:
    parameters = ", ".join(task.signature.names) or "none"
    following = "perdure tasks"
    for name, shape in (("array", '["a", "b"]'), ("object", '{"a": 1}')):
        if (found := re.search(rf"argument '(\w+)'.*Expected `{name}`[^`]*`str`$", str(error))) is not None:
            following = f"perdure enqueue {task.name} {found[1]}='{shape}'"
    return Problem(2, str(error), f"nothing was stored; parameters of {task.name}: {parameters}", following)
