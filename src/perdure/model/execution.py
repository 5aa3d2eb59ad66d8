"""What users see of executions: snapshots with decoded values and aware datetimes.

A snapshot never changes; ask again for a newer one. Rows (`records`) are what storages keep, snapshots what people read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from perdure.errors import Failure
from perdure.model.status import SETTLED, Status, WaitKind

R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class WaitInfo:
    """One thing an execution waits for; `due_at` when a timer or timeout ends it."""

    kind: WaitKind
    name: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an execution says it is: `done` of `total`, with a text, as `ctx.progress` gave them."""

    done: float
    total: float | None
    text: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Execution(Generic[R_co]):
    """One execution at one moment. `input` are the arguments by name as JSON natives; `result` is typed where the task
    is known. `waiting_on` is the kind of the wait first begun, `waits` lists all; `due_at` is the earliest moment at
    which it may run (again). `crashes` counts workers lost in a row without progress. `trace` is its place in a trace of
    OpenTelemetry: the `traceparent`, perhaps with a `tracestate` behind it. `slot` is a child's place under its parent (see
    `docs/reference/journal-keys.md`)."""

    id: str
    task_name: str
    status: Status
    cancelling: bool
    waiting_on: WaitKind | None
    waits: tuple[WaitInfo, ...]
    attempt: int
    crashes: int
    input: dict[str, object]
    result: R_co | None
    failure: Failure | None
    queue: str
    priority: int
    due_at: datetime | None
    idempotency_key: str | None
    version: str | None
    tags: dict[str, str]
    progress: Progress | None
    parent: str | None
    root: str
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    closed_at: datetime | None
    generation: int = 0
    depth: int = 0
    children_total: int = 0
    children_settled: int = 0
    deadline_at: datetime | None = None
    cancel_reason: str | None = None
    trace: str | None = None
    slot: str | None = None

    @property
    def settled(self) -> bool:
        """Whether it has reached its end: completed, failed, timed out or cancelled."""
        return self.status in SETTLED


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One recorded call of an execution. `outcome` says how it stands; `value` is its result as JSON natives.
    `started_at` is known for activities only."""

    key: str
    kind: Literal["activity", "child", "timer", "signal", "value", "iteration", "item", "state"]
    name: str
    outcome: Literal["recorded", "failed", "started", "open", "forgotten"]
    value: object
    failure: Failure | None
    attempt: str | None
    due_at: datetime | None
    started_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item of a task list, by its place `seq` from 0 and its `name`. `pending`: it has not ended (and will not, once
    the list is settled). `value` is what its task returned, as that task's type where it is known; of a failed item the
    `value` of its `Abort`."""

    status: Literal["pending", "completed", "failed"]
    value: Any
    failure: Failure | None
    seq: int
    name: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[R_co]):
    """What stands for one key of an external task: the `value` it was completed with, or the `failure`. `first` says
    whether that is what was given now; else somebody was quicker."""

    task_name: str
    key: str
    value: R_co | None
    failure: Failure | None
    completed_at: datetime
    first: bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something that `watch` saw: the execution's new snapshot, and the entries recorded since the event before."""

    execution: Execution[object]
    entries: tuple[JournalEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Some of what a search found; pass `after` to the next search to go on, `None` at the end."""

    items: tuple[T_co, ...]
    after: str | None

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class TaskStats:
    """Counts by status of one task in one queue; `oldest_due` is how long the oldest due execution has been due."""

    task_name: str
    queue: str
    counts: dict[Status, int]
    oldest_due: datetime | None


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole store in numbers. `unserved` are tasks with open executions that no live worker has."""

    counts: dict[Status, int]
    tasks: tuple[TaskStats, ...]
    unserved: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as the store knows it; `alive` while its lease has not ended, nor its death is seen."""

    id: str
    host: str
    process: int
    version: str
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    concurrency: int
    running: int
    started_at: datetime
    lease_until: datetime
    draining: bool
    alive: bool


def moment(instant: int) -> datetime:
    """Milliseconds UTC as an aware datetime, the last there is for what lies beyond it: one row is not to keep others from
    being read."""
    try:
        return datetime.fromtimestamp(instant / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def moment_or_none(instant: int | None) -> datetime | None:
    """As `moment`, for what may be unknown."""
    return None if instant is None else moment(instant)
