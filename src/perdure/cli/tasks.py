"""`tasks`: what an app declares, without running any of it."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Callable
from datetime import timedelta
from types import CodeType
from typing import Any, Final, NamedTuple

import click

from perdure.cli.screen import console, print_json, say, styled
from perdure.cli.shell_completion import first_line
from perdure.cli.text import safe_text, span
from perdure.cli.where import Where, shared
from perdure.engine.options import ActivityOptions, TaskOptions
from perdure.engine.task import Activity, Task
from perdure.model.outline import Part
from perdure.model.policy import Retry
from perdure.styles.external import ExternalTask

_OURS: Final = re.compile(r"\bperdure\.(?:\w+\.)+(?=[A-Z])")
"""Where types of this package are defined, which nobody imports them from."""


class Declared(NamedTuple):
    """A task or activity as it is shown. `kind` is the task's style: task, parent, sequence, loop or external."""

    kind: str
    name: str
    aliases: tuple[str, ...]
    signature: str
    options: dict[str, str]
    doc: str
    source: str


@click.command()
@click.argument("name", required=False)
@shared()
def tasks(where: Where, name: str | None) -> None:
    """List the app's tasks and activities, or the one called NAME."""
    if name is not None and ":" in name and where.named is None:  # as `worker`, `dev` and `check` take an app
        where.app_name, name = name, None
    app = where.app()
    if name is not None and name not in app.activities:
        app.find_task(name)
    found = [_declared("task", each, app.tasks) for each in _distinct(app.tasks)]
    found += [_declared("activity", each, app.activities) for each in _distinct(app.activities)]
    found = [each for each in found if name is None or name in (each.name, *each.aliases)]
    if where.json:
        print_json([each._asdict() for each in found])
    elif not found:
        say("this app declares nothing yet", styled("   (@app.task above a function)", "dim"))
    else:
        _show(found)


def _distinct(named: dict[str, Any]) -> list[Any]:
    return list({id(each): each for each in named.values()}.values())


def _declared(kind: str, each: Task[..., Any] | Activity[..., Any], named: dict[str, Any]) -> Declared:
    aliases = tuple(name for name, found in named.items() if found is each and name != each.name)
    if isinstance(each, ExternalTask):
        returns = inspect.formatannotation(each.hint)
        return Declared("external", each.name, aliases, f"(key: str) -> {returns}", _options(each.settings), "", "")
    driven = isinstance(each, Task) and each.drive is not None
    shown = _signature(each.fn, each.signature.result.hint if driven else None)
    kind = _style(each.outline()) if isinstance(each, Task) else kind
    return Declared(kind, each.name, aliases, shown, _options(each.settings), first_line(each.fn), source_of(each.fn))


def _style(outline: Part) -> str:
    if outline.again:
        return "loop"
    if outline.order == "sequence":
        return "sequence"
    return "parent" if outline.parts else "task"


def _signature(function: Callable[..., object], returns: object = None) -> str:
    """Its parameters and result; `returns` is the hint of the result where the function itself returns something else."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, TypeError, AttributeError):  # a hint that is not defined, or not yet
        signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if parameters and "Context" in str(parameters[0].annotation):
        parameters = parameters[1:]
    signature = signature.replace(parameters=parameters)
    shown = signature if returns is None else signature.replace(return_annotation=returns)
    return _OURS.sub("", str(shown)).replace("NoneType", "None")


def _options(settings: TaskOptions | ActivityOptions) -> dict[str, str]:
    """What differs from the default."""
    plain = type(settings)()
    return {
        field.name: _shown(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in ("aliases", "key") and getattr(settings, field.name) != getattr(plain, field.name)
    }


def _shown(value: object) -> str:
    if isinstance(value, Retry):
        return "forever" if value.max_retries is None else str(value.max_retries)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, float):
        return span(value)
    return getattr(value, "__name__", str(value))


def source_of(function: Callable[..., object]) -> str:
    """`file:line`, relative to the working directory where it is below it."""
    code: CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return ""
    relative = os.path.relpath(code.co_filename)
    return f"{code.co_filename if relative.startswith('..') else relative}:{code.co_firstlineno}"


def _show(found: list[Declared]) -> None:
    wide = console().width >= 110
    for index, each in enumerate(found):
        if index and each.kind == "activity" != found[index - 1].kind:
            say("")
        line = [styled(f"{each.kind:<9}", "dim"), styled(each.name, "bold"), styled(each.signature)]
        say(*line, styled(f"   {each.source}" if wide else "", "dim"))
        said = [each.doc, " ".join(f"{name}={value}" for name, value in each.options.items())]
        said += [f"also {', '.join(each.aliases)}" if each.aliases else "", "" if wide else each.source]
        for text in filter(None, said):
            say(" " * 9, styled(safe_text(text), "dim"))
