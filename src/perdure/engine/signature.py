"""A function's parameters as a contract: bind a call, check it against the type hints, write it as JSON, read it back.

The stored form of an input is a JSON object by parameter name, so that people can read it and parameters may be
reordered. A first parameter annotated `Context` or `BlockingContext` is injected and is no part of it. Hints are read
when the function is declared; where one names something defined further down the file, at first use.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from perdure.codec import DecodeError, TypeCodec, argument_digest, codec_for, same_canonical
from perdure.errors import Abort, ConfigurationError, InvalidInputError, NotSerializableError

EMPTY: Final = inspect.Parameter.empty
KEYWORD_ONLY, VAR_POSITIONAL, VAR_KEYWORD = (
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)
AS_HINTED: Final = object()
"""The result is what the function's own hint says."""


@dataclass(frozen=True, slots=True)
class FromHint:
    """The hint of the result, made from that of what the function itself returns (`inspect.Parameter.empty` for none)."""

    make: Callable[[Any], object]


CONTEXT_NAMES: Final = frozenset({"Context", "BlockingContext"})
CONTEXT_WORDS: Final = frozenset({"ctx", "context"})

Arguments = dict[str, object]
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class Signature:
    """The parameters and result of one function. `what` names it in errors, as in `task embed`; `returns` is the hint of
    the result where it is not what the function itself returns, or a `FromHint` that makes it.

    Raises `NotSerializableError` where a hint cannot be stored, `ConfigurationError` for what has no hints, as a `partial`.
    """

    def __init__(
        self, function: Callable[..., object], what: str, *, context: bool, returns: object = AS_HINTED
    ) -> None:
        if not inspect.isroutine(function) and not hasattr(function, "__annotations__"):
            raise ConfigurationError(
                f"{what} is {function!r}, no function; write a `def` that calls it, with type hints"
            )
        self.what, self._function, self._returns = what, function, returns
        self._parameters = list(inspect.signature(function).parameters.values())
        self.context_name = _context_parameter(self._parameters) if context else None
        if self.context_name is not None:
            self._parameters = self._parameters[1:]
        self._refuse_contexts(context)
        self._bindable = inspect.Signature(self._parameters)
        self.names = tuple(parameter.name for parameter in self._parameters)
        self._plain = all(parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in self._parameters)
        self._defaults = {p.name: p.default for p in self._parameters if p.default is not EMPTY}
        self._allowed: dict[str, bool] = {}
        self._codecs: dict[str, TypeCodec] | None = None
        self._result: TypeCodec | None = None
        self._resolve(at_declaration=True)

    @property
    def result(self) -> TypeCodec:
        """The codec of the result's type."""
        self._resolve()
        return cast("TypeCodec", self._result)

    def codecs(self) -> dict[str, TypeCodec]:
        """The codec of each parameter, by name."""
        return dict(self._resolve())

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Arguments:
        """The call's arguments by name, defaults filled in. Raises `InvalidInputError` for a wrong number or name."""
        if self._plain and not kwargs and len(args) == len(self.names):
            return dict(zip(self.names, args, strict=True))
        try:
            bound = self._bindable.bind(*args, **kwargs)
        except TypeError as error:
            first = self.names[0] if self.names else ""
            looks = first in CONTEXT_WORDS and str(error).startswith("missing a required argument")
            hint = f"; if it is the execution's context, annotate it: {first}: Context" if looks else ""
            raise InvalidInputError(f"{self.what}: {error}{hint}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def checked(self, arguments: Arguments) -> Arguments:
        """The arguments converted by the type hints. A parameter's default passes as it is, whatever its hint says, as in
        Python. Raises `InvalidInputError` naming the parameter and path."""
        codecs = self._resolve()
        checked: Arguments = {}
        for name, value in arguments.items():
            try:
                checked[name] = codecs[name].convert(value)
            except (DecodeError, NotSerializableError) as error:
                if value is not self._defaults.get(name, EMPTY):
                    raise InvalidInputError(str(error)) from error
                checked[name] = value
        return checked

    def encode(self, arguments: Arguments) -> str:
        """Arguments as a JSON object. A default that its own hint does not allow (`x: int = None`) is left out, and comes
        back when it is read. Raises `InvalidInputError` naming what cannot be stored."""
        codecs = self._resolve()
        parts: list[str] = []
        for name, value in arguments.items():
            if value is self._defaults.get(name, EMPTY) and not self._allows_default(name):
                continue
            try:
                parts.append(f'"{name}":{codecs[name].encode(value)}')
            except NotSerializableError as error:
                raise InvalidInputError(f"it cannot be stored: {error}") from error
        return "{" + ",".join(parts) + "}"

    def decode(self, text: str) -> Arguments:
        """What `encode` wrote. A parameter that is new since gets its default. Raises `DecodeError`."""
        codecs = self._resolve()
        stored = _raw_object.decode(text)
        arguments: Arguments = {}
        for name in self.names:
            if name in stored:
                arguments[name] = codecs[name].decode(bytes(stored[name]).decode())
            elif name in self._defaults:
                arguments[name] = self._defaults[name]
        return arguments

    def raw(self, text: str) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
        """What `encode` wrote as positional and keyword arguments, each still in its stored form."""
        stored, args = _raw_object.decode(text), list[msgspec.Raw]()
        kwargs: dict[str, msgspec.Raw] = {}
        for parameter in self._parameters:
            part = stored.get(parameter.name)
            if part is None:
                continue
            if parameter.kind is VAR_POSITIONAL:
                args += _raw_list.decode(part)
            elif parameter.kind is VAR_KEYWORD:
                kwargs |= _raw_object.decode(part)
            elif parameter.kind is KEYWORD_ONLY:
                kwargs[parameter.name] = part
            else:
                args.append(part)
        return args, kwargs

    def spread(self, arguments: Arguments) -> tuple[list[object], dict[str, object]]:
        """Arguments by name as positional and keyword arguments. Raises `InvalidInputError` when one is missing."""
        if self._plain and len(arguments) == len(self.names):
            return [arguments[name] for name in self.names], {}
        bound = inspect.BoundArguments(self._bindable, cast("Any", arguments))
        missing = [
            parameter.name
            for parameter in self._parameters
            if parameter.name not in arguments and parameter.kind not in (VAR_POSITIONAL, VAR_KEYWORD)
        ]
        if missing:
            raise InvalidInputError(f"{self.what}: argument {missing[0]!r} is missing in the stored input")
        return list(bound.args), bound.kwargs

    def digest(self, arguments: Arguments) -> str:
        """A short text that is equal for arguments equal by their types (`1` is `1.0` for a `float`); those equal to
        their default are left out."""
        codecs = self._resolve()
        typed = {name: _by_type(codecs[name], value) for name, value in arguments.items()}
        if self._defaults:
            typed = {name: value for name, value in typed.items() if not self._is_default(name, value)}
        return argument_digest(typed)

    def _allows_default(self, name: str) -> bool:
        known = self._allowed.get(name)
        if known is None:
            codec, known = self._resolve()[name], True
            try:
                codec.decode(codec.encode(codec.convert(self._defaults[name])))
            except (DecodeError, NotSerializableError):
                known = False
            self._allowed[name] = known
        return known

    def _is_default(self, name: str, value: object) -> bool:
        default = self._defaults.get(name, EMPTY)
        return default is value or (default is not EMPTY and same_canonical(value, default))

    def _resolve(self, *, at_declaration: bool = False) -> dict[str, TypeCodec]:
        if self._codecs is None:
            try:
                hints = typing.get_type_hints(self._function, include_extras=True)
            except NameError as error:
                if at_declaration:
                    return {}
                raise NotSerializableError(f"{self.what}: type hint {error.name!r} is not defined") from error
            self._codecs = {p.name: self._codec(p, hints) for p in self._parameters}
            returns = self._result_hint(without_abort(hints.get("return", EMPTY)))
            self._result = codec_for(returns, f"the result of {self.what}")
        return self._codecs

    def _refuse_contexts(self, context: bool) -> None:
        """A context is injected as a task's first parameter, and nowhere else."""
        for parameter in self._parameters:
            if (name := _context_parameter([parameter])) is not None:
                advice = (
                    f"{name} must be the first parameter" if context else "an activity asks current_context() for it"
                )
                raise NotSerializableError(f"argument {parameter.name!r} of {self.what}: {advice}")

    def _result_hint(self, own: Any) -> Any:
        if self._returns is AS_HINTED:
            return own
        return self._returns.make(own) if isinstance(self._returns, FromHint) else self._returns

    def _codec(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> TypeCodec:
        hint = hints.get(parameter.name, EMPTY)
        if parameter.kind is VAR_POSITIONAL:
            hint = tuple[Any, ...] if hint is EMPTY else tuple[hint, ...]
        elif parameter.kind is VAR_KEYWORD:
            hint = dict[str, Any] if hint is EMPTY else dict[str, hint]
        return codec_for(hint, f"argument {parameter.name!r} of {self.what}")


def without_abort(hint: Any) -> Any:
    """A result's hint without `Abort`, which may be returned from anywhere and is no result."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType) or Abort not in typing.get_args(hint):
        return hint
    rest = [each for each in typing.get_args(hint) if each is not Abort]
    return typing.Union[tuple(rest)]  # noqa: UP007 - of a list


def _by_type(codec: TypeCodec, value: object) -> object:
    """A value as its type wants it, or as it is where it does not fit: an activity is called like any function."""
    try:
        return codec.convert(value)
    except DecodeError:
        return value


def _context_parameter(parameters: list[inspect.Parameter]) -> str | None:
    """The name of the context class that the first parameter asks for, by annotation, quoted or not."""
    if not parameters or parameters[0].annotation is EMPTY:
        return None
    annotation = parameters[0].annotation
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    name = name.strip("\"' ").rpartition(".")[2]
    return name if name in CONTEXT_NAMES else None
