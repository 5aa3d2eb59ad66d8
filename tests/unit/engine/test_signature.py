"""A function's parameters as a contract: binding, conversion, storing, and what counts as equal."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

import perdure
from perdure import BlockingContext, Context, InvalidInputError, NotSerializableError
from perdure.codec import DecodeError
from perdure.engine.signature import Signature


@dataclass
class Upload:
    path: str
    size: int = 0
    notes: list[str] = field(default_factory=list)


class Order(pydantic.BaseModel):
    number: Annotated[int, pydantic.Field(ge=1)]
    tags: list[str] = []


def signature(function: Callable[..., object]) -> Signature:
    return Signature(function, "task t", context=True)


def round_trip(
    function: Callable[..., object], *args: object, **kwargs: object
) -> tuple[list[object], dict[str, object]]:
    one = signature(function)
    return one.spread(one.decode(one.encode(one.checked(one.bind(args, kwargs)))))


# -- binding ------------------------------------------------------------------------------------------------------------


def test_arguments_are_bound_by_name_with_defaults() -> None:
    def f(a: int, b: str = "x", *, c: bool = False) -> None: ...

    assert signature(f).bind((1,), {}) == {"a": 1, "b": "x", "c": False}
    assert signature(f).bind((1, "y"), {"c": True}) == signature(f).bind((), {"c": True, "b": "y", "a": 1})


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [((), {}, "'a'"), ((1, 2, 3), {}, "too many"), ((1,), {"z": 1}, "'z'"), ((1,), {"a": 2}, "'a'")],
)
def test_a_wrong_number_or_name_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any], words: str) -> None:
    def f(a: int, b: int = 0) -> None: ...

    with pytest.raises(InvalidInputError, match=words) as caught:
        signature(f).bind(args, kwargs)
    assert "task t" in str(caught.value)


def test_every_kind_of_parameter_comes_back_as_it_went() -> None:
    def f(a: int, /, b: int, *rest: int, c: int, **more: str) -> None: ...

    assert round_trip(f, 1, 2, 3, 4, c=5, d="6") == ([1, 2, 3, 4], {"c": 5, "d": "6"})
    assert round_trip(f, 1, 2, c=5) == ([1, 2], {"c": 5})
    assert round_trip(f, 1, b=2, c=5) == ([1, 2], {"c": 5})


def test_parameters_without_hints_take_plain_json() -> None:
    def f(a, *rest, **more): ...  # type: ignore[no-untyped-def]

    assert round_trip(f, {"x": [1, None]}, 2, y="z") == ([{"x": [1, None]}, 2], {"y": "z"})


def test_a_name_that_json_would_escape() -> None:
    def f(größe: int, ñ: str) -> None: ...

    assert round_trip(f, 1, "x") == ([1, "x"], {})


# -- context ------------------------------------------------------------------------------------------------------------


def test_a_context_is_no_part_of_the_input() -> None:
    def plain(ctx: Context, a: int) -> None: ...
    def quoted(ctx: "Context", a: int) -> None: ...  # noqa: UP037
    def dotted(ctx: perdure.Context, a: int) -> None: ...
    def blocking(ctx: BlockingContext, a: int) -> None: ...

    for function in (plain, quoted, dotted, blocking):
        assert signature(function).names == ("a",)
        assert signature(function).context_name in ("Context", "BlockingContext")


def test_only_a_first_parameter_annotated_so_is_a_context() -> None:
    def second(a: int, ctx: int) -> None: ...
    def bare(ctx): ...  # type: ignore[no-untyped-def]

    assert signature(second).names == ("a", "ctx")
    assert signature(bare).names == ("ctx",)


# -- conversion ---------------------------------------------------------------------------------------------------------


def test_inputs_are_converted_by_the_hints() -> None:
    def f(upload: Upload, order: Order, when: datetime) -> None: ...

    checked = signature(f).checked(
        signature(f).bind(({"path": "p"}, {"number": 3}, datetime(2026, 1, 1)), {})  # noqa: DTZ001
    )
    assert checked["upload"] == Upload("p")
    assert checked["order"] == Order(number=3)


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (int, "1", "int"), (int, 1.5, "int"), (int, None, "int"), (str, 1, "str"), (bool, 1, "bool"),
        (list[int], [1, "2"], r"\[1\]"), (dict[str, int], {"a": "b"}, "int"), (Upload, {"size": 1}, "path"),
        (Upload, {"path": 5}, "path"), (Order, {"number": 0}, "number"), (Order, {"number": "x"}, "number"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, ">= 0"), (Annotated[str, msgspec.Meta(max_length=2)], "abc", "length"),
        (Annotated[int, pydantic.Field(gt=5)], 5, "greater than 5"), (typing.Literal["a", "b"], "c", "c"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_the_name_of_the_field(hint: Any, value: object, words: str) -> None:
    def f(first: int, value: Any) -> None: ...

    f.__annotations__["value"] = hint
    with pytest.raises(InvalidInputError, match=f"argument 'value'.*{words}") as caught:
        signature(f).checked({"first": 1, "value": value})
    assert "task t" in str(caught.value)


@pytest.mark.parametrize(
    "value", [object(), {1, object()}, lambda: 1, open, ValueError("x"), float("nan"), {1: 2}, "\ud800"]
)
def test_what_cannot_be_stored_is_refused_by_the_name_of_the_field(value: object) -> None:
    def f(value: Any) -> None: ...

    with pytest.raises(InvalidInputError, match="'value'"):
        one = signature(f)
        one.encode(one.checked({"value": value}))


def test_a_hint_that_cannot_be_stored_is_found_at_declaration() -> None:
    def f(value: Callable[[], int]) -> None: ...
    def g() -> typing.Iterator[int]: ...

    for function in (f, g):
        with pytest.raises(NotSerializableError, match="task t"):
            signature(function)


def test_a_hint_defined_further_down_is_read_at_first_use() -> None:
    def f(value: Later) -> Later: ...  # type: ignore[empty-body]

    one = signature(f)
    assert round_trip(f, {"a": 1}) == ([Later(1)], {})
    assert one.result.decode('{"a":2}') == Later(2)


def test_a_hint_that_is_never_defined_is_named_at_first_use() -> None:
    def f(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    one = signature(f)
    with pytest.raises(NotSerializableError, match="'Nowhere' is not defined"):
        one.checked({"value": 1})


# -- stored input -------------------------------------------------------------------------------------------------------


def test_the_stored_form_is_an_object_by_name() -> None:
    def f(a: int, b: Upload) -> None: ...

    assert signature(f).encode({"a": 1, "b": Upload("p")}) == '{"a":1,"b":{"path":"p","size":0,"notes":[]}}'


def test_a_parameter_that_is_new_since_gets_its_default_and_a_removed_one_is_passed_over() -> None:
    def f(b: int, c: int = 7) -> None: ...

    one = signature(f)
    assert one.spread(one.decode('{"a":1,"b":2}')) == ([2, 7], {})


def test_a_new_parameter_without_default_is_named() -> None:
    def f(a: int, b: int) -> None: ...

    one = signature(f)
    with pytest.raises(InvalidInputError, match="'b' is missing"):
        one.spread(one.decode('{"a":1}'))


def test_stored_text_that_does_not_fit_is_a_decode_error() -> None:
    def f(a: int) -> None: ...

    for text in ('{"a":"x"}', '{"a":', "[1]", "null"):
        with pytest.raises((DecodeError, msgspec.DecodeError)):
            signature(f).decode(text)


# -- digests ------------------------------------------------------------------------------------------------------------


def digest(function: Callable[..., object], *args: object, **kwargs: object) -> str:
    one = signature(function)
    return one.digest(one.bind(args, kwargs))


def test_arguments_equal_to_their_default_are_left_out() -> None:
    def before(a: int) -> None: ...
    def after(a: int, b: str = "x", *, c: Upload | None = None) -> None: ...

    assert digest(before, 1) == digest(after, 1) == digest(after, 1, "x") == digest(after, 1, c=None)
    assert digest(after, 1, "y") != digest(before, 1)


def test_fields_of_a_dataclass_equal_to_their_default_are_left_out() -> None:
    before = dataclasses.make_dataclass("Upload", [("path", str)])

    def f(value: Any) -> None: ...

    assert digest(f, before("p")) == digest(f, Upload("p")) == digest(f, Upload("p", 0, []))
    assert digest(f, Upload("p")) != digest(f, Upload("p", 1))


def test_values_count_as_their_types_say() -> None:
    def typed(value: float, upload: Upload | None = None) -> None: ...
    def untyped(value: Any) -> None: ...

    assert digest(typed, 1) == digest(typed, 1.0)
    assert digest(typed, 1, {"path": "p"}) == digest(typed, 1, Upload("p"))
    assert digest(untyped, 1) != digest(untyped, 1.0)
    assert digest(typed, "no float") != digest(typed, "another")


def test_the_order_of_keys_does_not_count_that_of_items_does() -> None:
    def f(value: Any) -> None: ...

    assert digest(f, {"a": 1, "b": 2}) == digest(f, {"b": 2, "a": 1})
    assert digest(f, [1, 2]) != digest(f, [2, 1])
    assert digest(f, {1, 2, 3}) == digest(f, {3, 2, 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (0, False),
        (None, False),
        ([], {}),
        ("", None),
        ((1, 2), (12,)),
        (["a", "b"], ["ab"]),
        (0, ""),
    ],
)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    def f(value: Any) -> None: ...

    assert digest(f, one) != digest(f, other)


def test_which_argument_holds_a_value_counts() -> None:
    def f(a: Any = None, b: Any = None) -> None: ...

    assert digest(f, a=1) != digest(f, b=1)
    assert digest(f, a=1) != digest(f, a=1, b=1)


@dataclass
class Later:
    a: int
