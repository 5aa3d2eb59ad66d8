"""All rows of a store that fit a query, page by page: for commands that look at everything. Nothing is kept of a page before
the next one is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from perdure.app import Perdure
from perdure.model.query import Query, parse
from perdure.model.records import Found, JournalView, Row
from perdure.storage import Storage

OPEN: Final = "-status:completed,failed,timed_out,cancelled"
SETTLED: Final = "status:completed,failed,timed_out,cancelled"
BITE: Final = 500


async def pages(app: Perdure, query: str) -> AsyncIterator[tuple[Row, ...]]:
    """Pages of rows, oldest first."""
    terms, now, after = parse(query), app.parts.clock.now(), None
    while True:
        found = await app.client.store.read(_searching(terms, after, now))
        yield found.rows
        after = found.after
        if after is None:
            return


async def journals(app: Perdure, rows: tuple[Row, ...]) -> list[JournalView]:
    """The journals of rows, in their order."""
    ids = [row.id for row in rows]
    return await app.client.store.read(lambda storage: storage.journal(ids)) if ids else []


def _searching(terms: Query, after: str | None, now: int) -> Callable[[Storage], Found]:
    return lambda storage: storage.search(terms, "oldest", BITE, after, now)
