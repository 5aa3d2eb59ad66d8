"""Which executions a query means: its terms as names of fragments with one parameter each.

The fragments are files of the database's `sql/terms`, named after the fields of a query (two more say by an index what
`status` says, one what `id` says with a star). A term holds when the row fits
one of its values; a negated one when it fits none, a row without such a field included. No text of a query ever
becomes SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from perdure.model.query import FIELDS, Query, Term
from perdure.model.status import UNSUCCESSFUL
from perdure.storage._sql.session import Parameter

LAST: Final = chr(0x10FFFF)
"""The last of all characters."""
Condition: TypeAlias = tuple[str, bool, Parameter]


def conditions(query: Query, now: int) -> list[Condition]:
    """The conditions that must all hold. Raises `ValueError` for an unknown field."""
    found: list[Condition] = []
    for term in query.terms:
        if term.field not in FIELDS:
            raise ValueError(f"a query has no field {term.field!r}; it has {', '.join(FIELDS)}")
        fragment = _fragment(term)
        since = term.field == "since"
        parameter = now - _longest(term.values) if since else PARAMETERS.get(fragment, _values)(term.values)
        found.append((fragment, term.negated, parameter))
    return found


def _fragment(term: Term) -> str:
    """The fragment for a term: its field's, or one that says the same by an index."""
    if term.field == "status" and not term.negated and UNSUCCESSFUL.issuperset(term.values):
        return "status_unsuccessful"
    if term.field == "status" and not term.negated and set(term.values) == {"running"}:
        return "status_running"
    if term.field == "id" and any(value.endswith("*") for value in term.values):
        return "id_ranges"
    return term.field


def _ranges(values: tuple[str, ...]) -> Parameter:
    """The first and the last text that a value stands for."""
    return [(value[:-1], f"{value[:-1]}{LAST}") if value.endswith("*") else (value, value) for value in values]


def _values(values: tuple[str, ...]) -> Parameter:
    return values


def _pairs(values: tuple[str, ...]) -> Parameter:
    return [value.partition("=")[::2] for value in values]


def _lower(values: tuple[str, ...]) -> Parameter:
    return [value.lower() for value in values]


def _longest(values: tuple[str, ...]) -> int:
    return max(int(value) for value in values)


PARAMETERS: Final[dict[str, Callable[[tuple[str, ...]], Parameter]]] = {
    "tag": _pairs,
    "error": _lower,
    "id_ranges": _ranges,
}
"""What a fragment asks for, where it is not the values as they stand."""
