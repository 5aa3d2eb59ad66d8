"""Reading journals for bodies: whole for those that begin, and only what is new for those in memory.

A body that waits for a few of many children needs to know no more than how these are by now: reading all of them each time
would make the work of a bounded tree quadratic. What is new is taken for the whole only where it adds up: nothing else
settled and nothing was reopened since, by the parent's own count. This module must never decide who runs what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from perdure.engine.driver import Driver
from perdure.engine.waits import Look
from perdure.errors import AppClosedError, StorageError
from perdure.model.records import Child, Claim, JournalView, Row
from perdure.model.status import SETTLED
from perdure.storage.protocol import Storage
from perdure.storage.store import Store


async def read_claimed(
    store: Store, claims: Sequence[Claim], lingering: Mapping[str, Driver]
) -> list[tuple[Claim, JournalView | None]]:
    """Claims with what is to be read before they are gone on with, `None` where it cannot be read."""
    looks = [_look(claim, lingering) for claim in claims]
    views = await _read(store, claims, looks)
    ended = [i for i, claim in enumerate(claims) if looks[i] is not None and not _in_memory(claim, lingering)]
    if ended:  # their bodies were given up meanwhile: those that begin anew need all
        for i, view in zip(ended, await _read(store, [claims[i] for i in ended], [None] * len(ended)), strict=True):
            views[i] = view
    return list(zip(claims, views, strict=True))


def read(storage: Storage, ids: Sequence[str], looks: Sequence[Look | None]) -> list[JournalView]:
    """The journals of executions, or what is new in them where a look says what is asked for."""
    asked = {id: look for id, look in zip(ids, looks, strict=True) if look is not None}
    found = _news(storage, asked) if asked else {}
    whole = [id for id in ids if id not in found]
    if whole:
        found.update(zip(whole, storage.journal(whole), strict=True))
    return [found[id] for id in ids]


async def _read(store: Store, claims: Sequence[Claim], looks: Sequence[Look | None]) -> list[JournalView | None]:
    ids = [claim.id for claim in claims]
    try:
        views = await store.read(lambda storage: read(storage, ids, looks))
    except (StorageError, AppClosedError) as error:
        store.trouble.failed("journal", f"journals cannot be read; {len(ids)} executions are given back", error)
        return [None] * len(ids)
    store.trouble.over("journal")
    return [*views]


def _look(claim: Claim, lingering: Mapping[str, Driver]) -> Look | None:
    waits = lingering[claim.id].waits if _in_memory(claim, lingering) else None
    return None if waits is None else waits.look()


def _in_memory(claim: Claim, lingering: Mapping[str, Driver]) -> bool:
    driver = lingering.get(claim.id)
    return driver is not None and driver.follows(claim)


def _news(storage: Storage, asked: Mapping[str, Look]) -> dict[str, JournalView]:
    """What is new, of those where it adds up. Parents are read first: their counts are never newer than their children."""
    ids = [*asked, *chain.from_iterable(look.children for look in asked.values())]
    rows = dict(zip(ids, storage.get(ids), strict=True))
    views = {id: _view(rows[id], [rows[child] for child in look.children], look) for id, look in asked.items()}
    return {id: view for id, view in views.items() if view is not None}


def _view(parent: Row | None, rows: Sequence[Row | None], look: Look) -> JournalView | None:
    children = tuple(child for row in rows if row is not None and (child := _child(row)) is not None)
    settled = look.settled + sum(child.status in SETTLED for child in children)
    if parent is None or len(children) < len(rows) or parent.children_settled != settled:
        return None
    return JournalView(children=children, children_settled=settled)


def _child(row: Row) -> Child | None:
    """A child by its row; of one that was cancelled the row does not tell whether it is to be replaced."""
    if row.cancel_reason is not None or row.status == "cancelled":
        return None
    return Child(
        row.id, row.slot or "", row.slot_generation, row.task_name, row.status, False, row.result, row.failure, row.created_at
    )  # fmt: skip
