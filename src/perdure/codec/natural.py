"""Values without a declared type: JSON as it is, and a tagged form for what JSON cannot say.

`None`, `bool`, `int`, `float`, `str`, `list` and `dict` with text keys are written as they are. Datetimes, dates, times,
durations, decimals, UUIDs, bytes, sets and tuples are written `{"$type": "datetime", "value": "2026-11-21T…"}`; a dict
of the user's own that has a key `$type` is wrapped as `{"$type": "dict", "value": {…}}`, so it cannot be mistaken.
The set of tags is closed: a tag names a form, never a class, and nothing is ever looked up or imported by one.

A subclass of a JSON native that equals it (`OrderedDict`, `StrEnum`) is written as that native and read back as such.
Everything else, `nan` and `inf` among it, is refused here: this module must never guess.
"""

from __future__ import annotations

import datetime as dt
import inspect
import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import msgspec

from perdure.codec.problems import Misfit

TAG: Final = "$type"
MARK: Final = f'"{TAG}"'
NATIVES: Final = frozenset({type(None), bool, int, str})
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def natural_text(value: object) -> str:
    """A value as JSON text. Raises `Misfit` with the path of what cannot be written, `UnicodeEncodeError`,
    `RecursionError`."""
    text = _text_of_natives(value)
    return _encode(lowered(value)).decode() if text is None else text


def natural_value(text: str) -> object:
    """What `natural_text` wrote. Raises `Misfit` for a tag that is none, `msgspec.DecodeError` for text that is no JSON."""
    value = _decode(text)
    return lifted(value) if MARK in text else value


def _text_of_natives(value: object) -> str | None:
    """The text if plain JSON says it all, found in C: what reads back equal needed no tag."""
    try:
        data = _encode(value)
        text = data.decode()
        same = MARK not in text and bool(_decode(data) == value)
    except (TypeError, ValueError):
        return None
    return text if same else None


def lowered(value: object, path: str = "$") -> object:
    """A value as JSON natives, tagged where needed. Raises `Misfit`."""
    kind = type(value)
    if kind in NATIVES:
        return value
    if isinstance(value, float):
        return _finite(float(value), path)
    if kind in TAGGED:
        name, write, _ = TAGGED[kind]
        return {TAG: name, "value": write(value, path)}
    if isinstance(value, dict):
        return _lowered_dict(cast("dict[object, object]", value), path)
    if isinstance(value, list):
        return _lowered_items(cast("list[object]", value), path)
    return _native_of_subclass(value, path)


def lifted(value: object, path: str = "$") -> object:
    """JSON natives as `lowered` wrote them, back as values. Raises `Misfit` for an unknown tag or a wrong value."""
    if isinstance(value, list):
        return _lifted_items(cast("object", value), path)
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    if TAG not in members:
        return _lifted_dict(members, path)
    read = READERS.get(cast("str", members[TAG])) if isinstance(members[TAG], str) else None
    if read is None or members.keys() != {TAG, "value"}:
        raise Misfit(f"an object with {MARK} that is none of {', '.join(sorted(READERS))}", path)
    try:
        return read(members["value"], path)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise Misfit(f"not a {members[TAG]}: {error}", path) from error


def _native_of_subclass(value: object, path: str) -> object:
    plain = value.value if isinstance(value, Enum) else value
    if isinstance(value, str) and isinstance(plain, str):
        return str.__str__(plain)
    if isinstance(value, int) and isinstance(plain, int):
        return int(plain)
    raise Misfit(
        f"{described(value)} cannot be stored without a declared type; annotate it with a type that says how", path
    )


def described(value: object) -> str:
    """What a value is, in words for an error: its type, and advice where people often meet it."""
    kind = f"a value of type {type(value).__qualname__}"
    if isinstance(value, BaseException):
        return f"{kind} (an exception: return its message, or raise it)"
    if inspect.iscoroutine(value):
        return f"{kind} (did you forget `await`?)"
    return f"{kind} (a callable)" if callable(value) else kind


def _finite(value: float, path: str) -> float:
    if math.isfinite(value):
        return value
    raise Misfit(f"{value} is no JSON number", path)


def _lowered_dict(value: dict[object, object], path: str) -> object:
    members: dict[str, object] = {}
    for key, part in value.items():
        if not isinstance(key, str):
            raise Misfit(f"a dict key of type {type(key).__qualname__} cannot be stored; keys are text", path)
        members[str(_native_of_subclass(key, path))] = lowered(part, f"{path}.{key}")
    return {TAG: "dict", "value": members} if TAG in members else members


def _lowered_items(values: Any, path: str) -> object:
    return [lowered(part, f"{path}[{place}]") for place, part in enumerate(values)]


def _lifted_dict(value: object, path: str) -> dict[str, object]:
    members = cast("dict[str, object]", _expect(value, dict))
    return {key: lifted(part, f"{path}.{key}") for key, part in members.items()}


def _lifted_items(value: object, path: str) -> list[object]:
    items = cast("list[object]", _expect(value, list))
    return [lifted(part, f"{path}[{place}]") for place, part in enumerate(items)]


def _expect(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected a JSON {kind.__name__}, got {type(value).__name__}")
    return value


Writer = Callable[[Any, str], object]
Reader = Callable[[object, str], object]


def _of_text(parse: Callable[[str], object]) -> Reader:
    return lambda value, _: parse(_expect(value, str))


def _zoned(value: dt.datetime | dt.time, _: str) -> str:
    return value.isoformat()


def _duration(text: str) -> dt.timedelta:
    return msgspec.convert(text, dt.timedelta)


TAGGED: Final[dict[type, tuple[str, Writer, Reader]]] = {
    dt.datetime: ("datetime", _zoned, _of_text(dt.datetime.fromisoformat)),
    dt.date: ("date", lambda value, _: value.isoformat(), _of_text(dt.date.fromisoformat)),
    dt.time: ("time", _zoned, _of_text(dt.time.fromisoformat)),
    dt.timedelta: ("timedelta", lambda value, _: msgspec.to_builtins(value), _of_text(_duration)),
    Decimal: ("decimal", lambda value, _: str(value), _of_text(Decimal)),
    UUID: ("uuid", lambda value, _: str(value), _of_text(UUID)),
    bytes: (
        "bytes",
        lambda value, _: b64encode(value).decode(),
        _of_text(lambda text: b64decode(text, validate=True)),
    ),
    set: ("set", _lowered_items, lambda value, path: set(_lifted_items(value, path))),
    frozenset: ("frozenset", _lowered_items, lambda value, path: frozenset(_lifted_items(value, path))),
    tuple: ("tuple", _lowered_items, lambda value, path: tuple(_lifted_items(value, path))),
}
READERS: Final[dict[str, Reader]] = {name: read for name, _, read in TAGGED.values()} | {"dict": _lifted_dict}
