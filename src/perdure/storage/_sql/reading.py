"""What people and engines read: executions, journals, searches, counts, workers. Nothing here writes.

Each function reads inside one snapshot that its caller has opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from perdure.model.externals import Completion
from perdure.model.query import Query
from perdure.model.records import Child, Entry, Found, JournalView, Received, Row, Stat, WorkerRow
from perdure.storage._sql.matching import conditions
from perdure.storage._sql.session import Answer, Session
from perdure.storage.protocol import Order
from perdure.storage.settling import cursor, read_cursor

END_OF_TIME: Final = 2**63 - 1
_NAMES: Final = msgspec.json.Decoder(tuple[str, ...])


def get(session: Session, ids: Sequence[str], name: str = "get") -> list[Row | None]:
    """Executions by id; with `name` "settled" only those that are."""
    found = {row[0]: Row(*row) for row in session.read(name, ids)}
    return [found.get(id) for id in ids]


def journal(session: Session, ids: Sequence[str]) -> list[JournalView]:
    """What is recorded, entries and signals by position, children in the order in which they went in."""
    head_rows, entry_rows, child_rows, signal_rows = session.several(
        ("journal_heads", ids), ("journal_entries", ids), ("journal_children", ids), ("journal_signals", ids)
    )
    heads = {row[0]: (int(row[1]), row[2]) for row in head_rows}
    external = [id for id, (_, keyed) in heads.items() if keyed]
    completions = (
        {row[0]: Completion(*row[1:]) for row in session.read("journal_externals", external)} if external else {}
    )
    entries, children, signals = _grouped(entry_rows), _grouped(child_rows), _grouped(signal_rows)
    return [
        JournalView(
            entries=tuple([Entry(*row) for row in sorted(entries[id], key=_by_position)]),
            children=tuple([_child(row) for row in children[id]]),
            signals=tuple([Received(*row) for row in sorted(signals[id], key=_by_acceptance)]),
            children_settled=heads[id][0],
            external=completions.get(id),
        )
        if id in heads
        else JournalView()
        for id in ids
    ]


def search(session: Session, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
    """A page of executions, by creation time, then id."""
    newest = order == "newest"
    start = read_cursor(after) if after is not None else (END_OF_TIME, "") if newest else (-END_OF_TIME, "")
    name = "search_newest" if newest else "search_oldest"
    terms = conditions(query, now)
    page = tuple([Row(*row) for row in session.match(name, terms, *start, max(limit, 0) + 1)])
    if len(page) <= max(limit, 0):
        return Found(page, None)
    page = page[: max(limit, 0)]
    return Found(page, cursor(page[-1].created_at, page[-1].id) if page else None)


def count(session: Session, query: Query, now: int) -> int:
    """How many executions fit."""
    return session.match("count", conditions(query, now))[0][0]


def stats(session: Session, now: int) -> list[Stat]:
    """Counts by task, queue and status, in that order."""
    return [Stat(*row) for row in session.read("stats", now)]


def workers(session: Session) -> list[WorkerRow]:
    """Workers in order of id."""
    return [_worker(*row) for row in session.read("workers")]


def with_dead(rows: Sequence[WorkerRow], dead: Container[str], now: int) -> list[WorkerRow]:
    """Workers as people are to see them: the lease of one that is seen to be dead is over, whatever its row says."""
    return [replace(row, lease_until=min(row.lease_until, now)) if row.id in dead else row for row in rows]


def _worker(
    id: str, host: str, process: int, version: str, queues: str, tasks: str, concurrency: int,
    started_at: int, lease_until: int, draining: int, running: int,
) -> WorkerRow:  # fmt: skip
    return WorkerRow(
        id, host, process, version, _NAMES.decode(queues), _NAMES.decode(tasks), concurrency, started_at, lease_until,
        bool(draining), running,
    )  # fmt: skip


def _grouped(rows: Answer) -> defaultdict[str, list[Any]]:
    """Rows by their first column, without it."""
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row[1:])
    return groups


def _child(row: Sequence[Any]) -> Child:
    id, slot, generation, task_name, status, stale, result, failure, created_at = row
    return Child(id, slot or "", generation, task_name, status, bool(stale), result, failure, created_at)


def _by_position(row: Sequence[Any]) -> tuple[int, str, str]:
    return row[2], row[0], row[1]


def _by_acceptance(row: Sequence[Any]) -> int:
    return row[3]
