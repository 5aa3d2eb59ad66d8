"""What is typed, as values: arguments of a call, JSON, durations, moments, tags.

`name=value` is read by the parameter's type: what the type takes as it stands is taken so (a text, a date, a path), else the
value is read as JSON. So `count=3`, `name=Ada`, `when=2026-01-01`, `tags='["a"]'` all mean what they say.
"""

from __future__ import annotations

import difflib
import inspect
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from perdure.cli.problems import Problem
from perdure.codec import DecodeError, TypeCodec
from perdure.codec.hints import is_untyped
from perdure.engine.task import Task
from perdure.model.query import duration

FORMS = "a JSON object or array, - for standard input, or name=value pairs"


def duration_typed(value: str) -> timedelta:
    """`90s`, `30m`, `1.5h`, `30d`, `500ms`, or a bare number of seconds. Raises `BadParameter`."""
    try:
        length = duration(value)
        found = timedelta(seconds=float(value)) if length is None else timedelta(milliseconds=length)
    except (ValueError, OverflowError):
        found = timedelta(-1)
    if found < timedelta(0):
        raise click.BadParameter(f"{value!r} is no duration; write it like 90s, 30m, 2h or 30d")
    return found


def age_typed(value: str) -> timedelta:
    """A duration with its unit: a bare number may mean days to whoever types it. Raises `BadParameter`."""
    if value.strip().replace(".", "", 1).isdigit():
        raise click.BadParameter(f"{value!r} has no unit; write it like 90m, 12h or 30d")
    return duration_typed(value)


def moment_typed(value: str) -> datetime:
    """An ISO 8601 moment; without an offset it is local time. Raises `BadParameter`."""
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no moment; write it like 2026-12-24T18:00 or 2026-12-24T18:00Z"
        ) from None


def tag_typed(value: str) -> tuple[str, str]:
    """`key=value`. Raises `BadParameter`."""
    key, equals, rest = value.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{value!r} is no tag; write key=value")
    return key, rest


def json_of(text: str, what: str, otherwise: str = "") -> Any:
    """A value typed as JSON, `-` for standard input. `otherwise` says what else can be typed. Raises `Problem`."""
    source = sys.stdin.read() if text == "-" else text
    try:
        return json.loads(source, parse_constant=_refused)
    except ValueError as error:
        where = "standard input" if text == "-" else repr(text)
        quoted = f"a text is quoted twice in a shell: '{json.dumps(text)}'" if text != "-" else ""
        following = ", ".join(filter(None, (quoted, otherwise)))
        raise Problem(2, f"{what} {where} is no JSON", str(error), following) from None


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def arguments_of(task: Task[..., Any], typed: Sequence[str]) -> tuple[list[object], dict[str, object]]:
    """Positional and named arguments of a call as typed. Raises `Problem`."""
    if len(typed) == 1 and (typed[0] == "-" or typed[0].lstrip()[:1] in ("{", "[")):
        value = json_of(typed[0], "the input")
        if isinstance(value, dict):
            return [], value  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, list):
            return value, {}  # pyright: ignore[reportUnknownVariableType]
        raise Problem(2, "the input is neither a JSON object nor an array", f"arguments are {FORMS}")
    pairs = [_pair(task, each) for each in typed]
    if len(named := dict(pairs)) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise Problem(2, f"argument {twice!r} is given twice", f"arguments are {FORMS}")
    return [], named


def check_names(task: Task[..., Any], named: Mapping[str, object]) -> None:
    """Raises `Problem` for a name that is no parameter, with the nearest that is."""
    signature = inspect.signature(task.fn)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return
    for name in named:
        if name not in task.signature.names:
            near = difflib.get_close_matches(name, task.signature.names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(task.signature.names) or "none"
            raise Problem(
                2,
                f"task {task.name} has no parameter {name!r}{hint}",
                f"its parameters: {known}",
                f"perdure tasks {task.name}",
            )


def _pair(task: Task[..., Any], typed: str) -> tuple[str, object]:
    name, equals, text = typed.partition("=")
    if not equals or not name.isidentifier():
        raise Problem(
            2, f"{typed!r} is no argument", f"arguments are {FORMS}", f"perdure enqueue {task.name} {_shape(task)}"
        )
    codecs = task.signature.codecs()
    return name, typed_value(codecs[name], text) if name in codecs else _loose(text)


def _shape(task: Task[..., Any]) -> str:
    return " ".join(f"{name}=…" for name in task.signature.names)


def typed_value(codec: TypeCodec, text: str) -> object:
    """A text as a value of a codec's type; what does not fit is left for the task's own check to name."""
    if is_untyped(codec.hint):
        return _loose(text)
    for value in (text, _loose(text)):
        try:
            codec.convert(value)
        except DecodeError:
            continue
        return value
    return _loose(text)


def _loose(text: str) -> object:
    """As JSON where it is some, else the text."""
    try:
        return json.loads(text, parse_constant=_refused)
    except ValueError:
        return text
