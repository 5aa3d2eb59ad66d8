"""Which executions a query means: its terms as a predicate over rows.

A term holds when the row fits one of its values; a negated one when it fits none, a row without such a field included.
The text of a query is read elsewhere (`perdure.model.query`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import msgspec

from perdure.model.query import Query, Term
from perdure.model.records import Row
from perdure.storage.settling import load_waits


def fits(row: Row, query: Query, now: int) -> bool:
    """Whether all terms of the query hold for the row. Raises `ValueError` for an unknown field."""
    return all(_holds(row, term, now) for term in query.terms)


def _holds(row: Row, term: Term, now: int) -> bool:
    if term.field == "since":
        found = any(row.created_at >= now - int(value) for value in term.values)
    elif term.field in MATCHERS:
        found = any(MATCHERS[term.field](row, value) for value in term.values)
    else:
        raise ValueError(f"a query has no field {term.field!r}; it has since, {', '.join(MATCHERS)}")
    return found != term.negated


def _tag(row: Row, value: str) -> bool:
    key, _, wanted = value.partition("=")
    return _object(row.tags).get(key) == wanted


def _error(row: Row, value: str) -> bool:
    failure = _object(row.failure)
    texts = (failure.get("message", ""), failure.get("type", ""))
    return any(value.lower() in text.lower() for text in texts if isinstance(text, str))


def _waiting(row: Row, value: str) -> bool:
    return row.status == "waiting" and any(wait.kind == value for wait in load_waits(row.waits))


def _object(text: str | None) -> dict[str, object]:
    """A stored JSON object; nothing for anything else."""
    read: object = None if text is None else msgspec.json.decode(text)
    return cast("dict[str, object]", read) if isinstance(read, dict) else {}


MATCHERS: Final[dict[str, Callable[[Row, str], bool]]] = {
    "status": lambda row, value: row.status == value,
    "task": lambda row, value: row.task_name == value,
    "queue": lambda row, value: row.queue == value,
    "tag": _tag,
    "error": _error,
    "waiting": _waiting,
    "parent": lambda row, value: row.parent_id == value,
    "root": lambda row, value: row.root_id == value,
    "state": lambda row, value: _object(row.progress).get("state") == value,
    "id": lambda row, value: row.id.startswith(value[:-1]) if value.endswith("*") else row.id == value,
}
