"""What a written batch means to those who listen: what it settled, whom it woke, whether work may have fallen due.

It reads items and their answers and holds nothing; the store tells the listeners.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, cast

import msgspec

from perdure.model.externals import Answered
from perdure.model.records import (
    Committed,
    Completed,
    Conflict,
    Enqueued,
    Reclaimed,
    Retried,
    Settled,
    Suspended,
    Transition,
)
from perdure.model.status import SETTLED, Status

Verb: TypeAlias = Literal[
    "enqueue",
    "commit",
    "signal",
    "complete_external",
    "cancel",
    "retry",
    "forget",
    "drain",
    "heartbeat",
    "reclaim",
    "prune",
    "claim",
]


class Asked(Protocol):
    """What was sent."""

    item: Any


class Ending(msgspec.Struct, frozen=True, gc=False):
    """How an execution ended, as far as a waiter needs it."""

    status: Status
    result: str | None = None
    failure: str | None = None


def news_of(
    batch: Mapping[Verb, Sequence[Asked]], answers: Mapping[Verb, Sequence[Any]]
) -> tuple[dict[str, Ending], set[str], bool]:
    """What a batch settled, whom it woke, and whether work may have fallen due."""
    endings: dict[str, Ending] = {}
    woken: set[str] = set()
    due = False
    for request, answer in zip(batch.get("commit", ()), answers.get("commit", ()), strict=True):
        if isinstance(answer, Committed):
            due |= _read_commit(cast("Transition", request.item), answer, endings, woken)
    due |= any(_any_due(answer) for answer in answers.get("enqueue", ()) if not isinstance(answer, Exception))
    for request, answer in zip(batch.get("signal", ()), answers.get("signal", ()), strict=True):
        if not isinstance(answer, Exception):
            woken.add(request.item.execution_id)
    for answer in answers.get("complete_external", ()):
        woken.update(answer.woken if isinstance(answer, Answered) else ())
    for request, answer in zip(batch.get("cancel", ()), answers.get("cancel", ()), strict=True):
        if answer == "cancelled":
            endings[cast("tuple[str, str]", request.item)[0]] = Ending("cancelled")
        due = True
    for answer in answers.get("reclaim", ()):
        if isinstance(answer, Reclaimed):
            woken.update(answer.woken)
            due |= bool(answer.released)
            endings |= {id: Ending("failed") for id in answer.poisoned} | {
                id: Ending("timed_out") for id in answer.expired
            }
    due |= bool({"retry", "forget"} & batch.keys())
    return endings, woken, due


def _read_commit(item: Transition, answer: Committed, endings: dict[str, Ending], woken: set[str]) -> bool:
    outcome = item.outcome
    if answer.woken:
        woken.update(answer.woken)
    if answer.status in SETTLED and not answer.lost:
        if isinstance(outcome, Completed) and answer.status == "completed":
            endings[item.id] = Ending("completed", outcome.result)
        elif isinstance(outcome, Settled) and answer.status == outcome.status and not answer.cancelled:
            endings[item.id] = Ending(answer.status, None, outcome.failure)
        else:
            endings[item.id] = Ending(answer.status)
    if isinstance(outcome, Retried | Suspended):
        return True
    return _any_due(answer.spawned)


def _any_due(answers: Iterable[Enqueued | Conflict]) -> bool:
    """Whether one of them is new and waits for a claim."""
    return any(isinstance(each, Enqueued) and each.created and not each.leased for each in answers)
