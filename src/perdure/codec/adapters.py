"""Pydantic's adapters, and the hooks by which msgspec reaches them.

Pydantic is typed loosely here on purpose: it is optional, is found at run time, and nothing of it may be imported before a
type asks for it. Bytes are written as base64 and `nan` is refused wherever a type has no configuration of its own; a model
with its own keeps it, as its author decided. This module must never be called for a type that msgspec can hold alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NewType, Protocol

import msgspec

from perdure.codec.parts import is_model_class
from perdure.codec.problems import Misfit

CONFIG: Final[Mapping[str, object]] = {"ser_json_bytes": "base64", "val_json_bytes": "base64", "allow_inf_nan": False}


class Adapter(Protocol):
    """What is used of `pydantic.TypeAdapter`."""

    def dump_json(self, value: object, *, by_alias: bool, round_trip: bool, warnings: bool) -> bytes: ...

    def validate_json(self, data: str | bytes, *, strict: bool | None = None, **aliases: bool) -> object: ...

    def validate_python(self, value: object, *, strict: bool | None = None, **aliases: bool) -> object: ...


def new_adapter(hint: object) -> Adapter:
    """Pydantic's adapter for a type. Raises `ModuleNotFoundError` without Pydantic, and Pydantic's errors, also for a name
    in the type that Pydantic would wait for."""
    pydantic: Any = importlib.import_module("pydantic")
    adapter = _configured(pydantic, hint)
    if not getattr(adapter, "pydantic_complete", True):
        adapter.rebuild(raise_errors=True)
    return adapter


def _configured(pydantic: Any, hint: object) -> Any:
    """A model, dataclass or TypedDict refuses to be handed a configuration; under another name it takes one."""
    try:
        return pydantic.TypeAdapter(hint, config=CONFIG)
    except pydantic.PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
    rename: Any = NewType
    return pydantic.TypeAdapter(rename("Value", hint), config=CONFIG)


@lru_cache(maxsize=256)
def adapter_of_class(kind: type) -> Adapter:
    """The adapter of a model that was met inside something else."""
    return new_adapter(kind)


def dumped(adapter: Adapter, value: object) -> bytes:
    """The value as JSON. Raises Pydantic's errors, and `Misfit` where a model writes `NaN` as no JSON has it."""
    data = adapter.dump_json(value, by_alias=True, round_trip=True, warnings=False)
    if b"NaN" in data or b"Infinity" in data:
        _refuse_constants(data)
    return data


def _refuse_constants(data: bytes) -> None:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        raise Misfit("nan and inf are no JSON; the model may say ser_json_inf_nan='strings'") from None


def to_builtins(value: object) -> object:
    """msgspec asks what to write for a value that it does not know: a model, or a subclass of a native."""
    if is_model_class(type(value)):
        return msgspec.Raw(dumped(adapter_of_class(type(value)), value))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    raise NotImplementedError


def from_builtins(kind: type, value: object) -> object:
    """msgspec asks for an instance of a class that it does not know: `object`, or a Pydantic model, as checked before."""
    if isinstance(value, kind):
        return value
    return adapter_of_class(kind).validate_json(msgspec.json.encode(value))
