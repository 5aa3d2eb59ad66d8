"""Why an execution stands where it stands: one sentence, and what one can type about it.

A pure table of cases over snapshots: the execution, the workers, the time. The commonest question of operators is "why is
this not moving"; each status has its own answers, the most specific first.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from perdure.cli.text import clock_text, plural, relative, upcoming
from perdure.engine.options import LIST
from perdure.model.execution import Execution, WaitInfo, WorkerInfo


class Why(NamedTuple):
    """A sentence, and a command that helps (or nothing)."""

    sentence: str
    following: str = ""


def why(execution: Execution[Any], workers: Sequence[WorkerInfo], now: datetime, start: str = "perdure worker") -> Why:
    """Why it stands there. `workers` are all that the store knows, dead ones too; `start` is what starts another."""
    if execution.status == "completed":
        return Why("it completed")
    if execution.settled:
        return _ended(execution)
    if execution.status == "running":
        return _running(execution, workers, now)
    due = execution.due_at is not None and execution.due_at <= now
    if execution.status == "waiting" and not due:
        return _waiting(execution, now)
    return _pending(execution, workers, now, start)


def _ended(execution: Execution[Any]) -> Why:
    failure = execution.failure
    said = f": {failure.type}: {failure.message}" if failure else ""
    if execution.status == "cancelled":
        reason = f" ({execution.cancel_reason})" if execution.cancel_reason else ""
        return Why(f"it was cancelled{reason}", f"perdure retry {execution.id}")
    if failure is not None and failure.kind == "worker_lost":
        return Why(f"its task kills its worker each time{said}", f"perdure show {execution.id}")
    word = "timed out" if execution.status == "timed_out" else "failed"
    tries = plural(execution.attempt + 1, "attempt")
    return Why(f"it {word} after {tries}{said}", f"perdure retry {execution.id}")


def _running(execution: Execution[Any], workers: Sequence[WorkerInfo], now: datetime) -> Why:
    worker = next((each for each in workers if each.id == execution.worker), None)
    named = f" (process {worker.process} on {worker.host})" if worker is not None else ""
    if worker is None or not worker.alive:
        return Why(f"its worker died{named}; the next live worker takes it over", "perdure workers")
    place = f"on worker {worker.id}{named}"
    if execution.cancelling:
        return Why(f"a cancel was asked for; its body still runs {place}")
    since = f" since {relative(execution.started_at, now)}" if execution.started_at else ""
    return Why(f"it runs {place}, first started {since.removeprefix(' since ')}")


def _waiting(execution: Execution[Any], now: datetime) -> Why:
    said = [_wait(execution, wait, now) for wait in execution.waits]
    signal = next((wait.name for wait in execution.waits if wait.kind == "signal"), None)
    children = any(wait.kind in ("children", "finalize") for wait in execution.waits)
    following = f"perdure show {execution.id} --tree" if children else ""
    if signal is not None:
        following = f"perdure signal {execution.id} {signal} JSON"
    external = next((wait.name for wait in execution.waits if wait.kind == "external"), None)
    if external is not None:
        following = f"perdure complete {execution.task_name} {shlex.quote(external)} VALUE"
    more = f", and for {len(said) - 3} more" if len(said) > 3 else ""
    return Why(f"it {'; '.join(said[:3])}{more}" if said else "it waits", following)


def _wait(execution: Execution[Any], wait: WaitInfo, now: datetime) -> str:
    until = f"until {clock_text(wait.due_at)} ({upcoming(wait.due_at, now)})" if wait.due_at else ""
    if wait.kind == "timer":
        return f"sleeps {until}"
    if wait.kind == "signal":
        return f"waits for signal {wait.name} {until or 'without a time limit'}"
    if wait.kind == "external":
        return f"waits to be completed from outside for key {wait.name!r} {until or 'without a time limit'}"
    if wait.kind == "children":
        still = execution.children_total - execution.children_settled
        named = f"children of task {wait.name}" if wait.name else "its children"
        return f"waits for {named} ({still} of {execution.children_total} open)"
    if wait.kind == "finalize":
        return f"waits for its finalizer {wait.name}"
    return f"waits for {wait.kind} {wait.name} {until}".rstrip()


def _pending(execution: Execution[Any], workers: Sequence[WorkerInfo], now: datetime, start: str) -> Why:
    failure, due = execution.failure, execution.due_at
    if failure is not None and failure.type == "JournalDriftError":
        again = f"; the next look is {relative(due, now)}" if due and due > now else ""
        return Why(f"its journal does not fit the code: {failure.message}{again}", "perdure check")
    if due is not None and due > now:
        if failure is not None and execution.attempt > 0:
            return Why(
                f"retry {execution.attempt} comes at {clock_text(due)} ({relative(due, now)}), "
                f"after {failure.type}: {failure.message}"
            )
        return Why(f"it starts at {clock_text(due)} ({relative(due, now)})")
    return _unclaimed(execution, workers, start)


def _unclaimed(execution: Execution[Any], workers: Sequence[WorkerInfo], start: str) -> Why:
    """It is due and nobody has it."""
    task, queue = execution.task_name, execution.queue
    alive = [worker for worker in workers if worker.alive]
    able = [worker for worker in alive if task in worker.tasks or (task == LIST and worker.tasks)]
    serving = [worker for worker in able if queue in worker.queues]
    willing = [worker for worker in serving if not worker.draining]
    if not alive:
        return Why("no worker is running", start)
    if not able:
        return Why(f"no live worker has task {task}", "perdure workers")
    if not serving:
        return Why(f"no live worker with task {task} serves queue {queue}", f"{start} --queue {queue}")
    if not willing:
        return Why("every worker that could take it is draining", start)
    if all(worker.running >= worker.concurrency for worker in willing):
        busy = sum(worker.running for worker in willing)
        return Why(f"all {busy} slots of {plural(len(willing), 'worker')} are taken", "perdure workers")
    if execution.crashes >= 2:
        return Why(
            f"it lost its worker {execution.crashes} times in a row; such executions run one at a time per worker"
        )
    return Why("it is due; a worker takes it at its next look")
