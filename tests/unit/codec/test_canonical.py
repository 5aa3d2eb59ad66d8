"""Keys of values: equal for equal values in any order, different where JSON differs, stable when a class grows."""

import datetime as dt
import enum
import math
import re
from dataclasses import dataclass, field, make_dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import argument_digest, canonical, codec_for, digest, same_canonical
from perdure.codec.canonical import _encode, _normal
from perdure.errors import NotSerializableError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    DARK = 1


class Mood(enum.StrEnum):
    GOOD = "good"


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    __slots__ = ()


class Pair(NamedTuple):
    a: int
    b: int = 0


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


class Struct(msgspec.Struct):
    x: int
    y: object = 1


class Circle(msgspec.Struct):
    r: int = 1


class Square(msgspec.Struct):
    r: int = 1


DIFFERENT = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    -0.0,
    0.0,
    "1",
    "",
    b"1",
    b"",
    [],
    (),
    {},
    set(),
    [1],
    (1,),
    {1},
    ["1"],
    [[1]],
    {"a": 1},
    {"a": 1.0},
    {"a": True},
    {1: "a"},
    {"1": "a"},
    {True: "a"},
    {None: "a"},
    {(1, 2): "a"},
    {"$type": "set", "value": [1]},
    {"$type": "dict", "value": {}},
    {"$type": "map", "value": []},
    {"$type": "datetime", "value": "2026-01-01T00:00:00"},
    dt.datetime.fromisoformat("2026-01-01"),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.date(2026, 1, 1),
    "2026-01-01",
    "2026-01-01T00:00:00",
    dt.time(1),
    dt.timedelta(1),
    Decimal(1),
    Decimal("1.0"),
    UUID(int=1),
    str(UUID(int=1)),
    Colour.RED,
    Colour.BLUE,
    Shade.DARK,
    Mood.GOOD,
    Point(1),
    Point(1, 1),
    Point(1, 0, ["a"]),
    Pair(1),
    (1, 0),
    Struct(1),
    Struct(1, True),
    Struct(1, 1.0),
    Circle(),
    Square(),
    {"x": 1},
    [Circle(), Square()],
    [Square(), Circle()],
]


def test_values_that_differ_have_different_texts() -> None:
    texts = [canonical(value) for value in DIFFERENT]
    assert len(set(texts)) == len(texts)
    assert len({argument_digest({"a": value}) for value in DIFFERENT}) == len(DIFFERENT)
    for text in texts:
        msgspec.json.decode(text)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": 1, "b": [1, {"c": 1, "d": 2}]}, {"b": [1, {"d": 2, "c": 1}], "a": 1}),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}),
        ({"a", "b", "c", "d"}, {"d", "c", "b", "a"}),
        ({1}, frozenset({1})),
        ({(1, 2), ("a", "b")}, {("a", "b"), (1, 2)}),
        (Mood.GOOD, "good"),
        (Level.LOW, 1),
        ((Mood.GOOD, Level.LOW), ("good", 1)),
        ((Word("x"), Number(3), Real(1.5)), ("x", 3, 1.5)),
        ({Mood.GOOD: (1,)}, {"good": (1,)}),
        (Point(1), Point(1, 0, [])),
        (Struct(1), Struct(1, 1)),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
    ],
)
def test_values_that_are_the_same_have_one_text(left: object, right: object) -> None:
    assert canonical(left) == canonical(right)
    assert same_canonical(left, right)


natives = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("$typevalu", max_size=6), inner, max_size=4),
    max_leaves=15,
)


@given(natives)
def test_the_quick_way_and_the_walk_agree(value: object) -> None:
    assert canonical(value) == _encode(_normal(value, "$"))


@given(st.dictionaries(st.text(max_size=3), natives, max_size=4), st.randoms())
def test_order_of_keys_never_matters(value: dict[str, object], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    try:
        expected = argument_digest(value)
    except NotSerializableError:
        return
    assert argument_digest(dict(items)) == expected


@given(natives)
def test_a_value_keeps_its_key_when_it_was_stored(value: object) -> None:
    codec = codec_for(Any)
    assert canonical(codec.settle(value)[1]) == canonical(value)


def test_a_class_may_gain_fields_with_defaults() -> None:
    before = make_dataclass("Upload", [("path", str)])
    after = make_dataclass(
        "Upload",
        [
            ("path", str),
            ("size", int, 0),
            ("tags", list, field(default_factory=list)),
            ("at", object, field(default_factory=lambda: (1, 2))),
        ],
    )
    assert argument_digest({"u": before("a")}) == argument_digest({"u": after("a")})
    assert argument_digest({"u": before("a")}) != argument_digest({"u": after("a", 1)})
    assert argument_digest({"u": before("a")}) != argument_digest({"u": after("a", False)})


def test_a_default_without_canonical_form_never_equals() -> None:
    class Odd(msgspec.Struct):
        x: object = msgspec.field(default_factory=object)

    class Strange(msgspec.Struct):
        x: float = math.nan

    assert b'"x":1' in canonical(Odd(1))
    assert b'"x":1.0' in canonical(Strange(1.0))


class Marked:
    """As attrs marks a class, without the library."""

    class Attribute:
        def __init__(self, name: str, default: object) -> None:
            self.name, self.default = name, default

    class Factory:
        takes_self = False

        def __init__(self, factory: Any, *, takes_self: bool = False) -> None:
            self.factory, self.takes_self = factory, takes_self

    NOTHING = enum.Enum("Nothing", ["NOTHING"]).NOTHING
    __attrs_attrs__ = (
        Attribute("a", NOTHING),
        Attribute("b", 2),
        Attribute("c", Factory(list)),
        Attribute("d", Factory(list, takes_self=True)),
    )

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


def test_attrs_classes_leave_defaults_out() -> None:
    assert canonical(Marked(a=1, b=2, c=[])) == canonical(Marked(a=1))
    assert canonical(Marked(a=1, b=2, c=[], d=[])) != canonical(Marked(a=1))


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, "\ud800", object(), lambda: 0, ValueError(), pytest.param(10**5000, id="huge")],
)
def test_what_has_no_form_is_refused(value: object) -> None:
    for outer in (value, {"a": [value]}, (value,), {"k": {1: value}}, Point(value)):  # type: ignore[arg-type]
        with pytest.raises(NotSerializableError):
            canonical(outer)
    assert not same_canonical(value, 1)
    assert same_canonical(value, value)


def test_the_path_of_what_has_no_form_is_told() -> None:
    with pytest.raises(NotSerializableError, match=r"nan has no canonical form - at `\$\.a\[1\]`"):
        canonical({"a": (1, math.nan)})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    with pytest.raises(NotSerializableError, match="contains itself"):
        canonical(loop)


def test_digests_are_short_versioned_and_pinned() -> None:
    """These must never change: they are the keys of stored work."""
    assert re.fullmatch(r"1\.[0-9a-f]{32}", digest(["a", 1]))
    assert argument_digest({}) == "1.2afb9b83f9314e5d029766197f539792"
    assert argument_digest({"n": 1, "at": dt.date(2026, 1, 1)}) == "1.1653a98a6747bd04f46bdba489bf7b11"
    assert digest([]) != argument_digest({})
    assert canonical(Point(1, 2)) == b'{"$type":"record","class":"Point","fields":{"x":1,"y":2}}'
    assert canonical({1: (2,)}) == b'{"$type":"map","value":[[1,{"$type":"tuple","value":[2]}]]}'
    assert canonical(Colour.RED) == b'{"$type":"enum","class":"Colour","value":1}'
    assert canonical({"b": {2, 1}, "a": None}) == b'{"a":null,"b":{"$type":"set","value":[1,2]}}'


def test_parameters_declared_float_give_one_key_for_1_and_1_0() -> None:
    codec = codec_for(float)
    assert canonical(codec.convert(1)) == canonical(codec.convert(1.0))
