"""Putting new executions in: enqueued ones and spawned ones alike (R1, R4).

New executions of one call mostly share all but id, input and keys, so they go in by groups that bind the rest once.
Conflicts are left to the database's unique indexes; only when something did not go in, those who stand in its place
are looked up. Items of one call that meet each other go in one after the other. Whether a parent may spawn is decided
in `commits`; the inserting statement checks the spawner's token once more (R2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

import msgspec

from perdure.model.records import Conflict, Enqueued, NewExecution
from perdure.storage._sql.session import OvertakenError, Session

Fence: TypeAlias = tuple[str | None, int | None]
"""The id and token of the execution that spawns; nothing for a client."""

UNFENCED: Final[Fence] = (None, None)
MOST_GROUPS: Final = 4
"""More groups than this, and small ones, are written as a mixture."""
SMALL_GROUP: Final = 16

_FIELDS: Final = NewExecution.__struct_fields__
OWN: Final = itemgetter(*map(_FIELDS.index, ("id", "input", "input_digest", "idempotency_key", "slot")))
SHARED: Final = itemgetter(
    *map(
        _FIELDS.index,
        (
            "task_name", "queue", "priority", "due_at", "deadline_at", "options", "version", "tags", "trace", "parent_id",
            "slot_generation", "root_id", "depth", "max_crashes", "retention", "worker_id", "external_key",
            "origin",
        ),
    )
)  # fmt: skip
"""Of a new execution's fields, those that each has of its own, and those that many share."""

Group: TypeAlias = tuple[tuple[Any, ...], Fence, list[tuple[Any, ...]]]
"""What some executions share, who spawns them, and what each has of its own."""
Standing: TypeAlias = tuple[str, str, str, str | None, Any]
"""Id, task, its origin, digest and status of an execution that stands already."""


def insert(
    session: Session, items: Sequence[NewExecution], fences: Sequence[Fence], now: int
) -> list[Enqueued | Conflict]:
    """Stores executions, or answers those that stand for them already."""
    answers: list[Enqueued | Conflict] = []
    start = 0
    for end in _runs(items):
        answers += _insert_distinct(session, items[start:end], fences[start:end], now, last=end == len(items))
        start = end
    return answers


def _runs(items: Sequence[NewExecution]) -> Iterator[int]:
    """Where to cut the items so that no two of one run meet under an id, a key or a slot."""
    if len({item.id for item in items}) == len(items) and not any(map(_is_keyed, items)):
        yield len(items)
        return
    seen: set[object] = set()
    for place, item in enumerate(items):
        names = _names(item)
        if not seen.isdisjoint(names):
            yield place
            seen.clear()
        seen.update(names)
    yield len(items)


def _is_keyed(item: NewExecution) -> bool:
    return item.idempotency_key is not None or item.slot is not None


def _is_special(item: NewExecution) -> bool:
    """Whether more may follow when it is in, or when it is not."""
    return bool(item.entries) or _is_keyed(item)


def _names(item: NewExecution) -> list[object]:
    names: list[object] = [item.id]
    if item.idempotency_key is not None:
        names.append((item.origin or item.task_name, item.idempotency_key))
    if item.parent_id is not None and item.slot is not None:
        names.append((item.parent_id, item.slot, item.slot_generation))
    return names


def _insert_distinct(
    session: Session, items: Sequence[NewExecution], fences: Sequence[Fence], now: int, *, last: bool
) -> list[Enqueued | Conflict]:
    """Stores executions that do not meet each other; `last`: none of this operation follow."""
    created = _write(session, items, fences, now, last=last)
    _copy_entries(session, items if created is None else [item for item in items if item.id in created])
    if created is None:
        return [_created(item) for item in items]
    missing = [item for item in items if item.id not in created]
    standing = iter(_standing(session, missing))
    return [_created(item) if item.id in created else next(standing) for item in items]


def _created(item: NewExecution) -> Enqueued:
    if item.worker_id is None:
        return Enqueued(item.id, True, "pending")
    return Enqueued(item.id, True, "running", True)


def _write(
    session: Session, items: Sequence[NewExecution], fences: Sequence[Fence], now: int, *, last: bool
) -> set[str] | None:
    """The ids that went in; `None` when all did."""
    groups = _groups(items, fences)
    session.notable = session.notable or any(item.worker_id is None for item in items)
    if len(groups) > MOST_GROUPS and len(items) < len(groups) * SMALL_GROUP:
        return session.insert(
            "enqueue_mixed", (now,), [(*own, *shared, *fence) for shared, fence, group in groups for own in group]
        )
    last = last and len(groups) == 1 and groups[0][1] is UNFENCED and not any(map(_is_special, items))
    created: set[str] = set()
    complete = True
    for shared, fence, group in groups:
        head = (now, *shared) if fence is UNFENCED else (now, *shared, *fence)
        inserted = session.insert("enqueue" if fence is UNFENCED else "spawn", head, group, last=last)
        complete = complete and inserted is None
        created.update([str(row[0]) for row in group] if inserted is None else inserted)
    return None if complete else created


def _groups(items: Sequence[NewExecution], fences: Sequence[Fence]) -> list[Group]:
    """What executions share, who spawns them, and what each has of its own; in the order of the statements' columns.
    Spawned ones stay in their order, which is how a parent shows them: there only neighbours make a group."""
    groups: dict[tuple[Any, ...], Group] = {}
    shared, fence, members = None, None, []
    for item, its_fence in zip(items, fences, strict=True):
        values = msgspec.structs.astuple(item)
        its_shared = SHARED(values)
        if its_shared != shared or its_fence is not fence:
            shared, fence = its_shared, its_fence
            place = None if fence is UNFENCED else len(groups)
            members = groups.setdefault((shared, fence, place), (shared, fence, []))[2]
        members.append(OWN(values))
    return list(groups.values())


def _copy_entries(session: Session, items: Sequence[NewExecution]) -> None:
    """Entries that come along (a fork)."""
    filled = [item for item in items if item.entries]
    if filled:
        rows = [(item.id, *msgspec.structs.astuple(entry)) for item in filled for entry in item.entries]
        session.give("copy_entries", rows)
        session.do("mark_entries", [item.id for item in filled])


def _standing(session: Session, items: Sequence[NewExecution]) -> list[Enqueued | Conflict]:
    """Who stands in the places of items that did not go in: by id, else by key, else by slot."""
    given = [
        (item.id, item.origin or item.task_name, item.idempotency_key, item.parent_id, item.slot, item.slot_generation)
        for item in items
    ]
    by: tuple[dict[int, Standing], ...] = ({}, {}, {})
    for how, number, *standing in session.read("standing", given):
        by[how][number] = tuple(standing)
    return [_stands(item, *(found.get(number) for found in by)) for number, item in enumerate(items)]


def _stands(
    item: NewExecution, by_id: Standing | None, by_key: Standing | None, by_slot: Standing | None
) -> Enqueued | Conflict:
    found = by_id or by_key
    if found is None:
        if by_slot is None:  # who stood in its place is gone again
            raise OvertakenError
        return Enqueued(by_slot[0], False, by_slot[4])
    id, task, origin, digest, status = found
    same = origin == (item.origin or item.task_name)
    if same and digest == item.input_digest:
        return Enqueued(id, False, status)
    what = f"id {id!r}" if id == item.id else f"idempotency key {item.idempotency_key!r}"
    other = "other input" if same else f"task {task!r}"
    return Conflict(id, f"{what} already belongs to an execution of {other}")
