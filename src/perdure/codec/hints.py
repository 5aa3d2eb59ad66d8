"""Reading a type hint: what it mentions, and which of three ways to store it follows from that.

A hint is walked through its arguments, its `Annotated` metadata and the fields of the classes it names. Pydantic is
recognised by what it leaves behind, and only when it is in `sys.modules` already: a type cannot mention a library that
nobody loaded. This module must never import Pydantic, and never look at a value.
"""

from __future__ import annotations

import collections.abc as abc
import inspect
import io
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal, NamedTuple, ParamSpec, TypeVar, Union, cast

from perdure.codec.parts import defaults_of, is_model_class, is_record_class

UNTYPED: Final = (Any, object, inspect.Parameter.empty, typing.Never, typing.NoReturn)
VARIABLES: Final = (TypeVar, ParamSpec, typing.ParamSpecArgs, typing.ParamSpecKwargs, typing.TypeVarTuple)
UNIONS: Final = (Union, types.UnionType)
PLAIN: Final = (bool, int, float, str, type(None))
SHAPES: Final = (list, dict, tuple, set, frozenset)
PYDANTIC_PACKAGES: Final = frozenset({"pydantic", "pydantic_core", "pydantic_extra_types", "annotated_types"})
PYDANTIC_MARKS: Final = ("__get_pydantic_core_schema__", "__pydantic_core_schema__", "__pydantic_fields__")

# Types that no codec can store, although some library may pretend to, each with what to do instead.
REFUSED: Final[tuple[tuple[tuple[object, ...], str], ...]] = (
    ((BaseException,), "an exception is no value: return its message, or raise it"),
    ((io.IOBase, typing.IO, typing.TextIO, typing.BinaryIO), "an open file cannot be stored: use its path or content"),
    (
        (abc.Generator, abc.AsyncGenerator, abc.Iterator, abc.AsyncIterator, abc.AsyncIterable, abc.Iterable),
        "what is produced while iterating cannot be stored: declare a list or a Sequence",
    ),
    (
        (abc.Awaitable, abc.Coroutine, types.CoroutineType),
        "an awaitable cannot be stored: await it and use its result (did you forget `await`?)",
    ),
    (
        (
            cast("object", abc.Callable),
            types.FunctionType,
            types.LambdaType,
            types.MethodType,
            types.BuiltinFunctionType,
        ),
        "a function cannot be stored: use its name",
    ),
    ((type, types.ModuleType), "a class or module cannot be stored: use its name"),
)


REFUSED_BASES: Final = (BaseException, io.IOBase)


class Remark(NamedTuple):
    """What stands beside a type in `Annotated`: a constraint, or anything at all."""

    said: object


def is_untyped(hint: object) -> bool:
    """Whether the hint says nothing of a value: none, `Any`, `object`, a type variable, any of these `| None`; `Never`."""
    hint = unwrapped(hint)
    if typing.get_origin(hint) in UNIONS:
        return any(is_untyped(part) for part in typing.get_args(hint))
    return any(hint is part for part in UNTYPED) or isinstance(hint, VARIABLES)


def is_shape(hint: object) -> bool:
    """Whether the hint is made of JSON's own types around at least one untyped part: `dict[str, Any]`, bare `list`."""
    parts = list(_shape_parts(hint))
    return None not in parts and any(is_untyped(part) for part in parts)


def _shape_parts(hint: object) -> Iterator[object]:
    """The innermost parts of a hint, `None` for one that is no part of plain JSON."""
    hint = unwrapped(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if any(hint is shape for shape in SHAPES):
        yield Any
    elif origin is dict and (unwrapped(arguments[0]) is str or is_untyped(arguments[0])):
        yield from _shape_parts(arguments[1])
    elif origin in UNIONS or (origin in SHAPES and origin is not dict):
        for part in arguments:
            yield from _shape_parts(part) if part is not Ellipsis else ()
    else:
        yield hint if is_untyped(hint) or any(hint is plain for plain in PLAIN) else None


def unwrapped(hint: object) -> object:
    """A hint without what only names it: `NewType`, a `type` alias, `Annotated` without meaning for storage."""
    while True:
        if hasattr(hint, "__supertype__"):
            hint = cast("Any", hint).__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = cast("Any", hint).__value__
        else:
            return hint


def mentioned(hint: object) -> list[object]:
    """The hint and everything in it: arguments, metadata, classes and the hints of their fields. Each once."""
    seen: dict[int, object] = {}
    open_parts = [hint]
    while open_parts:
        part = open_parts.pop()
        if id(part) not in seen:
            seen[id(part)] = part
            open_parts.extend(_parts_of(part))
    return list(seen.values())


def _parts_of(part: object) -> Iterable[object]:
    inner = unwrapped(part)
    if inner is not part:
        return (inner,)
    origin = typing.get_origin(part)
    if origin is Literal:
        return ()
    if origin is Annotated:
        return (typing.get_args(part)[0], *map(Remark, typing.get_args(part)[1:]))
    if origin is not None:
        return (origin, *typing.get_args(part))
    return _field_hints(part) if isinstance(part, type) else ()


def _field_hints(kind: type) -> Iterable[object]:
    """The hints of a class's fields, but not of Pydantic's, which are its own business. A name that cannot be resolved
    here fails again, with words, in the library."""
    if is_model_class(kind) or not (is_record_class(kind) or typing.is_typeddict(kind)):
        return ()
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:
        return ()
    return tuple(hints.values()) if typing.is_typeddict(kind) else tuple(hints[name] for name in defaults_of(kind))


def refusal(parts: Iterable[object]) -> str | None:
    """Why something mentioned can never be stored, or `None`."""
    for part in parts:
        if isinstance(part, str | typing.ForwardRef):
            return f"the name {part if isinstance(part, str) else part.__forward_arg__!r} in the type is not resolved"
        for kinds, advice in REFUSED:
            if _is_one_of(part, kinds):
                return f"{type_name(part)} in the type: {advice}"
    return None


def _is_one_of(part: object, kinds: tuple[object, ...]) -> bool:
    """Exactly, or for concrete classes of ours to judge (exceptions, files) a subclass."""
    if any(part is kind for kind in kinds):
        return True
    return isinstance(part, type) and any(base in kinds and issubclass(part, base) for base in REFUSED_BASES)


def mentions_pydantic(parts: Iterable[object]) -> bool:
    """Whether Pydantic is needed to understand one of these. False, at once, while nobody imported it."""
    return "pydantic" in sys.modules and any(_is_pydantic(part) for part in parts)


def constrained_by_pydantic(parts: Iterable[object]) -> bool:
    """Whether `Annotated` metadata of Pydantic's, such as `Field(gt=0)`, is among these: others would ignore it."""
    return any(isinstance(part, Remark) and _is_pydantic(part) for part in parts)


def _is_pydantic(part: object) -> bool:
    if isinstance(part, Remark):
        part = part.said
    owner = part if isinstance(part, type) else type(part)
    if owner.__module__.partition(".")[0] in PYDANTIC_PACKAGES:
        return True
    return any(hasattr(part, mark) for mark in PYDANTIC_MARKS)


def type_name(hint: object) -> str:
    """A hint as people write it."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint).replace("typing.", "")
