"""One text for equal values, whatever their order: what keys of memoised calls are made of.

Object keys are sorted, and so are sets. A field of a record that equals its default is left out, so that a class may gain
a field with a default and old keys stay. A record carries its class's bare name, so that two classes of equal fields
differ; moving a class between modules changes nothing, renaming it changes the key.

What differs in JSON differs here: `1`, `1.0`, `True` and `"1"` are four keys (a parameter declared `float` makes `1` and
`1.0` one *before* that, by `TypeCodec.convert`), a list is no tuple, a datetime is not its text. A `frozenset` is a set, a
`StrEnum` or `IntEnum` member its plain value. The digest starts with a version: a change of these rules needs a new one,
and this module must never change what version 1 says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import blake2b
from typing import Final, cast

import msgspec

from perdure.codec.natural import TAG, TAGGED
from perdure.codec.parts import NO_DEFAULT, defaults_of, fields_of, is_record_class
from perdure.codec.problems import Misfit, unstorable
from perdure.codec.typed import codec_for
from perdure.errors import NotSerializableError

VERSION: Final = "1"
MARK: Final = f'"{TAG}"'.encode()
NATIVES: Final = frozenset({type(None), bool, int, str})

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


def canonical(value: object) -> bytes:
    """The one JSON text of a value. Raises `NotSerializableError` for `nan`, `inf`, lone surrogates, and what JSON lacks."""
    try:
        data = _encode(value)
        # What reads back equal is made of plain JSON, and needs no walk through Python.
        if MARK not in data and (_decode(data) == value) is True:
            return data
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return _encode(_normal(value, "$"))
    except (Misfit, UnicodeEncodeError, RecursionError, ValueError) as error:
        raise unstorable(error, "") from error


def digest(parts: Iterable[object]) -> str:
    """A short text for a sequence of values, `1.` and 32 hexadecimal digits. Raises `NotSerializableError` as `canonical` does."""
    return _digest_of(canonical(list(parts)))


def argument_digest(arguments: Mapping[str, object]) -> str:
    """A short text for a call's arguments by name. The caller leaves out those that equal their default
    (`same_canonical`). Raises `NotSerializableError` as `canonical` does."""
    return _digest_of(canonical(dict(arguments)))


def same_canonical(value: object, other: object) -> bool:
    """Whether two values have one canonical text: stricter than `==`, as `1` is not `True`. False for what has none."""
    if value is other:
        return True
    try:
        return canonical(value) == canonical(other)
    except NotSerializableError:
        return False


def _digest_of(data: bytes) -> str:
    return f"{VERSION}.{blake2b(data, digest_size=16).hexdigest()}"


def _normal(value: object, path: str) -> object:
    kind = type(value)
    if kind in NATIVES:
        return value
    if isinstance(value, Enum):
        return _normal_enum(value, path)
    if isinstance(value, str | int | float):
        return _normal_scalar(value, path)
    if is_record_class(kind):
        return _normal_record(value, path)
    if isinstance(value, Mapping):
        return _normal_mapping(cast("Mapping[object, object]", value), path)
    if isinstance(value, list):
        return _normal_items(cast("list[object]", value), path)
    if isinstance(value, tuple):
        return {TAG: "tuple", "value": _normal_items(cast("tuple[object, ...]", value), path)}
    if isinstance(value, set | frozenset):
        return {TAG: "set", "value": sorted(_normal_items(cast("set[object]", value), path), key=_encode)}
    return _normal_leaf(value, path)


def _normal_items(values: Iterable[object], path: str) -> list[object]:
    return [_normal(part, f"{path}[{place}]") for place, part in enumerate(values)]


def _normal_scalar(value: str | float, path: str) -> object:
    """A subclass as its native."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if math.isfinite(value):
        return float(value)
    raise Misfit(f"{float(value)} has no canonical form", path)


def _normal_enum(value: Enum, path: str) -> object:
    plain = _normal(value.value, path)
    return plain if isinstance(value, str | int) else {TAG: "enum", "class": type(value).__name__, "value": plain}


def _normal_record(record: object, path: str) -> object:
    """Fields by name without those at their default: by canonical text, as `1 == True`."""
    defaults = defaults_of(type(record))
    members: dict[str, object] = {}
    for name, value in fields_of(record):
        default = defaults[name]() if name in defaults else NO_DEFAULT
        if value is default:
            continue
        plain = _normal(value, f"{path}.{name}")
        if default is NO_DEFAULT or _encode(plain) != _text_of_default(default):
            members[name] = plain
    return {TAG: "record", "class": type(record).__name__, "fields": members}


def _text_of_default(default: object) -> bytes:
    """Empty for a default that has no canonical form: nothing equals it."""
    try:
        return _encode(_normal(default, "$"))
    except (Misfit, TypeError, ValueError):
        return b""


def _normal_mapping(value: Mapping[object, object], path: str) -> object:
    """An object if all keys are text; else pairs, ordered by the canonical keys, so that `{1: …}` is not `{"1": …}`."""
    pairs = [(_normal(key, path), _normal(part, f"{path}.{key}")) for key, part in value.items()]
    if all(isinstance(key, str) for key, _ in pairs):
        members = {cast("str", key): part for key, part in pairs}
        return {TAG: "dict", "value": members} if TAG in members else members
    return {TAG: "map", "value": sorted(pairs, key=lambda pair: _encode(pair[0]))}


def _normal_leaf(value: object, path: str) -> object:
    """A datetime and its like by their natural tag; any other type by the text that its codec writes."""
    if type(value) in TAGGED:
        name, write, _ = TAGGED[type(value)]
        return {TAG: name, "value": write(value, path)}
    if isinstance(value, bytearray | memoryview):
        return _normal(bytes(cast("bytes", value)), path)
    try:
        text = codec_for(type(value)).encode(value)
    except NotSerializableError as error:
        raise Misfit(str(error), path) from error
    return {TAG: "other", "class": type(value).__name__, "value": text}
