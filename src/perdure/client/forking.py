"""Forks: what of an execution goes into a copy of it.

A fork has its original's options and input, unless another is given, and what was recorded before one entry. It runs
nothing and reads nothing: the client hands in what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from perdure.client.snapshots import NATURAL
from perdure.engine.options import CallOptions
from perdure.engine.specification import checked_input
from perdure.engine.task import Call, Task
from perdure.errors import ConfigurationError, InvalidInputError
from perdure.model.policy import Sizes
from perdure.model.records import MEMO, Child, Entry, JournalView, NewExecution, Row
from perdure.styles.external import checked_key

MOST_NAMES: Final = 20
COPIED: Final = 0
"""The token of copied entries: no lease of the fork recorded them."""


def fork_of(
    row: Row, id: str, text: str, entries: tuple[Entry, ...], deadline: int | None, external_key: str | None
) -> NewExecution:
    """The record of a copy with that input."""
    return NewExecution(
        id=id, task_name=row.task_name, input=text, queue=row.queue, priority=row.priority, deadline_at=deadline,
        options=row.options, version=row.version, tags=row.tags, trace=row.trace, max_crashes=row.max_crashes,
        retention=row.retention, external_key=external_key, origin=row.origin, entries=entries,
    )  # fmt: skip


def external_key(row: Row, text: str, sizes: Sizes) -> str | None:
    """The key of a fork of an external task's execution with that input: the one in it. Raises `InvalidInputError`."""
    if row.external_key is None:
        return None
    key = cast("dict[str, object]", NATURAL.native(text)).get("key")
    return checked_key(row.task_name, key, sizes.name)


def deadline_at(row: Row, task: Task[..., Any] | None, now: int) -> int | None:
    """When a fork made now is to be over: it has as long as its original had. Of a retried execution whose deadline had
    passed, and was dropped with it, the task's own is left."""
    if row.deadline_at is not None:
        return now + row.deadline_at - row.created_at
    deadline = None if task is None or row.generation == 0 else task.settings.deadline
    return None if deadline is None else now + round(deadline * 1000)


async def replaced(task: Task[..., Any] | None, name: str, arguments: object, sizes: Sizes) -> str:
    """A fork's new input, checked as that of a call where the task is known here. A dict is arguments by name if it names
    a parameter, else the single argument. Raises `InvalidInputError`, `PayloadTooLargeError`."""
    given = cast("dict[str, object]", arguments) if isinstance(arguments, dict) else None
    if task is None:
        if given is None:
            raise InvalidInputError(
                "the task is not declared here: give the fork's input as a dict of arguments by name"
            )
        return checked_input(name, NATURAL.encode(given), sizes)
    signature = task.signature
    unknown = set(given or ()).difference(signature.names)
    if given is not None and not unknown:
        bound = signature.bind((), given)
    elif given is not None and len(unknown) < len(given):
        raise InvalidInputError(
            f"task {name} has no parameter {min(unknown)!r}; its parameters: {', '.join(signature.names)}"
        )
    else:
        bound = signature.bind((cast("object", arguments),), {})
    prepared = await Call(task, bound, CallOptions()).prepared()
    return checked_input(name, signature.encode(prepared.arguments), sizes)


def copied(view: JournalView, upto: str, execution_id: str) -> tuple[Entry, ...]:
    """The memoised entries (children that completed among them) that stand before what is named by key or name: its
    result, or else its first failure. Raises `ConfigurationError`."""
    kept = sorted(_kept(view), key=_begun)
    for index, entry in enumerate(kept):
        if upto in (entry.key, entry.name):
            return tuple(kept[:index])
    children = [_entry(child, place) for place, child in enumerate(view.children)]
    others = [entry for entry in view.entries if entry.scope != MEMO] + children
    cut = min((_begun(entry) for entry in others if upto in (entry.key, entry.name)), default=None)
    if cut is None:
        names = dict.fromkeys(entry.name for entry in sorted([*kept, *others], key=_begun) if entry.name)
        known = f"it has {', '.join(list(names)[:MOST_NAMES])}" if names else "it has none"
        raise ConfigurationError(
            f"execution {execution_id} has no recorded entry {upto!r}; {known} (keys: `perdure show --json`)"
        )
    return tuple(entry for entry in kept if _begun(entry) < cut)


def _kept(view: JournalView) -> Iterator[Entry]:
    """What a fork may take over. Of one slot the latest child counts, as it does for the original."""
    for entry in view.entries:
        if entry.scope == MEMO:
            yield msgspec.structs.replace(entry, token=COPIED)
    latest = {child.slot: child for child in sorted(view.children, key=lambda child: child.generation)}
    for place, child in enumerate(view.children):
        if child.status == "completed" and not child.stale and latest[child.slot] is child:
            yield _entry(child, place)


def _entry(child: Child, place: int) -> Entry:
    """A child as an entry of its parent's copy, which is not its parent. `place` is its own among the children, which
    come in the order of their start."""
    return Entry(child.slot, MEMO, place, "child", child.task_name, child.result, None, None, child.created_at)


def _begun(entry: Entry) -> tuple[int, bool, int]:
    """Of one moment, what was recorded comes before the children that were started by it."""
    return entry.started_at or entry.recorded_at, entry.kind == "child", entry.position
