"""A whole store, table by table and page by page, as it stands: what `perdure copy` reads here and writes there.

Rows travel as they are, so both stores must have the same version of the schema. Pages of executions follow the order in
which they went in, which is the order of a parent's children; the others follow their keys. The rows of workers stay:
they belong to processes, and what a worker held there is an orphan's here, taken back at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from perdure.storage._sql.session import Answer, Session

PAGE: Final = 256
"""Rows of one page: bounds the memory, for a row may hold a megabyte."""


class Table(NamedTuple):
    """A table that is copied. `start` lies before its first row; `placed`: its pages begin with a column that is no data."""

    name: str
    start: tuple[str | int, ...]
    placed: bool = False


TABLES: Final = (
    Table("executions", (0,), placed=True),
    Table("journal", ("", "", "")),
    Table("signals", ("", "", 0)),
    Table("externals", ("", "")),
)
STAYING: Final = ("workers", "schema_version")
"""Tables that are not copied."""
GUARDED: Final = (*(table.name for table in TABLES), "workers")
"""Tables that a sealed store does not let anybody change: all that hold data of ours."""
SEALED: Final = "sealed: this store was moved"
"""How a refusal begins."""
MOVED: Final = (
    "it was moved to another store and takes no changes any more: use the other one (or `perdure copy --unseal`)"
)
"""What whoever is refused is told."""
UNDER_WAY: Final = "another copy of this store is under way: let it end, or end it, and try again"
"""To whoever would move it at the same time: both copies would be live."""


def page(session: Session, table: Table, after: Sequence[Any]) -> Answer:
    """The rows that follow; the last one's first columns say where the next page begins."""
    return session.read(f"page_{table.name}", *after, PAGE)


def fill(session: Session, table: Table, rows: Answer) -> None:
    """Puts the rows of a page in. Raises `StorageError` where one is there already."""
    session.give(f"fill_{table.name}", [row[1:] for row in rows] if table.placed else rows)


def sizes(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    return {table.name: int(session.read(f"size_{table.name}")[0][0]) for table in TABLES}
