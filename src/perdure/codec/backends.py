"""The three ways to store a value: natural JSON, msgspec by a type, Pydantic by a type.

A backend turns values into text and back and checks inputs, and raises whatever its library raises; `perdure.codec.typed`
puts that into words and guards against silent loss. Choosing happens once per hint, when it is declared. This module
imports Pydantic only where a type needs it or msgspec refused the type: it must never do so at import, or while decoding.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast, get_args, get_origin

import msgspec

from perdure.codec.adapters import adapter_of_class, dumped, from_builtins, new_adapter, to_builtins
from perdure.codec.hints import (
    UNIONS,
    constrained_by_pydantic,
    is_shape,
    is_untyped,
    mentioned,
    mentions_pydantic,
    refusal,
    type_name,
    unwrapped,
)
from perdure.codec.natural import natural_text, natural_value
from perdure.codec.parts import is_model_class
from perdure.codec.problems import Misfit

EXACT: Final = frozenset({bool, int, str, type(None)})
SUPPORTED_CUSTOM: Final = (object, msgspec.UnsetType)


class Backend(ABC):
    """`exact` are the types whose values are their own decoded form: nothing is checked or decoded for them.
    `by_text` says that `convert` refuses some right values, such as an Enum member for its own class, and that a round
    trip through the text has the last word."""

    exact: frozenset[type] = frozenset()
    by_text = False

    @abstractmethod
    def text(self, value: object) -> str:
        """The value as JSON text. Raises anything for a value that has none."""

    @abstractmethod
    def value(self, text: str) -> object:
        """The value of a JSON text. Raises anything for a text that does not fit."""

    @abstractmethod
    def convert(self, value: object) -> object:
        """The value as the type wants it. Raises anything for a value that does not fit."""

    def part_text(self, part: object) -> None:
        """Writes a part of a value alone, to find the one that has no text. Raises `UnicodeEncodeError` or anything."""
        if isinstance(part, str):
            msgspec.json.encode(str(part))


class Natural(Backend):
    """No type: the closed set of `perdure.codec.natural`. `shape` is a hint that only says which containers stand around
    untyped parts, such as `dict[str, Any]`; the container is then checked, and its parts are natural."""

    def __init__(self, shape: object = None) -> None:
        if shape is not None:
            msgspec.json.Decoder(cast("Any", shape))  # raises for a combination of containers that it cannot tell apart
        self._shape = shape
        self.exact = EXACT if shape is None else frozenset()

    def text(self, value: object) -> str:
        if self._shape is None:
            return natural_text(value)
        value = self.convert(value)
        return natural_text(list(cast("tuple[object]", value)) if isinstance(value, tuple | set | frozenset) else value)

    def value(self, text: str) -> object:
        return self.convert(natural_value(text))

    def convert(self, value: object) -> object:
        return value if self._shape is None else msgspec.convert(value, cast("Any", self._shape))


class Typed(Backend):
    """msgspec. Types that it does not know reach the hooks: Pydantic models inside Structs, subclasses of natives."""

    by_text = True

    def __init__(self, hint: object) -> None:
        self._hint: Any = hint
        self._decode = msgspec.json.Decoder(self._hint, dec_hook=from_builtins).decode
        self._encode = msgspec.json.Encoder(enc_hook=to_builtins).encode
        nodes = list(_nodes(msgspec.inspect.type_info(self._hint)))
        _check_nodes(nodes)
        self._has_records = any(isinstance(node, RECORD_NODES) for node in nodes)
        self.exact = _exact_types(hint)

    def text(self, value: object) -> str:
        return self._encode(value).decode()

    def value(self, text: str) -> object:
        return self._decode(text)

    def convert(self, value: object) -> object:
        """Of an instance of the declared class msgspec looks at the class only; its fields are checked by a round trip."""
        converted = msgspec.convert(value, self._hint, dec_hook=from_builtins)
        if self._has_records:
            self._decode(self._encode(converted))
        return converted

    def part_text(self, part: object) -> None:
        self._encode(part)


class Modelled(Backend):
    """Pydantic. Inputs are strict as JSON is: `"1"` is no int, but a dict may become a model, and text a date."""

    def __init__(self, hint: object) -> None:
        self._adapter = new_adapter(hint)
        names = inspect.signature(self._adapter.validate_json).parameters
        self._aliases = {"by_alias": True, "by_name": True} if "by_name" in names else {}

    def text(self, value: object) -> str:
        return dumped(self._adapter, value).decode()

    def value(self, text: str) -> object:
        return self._adapter.validate_json(text, **self._aliases)

    def convert(self, value: object) -> object:
        try:
            converted = self._adapter.validate_python(value, strict=True, **self._aliases)
        except ValueError as error:
            return self._by_json(value, error)
        self.value(self.text(converted))  # the fields of an instance are not looked at above
        return converted

    def _by_json(self, value: object, error: ValueError) -> object:
        try:
            data = msgspec.json.encode(value, enc_hook=to_builtins)
        except (TypeError, ValueError, RecursionError):
            raise error from None
        return self._adapter.validate_json(data, strict=True, **self._aliases)


def backend_for(hint: object) -> Backend:
    """The way to store values of this type. Raises `Misfit` saying why there is none."""
    hint = unwrapped(hint)
    if is_untyped(hint):
        return Natural()
    if (made := _own_backend(hint)) is not None:
        return made
    parts = mentioned(hint)
    if reason := refusal(parts):
        raise Misfit(reason)
    if not mentions_pydantic(parts):
        return _first_that_works(hint, (Natural, Typed, Modelled) if is_shape(hint) else (Typed, Modelled))
    return _first_that_works(hint, (Modelled,) if constrained_by_pydantic(parts) else (Modelled, Typed))


def _own_backend(hint: object) -> Backend | None:
    """Of a class that says itself how it is stored, by a class method `__perdure_backend__` of its type arguments."""
    make = getattr(get_origin(hint) or hint, "__perdure_backend__", None)
    made = make(get_args(hint)) if callable(make) else None
    return made if isinstance(made, Backend) else None


def _first_that_works(hint: object, kinds: Iterable[type[Natural | Typed | Modelled]]) -> Backend:
    problems: list[str] = []
    for kind in kinds:
        try:
            return kind(hint)
        except Misfit:
            raise
        except ModuleNotFoundError:
            problems.append("more types are understood with `pip install 'perdure[pydantic]'`")
        except Exception as error:
            problems.append(f"{LIBRARIES[kind]}: {str(error).partition('. ')[0].partition(chr(10))[0]}")
    raise Misfit(f"the type {type_name(hint)} cannot be stored; {'; '.join(problems)}")


def _exact_types(hint: object) -> frozenset[type]:
    """The types of a plain scalar hint, or of a union of such."""
    hint = unwrapped(hint)
    kinds = get_args(hint) if get_origin(hint) in UNIONS else (type(None) if hint is None else hint,)
    found = frozenset(kind for kind in kinds if kind in EXACT)
    return found if len(found) == len(kinds) else frozenset()


LIBRARIES: Final = {Natural: "msgspec", Typed: "msgspec", Modelled: "Pydantic"}
RECORD_NODES: Final = (
    msgspec.inspect.StructType,
    msgspec.inspect.DataclassType,
    msgspec.inspect.NamedTupleType,
    msgspec.inspect.CustomType,
)
KEY_NODES: Final = (
    *RECORD_NODES,
    msgspec.inspect.CollectionType,
    msgspec.inspect.TupleType,
    msgspec.inspect.DictType,
    msgspec.inspect.TypedDictType,
)


def _nodes(top: msgspec.inspect.Type) -> Iterator[object]:
    """Every node of msgspec's description of a type, each once: recursive types refer to themselves."""
    seen: dict[int, object] = {}
    open_nodes: list[object] = [top]
    while open_nodes:
        node = open_nodes.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            yield node
            open_nodes.extend(_inner_nodes(node))


def _inner_nodes(node: object) -> Iterator[object]:
    for name in getattr(node, "__struct_fields__", ()):
        part = getattr(node, name)
        for inner in cast("tuple[object, ...]", part) if isinstance(part, tuple) else (part,):
            if isinstance(inner, msgspec.inspect.Type | msgspec.inspect.Field):
                yield inner


def _check_nodes(nodes: Iterable[object]) -> None:
    for node in nodes:
        if isinstance(node, msgspec.inspect.DictType) and isinstance(node.key_type, KEY_NODES):
            raise Misfit(
                "a dict in the type has keys that JSON cannot write; keys are text, numbers, dates, UUIDs or enums"
            )
        if isinstance(node, msgspec.inspect.CustomType) and node.cls not in SUPPORTED_CUSTOM:
            _check_custom(node.cls)


def _check_custom(kind: type) -> None:
    if not is_model_class(kind):
        raise TypeError(f"{type_name(kind)} is not supported")
    adapter_of_class(kind)
