"""What can go wrong between a value and its text, and how it is worded.

A value that cannot be *stored* is the program's fault and raises `perdure.errors.NotSerializableError`; a text or an
input that does not *fit* a declared type raises `DecodeError`. Both name `where` (what the codec was built for, as in
"the result of activity embed") and a path in the value, `$.items[0].sku`. Messages name types, never values: values may
be secret and messages are logged. This module must never import another part of the codec.
"""

from __future__ import annotations

import re
from typing import Any, cast

from perdure.errors import NotSerializableError, PerdureError

PATH_IN_MESSAGE = re.compile(r" - at `(?:key in )?(\$[^`]*)`$")


class DecodeError(PerdureError, ValueError):
    """A stored text, or an input value, does not fit the declared type.

    `path` is where in the value (`$` is the value itself), `where` what the codec was built for.
    """

    def __init__(self, message: str, *, path: str = "$", where: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.where = where


class Misfit(Exception):  # noqa: N818 - it never leaves the codec: it becomes one of the two errors above
    """Found inside the codec: `reason` holds at `path`."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


def undecodable(error: BaseException, where: str) -> DecodeError:
    """The `DecodeError` for whatever a library raised while decoding or converting."""
    reason, path = reason_of(error)
    return DecodeError(worded(reason, path, where), path=path, where=where)


def unstorable(error: BaseException, where: str) -> NotSerializableError:
    """The `NotSerializableError` for whatever was raised while encoding."""
    return NotSerializableError(worded(*reason_of(error), where))


def reason_of(error: BaseException) -> tuple[str, str]:
    """What is wrong, and the path in the value, out of an exception of any library."""
    if isinstance(error, Misfit):
        return error.reason, error.path
    if isinstance(error, RecursionError):
        return "the value is nested too deeply, or contains itself", "$"
    if isinstance(error, UnicodeEncodeError):
        return "text with a lone surrogate (half a character) cannot be stored", "$"
    details = getattr(error, "errors", None)
    if callable(details) and type(error).__module__.startswith("pydantic"):
        return _reason_of_pydantic(error)
    text = str(error) or type(error).__name__
    found = PATH_IN_MESSAGE.search(text)
    return (text[: found.start()], found[1]) if found else (text, "$")


def worded(reason: str, path: str, where: str) -> str:
    """One sentence: where, what, and the path unless it is the value itself."""
    place = f"{where}: " if where else ""
    return f"{place}{reason}" + (f" - at `{path}`" if path != "$" else "")


def joined(path: str, steps: tuple[object, ...]) -> str:
    """`$` and `("items", 0)` as `$.items[0]`."""
    return path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _reason_of_pydantic(error: BaseException) -> tuple[str, str]:
    """Pydantic's first complaint without the input, and how many more there are."""
    found: list[Any] = cast("Any", error).errors(include_input=False, include_url=False, include_context=False)
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{first['msg']}{more}", joined("$", tuple(first["loc"]))
