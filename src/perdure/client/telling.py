"""What a client tells telemetry: executions that are stored, as one span whose place they keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from perdure.clock import Clock, nanoseconds
from perdure.codec import failure_of
from perdure.engine.telling import begin_send
from perdure.model.records import Conflict, Enqueued, NewExecution
from perdure.telemetry import ENQUEUED, Told


async def told_store(
    told: Told, clock: Clock, specs: Sequence[NewExecution],
    store: Callable[[Sequence[NewExecution]], Awaitable[list[Enqueued | Conflict]]],
) -> list[Enqueued | Conflict]:  # fmt: skip
    """What storing the executions answers, or raises."""
    span, failure = begin_send(told, clock, "enqueue", specs), None
    place = span.place()
    if place is not None:
        specs = [msgspec.structs.replace(spec, trace=place) for spec in specs]
    try:
        answers = await store(specs)
    except BaseException as error:
        failure = told.safely(failure_of, error)
        raise
    finally:
        span.end(nanoseconds(clock), {}, failure)
    for spec, answer in zip(specs, answers, strict=True):
        if isinstance(answer, Enqueued) and answer.created:
            told.count(ENQUEUED, spec.task_name, spec.queue)
    return answers
