"""The replay ledger: what one execution has recorded, and the keys by which calls find it again.

Pure: no clock, no I/O, no asyncio. Keys are made of names and canonical arguments, never of a global count; what has no
identity of its own is numbered within its branch. A key met by another kind of verb is drift. A body that does one thing
after another (iterations, items of a list) does it in chapters: the keys of each begin with its number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from perdure.errors import JournalDriftError
from perdure.model.externals import Completion
from perdure.model.records import MEMO, Child, Entry, EntryKind, JournalView, Received
from perdure.model.status import SETTLED, UNSUCCESSFUL

STARTED: Final = "started "
"""Scope of the mark that an at-most-once activity began in an attempt: this and the attempt."""


NOT_RENAMED: Final[Mapping[str, str]] = MappingProxyType({})


class Branch:
    """An asyncio task made inside a body. `path` is its parent's path plus its place among the tasks its parent made; it
    numbers, per key, the calls that have no identity of their own. `chapter` is what all keys asked for here begin with."""

    __slots__ = ("_children", "_counts", "chapter", "path")

    def __init__(self, path: str = "0", chapter: str = "") -> None:
        self.path, self.chapter = path, chapter
        self._children = 0
        self._counts: dict[str, int] = {}

    def child(self) -> Branch:
        """The next branch below this one."""
        self._children += 1
        return Branch(f"{self.path}.{self._children - 1}", self.chapter)

    def key(self, base: str) -> str:
        """`base` as a key of this branch's chapter."""
        return self.chapter + base

    def numbered(self, base: str) -> str:
        """`base` with this branch's path and how often it was asked for here before."""
        count = self._counts.get(base, 0)
        self._counts[base] = count + 1
        return f"{self.chapter}{base}@{self.path}#{count}"


def chapter_prefix(number: int) -> str:
    """What the keys of a chapter begin with; the key that is just this holds what the chapter begins or ends with."""
    return f"{number}/"


def chapter_number(prefix: str) -> int:
    """The number of a chapter, by what its keys begin with."""
    return int(prefix[:-1])


def within_chapter(key: str) -> tuple[str, str]:
    """The chapter that a key belongs to (an empty text for none), and the key without it."""
    number, slash, rest = key.partition("/")
    return (number + slash, rest) if slash and number.isdecimal() and number.isascii() else ("", key)


def activity_key(name: str, digest: str, explicit: str | None) -> str:
    """The key of an activity call: its name and either an explicit key or the digest of its arguments."""
    return f"{name}:{digest}" if explicit is None else f"{name}={explicit}"


def verb_key(branch: Branch, verb: str, explicit: str | None) -> str:
    """The key of a verb without identity: numbered in its branch, or explicit."""
    return branch.numbered(verb) if explicit is None else branch.key(f"={explicit}")


class Ledger:
    """What is recorded, by key. `scope` names the attempt: failures hold only in the attempt that saw them. `renamed`
    leads from the aliases of tasks and activities to their names: what was recorded under an alias is met by the name."""

    __slots__ = (
        "_failed", "_renamed", "_started", "child_ids", "children", "children_failed", "children_settled", "external", "failures", "iteration",
        "memos", "position", "scope", "signals", "size", "taken",
    )  # fmt: skip

    def __init__(self, view: JournalView, scope: str, renamed: Mapping[str, str] = NOT_RENAMED) -> None:
        self.scope, self._renamed = scope, renamed
        self.memos: dict[str, Entry] = {}
        self.failures: dict[str, Entry] = {}
        self._started: set[tuple[str, str]] = set()
        self._failed: set[tuple[str, str]] = set()
        self.children: dict[str, Child] = {}
        self.child_ids: dict[str, str] = {}
        self.signals: dict[str, list[Received]] = defaultdict(list)
        self.taken: dict[str, int] = defaultdict(int)
        self.children_settled = self.children_failed = 0
        """How many settled, and how many of those without success, stale ones aside."""
        self.external: Completion | None = None
        self.iteration = 0
        """Of a loop, the number of the iteration that is on."""
        self.size = self.position = 0
        for entry in view.entries:
            self.add(entry)
        self.feed(view)

    @property
    def untouched(self) -> bool:
        """Whether nothing is recorded yet."""
        return self.size == 0 and not self.children and not self._started

    def add(self, entry: Entry) -> None:
        """Takes in a recorded entry; the first one of its key and scope holds."""
        if self._renamed:
            entry = msgspec.structs.replace(entry, key=self._current(entry.key, entry.name))
        if entry.position >= self.position:
            self.position = entry.position + 1
        if entry.scope == MEMO:
            if entry.key not in self.memos:
                self.memos[entry.key] = entry
                self.size += 1
                if entry.kind == "iteration":
                    self.iteration = max(self.iteration, chapter_number(entry.key))
                if entry.kind == "signal" and entry.value is not None and entry.token > 0:
                    self.taken[entry.name] += 1  # one copied by a fork was taken from another execution's queue
        elif entry.kind == "signal":
            self.taken[entry.name] += 1  # forgotten since: the next wait takes the next one
        elif entry.scope.startswith(STARTED):
            self._started.add((entry.key, entry.scope.removeprefix(STARTED)))
        else:
            self.size += 1
            self._failed.add((entry.key, entry.scope))
            if entry.scope == self.scope:
                self.failures.setdefault(entry.key, entry)

    def feed(self, view: JournalView) -> None:
        """Takes in what others did since: children that settled, signals that came, an external task completed."""
        self.children_settled = view.children_settled
        self.external = self.external or view.external
        for child in view.children:
            self.meet(child)
        if not view.signals:
            return
        signals: dict[str, list[Received]] = defaultdict(list)
        for received in view.signals:
            signals[received.name].append(received)
        for name, queue in signals.items():
            if len(queue) > len(self.signals[name]):
                self.signals[name] = queue

    def meet(self, child: Child) -> None:
        """Takes in a child; of one slot the latest generation holds, and settled outweighs open."""
        if self._renamed:
            child = msgspec.structs.replace(child, slot=self._current(child.slot, child.task_name))
        known = self.children.get(child.slot)
        if known is not None and child.generation < known.generation:
            return
        if known is None or child.generation > known.generation or known.status not in SETTLED:
            self.children_failed += _counts_as_failed(child) - _counts_as_failed(known)
            self.children[child.slot] = child
            self.child_ids[child.id] = child.slot

    def _current(self, key: str, name: str) -> str:
        """The key by which this code asks for what was recorded under a name."""
        verb, space, rest = name.rpartition(" ")  # `enqueue NAME`
        now, (chapter, own) = self._renamed.get(rest), within_chapter(key)
        return key if now is None or not own.startswith(name) else f"{chapter}{verb}{space}{now}{own[len(name) :]}"

    def turn(self, scope: str, drop: str | None) -> None:
        """A chapter ended: failures hold in another attempt from now on, and what stands under `drop` is gone."""
        self.scope, self.failures = scope, {}
        if drop is None:
            return
        gone = [key for key in self.memos if key.startswith(drop) and not _is_taken(self.memos[key])]
        failed = {place for place in self._failed if place[0].startswith(drop)}
        for key in gone:
            del self.memos[key]
        self._failed -= failed
        self._started = {place for place in self._started if not place[0].startswith(drop)}
        self.size -= len(gone) + len(failed)

    def memo(self, key: str, kind: EntryKind, what: str) -> Entry | None:
        """What is recorded for ever under `key`. Raises `JournalDriftError` when another kind of verb recorded it."""
        entry = self.memos.get(key)
        if entry is not None and entry.kind != kind:
            raise JournalDriftError(f"{what} meets key {key!r}, which a {entry.kind} recorded; use another key")
        return entry

    def failure(self, key: str) -> Entry | None:
        """The failure that this attempt saw under `key`."""
        return self.failures.get(key)

    def interrupted(self, key: str) -> bool:
        """Whether an at-most-once activity began and neither succeeded nor failed."""
        return any(marked == key and (marked, scope) not in self._failed for marked, scope in self._started)

    def child(self, slot: str) -> Child | None:
        """The child in a slot, stale ones included."""
        return self.children.get(slot)

    def child_by_id(self, execution_id: str) -> Child | None:
        """A child of this execution by its id."""
        slot = self.child_ids.get(execution_id)
        return None if slot is None else self.children.get(slot)

    def next_signal(self, name: str) -> Received | None:
        """The first signal of a name that nobody has taken."""
        queue, taken = self.signals.get(name), self.taken[name]
        return queue[taken] if queue is not None and len(queue) > taken else None

    def fresh_signals(self) -> set[str]:
        """Signals that nobody has taken and that came after the last record."""
        last = max((entry.recorded_at for entry in self.memos.values()), default=0)
        queues = self.signals.items()
        return {
            received.id
            for name, queue in queues
            for received in queue[self.taken[name] :]
            if received.accepted_at >= last
        }

    def take_position(self) -> int:
        """The next place in the journal's order."""
        self.position += 1
        return self.position - 1

    def names(self) -> set[str]:
        """Activities that are recorded, by name, those of `record` left out (their keys begin with it)."""
        recorded = [*self.memos.values(), *self.failures.values()]
        return {each.name for each in recorded if is_of_activity(each) and not self.is_over(each.key)}

    def task_names(self) -> set[str]:
        """Tasks of which there are children that stand."""
        standing = (child for child in self.children.values() if not child.stale)
        return {child.task_name for child in standing if not self.is_over(child.slot)}

    def is_over(self, key: str) -> bool:
        """Whether a key belongs to an item or a state that has ended, or to an iteration before the one that is on: nobody will
        ask for it again."""
        chapter, own = within_chapter(key)
        if not (chapter and own):
            return False
        ended = self.memos.get(chapter)
        return chapter_number(chapter) < self.iteration or (ended is not None and ended.kind in ("item", "state"))


def is_of_activity(entry: Entry) -> bool:
    """Whether a declared activity recorded it, not `ctx.record`."""
    return entry.kind == "activity" and not within_chapter(entry.key)[1].startswith("record ")


def _is_taken(entry: Entry) -> bool:
    return entry.kind == "signal" and entry.value is not None


def _counts_as_failed(child: Child | None) -> bool:
    return child is not None and child.status in UNSUCCESSFUL and not child.stale
