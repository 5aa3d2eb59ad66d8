"""Typed values through Pydantic, and that it is used only where a type needs it."""

import enum
import math
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar

import annotated_types
import msgspec
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, TypeAdapter
from typing_extensions import TypeAliasType

from perdure.codec import DecodeError, argument_digest, canonical, codec_for
from perdure.errors import NotSerializableError

T = TypeVar("T")


class Level(enum.Enum):
    LOW = "low"


class Item(BaseModel):
    name: str
    price: float = Field(default=1.0, gt=0)
    level: Level = Level.LOW


class Special(Item):
    extra: int = 0


class Blob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class HalfBlob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class TextBlob(BaseModel):
    data: bytes


class Box(BaseModel, Generic[T]):
    item: T


class Aliased(BaseModel):
    inner_name: int = Field(alias="innerName")


@dataclass
class Holder:
    item: Item
    data: bytes = b""


class StructHolder(msgspec.Struct):
    item: Item
    items: list[Item] = []


@pydantic.dataclasses.dataclass
class Modern:
    x: int = Field(default=1, ge=0)


@dataclass
class Circle:
    r: int
    kind: Literal["circle"] = "circle"


@dataclass
class Square:
    r: int
    kind: Literal["square"] = "square"


Shape = Annotated[Circle | Square, Field(discriminator="kind")]

FAMILIES: list[tuple[object, object]] = [
    (Item, Item(name="a")),
    (list[Item], [Item(name="a", price=2)]),
    (Optional[Item], Item(name="a")),  # noqa: UP045
    (Item | None, None),
    (Holder, Holder(Item(name="a"), b"\xff")),
    (list[Holder], [Holder(Item(name="a"), b"\xff")]),
    (StructHolder, StructHolder(Item(name="a"), [Item(name="b")])),
    (dict[str, StructHolder], {"a": StructHolder(Item(name="a"))}),
    (Modern, Modern(3)),
    (Box[int], Box[int](item=1)),
    (Box[int], Box(item=1)),
    (Blob, Blob(data=b"\xff")),
    (TextBlob, TextBlob(data=b"text")),
    (Aliased, Aliased(innerName=1)),
    (Circle | Square, Square(1)),
    (Shape, Circle(2)),
    (list[Circle | Square], [Circle(1), Square(1)]),
    (Annotated[int, Field(gt=0)], 3),
    (Annotated[int, annotated_types.Ge(0)], 3),
    (Annotated[bytes, Field()], b"\xff"),
    (Path, Path("/tmp")),
    (pydantic.PositiveInt, 1),
    (Item | int, 3),
]


@pytest.mark.parametrize(("hint", "value"), FAMILIES, ids=[f"{hint}" for hint, _ in FAMILIES])
def test_every_family_comes_back_equal_and_of_the_same_class(hint: object, value: object) -> None:
    codec = codec_for(hint, "here")
    text, settled = codec.settle(value)
    assert settled == value
    assert isinstance(settled, type(value))
    assert codec.decode(text) == value
    assert codec.convert(value) == value


def test_constraints_and_types_of_inputs_are_checked() -> None:
    positive = codec_for(Annotated[int, Field(gt=0)], "argument 'n'")
    assert positive.convert(3) == 3
    for wrong in (0, "3", 1.5, True, None, object(), "\ud800"):
        with pytest.raises(DecodeError, match="argument 'n': "):
            positive.convert(wrong)
        with pytest.raises(NotSerializableError):
            positive.encode(wrong)
    assert codec_for(Annotated[float, Field(gt=0)]).convert(1) == 1.0


def test_a_dict_becomes_a_model_by_the_rules_of_json() -> None:
    codec = codec_for(Item)
    assert codec.convert({"name": "a", "level": "low"}) == Item(name="a")
    with pytest.raises(DecodeError) as caught:
        codec.convert({"name": "a", "price": "2"})
    assert caught.value.path == "$.price"
    with pytest.raises(DecodeError) as caught:
        codec_for(list[Item]).convert([{"name": "a", "price": -1}])
    assert caught.value.path == "$[0].price"


def test_an_instance_that_was_changed_to_something_wrong_is_refused() -> None:
    item = Item(name="a")
    item.price = -1
    with pytest.raises(DecodeError):
        codec_for(Item).convert(item)
    with pytest.raises(NotSerializableError, match="greater than 0"):
        codec_for(Item, "x").encode(item)


def test_decoding_validates_and_shows_no_value() -> None:
    with pytest.raises(DecodeError) as caught:
        codec_for(list[Item], "x").decode('[{"name":["hunter2"]}]')
    assert caught.value.path == "$[0].name"
    assert "hunter2" not in str(caught.value)
    with pytest.raises(DecodeError, match="1 more"):
        codec_for(Item).decode('{"name":1,"price":-1}')
    with pytest.raises(DecodeError):
        codec_for(StructHolder).decode('{"item":{"name":1}}')


class LooseFloat(BaseModel):
    x: float | None = None


class StringFloat(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    x: float


class ConstantFloat(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    x: float


class Login(BaseModel):
    password: SecretStr


REFUSED: list[tuple[object, object, str]] = [
    (Item, "x", "declared Item, got str"),
    (Item, Special(name="a", extra=1), "Special would come back as Item"),
    (list[Item], [Special(name="a", extra=1)], r"Special.* at `\$\[0\]`"),
    (LooseFloat, LooseFloat(x=math.nan), "nan is no JSON number"),
    (ConstantFloat, ConstantFloat(x=math.nan), "ser_json_inf_nan='strings'"),
    (Annotated[float, Field(gt=0)], math.inf, "x: "),
    (TextBlob, TextBlob(data=b"\xff"), "invalid utf-8"),
    (HalfBlob, HalfBlob(data=b"abc"), "bytes would come back changed"),
    (Annotated[int | None, PlainSerializer(lambda _: None)], 3, "int would come back as NoneType"),
    (Login, Login(password=SecretStr("abc")), "masked"),
    (Item, Item(name="\ud800"), "surrogate"),
    (Annotated[int, Field(gt=0)], "3", "str would come back as int"),
    (Annotated[bytes, Field()], "AAAA", "str would come back as bytes"),
]


@pytest.mark.parametrize(("hint", "value", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_what_would_be_lost_is_refused(hint: object, value: object, words: str) -> None:
    with pytest.raises(NotSerializableError, match=words):
        codec_for(hint, "x").settle(value)


def test_nan_is_stored_where_the_model_allows_it() -> None:
    settled = codec_for(StringFloat).settle(StringFloat(x=math.nan))[1]
    assert isinstance(settled, StringFloat)
    assert math.isnan(settled.x)


def test_constraints_of_pydantic_in_a_struct_are_refused_rather_than_ignored() -> None:
    class Wrong(msgspec.Struct):
        x: Annotated[int, Field(gt=0)]

    with pytest.raises(NotSerializableError, match="Wrong"):
        codec_for(Wrong)


class Other:
    pass


class Waiting(BaseModel):
    item: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


def test_a_model_that_waits_for_a_name_is_found_at_declaration() -> None:
    for hint in (Waiting, list[Waiting]):
        with pytest.raises(NotSerializableError, match="Nowhere"):
            codec_for(hint)


def test_type_aliases_are_looked_through() -> None:
    assert codec_for(TypeAliasType("Numbers", list[int])).settle([1]) == ("[1]", [1])
    assert codec_for(TypeAliasType("Items", list[Item])).settle([Item(name="a")])[1] == [Item(name="a")]
    assert codec_for(TypeAliasType("Anything", Any)).settle((1,))[1] == (1,)


def test_a_type_that_neither_library_knows_names_both() -> None:
    with pytest.raises(NotSerializableError, match=r"(?s)msgspec: .*Pydantic: "):
        codec_for(Other)


def test_a_model_may_hold_private_things() -> None:
    class Private(BaseModel):
        x: int
        _hook: object = pydantic.PrivateAttr(default=len)

    codec = codec_for(Private)
    assert codec.decode(codec.encode(Private(x=1))) == Private(x=1)


def test_models_have_a_canonical_form_without_their_defaults() -> None:
    class Growing(BaseModel):
        name: str

    before = argument_digest({"item": Growing(name="a")})

    class Growing(BaseModel):  # type: ignore[no-redef]
        name: str
        tags: list[str] = Field(default_factory=list)
        level: Level = Level.LOW

    assert argument_digest({"item": Growing(name="a")}) == before
    assert argument_digest({"item": Growing(name="a", tags=["x"])}) != before
    assert b'"x"' in canonical(Modern(1)) or b'"fields":{}' in canonical(Modern(1))
    assert canonical(Path("/tmp")) != canonical("/tmp")


def test_extra_fields_of_a_model_count() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        x: int = 0

    assert canonical(Open(y=1)) != canonical(Open())  # type: ignore[call-arg]
    codec = codec_for(Open)
    assert codec.decode(codec.encode(Open(y=1))) == Open(y=1)  # type: ignore[call-arg]


def test_an_adapter_made_by_hand_agrees() -> None:
    item = Item(name="a", price=2)
    assert codec_for(Item).encode(item) == TypeAdapter(Item).dump_json(item).decode()


def in_fresh_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_pydantic_is_never_imported_for_types_that_do_not_need_it() -> None:
    in_fresh_python(
        "import sys, dataclasses, typing, datetime\n"
        "from perdure.codec import codec_for, failure_of, canonical\n"
        "A = dataclasses.make_dataclass('A', [('x', int), ('at', datetime.date)])\n"
        "for hint in (int, A, list[A], typing.Any, dict[str, typing.Any], A | None):\n"
        "    codec_for(hint)\n"
        "codec = codec_for(A); codec.decode(codec.encode(A(1, datetime.date(2026, 1, 1))))\n"
        "canonical(A(1, datetime.date(2026, 1, 1))); failure_of(ValueError('x'))\n"
        "assert not {name for name in sys.modules if name.partition('.')[0] == 'pydantic'}\n"
        "assert 'cryptography' not in sys.modules\n"
    )


def test_pydantic_is_used_when_msgspec_refuses_a_type() -> None:
    in_fresh_python(
        "import sys, dataclasses\n"
        "from perdure.codec import codec_for\n"
        "A = dataclasses.make_dataclass('A', [('x', int)]); B = dataclasses.make_dataclass('B', [('y', int)])\n"
        "codec = codec_for(A | B)\n"
        "assert 'pydantic' in sys.modules\n"
        "assert codec.decode(codec.encode(B(1))) == B(1)\n"
    )


def test_without_pydantic_in_this_process_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unknown:
        pass

    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(NotSerializableError, match=r"pip install 'perdure\[pydantic\]'"):
        codec_for(list[Unknown])


def test_without_pydantic_the_error_says_what_to_install() -> None:
    in_fresh_python(
        "import sys, pathlib\n"
        "sys.modules['pydantic'] = None\n"
        "from perdure.codec import codec_for\n"
        "from perdure.errors import NotSerializableError\n"
        "try:\n    codec_for(pathlib.Path, 'x')\n"
        "except NotSerializableError as error:\n    assert \"pip install 'perdure[pydantic]'\" in str(error), error\n"
        "else:\n    raise SystemExit(1)\n"
        "assert codec_for(int).settle(1) == ('1', 1)\n"
    )


@dataclass
class Late:
    items: list[Item] = field(default_factory=list)


def test_a_model_deep_in_a_dataclass_is_noticed() -> None:
    late = Late([Item(name="a")])
    assert codec_for(dict[str, list[Late]]).settle({"a": [late]})[1] == {"a": [late]}
