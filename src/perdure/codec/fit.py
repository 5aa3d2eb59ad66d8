"""Whether what was read back is still what was written.

The JSON libraries write whatever they are handed: a datetime where text was declared, a subclass whose extra fields are
then dropped, `nan` as `null`. Each of these reads back as something else without an error. `fits` compares the value
with its decoded form and names the first place where something was *lost*. What is merely *converted* is let through,
as the declared type asked for it: a list for a declared set, a dict for a declared dataclass, an int for a float, text
for a declared UUID. This module must never decode or encode; it sees two values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final, cast

from perdure.codec.parts import ARRAYS, fields_of, is_record_class
from perdure.codec.problems import Misfit

BINARY: Final = (bytes, bytearray, memoryview)
NUMBERS: Final = (bool, int, float)


def check_fit(value: object, decoded: object) -> None:
    """Raises `Misfit` where `decoded` lost something of `value`. Quick when they are equal."""
    if decoded is not value and (isinstance(value, bool) or not _equal(value, decoded)):
        _compare(value, decoded, "$")


def _equal(value: object, decoded: object) -> bool:
    """Equal, by the values' own opinion; an `__eq__` that raises or answers oddly has none."""
    try:
        return (decoded == value) is True
    except Exception:
        return False


def _compare(value: object, decoded: object, path: str) -> None:
    if reason := _loss(value, decoded):
        raise Misfit(reason, path)
    if is_record_class(type(decoded)):
        _compare_records(value, decoded, path)
    elif isinstance(value, Mapping) and isinstance(decoded, dict):
        _compare_dicts(dict(cast("Mapping[object, object]", value)), cast("dict[object, object]", decoded), path)
    elif isinstance(value, ARRAYS) and isinstance(decoded, ARRAYS):
        for place, (part, other) in enumerate(_paired(cast("list[object]", value), cast("list[object]", decoded))):
            _compare(part, other, f"{path}[{place}]")


def _paired(value: Iterable[object], decoded: Iterable[object]) -> Iterator[tuple[object, object]]:
    """Items in order, as an array is written in the order of iteration; of a set what the other side has not."""
    if isinstance(decoded, set | frozenset):
        given, found = set(value), set(cast("set[object]", decoded))
        value, decoded = given - found, found - given
    return zip(value, decoded, strict=False)


def _compare_records(value: object, decoded: object, path: str) -> None:
    """Fields by name. Of a dict that became a record, the keys that the record knows."""
    given = dict(cast("Mapping[str, object]", value) if isinstance(value, Mapping) else fields_of(value))
    for name, other in fields_of(decoded):
        if name in given:
            _compare(given[name], other, f"{path}.{name}")


def _compare_dicts(value: dict[object, object], decoded: dict[object, object], path: str) -> None:
    """By key where the keys survived; else in order, keys too, as these were converted."""
    if len(decoded) < len(value):
        lost = ", ".join(sorted(repr(key) for key in value.keys() - decoded.keys())) or "a key"
        raise Misfit(f"{lost[:200]} would be lost: the declared type does not have it", path)
    for (key, part), (other_key, other) in zip(value.items(), decoded.items(), strict=False):
        if key in decoded:
            _compare(part, decoded[key], f"{path}.{key}")
        else:
            _compare(key, other_key, f"{path} (a key)")
            _compare(part, other, f"{path}.{key}")


def _loss(value: object, decoded: object) -> str | None:
    """What is lost between these two themselves, leaving their parts aside."""
    if type(value) is type(decoded):
        return _changed(value, decoded)
    if isinstance(value, float) and decoded is None:
        return f"{value} is no JSON number"
    loses_class = (isinstance(value, Enum) or is_record_class(type(value))) and not isinstance(decoded, type(value))
    return _becomes(value, decoded) if loses_class or _loses_kind(value, decoded) else None


def _becomes(value: object, decoded: object) -> str:
    return (
        f"a value of type {type(value).__qualname__} would come back as {type(decoded).__qualname__}; "
        "declare the type that it has"
    )


def _loses_kind(value: object, decoded: object) -> bool:
    if decoded is None:
        return True
    if isinstance(decoded, str):
        return not isinstance(value, str)
    if isinstance(value, str | bool) and isinstance(decoded, NUMBERS):
        return True
    if isinstance(decoded, BINARY):
        return not isinstance(value, BINARY)
    return isinstance(value, ARRAYS) != isinstance(decoded, ARRAYS) and not is_record_class(type(decoded))


def _changed(value: object, decoded: object) -> str | None:
    """Same type, and yet not the same: only where that is surely a loss, as many types compare by identity."""
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal) and reveal() != decoded.get_secret_value():  # type: ignore[attr-defined]
        return "a secret is written masked and would be lost; give its field a serializer"
    if isinstance(value, bytes) and value != decoded:
        return "bytes would come back changed; give the model ser_json_bytes and val_json_bytes 'base64'"
    if isinstance(value, dt.datetime) and _moved(value, cast("dt.datetime", decoded)):
        return "a datetime whose offset has seconds would come back changed"
    return None


def _moved(value: dt.datetime, decoded: dt.datetime) -> bool:
    """Subtraction compares instants, where `==` refuses local times that a clock change repeats."""
    return (value.tzinfo is None) != (decoded.tzinfo is None) or value - decoded != dt.timedelta()
