"""What a worker is told, and the records that it makes of itself and of work handed to it."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass

from perdure.model.policy import Retry
from perdure.model.records import Claim, NewExecution, WorkerRow
from perdure.telemetry import Told


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works. Times in seconds; `linger` is how long a waiting body may stay in memory."""

    concurrency: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    retries: Retry
    lease: float
    poll: float
    drain: float
    retention: float | None
    version: str
    logger: logging.Logger
    cancel_grace: float = 10.0
    linger: float = 1.0
    told: Told | None = None


def claim_of(spec: NewExecution, now: int) -> Claim:
    """The claim that an execution inserted leased stands for."""
    return Claim(
        spec.id, spec.task_name, 1, 0, 0, 1, 0, False, spec.input, None, None, spec.deadline_at, spec.queue,
        spec.priority, spec.options, spec.version, spec.tags, spec.trace, spec.parent_id, spec.root_id or spec.id,
        spec.depth, now, now, spec.due_at, spec.origin or spec.task_name,
    )  # fmt: skip


def worker_row(id: str, settings: WorkerSettings, started_at: int, now: int, draining: bool) -> WorkerRow:
    """The worker as the others see it, its lease renewed from `now`."""
    return WorkerRow(
        id, socket.gethostname(), os.getpid(), settings.version, settings.queues, settings.tasks,
        settings.concurrency, started_at, now + round(settings.lease * 1000), draining,
    )  # fmt: skip


def package_version() -> str:
    """The installed version of this package."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely asked

    try:
        return version("perdure")
    except PackageNotFoundError:
        return "unknown"
