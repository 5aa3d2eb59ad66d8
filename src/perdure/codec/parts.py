"""What a value is made of: the items of containers and the fields of records, and the defaults of those fields.

A *record* is an instance of a class with declared fields: dataclass, `msgspec.Struct`, NamedTuple, attrs class, Pydantic
model or dataclass. They are told apart by the marks these libraries leave on the class, so that none has to be imported.
This module must never encode, compare or change anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

ARRAYS: Final = (list, tuple, set, frozenset)
NO_DEFAULT: Final = object()
Default = Callable[[], object]


def nothing() -> object:
    """The default of a field that has none."""
    return NO_DEFAULT


def is_record_class(kind: type[object]) -> bool:
    """Whether instances of this class have declared fields."""
    return (
        issubclass(kind, msgspec.Struct)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or is_model_class(kind)
        or (hasattr(kind, "_field_defaults") and tuple in kind.__mro__)
    )


def is_model_class(kind: type[object]) -> bool:
    """Whether Pydantic knows the fields of this class."""
    return isinstance(getattr(kind, "__pydantic_fields__", None), dict)


def fields_of(record: object) -> Iterator[tuple[str, object]]:
    """Name and value of each field that is set; of a Pydantic model its extra fields too."""
    for name in defaults_of(type(record)):
        value = getattr(record, name, NO_DEFAULT)
        if value is not NO_DEFAULT:
            yield name, value
    extra = getattr(record, "__pydantic_extra__", None)
    if extra:
        yield from cast("dict[str, object]", extra).items()


def children_of(value: object) -> Iterator[tuple[str, object]]:
    """What a value contains, each with its step in a path (`.name` or `[0]`). Nothing for a leaf."""
    if is_record_class(type(value)):
        yield from ((f".{name}", part) for name, part in fields_of(value))
    elif isinstance(value, dict):
        for key, part in cast("dict[object, object]", value).items():
            yield f".{key}" if isinstance(key, str) else f"[{type(key).__name__} key]", part
    elif isinstance(value, ARRAYS):
        yield from ((f"[{place}]", part) for place, part in enumerate(cast("list[object]", value)))


@lru_cache(maxsize=1024)
def defaults_of(kind: type[object]) -> Mapping[str, Default]:
    """The fields of a record class in order, each with what makes its default: `nothing` where there is none."""
    if is_model_class(kind):
        return {name: _model_default(field) for name, field in cast("Any", kind).__pydantic_fields__.items()}
    if issubclass(kind, msgspec.Struct):
        return {field.name: _struct_default(field) for field in msgspec.structs.fields(kind)}
    if hasattr(kind, "__dataclass_fields__"):
        return {field.name: _dataclass_default(field) for field in dataclasses.fields(cast("Any", kind))}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: _attrs_default(field.default) for field in cast("Any", kind).__attrs_attrs__}
    given: dict[str, object] = getattr(kind, "_field_defaults", {})
    names: tuple[str, ...] = getattr(kind, "_fields", ())
    return {name: _always(given[name]) if name in given else nothing for name in names}


def _always(value: object) -> Default:
    return lambda: value


def _struct_default(field: msgspec.structs.FieldInfo) -> Default:
    if field.default_factory is not msgspec.NODEFAULT:
        return cast("Default", field.default_factory)
    return nothing if field.default is msgspec.NODEFAULT else _always(field.default)


def _dataclass_default(field: dataclasses.Field[Any]) -> Default:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return nothing if field.default is dataclasses.MISSING else _always(field.default)


def _attrs_default(default: object) -> Default:
    """attrs marks "none" by an enum member NOTHING, and a factory by a class Factory."""
    if getattr(default, "name", None) == "NOTHING":
        return nothing
    if type(default).__name__ == "Factory":
        return nothing if getattr(default, "takes_self", False) else cast("Default", cast("Any", default).factory)
    return _always(default)


def _model_default(field: Any) -> Default:
    """A factory that takes the other fields has no default of its own."""
    if field.is_required() or getattr(field, "default_factory_takes_validated_data", False):
        return nothing
    return field.default_factory or _always(field.default)
