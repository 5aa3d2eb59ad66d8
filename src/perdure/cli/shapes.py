"""Executions, entries and workers as plain JSON values: the documents that `--json` prints. Names are those of Python's
snapshots; moments are ISO 8601 in UTC, payloads are the JSON that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from perdure.cli.text import stamp
from perdure.codec import codec_for
from perdure.errors import Failure
from perdure.model.execution import Execution, JournalEntry, ListItem, WorkerInfo

_NATURAL = codec_for(object, "a value")


def plain(value: object) -> Any:
    """A payload as JSON natives."""
    if isinstance(value, list):
        value = [item_shape(part) if isinstance(part, ListItem) else part for part in cast("list[object]", value)]
    return _NATURAL.native(_NATURAL.encode(value))


def _stamps(named: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if moment is None else stamp(moment) for name, moment in named.items()}


def failure_shape(failure: Failure | None) -> dict[str, Any] | None:
    """A failure, its causes inside it."""
    if failure is None:
        return None
    shape: dict[str, Any] = {
        "kind": failure.kind, "type": failure.type, "message": failure.message, "retryable": failure.retryable,
        "traceback": failure.traceback,
    }  # fmt: skip
    if failure.cause is not None:
        shape["cause"] = failure_shape(failure.cause)
    return shape


def item_shape(item: ListItem) -> dict[str, Any]:
    """An item of a task list."""
    return {
        "seq": item.seq, "name": item.name, "status": item.status, "value": plain(item.value),
        "failure": failure_shape(item.failure),
    }  # fmt: skip


def execution_shape(execution: Execution[Any]) -> dict[str, Any]:
    """An execution."""
    progress = execution.progress
    return {
        "id": execution.id,
        "task_name": execution.task_name,
        "status": execution.status,
        "cancelling": execution.cancelling,
        "waiting_on": execution.waiting_on,
        "waits": [{"kind": wait.kind, "name": wait.name, **_stamps({"due_at": wait.due_at})} for wait in execution.waits],
        "attempt": execution.attempt,
        "generation": execution.generation,
        "crashes": execution.crashes,
        "input": execution.input,
        "result": plain(execution.result),
        "failure": failure_shape(execution.failure),
        "queue": execution.queue,
        "priority": execution.priority,
        "idempotency_key": execution.idempotency_key,
        "version": execution.version,
        "trace": execution.trace,
        "tags": execution.tags,
        "progress": progress and {"done": progress.done, "total": progress.total, "text": progress.text,
                                  "state": progress.state or None},
        "parent": execution.parent,
        "root": execution.root,
        "children": {"total": execution.children_total, "settled": execution.children_settled},
        "worker": execution.worker,
        "cancel_reason": execution.cancel_reason,
        **_stamps({
            "due_at": execution.due_at, "deadline_at": execution.deadline_at, "created_at": execution.created_at,
            "started_at": execution.started_at, "finished_at": execution.finished_at, "closed_at": execution.closed_at,
        }),
    }  # fmt: skip


def entry_shape(entry: JournalEntry) -> dict[str, Any]:
    """A journal entry."""
    return {
        "key": entry.key, "kind": entry.kind, "name": entry.name, "outcome": entry.outcome, "value": plain(entry.value),
        "failure": failure_shape(entry.failure), "attempt": entry.attempt,
        **_stamps({"due_at": entry.due_at, "started_at": entry.started_at, "recorded_at": entry.recorded_at}),
    }  # fmt: skip


def worker_shape(worker: WorkerInfo) -> dict[str, Any]:
    """A worker."""
    return {
        "id": worker.id, "host": worker.host, "process": worker.process, "version": worker.version,
        "queues": list(worker.queues), "tasks": list(worker.tasks), "concurrency": worker.concurrency,
        "running": worker.running, "draining": worker.draining, "alive": worker.alive,
        **_stamps({"started_at": worker.started_at, "lease_until": worker.lease_until}),
    }  # fmt: skip
