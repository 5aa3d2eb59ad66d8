"""Would what is recorded about an execution fit this code? For whoever asks before a deploy, without running anything.

The same questions that a pass asks before its body runs (`runner`), and those that it meets on the way as far as they can be
answered from outside: does the input, does each recorded result still decode? Which key a changed body will ask for by
another verb only a pass can tell. Pure: it reads rows and answers sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perdure.codec import DecodeError, Payloads
from perdure.engine.journal import Ledger
from perdure.engine.ports import Directory
from perdure.engine.runner import drift
from perdure.engine.task import Task
from perdure.errors import PerdureError
from perdure.model.records import JournalView, Row


def problems(directory: Directory, payloads: Payloads, row: Row, view: JournalView) -> list[str]:
    """What does not fit, in words; an empty list when all does."""
    task = directory.task(row.task_name)
    if task is None:
        return [f"task {row.task_name} is not declared; declare it again, or give its new name an alias"]
    found = list(_input(task, payloads, row))
    found += _version(task, row, view)
    ledger = Ledger(view, f"{row.generation}.{row.attempt}")
    found += drift(directory, ledger.names(), ledger.task_names())
    return found + list(_results(directory, payloads, ledger))


def _input(task: Task[..., Any], payloads: Payloads, row: Row) -> Iterator[str]:
    try:
        task.signature.spread(task.signature.decode(payloads.unwrap(row.input)))
    except (DecodeError, PerdureError) as error:
        yield f"the stored input does not fit the signature of task {task.name}: {error}"


def _version(task: Task[..., Any], row: Row, view: JournalView) -> Iterator[str]:
    settings = task.settings
    if row.version != settings.version and settings.on_version != "resume" and (view.entries or view.children):
        yield f"it was begun by version {row.version!r}, this is {settings.version!r} (on_version={settings.on_version!r})"


def _results(directory: Directory, payloads: Payloads, ledger: Ledger) -> Iterator[str]:
    for entry in ledger.memos.values():
        activity = directory.activity(entry.name)
        if entry.kind != "activity" or entry.key.startswith("record ") or activity is None or entry.value is None:
            continue
        try:
            activity.signature.result.decode(payloads.unwrap(entry.value))
        except (DecodeError, PerdureError) as error:
            yield f"the recorded result of activity {entry.name} does not decode: {error}"
    for child in ledger.children.values():
        task = directory.task(child.task_name)
        if task is None or child.result is None:
            continue
        try:
            task.signature.result.decode(payloads.unwrap(child.result))
        except (DecodeError, PerdureError) as error:
            yield f"the result of child task {child.task_name} does not decode: {error}"
