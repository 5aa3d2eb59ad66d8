"""Exceptions as records, and records as exceptions.

`failure_of` writes down what is known of an exception: bounded, always, whatever its `__str__` does. `exception_of` gives
an instance of the original class back where that is safe and exact: the class is an `Exception` found in a module that is
*already loaded*, by plain look-ups in class and module dictionaries, and made from the stored arguments it has those
arguments. Otherwise it is an `ActivityFailedError`. This module must never import, or run module or class hooks (such as a
module's `__getattr__`) by a stored name, and never keep an exception object or a frame.

Arguments are stored in their natural JSON form (`perdure.codec.natural`), so that a `Failure` may be written as part of any
record. A class that is defined inside a function is stored without its module: no name leads to it.
"""

from __future__ import annotations

import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

import msgspec

from perdure.codec.natural import lifted, lowered
from perdure.codec.problems import Misfit, undecodable
from perdure.errors import (
    Abort,
    ActivityFailedError,
    Failure,
    FailureKind,
    GiveUp,
    InvalidInputError,
    NotSerializableError,
    PayloadTooLargeError,
    RecordedError,
    RetryLater,
    TaskNotFoundError,
)

MESSAGE_LIMIT: Final = 4_000
ARGUMENTS_LIMIT: Final = 4_000
CAUSES: Final = 5
LEAVES: Final = 20
KINDS: Final[tuple[tuple[type[BaseException], FailureKind], ...]] = (
    (Abort, "aborted"),
    (PayloadTooLargeError, "too_large"),
    (InvalidInputError, "invalid_input"),
    (TaskNotFoundError, "not_found"),
)
FINAL: Final = (GiveUp, Abort, NotSerializableError, PayloadTooLargeError, InvalidInputError)
LOCAL: Final = "<locals>."
HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
PLACE: Final = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)

Encode: TypeAlias = Callable[[object], str]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Failure).decode


def failure_of(
    error: BaseException, *, kind: FailureKind | None = None, limit: int = 16_000, encode: Encode | None = None
) -> Failure:
    """The record of an exception. `limit` bounds the traceback in characters; its end is kept. Never raises.

    An `ActivityFailedError` gives the type and message of the failure behind it. Of a group, the message lists what is in
    it, the cause is its first exception, and it is final if one of its exceptions is. The value of an `Abort` that has no
    natural JSON form is written by `encode`; where that does not take it, the record says so, as of a
    `NotSerializableError`.
    """
    if not isinstance(error, Abort):
        return _record(error, kind, limit, CAUSES)
    try:
        value = _value_of(error, encode)
    except Exception as refused:
        return _record(_unstorable(error, refused), None, limit, CAUSES)
    return msgspec.structs.replace(_record(error, kind, limit, CAUSES), value=value)


def keep_value(abort: Abort, encode: Encode) -> None:
    """Writes the value of an abort, by `encode` if need be, where its type is known: every later record has it as it stands
    in the one that is answered. Raises `NotSerializableError`."""
    failure = failure_of(abort, encode=encode)
    if failure.kind != "aborted":
        raise NotSerializableError(failure.message)
    abort.failure = msgspec.structs.replace(failure, traceback="")  # type: ignore[attr-defined]


def carried(error: BaseException) -> Failure | None:
    """The record that an exception carries as `.failure`, if it does. Never raises."""
    try:
        failure: object = getattr(error, "failure", None)
    except BaseException:  # a property of the user's
        return None
    return failure if isinstance(failure, Failure) else None


def exception_of(failure: Failure) -> Exception:
    """An exception to raise for a record, of the original class where that is loaded and can be rebuilt exactly, else
    `ActivityFailedError`. Both carry `.failure`. Never raises."""
    error = _rebuilt(failure) or ActivityFailedError(failure.message, failure)
    try:
        error.failure = failure  # type: ignore[attr-defined]
    except Exception:
        return ActivityFailedError(failure.message, failure)
    return error


def encode_failure(failure: Failure) -> str:
    """A failure as JSON text. Raises `NotSerializableError` for one that was made by hand of what JSON lacks."""
    try:
        return _encode(failure).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializableError(f"a failure cannot be stored: {error}") from error


def decode_failure(text: str) -> Failure:
    """What `encode_failure` wrote. Raises `DecodeError`."""
    try:
        return _decode(text)
    except (ValueError, RecursionError) as error:
        raise undecodable(error, "a stored failure") from error


def _record(error: BaseException, kind: FailureKind | None, limit: int, causes: int) -> Failure:
    name, module = _name_of(type(error))
    message = _message_of(error)
    leaves = list(_leaves(error))
    own = _own_record(error, name, message)
    cause = own.cause if own else _cause_of(error, limit, causes)
    text = _traceback_of(error, limit, own)
    if own and isinstance(error, ActivityFailedError):
        return msgspec.structs.replace(own, kind=kind or own.kind, traceback=text)
    return Failure(
        kind=kind or _kind_of(error),
        type=name,
        message=message,
        traceback=text,
        retryable=not any(isinstance(leaf, FINAL) for leaf in leaves),
        cause=cause,
        module=module,
        args=_arguments_of(error),
        retry_after=_delay_of(leaves),
        scope=error.scope if isinstance(error, Abort) else "item",
    )


def _kind_of(error: BaseException) -> FailureKind:
    for base, kind in KINDS:
        if isinstance(error, base):
            return kind
    return "error"


def _own_record(error: BaseException, name: str, message: str) -> Failure | None:
    """The record this exception was rebuilt from: then live and replay, where `__cause__` differs, give one record."""
    failure = carried(error)
    if failure is None:
        return None
    same = failure.type == name and failure.message == message
    return failure if same or isinstance(error, ActivityFailedError) else None


def _cause_of(error: BaseException, limit: int, causes: int) -> Failure | None:
    if causes == 0:
        return None
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is None and isinstance(error, BaseExceptionGroup):
        behind = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if behind is not None:
        return _record(behind, None, limit // 2, causes - 1)
    return error.failure if isinstance(error, RecordedError) else None


def _name_of(kind: type) -> tuple[str, str | None]:
    name, module = clean(kind.__qualname__), clean(str(kind.__module__))
    return (name.rpartition(LOCAL)[2], None) if LOCAL in name else (name, module)


def _message_of(error: BaseException) -> str:
    try:
        text = clean(str(error))
        if _is_group(error):
            text = f"{text}: {_summary(error)}"
    except BaseException:
        text = f"<{type(error).__name__} whose message cannot be read>"
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _summary(group: BaseException) -> str:
    return "; ".join(f"{type(leaf).__name__}: {_message_of(leaf)}" for leaf in _leaves(group))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exception itself, or those in a group and its groups, the first few."""
    open_parts = [error]
    left = LEAVES
    while open_parts and left:
        part = open_parts.pop()
        if isinstance(part, BaseExceptionGroup):
            open_parts.extend(reversed(cast("BaseExceptionGroup[BaseException]", part).exceptions))
        else:
            left -= 1
            yield part


def _traceback_of(error: BaseException, limit: int, own: Failure | None) -> str:
    """Where it was raised, without the frames of this package unless there are no others. What was raised anew from a record
    goes on with the frames of that record: those of the activity, say, below those of the task."""
    try:
        found = traceback.TracebackException(type(error), error, error.__traceback__)
        frames = [frame for frame in found.stack if not frame.filename.startswith(HERE)]
        inner = _frames_in(own.traceback) if own else ""
        if frames or inner:
            found.stack = traceback.StackSummary.from_list(frames)
        lines = list(found.format(chain=False))
        below = sum(line.startswith("  File ") for line in lines) + 1 if inner and not _is_group(error) else len(lines)
        text = clean("".join([*lines[:below], inner, *lines[below:]])) if inner else clean("".join(lines))
    except BaseException:
        text = "".join(traceback.format_tb(error.__traceback__))
    return text if len(text) <= limit else "…" + text[len(text) - limit + 1 :]


def _frames_in(text: str) -> str:
    """The frames of a formatted traceback."""
    lines = text.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.startswith("  File ")), len(lines))
    last = next((number for number, line in enumerate(lines[first:], first) if not line.startswith("  ")), len(lines))
    return "".join(lines[first:last])


def place_of(failure: Failure) -> str:
    """Where a failure was raised, as `shop.py:5 in charge`; an empty text where that is not known."""
    found = PLACE.findall(failure.traceback)
    return f"{os.path.basename(found[-1][0])}:{found[-1][1]} in {found[-1][2]}" if found else ""


def _arguments_of(error: BaseException) -> tuple[object, ...] | None:
    """The arguments in natural JSON form if all have one and it is small."""
    try:
        plain = [lowered(part) for part in error.args]
        if len(_encode(plain)) <= ARGUMENTS_LIMIT:
            return tuple(plain)
    except BaseException:
        return None
    return None


def _value_of(abort: Abort, encode: Encode | None) -> object:
    """The value of an abort as JSON natives, as its record has it if it carries one. Raises what refuses it."""
    failure = carried(abort)
    if failure is not None:
        return failure.value
    try:
        return lowered(abort.value)
    except Misfit:
        if encode is None:
            raise
        return msgspec.json.decode(encode(abort.value))


def _unstorable(abort: Abort, refused: Exception) -> NotSerializableError:
    error = NotSerializableError(f"the value of an Abort cannot be stored: {refused}")
    error.__cause__ = abort
    return error


def _delay_of(leaves: list[BaseException]) -> float | None:
    """The longest wait that was asked for."""
    delays = [leaf.delay for leaf in leaves if isinstance(leaf, RetryLater) and math.isfinite(leaf.delay)]
    return max(delays, default=None)


def clean(text: str) -> str:
    """Text that can be stored: lone surrogates become escapes, anything else stays, control characters too."""
    return str.__str__(text).encode("utf-8", "backslashreplace").decode()


def _rebuilt(failure: Failure) -> Exception | None:
    kind = _loaded_class(failure)
    if kind is None or failure.args is None:
        return None
    try:
        arguments = tuple(lifted(part) for part in failure.args)
        options: dict[str, Any] = {"delay": failure.retry_after or 0.0} if issubclass(kind, RetryLater) else {}
        if issubclass(kind, Abort):
            options = {"scope": failure.scope, "value": lifted(failure.value)}
        error = cast("Callable[..., Exception]", kind)(*arguments, **options)
        return error if type(error) is kind and _same_arguments(error.args, arguments) else None
    except Exception:
        return None


def _same_arguments(found: tuple[object, ...], stored: tuple[object, ...]) -> bool:
    try:
        return [lowered(part) for part in found] == [lowered(part) for part in stored]
    except Misfit:
        return False


def _loaded_class(failure: Failure) -> type[Exception] | None:
    """The class by its module and name, walked through dictionaries only: `getattr` might run code that imports."""
    module = sys.modules.get(failure.module) if failure.module else None
    if not isinstance(module, ModuleType):
        return None
    members: dict[str, object] = ModuleType.__getattribute__(module, "__dict__")
    found: object = None
    for name in failure.type.split("."):
        found = members.get(name)
        if not isinstance(found, type):
            return None
        members = dict(type.__getattribute__(found, "__dict__"))
    return found if isinstance(found, type) and issubclass(found, Exception) else None
