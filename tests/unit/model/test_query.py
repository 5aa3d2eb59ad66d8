"""The query language: every field, quoting, negation, and where a mistake is."""

from __future__ import annotations

import pytest

from perdure import InvalidQueryError
from perdure.model.query import FIELDS, Query, Term, duration, parse

HOUR = "3600000"


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("status:failed", Term("status", ("failed",))),
        ("status:failed,timed_out", Term("status", ("failed", "timed_out"))),
        ("task:x", Term("task", ("x",))),
        ("task:a.b-c_1", Term("task", ("a.b-c_1",))),
        ("queue:default", Term("queue", ("default",))),
        ("tag:k=v", Term("tag", ("k=v",))),
        ("tag:k=v=w", Term("tag", ("k=v=w",))),
        ("tag:k=", Term("tag", ("k=",))),
        ("error:text", Term("error", ("text",))),
        ("waiting:signal", Term("waiting", ("signal",))),
        ("waiting:timer,children", Term("waiting", ("timer", "children"))),
        ("parent:ID", Term("parent", ("ID",))),
        ("root:ID", Term("root", ("ID",))),
        ("state:paid", Term("state", ("paid",))),
        ("since:1h", Term("since", (HOUR,))),
        ("id:one,two", Term("id", ("one", "two"))),
        ("-status:completed", Term("status", ("completed",), negated=True)),
        ("-tag:k=v,l=w", Term("tag", ("k=v", "l=w"), negated=True)),
        ('error:"a b"', Term("error", ("a b",))),
        ('error:"a, b",c', Term("error", ("a, b", "c"))),
        ('error:a" b "c', Term("error", ("a b c",))),
        ('-error:"no space"', Term("error", ("no space",), negated=True)),
        ("error:a:b", Term("error", ("a:b",))),
        ("error:größe", Term("error", ("größe",))),
    ],
)
def test_one_term(text: str, term: Term) -> None:
    assert parse(text) == Query((term,))


def test_every_documented_field_can_be_asked_for() -> None:
    values = {"status": "failed", "waiting": "timer", "tag": "k=v", "since": "2h"}
    for field in FIELDS:
        assert parse(f"{field}:{values.get(field, 'x')}").terms[0].field == field
    assert " ".join(FIELDS) == "status task queue tag error waiting parent root state since id"


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_query_asks_for_everything(text: str) -> None:
    assert parse(text) == Query(())


def test_a_space_means_and() -> None:
    assert parse("  status:failed   -task:x\tqueue:q ") == Query(
        (Term("status", ("failed",)), Term("task", ("x",), negated=True), Term("queue", ("q",)))
    )


def test_the_example_of_the_contract() -> None:
    text = (
        "status:failed,timed_out task:x queue:default tag:k=v error:text waiting:signal "
        "parent:ID root:ID state:paid since:2h id:ID"
    )
    assert [term.field for term in parse(text).terms] == list(FIELDS)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("task:x id:a\0b", 10),
        ('error:"\ud800"', 6),
        ("failed", 0),
        ("  failed", 2),
        ("status:failed oops", 14),
        ("colour:red", 0),
        ("-colour:red", 1),
        ("status:failed colour:red", 14),
        ("status:done", 7),
        ("status:failed,done", 14),
        ("waiting:coffee", 8),
        ("tag:novalue", 4),
        ("tag:k=v,novalue", 8),
        ("since:yesterday", 6),
        ("since:2h,5", 9),
        ("since:-2h", 6),
        ("task:", 0),
        ("task: x", 0),
        ("task:a,,b", 5),
        ("task:a,", 5),
        ("task:,a", 5),
        ('error:"open', 0),
        ('task:a error:b"open', 14),
        ("- status:failed", 0),
        ("--status:failed", 0),
        ("status :failed", 0),
        (":x", 0),
    ],
)
def test_a_mistake_is_pointed_at(text: str, position: int) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"position {position}" in str(caught.value)


def test_the_message_says_what_would_be_right() -> None:
    with pytest.raises(InvalidQueryError, match="fields are status, task"):
        parse("stauts:failed")
    with pytest.raises(InvalidQueryError, match="none of pending, running"):
        parse("status:done")
    with pytest.raises(InvalidQueryError, match="30m, 2h or 7d"):
        parse("since:soon")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1ms", 1), ("90s", 90_000), ("1m", 60_000), ("2h", 7_200_000), ("1.5d", 129_600_000), ("1w", 604_800_000),
        ("0s", 0), ("", None), ("5", None), ("h", None), ("1 h", None), ("-1h", None), ("1H", None), ("1e3s", None),
        ("1.h", None), ("1h30m", None),
    ],
)  # fmt: skip
def test_durations(text: str, milliseconds: int | None) -> None:
    assert duration(text) == milliseconds


@pytest.mark.parametrize("text", ["since:" + "9" * 400 + "h", "since:99999999999999999999w"])
def test_an_absurd_duration_is_a_mistake_and_no_crash(text: str) -> None:
    with pytest.raises(InvalidQueryError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["\x00", "task:\x00", "ſtatus:failed", "status:ﬀ", "tag:🙂=🙂", "\ud800:x", '"', '""', "-", ":"]
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidQueryError as error:
        assert 0 <= error.position <= len(text)
