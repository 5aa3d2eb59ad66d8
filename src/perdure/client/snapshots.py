"""From stored rows to what people read: decoded values, aware datetimes."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias, cast

import msgspec

from perdure.codec import DecodeError, Payloads, codec_for, decode_failure
from perdure.engine.options import LIST
from perdure.engine.ports import Directory
from perdure.engine.task import Task
from perdure.model.execution import (
    Execution,
    JournalEntry,
    Progress,
    Stats,
    TaskStats,
    WaitInfo,
    WorkerInfo,
    moment,
    moment_or_none,
)
from perdure.model.records import MEMO, Child, Entry, JournalView, Row, Stat, Wait, WorkerRow
from perdure.model.status import SETTLED, Status

NATURAL = codec_for(object, "a stored value")
Outcome: TypeAlias = Literal["recorded", "failed", "started", "forgotten"]
_waits = msgspec.json.Decoder(tuple[Wait, ...])


def execution_of(row: Row, directory: Directory | None, payloads: Payloads) -> Execution[Any]:
    """The snapshot that a row means. A result whose type is unknown here, or does not fit it, stays JSON natives."""
    waits = _waits.decode(row.waits) if row.waits else ()
    infos = tuple(WaitInfo(wait.kind, wait.name, moment_or_none(wait.due_at)) for wait in waits)
    return Execution(
        id=row.id,
        task_name=row.task_name,
        status=row.status,
        cancelling=row.cancel_reason is not None and row.status not in SETTLED,
        waiting_on=infos[0].kind if infos and row.status == "waiting" else None,
        waits=infos if row.status == "waiting" else (),
        attempt=row.attempt,
        crashes=row.crashes,
        input=_input(row, payloads),
        result=_result(row, directory, payloads),
        failure=decode_failure(row.failure) if row.failure else None,
        queue=row.queue,
        priority=row.priority,
        due_at=moment_or_none(row.due_at),
        idempotency_key=row.idempotency_key,
        version=row.version,
        tags=json.loads(row.tags) if row.tags else {},
        progress=_progress(row.progress),
        parent=row.parent_id,
        root=row.root_id,
        worker=row.worker_id,
        created_at=moment(row.created_at),
        started_at=moment_or_none(row.started_at),
        finished_at=moment_or_none(row.finished_at),
        closed_at=moment_or_none(row.closed_at),
        generation=row.generation,
        depth=row.depth,
        children_total=row.children_total,
        children_settled=row.children_settled,
        deadline_at=moment_or_none(row.deadline_at),
        cancel_reason=row.cancel_reason,
        trace=row.trace,
        slot=row.slot,
    )


def _input(row: Row, payloads: Payloads) -> dict[str, object]:
    return cast("dict[str, object]", NATURAL.native(payloads.unwrap(row.input)))


def _result(row: Row, directory: Directory | None, payloads: Payloads) -> object:
    if row.result is None:
        return None
    text = payloads.unwrap(row.result)
    task = directory.task(row.task_name) if directory is not None else None
    return decoded(task, text)


def decoded(task: Task[..., Any] | None, text: str) -> Any:
    """A result by its task's type, or as JSON natives where the task is unknown or the text does not fit."""
    if task is None:
        return NATURAL.decode(text)
    try:
        return task.signature.result.decode(text)
    except DecodeError:
        return NATURAL.native(text)


def _progress(text: str | None) -> Progress | None:
    if text is None:
        return None
    stored = json.loads(text)
    return Progress(stored.get("done", 0), stored.get("total"), stored.get("text", ""), stored.get("state", ""))


def entries_of(view: JournalView, payloads: Payloads) -> list[JournalEntry]:
    """A journal in order, children among the entries by their time."""
    entries = [_entry(entry, payloads) for entry in view.entries]
    entries += [_child(child, payloads) for child in view.children]
    return sorted(entries, key=lambda entry: entry.recorded_at)


def _entry(entry: Entry, payloads: Payloads) -> JournalEntry:
    failed = entry.failure is not None
    aside: Outcome = "started" if entry.scope.startswith("started ") else "forgotten"
    outcome: Outcome = "failed" if failed else "recorded" if entry.scope == MEMO else aside
    return JournalEntry(
        entry.key,
        entry.kind,
        entry.name,
        outcome,
        _value(entry, payloads),
        decode_failure(entry.failure) if entry.failure is not None else None,
        entry.scope.removeprefix("started ") if entry.scope and outcome != "forgotten" else None,
        moment_or_none(entry.due_at),
        moment_or_none(entry.started_at),
        moment(entry.recorded_at),
    )


def _value(entry: Entry, payloads: Payloads) -> object:
    """What is recorded, as JSON natives. Values that the engine made itself are not wrapped."""
    if entry.value is None:
        return None
    return NATURAL.native(entry.value if entry.kind == "value" else payloads.unwrap(entry.value))


def _child(child: Child, payloads: Payloads) -> JournalEntry:
    outcome = "recorded" if child.status == "completed" else "failed" if child.status in SETTLED else "open"
    value = None if child.result is None else NATURAL.native(payloads.unwrap(child.result))
    failure = decode_failure(child.failure) if child.failure else None
    created = moment(child.created_at)
    return JournalEntry(child.slot, "child", child.task_name, outcome, value, failure, None, None, created, created)


def stats_of(stats: list[Stat], served: set[str]) -> Stats:
    """The store in numbers, grouped by task and queue. `served` are the tasks that live workers have."""
    counts: dict[Status, int] = {}
    groups: dict[tuple[str, str], dict[Status, int]] = {}
    oldest: dict[tuple[str, str], int] = {}
    unserved: set[str] = set()
    for stat in stats:
        counts[stat.status] = counts.get(stat.status, 0) + stat.count
        key = (stat.task_name, stat.queue)
        groups.setdefault(key, {})[stat.status] = stat.count
        if stat.oldest_due is not None:
            oldest[key] = min(oldest.get(key, stat.oldest_due), stat.oldest_due)
        if stat.status not in SETTLED and stat.task_name not in served:
            unserved.add(stat.task_name)
    tasks = tuple(
        TaskStats(name, queue, group, moment_or_none(oldest.get((name, queue))))
        for (name, queue), group in sorted(groups.items())
    )
    return Stats(counts, tasks, tuple(sorted(unserved)))


def worker_of(row: WorkerRow, now: int) -> WorkerInfo:
    """The snapshot of a worker."""
    return WorkerInfo(
        row.id, row.host, row.process, row.version, row.queues,
        tuple(name for name in row.tasks if name != LIST), row.concurrency, row.running,
        moment(row.started_at), moment(row.lease_until), row.draining, row.lease_until > now,
    )  # fmt: skip
