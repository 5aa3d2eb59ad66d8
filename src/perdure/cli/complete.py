"""`complete` answers an external task for one key; a key that is answered already shows what stands."""

from __future__ import annotations

import json
from typing import Any

import click

from perdure.app import Perdure
from perdure.cli.screen import print_json, say, styled
from perdure.cli.shapes import failure_shape, plain
from perdure.cli.shell_completion import external_names
from perdure.cli.text import clock_text, json_text, safe_text, stamp
from perdure.cli.values import json_of, typed_value
from perdure.cli.where import Where, shared
from perdure.errors import InvalidInputError
from perdure.model.execution import Answer
from perdure.styles.external import ExternalTask, external


@click.command()
@click.argument("task", shell_complete=external_names)
@click.argument("key")
@click.argument("value", required=False, metavar="[VALUE | -]")
@click.option("--fail", "why", metavar="WHY", help="Let those who wait for the key fail, with this message.")
@shared()
def complete(where: Where, task: str, key: str, value: str | None, why: str | None) -> None:
    """Complete external task TASK for KEY, whether somebody waits for it or not.

    VALUE is read by the task's type, or is JSON; `-` is JSON on standard input, none is null. The first answer stands: for a
    key that is answered already, what stands is shown.
    """
    if why is not None and value is not None:
        raise click.UsageError("VALUE and --fail exclude each other")
    app = where.app()
    found = external(app.find_task(task))
    sent = _value(found, value) if why is None else None

    async def answer(app: Perdure) -> Answer[object]:
        if why is not None:
            return await app.fail(found.name, key, why)
        return await app.complete(found.name, key, sent)

    answered = where.write(app, answer)
    if where.json:
        print_json(_shape(found, answered))
    elif answered.first:
        say(styled("completed", "green"), f"  {found.name} for {safe_text(key)}: {_outcome(found, answered)}")
    else:
        say(styled("left alone", "yellow"), f"  {found.name} for {safe_text(key)} was answered before, at "
            f"{clock_text(answered.completed_at)}: {_outcome(found, answered)}")  # fmt: skip


def _value(task: ExternalTask[object], typed: str | None) -> object:
    """What is typed, by the task's type; what begins like JSON, and is neither that nor what the type takes, is misspelt."""
    if typed is None or typed == "-":
        return None if typed is None else json_of(typed, "the value")
    value = typed_value(task.signature.result, typed)
    try:
        task.encoded(value)
    except InvalidInputError:
        if typed.lstrip()[:1] in ("{", "[", '"'):
            json_of(typed, "the value")
    return value


def _outcome(task: ExternalTask[object], answer: Answer[object]) -> str:
    if answer.failure is not None:
        return safe_text(f"it fails, {answer.failure.message}")
    return safe_text(json_text(_natural(task, answer.value), indent=None), 300)


def _natural(task: ExternalTask[object], value: object) -> Any:
    """A value as JSON natives; one that was taken under an older declaration is some already."""
    try:
        return json.loads(task.encoded(value))
    except InvalidInputError:
        return plain(value)


def _shape(task: ExternalTask[object], answer: Answer[object]) -> dict[str, Any]:
    value = None if answer.failure is not None else _natural(task, answer.value)
    return {
        "task": answer.task_name, "key": answer.key, "first": answer.first, "value": value,
        "failure": failure_shape(answer.failure), "completed_at": stamp(answer.completed_at),
    }  # fmt: skip
