"""The one query language of Python, command line, HTTP and page: text in, checked terms out.

    status:failed,timed_out task:x queue:default tag:k=v error:text waiting:signal parent:ID root:ID state:paid since:2h

A space means *and*, a comma *or*, a leading `-` *not*; a value with spaces or commas stands in double quotes; an id may
end in `*`, for all that begin so. This
module only reads the text; storages turn the terms into SQL or predicates.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from perdure.errors import InvalidQueryError
from perdure.model.policy import LONGEST
from perdure.model.status import STATUSES, WAIT_KINDS

FIELDS: Final = ("status", "task", "queue", "tag", "error", "waiting", "parent", "root", "state", "since", "id")
UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

_TERM = re.compile(r'\s*(?P<not>-?)(?P<field>[A-Za-z_]+):(?P<values>(?:"[^"]*"|[^\s"])+)')
_VALUE = re.compile(r'(?:"[^"]*"|[^,"])+')
_UNSTORED = re.compile(r"[\0\ud800-\udfff]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_ALLOWED: Final = {"status": STATUSES, "waiting": WAIT_KINDS}


class Term(msgspec.Struct, frozen=True):
    """One condition: the field equals (for `error`: contains) one of the values, or with `negated` none of them."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


class Query(msgspec.Struct, frozen=True):
    """All terms must hold. `since` values are milliseconds as text."""

    terms: tuple[Term, ...] = ()


def parse(text: str) -> Query:
    """The query that `text` means. Raises `InvalidQueryError` with the position of what cannot be read."""
    terms: list[Term] = []
    position = 0
    while text[position:].strip():
        match = _TERM.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise InvalidQueryError(_complaint(text, start), start)
        terms.append(_term(text, match))
        position = match.end()
    return Query(tuple(terms))


def duration(text: str) -> int | None:
    """`2h`, `90s`, `1.5d` as milliseconds; `None` when it is no duration, or longer than any (a hundred years)."""
    match = _DURATION.fullmatch(text)
    length = float(match[1]) * UNITS[match[2]] if match else LONGEST * 1000 + 1
    return round(length) if length <= LONGEST * 1000 else None


def _term(text: str, match: re.Match[str]) -> Term:
    field, start = match["field"], match.start("values")
    if field not in FIELDS:
        raise InvalidQueryError(_unknown(text, field, match.start("field")), match.start("field"))
    pieces = [(start + piece.start(), piece[0].replace('"', "")) for piece in _VALUE.finditer(match["values"])]
    if len(pieces) != len(re.sub(r'"[^"]*"', "x", match["values"]).split(",")):
        raise InvalidQueryError(f"query {text!r}: an empty value at position {start}", start)
    return Term(field, tuple(_value(text, field, at, value) for at, value in pieces), bool(match["not"]))


def _value(text: str, field: str, at: int, value: str) -> str:
    allowed = _ALLOWED.get(field)
    if allowed is not None and value not in allowed:
        raise InvalidQueryError(
            f"query {text!r}: {field} {value!r} at position {at} is none of {', '.join(allowed)}", at
        )
    if _UNSTORED.search(value):
        raise InvalidQueryError(
            f"query {text!r}: {field} {value!r} at position {at} holds a NUL or half a surrogate pair, for which nobody can "
            f"look", at,
        )  # fmt: skip
    if field == "tag" and "=" not in value:
        raise InvalidQueryError(f"query {text!r}: tag at position {at} must read tag:key=value", at)
    if field != "since":
        return value
    length = duration(value)
    if length is None:
        raise InvalidQueryError(f"query {text!r}: since {value!r} at position {at} must read like 30m, 2h or 7d", at)
    return str(length)


def _unknown(text: str, field: str, at: int) -> str:
    return f"query {text!r}: unknown field {field!r} at position {at}; fields are {', '.join(FIELDS)}"


def _complaint(text: str, at: int) -> str:
    return f"query {text!r}: cannot read {text[at : at + 20]!r} at position {at}; write field:value"
