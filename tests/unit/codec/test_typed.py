"""Typed values through msgspec: every family round-trips, what does not fit is refused, nothing is lost silently."""

import datetime as dt
import enum
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import (
    IO,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import DecodeError, TypeCodec, codec_for
from perdure.errors import NotSerializableError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Mixed(enum.Enum):
    """msgspec wants all text or all numbers; Pydantic takes this one."""

    ONE = 1
    TWO = "two"


class Mood(enum.StrEnum):
    GOOD = "good"


@dataclass
class Line:
    sku: str
    price: Decimal
    tags: set[str] = field(default_factory=set)


@dataclass
class Order:
    id: UUID
    at: dt.datetime
    lines: list[Line]
    colour: Colour
    blob: bytes = b""
    took: dt.timedelta = dt.timedelta()
    note: str | None = None


class Cat(msgspec.Struct, tag=True):
    lives: int = 9


class Dog(msgspec.Struct, tag=True):
    name: str


class Plain(msgspec.Struct):
    x: Annotated[int, msgspec.Meta(ge=0)] = 0
    any: object = None


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    a: int
    b: str = "b"


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    item: T


Cents = NewType("Cents", int)
Positive = Annotated[int, msgspec.Meta(ge=0)]

ORDER = Order(
    UUID(int=7),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    [Line("a", Decimal("1.50"), {"x"}), Line("b", Decimal(2))],
    Colour.BLUE,
    b"\xff\x00",
    dt.timedelta(seconds=-1.5),
)

FAMILIES: list[tuple[object, object]] = [
    (None, None),
    (type(None), None),
    (bool, True),
    (int, 10**30),
    (float, -0.0),
    (str, "é"),
    (bytes, b"\xff"),
    (dt.datetime, dt.datetime.fromisoformat("2026-01-01T01:02:03.000004")),
    (dt.date, dt.date(2026, 1, 1)),
    (dt.time, dt.time(1, 2)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=1)),
    (Decimal, Decimal("1.50")),
    (UUID, UUID(int=1)),
    (Colour, Colour.BLUE),
    (Mood, Mood.GOOD),
    (list[Mixed], [Mixed.ONE, Mixed.TWO]),
    (list[Line], [Line("a", Decimal(1))]),
    (dict[str, dt.datetime], {"a": dt.datetime.fromisoformat("2026-01-01")}),
    (dict[UUID, int], {UUID(int=1): 1}),
    (dict[int, str], {1: "a"}),
    (dict[Colour, int], {Colour.BLUE: 1}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2)),
    (set[UUID], {UUID(int=1)}),
    (frozenset[int], frozenset({1})),
    (Order, ORDER),
    (Cat | Dog, Dog("rex")),
    (Union[Cat, Dog, None], None),  # noqa: UP007
    (Optional[Line], Line("a", Decimal(1))),  # noqa: UP045
    (Plain, Plain(1)),
    (Movie, {"title": "Alien"}),
    (Pair, Pair(1)),
    (Tree, Tree(1, [Tree(2)])),
    (Box[int], Box(1)),
    (Box[dt.date], Box(dt.date(2026, 1, 1))),
    (Literal["a", 1, None], 1),  # noqa: PYI061
    (int | str | None, "x"),
    (int | float, 1.0),
    (Positive, 5),
    (Cents, 5),
    (list[Cents], [5]),
    (Annotated[str, "a comment"], "x"),
    (Sequence[int], [1]),
    (tuple[Any, int], ([1], 2)),
    (bytearray, bytearray(b"x")),
    (Mapping[str, int], {"a": 1}),
    (list[Any] | int, 3),
]


@pytest.mark.parametrize(("hint", "value"), FAMILIES, ids=[str(hint) for hint, _ in FAMILIES])
def test_every_family_of_types_comes_back_equal_and_of_the_same_class(hint: object, value: object) -> None:
    codec = codec_for(hint, "here")
    text, settled = codec.settle(value)
    assert settled == value
    assert type(settled) is type(value)
    assert codec.encode(value) == text
    assert codec.decode(text) == value
    assert codec.convert(value) == value
    assert type(codec.convert(value)) is type(value)
    assert codec.native(text) == msgspec.json.decode(text)


@pytest.mark.parametrize(("hint", "value"), [(list[Colour], [Colour.RED]), (dict[str, Order], {"a": ORDER})])
def test_convert_passes_right_objects_deep_inside(hint: object, value: object) -> None:
    assert codec_for(hint).convert(value) == value


@given(
    st.builds(
        Order,
        st.uuids(),
        st.datetimes(timezones=st.just(dt.UTC)),
        st.lists(st.builds(Line, st.text(st.characters(exclude_categories=["Cs"])), st.decimals(allow_nan=False))),
        st.sampled_from(Colour),
        st.binary(),
        st.timedeltas(),
    )
)
def test_dataclasses_round_trip(order: Order) -> None:
    codec = codec_for(Order)
    assert codec.decode(codec.encode(order)) == order


def test_text_is_compact_readable_json() -> None:
    assert codec_for(Line).encode(Line("é", Decimal(1), {"x"})) == '{"sku":"é","price":"1","tags":["x"]}'


@pytest.mark.parametrize(
    ("hint", "value", "settled"),
    [
        (float, 1, 1.0),
        (list[int], (1, 2), [1, 2]),
        (set[int], [1, 1], {1}),
        (str, Mood.GOOD, "good"),
        (dict[str, int], Counter("a"), {"a": 1}),
        (dict[str, int], OrderedDict(a=1), {"a": 1}),
        (tuple[int, str], Pair(1), (1, "b")),
        (dt.date, "2026-01-01", dt.date(2026, 1, 1)),
        (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (Line, {"sku": "a", "price": "1"}, Line("a", Decimal(1))),
        (Colour, 2, Colour.BLUE),
        (dict[UUID, int], {"00000000-0000-0000-0000-000000000001": 1}, {UUID(int=1): 1}),
    ],
)
def test_what_the_type_says_is_converted_and_the_first_value_is_the_replayed_one(
    hint: object, value: object, settled: object
) -> None:
    codec = codec_for(hint)
    text, first = codec.settle(value)
    assert first == settled == codec.decode(text)
    assert type(first) is type(settled)
    assert codec.convert(value) == settled


class SubText(str):
    __slots__ = ()


class SubInt(int):
    pass


class SubFloat(float):
    __slots__ = ()


@pytest.mark.parametrize(
    ("hint", "value", "native"), [(str, SubText("x"), "x"), (int, SubInt(3), 3), (float, SubFloat(1.5), 1.5)]
)
def test_a_subclass_of_a_native_becomes_the_native(hint: object, value: object, native: object) -> None:
    settled = codec_for(hint).settle(value)[1]
    assert settled == native
    assert type(settled) is type(native)


@dataclass
class Animal:
    name: str


@dataclass
class Puppy(Animal):
    age: int = 0


@dataclass
class Untyped:
    data: Any


REFUSED: list[tuple[object, object, str]] = [
    (int, "x", "declared int, got str"),
    (int, True, "declared int, got bool"),
    (int, 1.5, "declared int, got float"),
    (int, None, "declared int, got NoneType"),
    (str, 1, "declared str, got int"),
    (str, UUID(int=1), "UUID would come back as str"),
    (str, dt.date(2026, 1, 1), "date would come back as str"),
    (str, b"x", "bytes would come back as str"),
    (str, Decimal(1), "Decimal would come back as str"),
    (int, Colour.RED, "Colour would come back as int"),
    (None, 0, "declared None"),
    (float, math.nan, "got float"),
    (float | None, math.nan, "nan is no JSON number"),
    (float | None, math.inf, "inf is no JSON number"),
    (list[float | None], [1.0, math.nan], r"nan.* at `\$\[1\]`"),
    (list[int], [1, "x"], r"at `\$\[1\]`"),
    (set[str], {dt.date(2026, 1, 1)}, "date would come back as str"),
    (list[str], {UUID(int=1)}, "UUID would come back as str"),
    (Animal, Puppy("rex", 3), "Puppy would come back as Animal"),
    (list[Animal], [Animal("a"), Puppy("rex", 3)], r"Puppy would come back as Animal.* at `\$\[1\]`"),
    (dict[str, int], Cat(), "declared dict"),
    (dict[str, str], {1: "a"}, "int would come back as str"),
    (dict[str, str], Animal("a"), "Animal would come back as dict"),
    (Movie, {"title": "Alien", "extra": 1}, "'extra' would be lost"),
    (Untyped, Untyped(dt.date(2026, 1, 1)), r"date would come back as str.* at `\$\.data`"),
    (Untyped, Untyped({"a": [UUID(int=1)]}), r"UUID would come back as str.* at `\$\.data\.a\[0\]`"),
    (Untyped, Untyped(math.nan), r"nan.* at `\$\.data`"),
    (Untyped, Untyped(lambda: 0), r"callable\) cannot be stored - at `\$\.data`"),
    (Untyped, Untyped(ValueError("x")), r"ValueError \(an exception.* at `\$\.data`"),
    (Untyped, Untyped("\ud800"), r"surrogate.* at `\$\.data`"),
    (str, "\ud800", "surrogate"),
    (list[str], ["a", "\udfff"], r"surrogate.* at `\$\[1\]`"),
    (Plain, Plain(-1), r"`int` >= 0.* at `\$\.x`"),
    (Plain, Plain("x"), r"at `\$\.x`"),  # type: ignore[arg-type]
    (Positive, -1, ">= 0"),
    (tuple[int, ...], b"x", "bytes"),
    (dict[Colour, int], {"x": 1}, "here: "),
    (dict[UUID, float | None], {str(UUID(int=1)): math.nan}, "nan is no JSON number"),
    (Literal["a"], "b", "Invalid enum value 'b'"),
    (Colour, Mood.GOOD, "declared Colour, got Mood"),
    (int, 10**5000, "here: "),
    (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=3661))), "offset has seconds"),
    (list[dt.datetime | int], [1, dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=1)))], "offset"),
]


@pytest.mark.parametrize(("hint", "value", "words"), REFUSED, ids=[f"{hint}-{words}" for hint, _, words in REFUSED])
def test_a_value_that_does_not_fit_its_type_is_refused_when_stored(hint: object, value: object, words: str) -> None:
    codec = codec_for(hint, "here")
    for store in (codec.settle, codec.encode):
        with pytest.raises(NotSerializableError, match=words) as caught:
            store(value)
        assert str(caught.value).startswith("here: ")


def test_local_times_that_a_clock_change_repeats_are_no_loss() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        moment = dt.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin)
        settled = codec_for(dt.datetime).settle(moment)[1]
        assert isinstance(settled, dt.datetime)
        assert settled - moment == dt.timedelta()


class Grumpy(msgspec.Struct, eq=False):
    x: int

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


class Odd(msgspec.Struct, eq=False):
    x: int
    y: float | None = None


def test_classes_whose_equality_says_nothing_are_compared_by_field() -> None:
    assert codec_for(Grumpy).settle(Grumpy(1))[0] == '{"x":1}'
    assert codec_for(list[Odd]).settle([Odd(1)])[0] == '[{"x":1,"y":null}]'
    with pytest.raises(NotSerializableError, match=r"at `\$\[0\]\.y`"):
        codec_for(list[Odd]).settle([Odd(1, math.nan)])


@pytest.mark.parametrize(
    ("hint", "stored", "path"),
    [
        (int, '"1"', "$"),
        (int, "1.0", "$"),
        (Line, '{"sku":"a"}', "$"),
        (list[Line], '[{"sku":1,"price":"1"}]', "$[0].sku"),
        (Positive, "-1", "$"),
        (dict[str, int], '{"a":"x"}', "$[...]"),
        (Colour, '"green"', "$"),
        (int, "", "$"),
        (str, '"\\ud800"', "$"),
    ],
)
def test_decoding_validates_and_names_the_path(hint: object, stored: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        codec_for(hint, "there").decode(stored)
    assert caught.value.path == path
    assert str(caught.value).startswith("there: ")
    assert caught.value.where == "there"


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    [
        (int, "1", "$"),
        (int, 1.5, "$"),
        (int, True, "$"),
        (str, 1, "$"),
        (str, dt.date(2026, 1, 1), "$"),
        (Positive, -1, "$"),
        (Plain, Plain(-1), "$.x"),
        (list[Plain], [Plain(1), Plain(-1)], "$[1].x"),
        (Order, {"id": "x"}, "$.id"),
        (Line, {"sku": 1, "price": "1"}, "$.sku"),
        (Animal, Puppy("rex"), "$"),
        (int, lambda: 0, "$"),
        (list[int], (number for number in [1]), "$"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_their_path(hint: object, value: object, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        codec_for(hint, "the input").convert(value)
    assert caught.value.path == path


def test_messages_never_show_the_value() -> None:
    for hint in (int, Order, list[int], dict[str, int]):
        with pytest.raises(DecodeError) as caught:
            codec_for(hint).convert("hunter2")
        assert "hunter2" not in str(caught.value)


@dataclass
class Fussy:
    x: int

    def __post_init__(self) -> None:
        if self.x == 13:
            raise KeyError("thirteen")


def test_what_a_class_raises_while_it_is_made_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="thirteen"):
        codec_for(Fussy).decode('{"x":13}')


class Custom:
    pass


REFUSED_HINTS: list[tuple[object, str]] = [
    (ValueError, "exception is no value"),
    (list[ValueError], "exception is no value"),
    (IO[str], "open file"),
    (Callable[[int], str], "function cannot be stored"),
    (Generator[int, None, None], "declare a list"),
    (Iterator[int], "declare a list"),
    (Iterable[int], "declare a list"),
    (type[int], "class or module"),
    (type, "class or module"),
    (Custom, "Custom cannot be stored"),
    (dict[str, Custom], "Custom"),
    (dict[tuple[int, int], str], "keys that JSON cannot write"),
    ("Unresolved", "not resolved"),
    (list["Unresolved"], "not resolved"),  # type: ignore[name-defined]  # noqa: F821
]


@pytest.mark.parametrize(("hint", "words"), REFUSED_HINTS, ids=[str(hint) for hint, _ in REFUSED_HINTS])
def test_types_that_cannot_be_stored_are_refused_at_declaration(hint: object, words: str) -> None:
    with pytest.raises(NotSerializableError, match=words) as caught:
        codec_for(hint, "the result of task t")
    assert str(caught.value).startswith("the result of task t: ")


@dataclass
class WithException:
    error: Exception


@dataclass
class Dangling:
    item: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


def test_a_field_whose_type_is_nowhere_is_found_at_declaration() -> None:
    with pytest.raises(NotSerializableError, match="Nowhere"):
        codec_for(Dangling)


def test_a_field_that_cannot_be_stored_is_found_at_declaration() -> None:
    with pytest.raises(NotSerializableError, match="exception is no value"):
        codec_for(WithException)


def test_codecs_are_cached_by_hint_and_each_names_its_own_place() -> None:
    first, second = codec_for(Order, "one"), codec_for(Order, "two")
    assert first._backend is second._backend
    assert (first.where, second.where) == ("one", "two")
    assert isinstance(first, TypeCodec)
    assert repr(first) == "TypeCodec(Order, where='one')"


def test_unhashable_hints_work() -> None:
    hint = Annotated[int, ["unhashable"]]
    assert codec_for(hint).settle(1) == ("1", 1)


def test_equal_looking_literals_are_kept_apart() -> None:
    assert codec_for(Literal[1]).settle(1) == ("1", 1)
    with pytest.raises(NotSerializableError):
        codec_for(Literal[1]).settle(True)
    with pytest.raises(NotSerializableError):
        codec_for(Literal[True]).settle(1)


@given(st.integers(), st.text(), st.booleans())
def test_scalars_of_the_declared_type_settle_as_the_slow_way_would(number: int, text: str, flag: bool) -> None:
    assert codec_for(int).settle(number) == (str(number), number)
    assert codec_for(bool).settle(flag) == (msgspec.json.encode(flag).decode(), flag)
    assert codec_for(int | str | None).settle(None) == ("null", None)
    assert codec_for(Any).settle(number) == (str(number), number)
    try:
        encoded = msgspec.json.encode(text).decode()
    except UnicodeEncodeError:
        with pytest.raises(NotSerializableError, match="surrogate"):
            codec_for(str).settle(text)
    else:
        assert codec_for(str).settle(text) == codec_for(Any).settle(text) == (encoded, text)


def test_native_reads_any_stored_text_and_refuses_what_is_no_json() -> None:
    assert codec_for(Order).native('{"anything":[1]}') == {"anything": [1]}
    with pytest.raises(DecodeError):
        codec_for(int, "x").native("nonsense")
    with pytest.raises(DecodeError):
        codec_for(int, "x").native("[" * 100_000)
