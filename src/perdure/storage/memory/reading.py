"""What people and engines read: executions, journals, searches, counts, workers. Nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from perdure.model.query import Query
from perdure.model.records import Child, Found, JournalView, Row, Stat, WorkerRow
from perdure.model.status import SETTLED, Status
from perdure.storage.memory.matching import fits
from perdure.storage.memory.tables import OPEN_IDLE, Tables
from perdure.storage.protocol import Order
from perdure.storage.settling import cursor, read_cursor


def get(tables: Tables, ids: Sequence[str]) -> list[Row | None]:
    """Executions by id."""
    return [tables.rows.get(id) for id in ids]


def settled(tables: Tables, ids: Sequence[str]) -> list[Row | None]:
    """The settled ones among executions."""
    return [row if row is not None and row.status in SETTLED else None for row in get(tables, ids)]


def journal(tables: Tables, ids: Sequence[str]) -> list[JournalView]:
    """What is recorded, entries and signals by position, children in the order in which they went in."""
    return [_view(tables, tables.rows[id]) if id in tables.rows else JournalView() for id in ids]


def search(tables: Tables, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
    """A page of executions, by creation time, then id."""
    start = None if after is None else read_cursor(after)
    rows = sorted((row for row in tables.rows.values() if fits(row, query, now)), key=_age, reverse=order == "newest")
    if start is not None:
        rows = [row for row in rows if (_age(row) < start if order == "newest" else _age(row) > start)]
    page = tuple(rows[: max(limit, 0)])
    return Found(page, cursor(*_age(page[-1])) if page and len(rows) > len(page) else None)


def count(tables: Tables, query: Query, now: int) -> int:
    """How many executions fit."""
    return sum(fits(row, query, now) for row in tables.rows.values())


def stats(tables: Tables, now: int) -> list[Stat]:
    """Counts by task, queue and status, in that order."""
    counts: Counter[tuple[str, str, Status]] = Counter()
    oldest: dict[tuple[str, str, Status], int] = {}
    for row in tables.rows.values():
        group = (row.task_name, row.queue, row.status)
        counts[group] += 1
        if row.status in OPEN_IDLE and row.due_at is not None and row.due_at <= now:
            oldest[group] = min(oldest.get(group, row.due_at), row.due_at)
    return [Stat(*group, number, oldest.get(group)) for group, number in sorted(counts.items())]


def workers(tables: Tables) -> list[WorkerRow]:
    """Workers in order of id."""
    return [
        msgspec.structs.replace(tables.workers[id], running=len(tables.held.ids(id))) for id in sorted(tables.workers)
    ]


def _view(tables: Tables, row: Row) -> JournalView:
    entries = sorted(
        tables.entries.get(row.id, {}).values(), key=lambda entry: (entry.position, entry.key, entry.scope)
    )
    children = [tables.rows[id] for id in tables.children.get(row.id, ())]
    kept = None if row.external_key is None else tables.externals.get((row.origin, row.external_key))
    return JournalView(
        entries=tuple(entries),
        children=tuple(_child(tables, child) for child in children),
        signals=tuple(tables.signals.get(row.id, {}).values()),
        children_settled=row.children_settled,
        external=None if kept is None else kept.completion,
    )


def _child(tables: Tables, row: Row) -> Child:
    return Child(
        row.id, row.slot or "", row.slot_generation, row.task_name, row.status, tables.stale.get(row.id, False),
        row.result, row.failure, row.created_at,
    )  # fmt: skip


def _age(row: Row) -> tuple[int, str]:
    return row.created_at, row.id
