"""Does what is recorded about an execution fit this code? A pass asks before its body runs (`runner`), and so does whoever
wants to know before a deploy.

Is each activity and child task still declared, does the input, does each recorded result still decode? Which key a changed
body will ask for by another verb only a pass can tell. Pure: it reads records and answers sentences.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, runtime_checkable

from perdure.codec import DecodeError, Payloads
from perdure.engine.items import records_of, specs_of
from perdure.engine.journal import Ledger, is_of_activity
from perdure.engine.options import LIST
from perdure.engine.ports import Directory
from perdure.engine.task import Task
from perdure.errors import PerdureError
from perdure.model.records import JournalView, Row

VERSION: Final = "version"
"""Key of the entry that says which version began, where it is not that of the enqueue."""


@runtime_checkable
class Checked(Protocol):
    """The drive of a style that knows more about what fits it than that which everybody records."""

    def problems(self, row: Row, ledger: Ledger, payloads: Payloads) -> Iterable[str]:
        """What does not fit, in words."""
        ...


def problems(directory: Directory, payloads: Payloads, row: Row, view: JournalView) -> list[str]:
    """What does not fit, in words; an empty list when all does."""
    task = directory.task(row.task_name)
    if task is None:
        return [f"task {row.task_name} is not declared; declare it again, or give its new name an alias"]
    found = list(_input(task, payloads, row))
    if row.external_key is not None and row.origin != task.origin:
        found.append(f"it waits to be answered as {row.origin!r}: put that name first among the aliases of {task.name}")
    if row.task_name == LIST:
        found += _items(directory, payloads, row, view)
    ledger = Ledger(view, f"{row.generation}.{row.attempt}", directory.renamed)
    if isinstance(task.drive, Checked):
        found += task.drive.problems(row, ledger, payloads)
    found += _version(task, row, ledger)
    found += drift(directory, ledger.names(), ledger.task_names())
    return found + list(undecodable(directory, payloads, ledger))


def _input(task: Task[..., Any], payloads: Payloads, row: Row) -> Iterator[str]:
    try:
        task.signature.spread(task.signature.decode(payloads.unwrap(row.input)))
    except (DecodeError, PerdureError) as error:
        yield f"the stored input does not fit the signature of task {task.name}: {error}"


def _items(directory: Directory, payloads: Payloads, row: Row, view: JournalView) -> Iterator[str]:
    specs = specs_of(payloads.unwrap(row.input))
    for record in records_of(specs, view.entries, row.generation, payloads):
        if record.status == "pending" and directory.task(record.task) is None:
            yield f"item {record.seq} ({record.name}): task {record.task} is not declared; {_cure(record.task)}"


def _version(task: Task[..., Any], row: Row, ledger: Ledger) -> Iterator[str]:
    settings, begun = task.settings, begun_by(ledger, row.version)
    if begun != settings.version and settings.on_version != "resume" and not ledger.untouched:
        yield f"it was begun by version {begun!r}, this is {settings.version!r} (on_version={settings.on_version!r})"


def begun_by(ledger: Ledger, enqueued: str | None) -> str | None:
    """The version that recorded first: the one noted then, else that of the enqueue."""
    noted = ledger.memos.get(VERSION)
    return enqueued if noted is None or noted.value is None else json.loads(noted.value)


def drift(directory: Directory, activities: set[str], tasks: set[str]) -> list[str]:
    """What is recorded and no longer declared, in words."""
    lost = [("activity", name) for name in sorted(activities) if directory.activity(name) is None]
    lost += [("child task", name) for name in sorted(tasks) if directory.task(name) is None]
    return [f"{kind} {name} is recorded but not declared; {_cure(name)}" for kind, name in lost]


def _cure(name: str) -> str:
    return f"declare it again, give its new name aliases=[{name!r}], or run `perdure retry ID --forget {name}`"


def undecodable(directory: Directory, payloads: Payloads, ledger: Ledger) -> Iterator[str]:
    """Recorded results that do not fit their declared type, in words."""
    for entry in ledger.memos.values():
        activity = directory.activity(entry.name)
        if not is_of_activity(entry) or activity is None or entry.value is None or ledger.is_over(entry.key):
            continue
        try:
            activity.signature.result.decode(payloads.unwrap(entry.value))
        except (DecodeError, PerdureError) as error:
            yield f"the recorded result of activity {entry.name} does not decode: {error}"
    for child in ledger.children.values():
        task = directory.task(child.task_name)
        if task is None or child.result is None or child.stale or ledger.is_over(child.slot):
            continue
        try:
            task.signature.result.decode(payloads.unwrap(child.result))
        except (DecodeError, PerdureError) as error:
            yield f"the result of child task {child.task_name} does not decode: {error}"
