"""Any exception gives a bounded record, and a record gives the exception back where that is safe and exact."""

import datetime as dt
import sys
import types
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import DecodeError, decode_failure, encode_failure, exception_of, failure_of
from perdure.errors import (
    Abort,
    ActivityFailedError,
    ExecutionFailedError,
    Failure,
    GiveUp,
    IdempotencyConflictError,
    InvalidInputError,
    NotSerializableError,
    PayloadTooLargeError,
    RetryLater,
    TaskNotFoundError,
)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


class Outer:
    class Inner(Exception):
        pass


class PlainError(Exception):
    pass


class TwoArgumentsError(Exception):
    def __init__(self, a: int, b: str) -> None:
        super().__init__(a, b)


class SaysMoreError(Exception):
    def __init__(self, a: int, b: int = 0) -> None:
        super().__init__(f"{a}{b}")


class NeedsMoreError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}{b}")


class SlottedError(Exception):
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class BrokenTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoTextError(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class Slower(RetryLater):
    pass


class Impostor(Exception):
    def __new__(cls, *args: object) -> "Impostor":  # noqa: PYI034
        return PlainError(*args)  # type: ignore[return-value]


def test_a_record_tells_what_is_known() -> None:
    failure = failure_of(raised(ValueError("bad", 3)))
    assert (failure.kind, failure.type, failure.module) == ("error", "ValueError", "builtins")
    assert failure.message == "('bad', 3)"
    assert failure.args == ("bad", 3)
    assert failure.retryable
    assert "def raised" not in failure.traceback
    assert "raise error" in failure.traceback
    assert failure.traceback.endswith("ValueError: ('bad', 3)\n")
    assert failure.cause is None
    assert failure.retry_after is None


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (ValueError(), "error", True),
        (GiveUp("x"), "error", False),
        (Abort("x"), "aborted", False),
        (NotSerializableError("x"), "error", False),
        (PayloadTooLargeError("x"), "too_large", False),
        (InvalidInputError("x"), "invalid_input", False),
        (TaskNotFoundError("x"), "not_found", True),
        (RetryLater("x", delay=1), "error", True),
        (KeyboardInterrupt(), "error", True),
    ],
)
def test_kind_and_whether_a_retry_may_help(error: BaseException, kind: str, retryable: bool) -> None:
    failure = failure_of(error)
    assert (failure.kind, failure.retryable) == (kind, retryable)
    assert failure_of(error, kind="timed_out").kind == "timed_out"


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 1e12, timedelta(days=-1)])
def test_retry_later_refuses_what_is_no_delay(delay: float | timedelta) -> None:
    with pytest.raises(ValueError, match="RetryLater delay is"):
        RetryLater("x", delay=delay)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, type("Odd", (BaseException,), {})])
def test_an_exception_whose_text_raises_anything_at_all(error: type[BaseException]) -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise error

    failure = failure_of(Hostile())
    assert (failure.type, failure.message) == ("Hostile", "<Hostile whose message cannot be read>")


@pytest.mark.parametrize(("delay", "stored"), [(60, 60.0), (timedelta(minutes=2), 120.0)])
def test_retry_later_stores_its_delay(delay: float | timedelta, stored: float) -> None:
    failure = failure_of(RetryLater("x", delay=delay))
    assert failure.retry_after == stored
    error = exception_of(failure)
    assert type(error) is RetryLater
    assert error.delay == stored


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ValueError(),
        KeyError("k"),
        OSError(2, "gone"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        PlainError(1, None, [1], {"a": 1.5}),
        PlainError((1, 2), dt.date(2026, 1, 1), {"$type": "x"}),
        TwoArgumentsError(1, "b"),
        Outer.Inner("deep"),
        GiveUp("enough"),
        Abort("stop"),
        RetryLater("later", delay=3),
        Slower("later", delay=3),
        IdempotencyConflictError("taken"),
        ExecutionFailedError("x"),
    ],
    ids=repr,
)
def test_the_original_class_comes_back_with_its_arguments(error: Exception) -> None:
    stored = decode_failure(encode_failure(failure_of(raised(error))))
    rebuilt = exception_of(stored)
    assert type(rebuilt) is type(error)
    assert rebuilt.args == error.args
    assert str(rebuilt) == str(error)
    assert rebuilt.failure == stored  # type: ignore[attr-defined]


def local_error() -> Exception:
    class LocalError(Exception):
        pass

    return LocalError("x")


@pytest.mark.parametrize(
    "error",
    [
        SaysMoreError(1),
        NeedsMoreError(1, 2),
        PlainError(object()),
        PlainError("x" * 5000),
        PlainError(float("nan")),
        SlottedError("x"),
        local_error(),
        KeyboardInterrupt(),
        ExceptionGroup("g", [ValueError("a")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_rebuilt_exactly_is_an_activity_failed_error(error: BaseException) -> None:
    failure = failure_of(error)
    rebuilt = exception_of(failure)
    assert type(rebuilt) is ActivityFailedError
    assert rebuilt.failure == failure
    assert str(rebuilt) == failure.message


def test_a_class_inside_a_function_keeps_its_bare_name_and_no_module() -> None:
    failure = failure_of(local_error())
    assert (failure.type, failure.module) == ("LocalError", None)


@pytest.mark.parametrize(
    ("type_", "module"),
    [
        ("ValueError", "not.loaded"),
        ("ValueError", None),
        ("nonsense", "builtins"),
        ("print", "builtins"),
        ("int", "builtins"),
        ("KeyboardInterrupt", "builtins"),
        ("SystemExit", "builtins"),
        ("ValueError.__class__", "builtins"),
        ("ValueError.mro", "builtins"),
        ("Popen", "subprocess"),
        ("system", "os"),
        ("path.join", "os"),
        ("", "builtins"),
        ("ValueError.", "builtins"),
        (".", "builtins"),
    ],
)
def test_names_that_are_no_loaded_exception_class_build_nothing(type_: str, module: str | None) -> None:
    error = exception_of(Failure(type=type_, module=module, message="m", args=("x",)))
    assert type(error) is ActivityFailedError
    assert str(error) == "m"


def test_no_module_hook_runs_and_nothing_is_imported_by_a_stored_name() -> None:
    lazy = types.ModuleType("codec_lazy_module")
    asked: list[str] = []

    def __getattr__(name: str) -> object:
        asked.append(name)
        return ValueError

    lazy.__getattr__ = __getattr__  # type: ignore[method-assign]
    sys.modules["codec_lazy_module"] = lazy
    sys.modules["codec_odd_module"] = "no module"  # type: ignore[assignment]
    try:
        for module in ("codec_lazy_module", "codec_odd_module"):
            assert type(exception_of(Failure(type="Lazy", module=module, args=()))) is ActivityFailedError
        assert asked == []
        before = set(sys.modules)
        exception_of(Failure(type="AddressValueError", module="ipaddress.nope", args=()))
        exception_of(Failure(type="error", module="wave", args=()))
        assert set(sys.modules) == before
    finally:
        del sys.modules["codec_lazy_module"], sys.modules["codec_odd_module"]


@pytest.mark.parametrize("error", [BrokenTextError("a"), NoTextError("a")])
def test_an_exception_without_a_message_still_gives_a_record(error: Exception) -> None:
    failure = failure_of(raised(error))
    assert type(error).__name__ in failure.message
    assert failure.args == ("a",)
    assert decode_failure(encode_failure(failure)) == failure


class HostileError(Exception):
    @property
    def failure(self) -> object:
        raise RuntimeError


def test_a_traceback_that_cannot_be_formatted_and_a_hostile_property_do_no_harm() -> None:
    error = SyntaxError("odd")
    error.text, error.offset, error.lineno = "abc", "1", 1  # type: ignore[assignment]
    failure = failure_of(raised(error))
    assert failure.type == "SyntaxError"
    assert "in raised" in failure.traceback
    hostile = failure_of(raised(HostileError("x")))
    assert hostile.message == "x"
    assert type(exception_of(hostile)) is ActivityFailedError


def test_lone_surrogates_and_control_characters_are_kept_as_text() -> None:
    failure = failure_of(raised(ValueError("a\ud800b\x00\x1b\n")))
    assert failure.message == "a\\ud800b\x00\x1b\n"
    assert failure.args is None
    assert decode_failure(encode_failure(failure)) == failure


def test_everything_is_bounded() -> None:
    failure = failure_of(raised(ValueError("x" * 100_000)), limit=1000)
    assert len(failure.message) == 4000
    assert failure.message.endswith("x…")
    assert len(failure.traceback) == 1000
    assert failure.traceback.startswith("…")
    assert failure.args is None


def test_the_end_of_a_long_traceback_is_kept() -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError("the bottom")
        dive(depth - 1)

    with pytest.raises(ValueError) as caught:
        dive(200)
    assert failure_of(caught.value, limit=300).traceback.endswith("ValueError: the bottom\n")


def chain(length: int) -> Exception:
    error: Exception = ValueError("0")
    for number in range(1, length):
        outer = PlainError(str(number))
        outer.__cause__ = error
        error = outer
    return error


def messages(failure: Failure | None) -> list[str]:
    return [] if failure is None else [failure.message, *messages(failure.cause)]


def test_causes_are_recorded_five_deep() -> None:
    assert messages(failure_of(chain(3))) == ["2", "1", "0"]
    assert messages(failure_of(chain(9))) == ["8", "7", "6", "5", "4", "3"]


def test_causes_that_form_a_ring_end() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert messages(failure_of(one)) == ["1", "2", "1", "2", "1", "2"]


def test_the_context_counts_unless_it_was_suppressed() -> None:
    def fail(how: object) -> BaseException:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                if how == "bare":
                    raise ValueError("second")  # noqa: B904
                raise ValueError("second") from None
        except ValueError as error:
            return error

    assert messages(failure_of(fail("bare"))) == ["second", "'first'"]
    assert messages(failure_of(fail("none"))) == ["second"]


def test_a_group_tells_what_is_in_it() -> None:
    inner = ExceptionGroup("inner", [KeyError("k"), RetryLater("wait", delay=5)])
    failure = failure_of(raised(ExceptionGroup("both", [ValueError("v"), inner])))
    assert failure.message.startswith("both (2 sub-exceptions): ValueError: v; KeyError: 'k'; RetryLater: wait")
    assert failure.type == "ExceptionGroup"
    assert failure.cause is not None
    assert failure.cause.message == "v"
    assert failure.retryable
    assert failure.retry_after == 5.0
    assert "KeyError" in failure.traceback


def test_a_group_with_something_final_is_final_and_a_wide_one_is_bounded() -> None:
    assert not failure_of(ExceptionGroup("g", [ValueError("v"), GiveUp("no")])).retryable
    wide = failure_of(ExceptionGroup("g", [ValueError("v" * 1000) for _ in range(1000)]))
    assert len(wide.message) == 4000
    assert decode_failure(encode_failure(wide)) == wide


def test_live_and_replayed_failures_give_the_same_record() -> None:
    original = raised(chain(3))
    stored = failure_of(original)
    live, replayed = exception_of(stored), exception_of(decode_failure(encode_failure(stored)))
    live.__cause__ = original
    first, second = failure_of(live), failure_of(replayed)
    assert messages(first) == messages(second) == ["2", "1", "0"]
    assert (first.type, first.message, first.args) == (second.type, second.message, second.args)


def test_an_uncaught_activity_failure_gives_its_type_and_message() -> None:
    stored = failure_of(raised(NeedsMoreError(1, 2)))
    uncaught = raised(exception_of(stored))
    assert isinstance(uncaught, ActivityFailedError)
    failure = failure_of(uncaught)
    assert (failure.type, failure.message) == ("NeedsMoreError", "12")
    assert "ActivityFailedError" in failure.traceback
    final = failure_of(exception_of(Failure(type="Gone", message="m", retryable=False, retry_after=None)))
    assert not final.retryable
    assert failure_of(ActivityFailedError("by hand")).type == "ActivityFailedError"


def test_the_failure_of_a_child_is_the_cause() -> None:
    child = Failure(type="ValueError", message="v")
    failure = failure_of(ExecutionFailedError("child failed", child, "id"))
    assert failure.type == "ExecutionFailedError"
    assert failure.cause == child
    assert failure_of(ExecutionFailedError("x")).cause is None


def test_failures_are_readable_json() -> None:
    failure = Failure(type="ValueError", message="é", module="builtins", args=("é",))
    assert encode_failure(failure) == '{"type":"ValueError","message":"é","module":"builtins","args":["é"]}'


@pytest.mark.parametrize("stored", ["", "[]", '{"kind":"nonsense"}', '{"args":1}', '{"cause":' * 100_000])
def test_text_that_is_no_failure_is_a_decode_error(stored: str) -> None:
    with pytest.raises(DecodeError, match="a stored failure: "):
        decode_failure(stored)


def test_a_failure_made_by_hand_of_what_json_lacks_is_refused() -> None:
    with pytest.raises(NotSerializableError):
        encode_failure(Failure(args=(object(),)))


@given(st.text(), st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()))
def test_any_message_and_arguments_give_a_record_that_round_trips(message: str, arguments: list[object]) -> None:
    failure = failure_of(PlainError(message, *arguments))
    assert decode_failure(encode_failure(failure)) == failure
    error = exception_of(failure)
    if failure.args is not None:
        assert type(error) is PlainError
        assert repr(error.args) == repr((message, *arguments))


def test_arguments_that_are_no_natural_json_by_hand_build_nothing() -> None:
    stored = Failure(type="ValueError", module="builtins", message="m", args=({"$type": "nonsense"},))
    assert type(exception_of(stored)) is ActivityFailedError


def test_a_class_that_makes_something_else_builds_nothing() -> None:
    assert type(exception_of(Failure(type="Impostor", module=__name__, args=("x",)))) is ActivityFailedError


class Shifty(Exception):
    """Its arguments cannot be compared with what was stored."""

    def __init__(self, *_: object) -> None:
        super().__init__(object())


def test_arguments_that_cannot_be_compared_build_nothing() -> None:
    stored = Failure(type="Shifty", module=__name__, message="m", args=(1,))
    assert type(exception_of(stored)) is ActivityFailedError
