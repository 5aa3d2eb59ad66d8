"""The data of the memory storage: plain dictionaries of frozen records, ordered indexes, and a way back.

Every write goes through `put`, `set` or `drop`, which note how to undo it; `atomic` undoes everything of a block that
raises. Indexes follow from the rows: `put` compares the marks of the old row with those of the new one, so that no
operation can forget one. This module knows no rule of the contract; it must never decide anything.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from perdure.model.externals import Completion
from perdure.model.records import Entry, Received, Row, Suspended, WorkerRow

G = TypeVar("G")
K = TypeVar("K")
V = TypeVar("V")
Item: TypeAlias = tuple[int, str]
Mark: TypeAlias = tuple["SortedGroups", Hashable, Item]

OPEN_IDLE: Final = frozenset({"pending", "waiting"})


class Kept(msgspec.Struct, frozen=True):
    """A completion of an external task, under the id it came with; `expires_at`: when the task's own retention ends."""

    id: str
    completion: Completion
    expires_at: int | None


class SortedGroups:
    """Sorted lists of (moment, id), one per group; empty groups vanish."""

    def __init__(self) -> None:
        self.groups: dict[Hashable, list[Item]] = {}

    def add(self, group: Hashable, item: Item) -> None:
        """Adds an item that is not there."""
        insort(self.groups.setdefault(group, []), item)

    def drop(self, group: Hashable, item: Item) -> None:
        """Removes an item that is there."""
        items = self.groups[group]
        del items[bisect_left(items, item)]
        if not items:
            del self.groups[group]

    def until(self, group: Hashable, moment: int) -> Iterator[Item]:
        """The items of a group up to a moment, that included. The group must not change meanwhile."""
        items = self.groups.get(group, [])
        return (items[place] for place in range(bisect_left(items, (moment + 1, ""))))

    def after(self, group: Hashable, moment: int) -> int | None:
        """The first moment of a group that lies after a moment."""
        items = self.groups.get(group, [])
        place = bisect_left(items, (moment + 1, ""))
        return items[place][0] if place < len(items) else None

    def ids(self, group: Hashable) -> list[str]:
        """The ids of a group, in its order."""
        return [id for _, id in self.groups.get(group, [])]


class Tables:
    """All that the storage knows. Read the dictionaries freely, write only through the methods."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.wakes: dict[str, Suspended] = {}
        """Of waiting executions: under which conditions they fall due."""
        self.stale: dict[str, bool] = {}
        self.suspended: dict[str, bool] = {}
        """Executions that were suspended once, or dropped what they had recorded: they have a past to be read."""
        self.reopened: dict[str, bool] = {}
        """Running executions of which a child was opened again meanwhile."""
        self.entries: dict[str, dict[tuple[str, str], Entry]] = {}
        self.signals: dict[str, dict[str, Received]] = {}
        self.children: dict[str, dict[str, bool]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.slots: dict[tuple[str, str, int], str] = {}
        self.externals: dict[tuple[str, str], Kept] = {}
        """By origin of the task, and key."""
        self.keyed: dict[tuple[str, str], dict[str, bool]] = {}
        """Executions by their origin and external key."""
        self.workers: dict[str, WorkerRow] = {}
        self.due = SortedGroups()
        """By (queue, task, priority): pending and waiting ones that have a due time."""
        self.deadlines = SortedGroups()
        """By queue: pending and waiting ones that have a deadline."""
        self.held = SortedGroups()
        """By worker: running ones, in order of id."""
        self.closed_roots = SortedGroups()
        self._undo: list[Callable[[], None]] = []
        self._depth = 0

    @contextmanager
    def atomic(self) -> Generator[None]:
        """What the block writes is undone when it raises; blocks may nest."""
        start = len(self._undo)
        self._depth += 1
        try:
            yield
        except BaseException:
            while len(self._undo) > start:
                self._undo.pop()()
            raise
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._undo.clear()

    def put(self, row: Row) -> Row:
        """Stores a row, new or changed, and answers it."""
        self._swap(row.id, row)
        return row

    def change(self, id: str, **changes: object) -> Row:
        """Changes fields of a row and answers the new one."""
        return self.put(msgspec.structs.replace(self.rows[id], **changes))

    def remove(self, id: str) -> None:
        """Removes an execution and all that is kept about it."""
        row = self.rows[id]
        tables: list[dict[str, Any]] = [
            self.wakes, self.stale, self.suspended, self.reopened, self.entries, self.signals, self.children
        ]  # fmt: skip
        for table in tables:
            self.drop(table, id)
        if row.idempotency_key is not None:
            self.drop(self.keys, (row.origin, row.idempotency_key))
        if row.parent_id is not None and row.slot is not None:
            self.drop(self.slots, (row.parent_id, row.slot, row.slot_generation))
        if row.external_key is not None:
            self.drop(self.keyed[row.origin, row.external_key], id)
        if row.parent_id in self.children:
            self.drop(self.children[row.parent_id], id)
        self._swap(id, None)

    def set(self, table: dict[K, V], key: K, value: V) -> None:
        """Writes one value of a dictionary."""
        if key in table:
            old = table[key]
            self._undo.append(lambda: table.__setitem__(key, old))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def drop(self, table: dict[K, V], key: K) -> None:
        """Removes one value of a dictionary, if it is there."""
        if key in table:
            old = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, old))

    def within(self, table: dict[G, dict[K, V]], id: G) -> dict[K, V]:
        """The inner dictionary of one execution (or what else groups them), made when it is missing."""
        if id not in table:
            self.set(table, id, {})
        return table[id]

    def _swap(self, id: str, row: Row | None) -> None:
        old = self.rows.get(id)
        self._undo.append(lambda: self._place(id, row, old))
        self._place(id, old, row)

    def _place(self, id: str, old: Row | None, row: Row | None) -> None:
        before, after = self._marks(old), self._marks(row)
        if before != after:
            for index, group, item in before:
                index.drop(group, item)
            for index, group, item in after:
                index.add(group, item)
        if row is None:
            del self.rows[id]
        else:
            self.rows[id] = row

    def _marks(self, row: Row | None) -> list[Mark]:
        """Where a row stands in the indexes."""
        marks: list[Mark] = []
        if row is None:
            return marks
        if row.status in OPEN_IDLE:
            if row.due_at is not None:
                marks.append((self.due, (row.queue, row.task_name, row.priority), (row.due_at, row.id)))
            if row.deadline_at is not None:
                marks.append((self.deadlines, row.queue, (row.deadline_at, row.id)))
        elif row.status == "running":
            marks.append((self.held, row.worker_id, (0, row.id)))
        elif row.parent_id is None and row.closed_at is not None:
            marks.append((self.closed_roots, None, (row.closed_at, row.id)))
        return marks
