"""`Signal`: the name and type of a value that comes from outside."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from perdure.codec import TypeCodec, codec_for
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
        return name, codec_for(_hint(value), f"signal {name}").encode(value)
    try:
        return signal.name, signal.codec.encode(signal.codec.convert(value))
    except (ValueError, NotSerializableError) as error:
        raise InvalidInputError(f"signal {signal.name}: {error}") from error


def _hint(value: object) -> object:
    """By which type a value without a declared one is written: JSON natives as they are, others by their own class."""
    return object if value is None or isinstance(value, str | int | float | list | dict | tuple | set) else type(value)
