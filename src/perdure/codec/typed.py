"""`codec_for`: a type hint in, a codec out. What the rest of Perdure uses to store values and to read them back.

Rules that hold for every codec. *First value is replayed value*: `settle` answers the text together with what the text
decodes to, and that is what the program goes on with. *Nothing is stored that cannot be read*: `encode` and `settle`
decode what they wrote and refuse a value that does not fit its type, or that would come back as something else
(`perdure.codec.fit`); scalars of exactly the declared type skip this. *Errors name* where, the path and the types, and
never the value. This module must never know a storage, a clock or a name of a class in stored text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from perdure.codec.backends import Backend, backend_for
from perdure.codec.fit import check_fit
from perdure.codec.hints import type_name
from perdure.codec.natural import described
from perdure.codec.parts import children_of
from perdure.codec.problems import Misfit, undecodable, unstorable, worded
from perdure.errors import NotSerializableError

SMALL: Final = 1 << 63
SEARCH_DEPTH: Final = 100
CONSTANTS: Final = {None: "null", True: "true", False: "false"}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class TypeCodec:
    """Values of one type as compact, readable JSON text. Made by `codec_for`."""

    __slots__ = ("_backend", "_exact", "hint", "where")

    def __init__(self, hint: object, where: str, backend: Backend) -> None:
        self.hint = hint
        self.where = where
        self._backend = backend
        self._exact = backend.exact

    def __repr__(self) -> str:
        return f"TypeCodec({type_name(self.hint)}, where={self.where!r})"

    def encode(self, value: object) -> str:
        """The value as JSON text. Raises `NotSerializableError` for a value that cannot be stored by this type."""
        return self.settle(value)[0]

    def decode(self, text: str) -> object:
        """The value of a stored text. Raises `DecodeError` when the text is no JSON or does not fit the type."""
        try:
            return self._backend.value(text)
        except Exception as error:
            raise undecodable(error, self.where) from error

    def convert(self, value: object) -> object:
        """An input as the type wants it: instances pass and their constraints are checked, a dict may become a record.

        Raises `DecodeError` naming the path when the value does not fit. Without a type every value passes here; what
        cannot be stored is found by `encode`.
        """
        if type(value) in self._exact:
            return value
        try:
            return self._backend.convert(value)
        except Exception as error:
            return self._converted_by_text(value, error)

    def settle(self, value: object) -> tuple[str, object]:
        """The text, and what it decodes to. Raises `NotSerializableError` naming the declared and the given type."""
        kind = type(value)
        if kind in self._exact:
            if kind is int:
                if -SMALL <= value < SMALL:  # type: ignore[operator]
                    return int.__repr__(value), value  # type: ignore[arg-type]
            elif kind is not str:
                return CONSTANTS[value], value  # type: ignore[index]
        return self._settled(value)

    def native(self, text: str) -> object:
        """A stored text as plain JSON values, whatever the type. Raises `DecodeError` when it is no JSON."""
        try:
            return _decode(text)
        except (ValueError, RecursionError) as error:
            raise undecodable(error, self.where) from error

    def _settled(self, value: object) -> tuple[str, object]:
        try:
            if type(value) is str and str in self._exact:
                return _encode(value).decode(), value
            text = self._backend.text(value)
        except Exception as error:
            raise self._unstorable(error, value) from error
        try:
            decoded = self._backend.value(text)
            check_fit(value, decoded)
        except Exception as error:
            raise self._misfit(error, value) from error
        return text, decoded

    def _converted_by_text(self, value: object, error: Exception) -> object:
        """A value that was refused, and survives the round trip where that has the last word (`Backend.by_text`)."""
        if not self._backend.by_text:
            raise undecodable(error, self.where) from error
        try:
            text = self._backend.text(value)
            decoded = self._backend.value(text)
        except Exception:
            raise undecodable(error, self.where) from error
        try:
            check_fit(value, decoded)
        except Misfit as misfit:
            raise undecodable(misfit, self.where) from error
        return decoded

    def _unstorable(self, error: Exception, value: object) -> NotSerializableError:
        """The same error with the path of the part that cannot be written, where it can be found."""
        if not isinstance(error, Misfit | RecursionError):
            error = _culprit(self._backend, value) or error
        return unstorable(error, self.where)

    def _misfit(self, error: Exception, value: object) -> NotSerializableError:
        problem = undecodable(error, "")
        text = f"declared {type_name(self.hint)}, got {type(value).__qualname__}: {problem}"
        return NotSerializableError(worded(text, "$", self.where))


def codec_for(hint: object, where: str = "") -> TypeCodec:
    """The codec of a type hint; `where` names its use in errors, as in "the result of activity embed".

    A type that mentions Pydantic is handled by Pydantic, any other by msgspec, and what msgspec refuses by Pydantic when
    that is installed. No hint, `Any`, `object` and type variables mean natural JSON (`perdure.codec.natural`), and so do
    the untyped parts of `dict[str, Any]` and its like. An untyped *field* of a class keeps only what JSON has: other
    values in it are refused when stored. Raises `NotSerializableError` when values of this type cannot be stored.
    """
    try:
        return TypeCodec(hint, where, _cached_backend(hint))
    except Misfit as problem:
        raise unstorable(problem, where) from problem.__cause__


def _cached_backend(hint: object) -> Backend:
    try:
        hash(hint)
    except TypeError:
        return backend_for(hint)
    return _backend_by_hint(hint)


@lru_cache(maxsize=4096, typed=True)
def _backend_by_hint(hint: object) -> Backend:
    return backend_for(hint)


def _culprit(backend: Backend, value: object, path: str = "$", depth: int = 0) -> Misfit | None:
    """The innermost part that cannot be written, searched only after writing the whole has failed."""
    for step, part in children_of(value) if depth < SEARCH_DEPTH else ():
        if found := _culprit(backend, part, path + step, depth + 1):
            return found
    try:
        backend.part_text(value)
    except UnicodeEncodeError:
        return Misfit("text with a lone surrogate (half a character) cannot be stored", path)
    except Exception:
        return Misfit(f"{described(value)} cannot be stored", path)
    return None
