"""`Signal`: the name and type of a value that comes from outside."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from perdure.codec import DecodeError, TypeCodec, codec_for
from perdure.engine.options import checked_name
from perdure.errors import InvalidInputError, NotSerializableError

T = TypeVar("T")


class Signal(Generic[T]):
    """A named, typed value from outside: `approval = Signal("approval", Decision)`. Used by `ctx.wait_for(approval)` and
    `handle.signal(approval, value)`, so that both ends agree. Raises `ConfigurationError` for a bad name,
    `NotSerializableError` for a type that cannot be stored. What is no class, as `int | None`, needs the type beside it:
    `answer: Signal[int | None] = Signal("answer", int | None)`."""

    __slots__ = ("codec", "name", "type")

    @overload
    def __init__(self, name: str, type: type[T]) -> None: ...
    @overload
    def __init__(self, name: str, type: object) -> None: ...
    def __init__(self, name: str, type: Any) -> None:
        self.name = checked_name("signal", name)
        self.type: object = type
        self.codec: TypeCodec = codec_for(type, f"signal {name}")

    def __repr__(self) -> str:
        return f"Signal({self.name!r}, {self.type!r})"


def encode_signal(signal: str | Signal[Any], value: object) -> tuple[str, str]:
    """Name and encoded value. A typed signal checks the value. Raises `InvalidInputError`, `NotSerializableError`."""
    if not isinstance(signal, Signal):
        name = checked_name("signal", signal)
        return name, _untyped(value, f"signal {name}")
    try:
        return signal.name, signal.codec.encode(signal.codec.convert(value))
    except (ValueError, NotSerializableError) as error:
        raise InvalidInputError(f"signal {signal.name}: {error}") from error


def decode_signal(codec: TypeCodec, text: str) -> object:
    """A sent value as the one who waits wants it; it may have been sent without a type. Raises `DecodeError`."""
    try:
        return codec.decode(text)
    except DecodeError as error:
        try:
            return codec.convert(codec_for(object).decode(text))
        except DecodeError:
            raise error from None


def _untyped(value: object, where: str) -> str:
    """A value whose type nobody told: in natural JSON, or a record by its own class."""
    try:
        return codec_for(object, where).encode(value)
    except NotSerializableError as error:
        try:
            return codec_for(type(value), where).encode(value)
        except NotSerializableError:
            raise error from None
