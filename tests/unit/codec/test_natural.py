"""Values without a type: plain JSON where JSON suffices, a closed set of tags elsewhere, an error for the rest."""

import contextlib
import datetime as dt
import enum
import inspect
import math
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Never, NewType, NoReturn, ParamSpec, TypeVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import DecodeError, codec_for
from perdure.errors import NotSerializableError

natural = codec_for(Any, "the result of activity a")
T = TypeVar("T")
P = ParamSpec("P")

text = st.text(st.characters(exclude_categories=["Cs"]))
offsets = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.datetimes()
    | st.datetimes(timezones=offsets)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.binary()
)
hashable = st.recursive(leaves, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(text | st.sampled_from(["$type", "value"]), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=3)
    ),
    max_leaves=12,
)


def same(left: object, right: object) -> bool:
    """Equal and of the same types all the way, so that 1 is not True and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return left == right


@given(values)
def test_every_natural_value_comes_back_equal_and_of_the_same_types(value: object) -> None:
    text, settled = natural.settle(value)
    assert same(settled, value)
    assert same(natural.decode(text), value)
    assert natural.encode(settled) == text or isinstance(value, set | frozenset | tuple | list | dict)


@pytest.mark.parametrize(
    "hint",
    [Any, object, inspect.Parameter.empty, T, P, P.args, P.kwargs, Any | None, Never, NoReturn, NewType("N", object)],
)
def test_hints_that_say_nothing_are_natural(hint: object) -> None:
    for value in (dt.datetime(2026, 11, 21, tzinfo=dt.UTC), (1,), {"a": {1}}, None):
        assert codec_for(hint).settle(value)[1] == value


def test_json_natives_are_written_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "é\u2028\x00"], "b": {}}
    assert natural.encode(value) == '{"a":[1,2.5,null,true,"é\u2028\\u0000"],"b":{}}'


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.datetime.fromisoformat("2026-01-02T03:04"), '{"$type":"datetime","value":"2026-01-02T03:04:00"}'),
        (dt.date(2026, 1, 2), '{"$type":"date","value":"2026-01-02"}'),
        (dt.time(1, 2), '{"$type":"time","value":"01:02:00"}'),
        (dt.timedelta(days=1), '{"$type":"timedelta","value":"P1D"}'),
        (Decimal("1.50"), '{"$type":"decimal","value":"1.50"}'),
        (UUID(int=1), '{"$type":"uuid","value":"00000000-0000-0000-0000-000000000001"}'),
        (b"\xff", '{"$type":"bytes","value":"/w=="}'),
        ({1}, '{"$type":"set","value":[1]}'),
        (frozenset({1}), '{"$type":"frozenset","value":[1]}'),
        ((1, (2,)), '{"$type":"tuple","value":[1,{"$type":"tuple","value":[2]}]}'),
        ({"$type": 1, "x": (2,)}, '{"$type":"dict","value":{"$type":1,"x":{"$type":"tuple","value":[2]}}}'),
        ({"$type": "datetime", "value": "x"}, '{"$type":"dict","value":{"$type":"datetime","value":"x"}}'),
    ],
)
def test_the_tagged_form_is_stable(value: object, stored: str) -> None:
    assert natural.encode(value) == stored
    assert natural.decode(stored) == value


def test_seconds_in_an_offset_survive() -> None:
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=3661)))
    assert natural.settle(moment)[1] == moment


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ValueError("x"), "ValueError (an exception"),
        (lambda: 0, "(a callable)"),
        ((number for number in ()), "generator"),
        (Point(1), "Point"),
        (Colour.RED, "Colour"),
        (Pair(1, 2), "Pair"),
        (object(), "object"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ({1: 2}, "dict key of type int"),
        ({None: 2}, "dict key of type NoneType"),
        ("\ud800", "lone surrogate"),
        pytest.param(10**5000, "the result of activity a", id="huge"),
    ],
)
def test_what_has_no_natural_form_is_refused_with_place_and_path(value: object, words: str) -> None:
    for given_value, path in ((value, ""), ({"a": [0, value]}, "`$.a[1]")):
        with pytest.raises(NotSerializableError) as caught:
            natural.settle(given_value)
        assert words in str(caught.value)
        assert str(caught.value).startswith("the result of activity a: ")
        assert path in str(caught.value) or "surrogate" in words or isinstance(value, int)


def test_an_open_file_is_refused(tmp_path) -> None:
    with open(tmp_path / "f", "w") as file, pytest.raises(NotSerializableError, match="TextIOWrapper"):
        natural.encode(file)


def test_a_lone_surrogate_is_found_by_path() -> None:
    with pytest.raises(NotSerializableError, match=r"surrogate.* at `\$\.a\[0\]`"):
        natural.encode({"a": ["\ud800"]})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(NotSerializableError, match="contains itself"):
        natural.encode(loop)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotSerializableError, match="too deeply"):
        natural.encode(deep)


class Word(str):
    __slots__ = ()


class Level(enum.IntEnum):
    LOW = 1


class Mood(enum.StrEnum):
    GOOD = "good"


@pytest.mark.parametrize(
    ("value", "native"),
    [
        (OrderedDict(a=1), {"a": 1}),
        (Word("x"), "x"),
        (Level.LOW, 1),
        (Mood.GOOD, "good"),
        ({Mood.GOOD: 1}, {"good": 1}),
    ],
)
def test_subclasses_of_natives_become_the_native_alone_and_beside_tagged_values(value: object, native: object) -> None:
    for outer, expected in ((value, native), ((value, b""), (native, b""))):
        settled = natural.settle(outer)[1]
        assert same(settled, expected)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "nonsense",
        "NaN",
        '"\\ud800"',
        "1e999",
        '{"$type":"os.system","value":"x"}',
        '{"$type":"datetime","value":1}',
        '{"$type":"datetime","value":"yesterday"}',
        '{"$type":"decimal","value":"x"}',
        '{"$type":"bytes","value":"*"}',
        '{"$type":"set","value":[[]]}',
        '{"$type":"set","value":{}}',
        '{"$type":"dict","value":[]}',
        '{"$type":["set"],"value":[]}',
        '{"$type":"set"}',
        '{"$type":"set","value":[],"more":1}',
        "[" * 100_000,
        '[{"$type":"tuple","value":' * 3000,
    ],
)
def test_text_that_no_codec_wrote_is_a_decode_error(stored: str) -> None:
    with pytest.raises(DecodeError) as caught:
        natural.decode(stored)
    assert isinstance(caught.value, ValueError)
    assert caught.value.where == "the result of activity a"


def test_the_path_of_a_bad_tag_is_told() -> None:
    with pytest.raises(DecodeError) as caught:
        natural.decode('{"a":[0,{"$type":"nonsense","value":1}]}')
    assert caught.value.path == "$.a[1]"


@given(st.text())
def test_decoding_any_text_answers_or_raises_decode_error(stored: str) -> None:
    with contextlib.suppress(DecodeError):
        natural.decode(stored)


def test_convert_lets_everything_pass() -> None:
    thing = object()
    assert natural.convert(thing) is thing


@pytest.mark.parametrize(
    ("hint", "value", "stored"),
    [
        (dict[str, Any], {"at": dt.date(2026, 1, 1)}, '{"at":{"$type":"date","value":"2026-01-01"}}'),
        (dict, {"a": (1,)}, '{"a":{"$type":"tuple","value":[1]}}'),
        (list[Any], [b"", None], '[{"$type":"bytes","value":""},null]'),
        (list, [1], "[1]"),
        (tuple[Any, ...], (1, {2}), '[1,{"$type":"set","value":[2]}]'),
        (set[Any], {b""}, '[{"$type":"bytes","value":""}]'),
        (dict[str, list[object]] | None, {"a": [Decimal(1)]}, '{"a":[{"$type":"decimal","value":"1"}]}'),
        (dict[str, list[object]] | None, None, "null"),
        (dict[str, T], {"a": UUID(int=0)}, '{"a":{"$type":"uuid","value":"00000000-0000-0000-0000-000000000000"}}'),
    ],
)
def test_untyped_parts_of_containers_are_natural(hint: object, value: object, stored: str) -> None:
    codec = codec_for(hint, "w")
    assert codec.settle(value) == (stored, value)
    assert type(codec.decode(stored)) is type(value)
    assert codec.convert(value) == value


@pytest.mark.parametrize(
    ("hint", "value"), [(dict[str, Any], [1]), (list[Any], {"a": 1}), (list, "text"), (dict, None)]
)
def test_the_container_around_untyped_parts_is_checked(hint: object, value: object) -> None:
    codec = codec_for(hint, "w")
    with pytest.raises(NotSerializableError, match="w: "):
        codec.encode(value)
    with pytest.raises(DecodeError, match="w: "):
        codec.convert(value)
    with pytest.raises(DecodeError, match="w: "):
        codec.decode('"text"')
