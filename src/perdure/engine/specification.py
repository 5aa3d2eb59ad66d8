"""From a call to the record that is stored: options of call and task put together, sizes checked, input encoded."""

from __future__ import annotations

import json
from typing import Any

from perdure.codec import Payloads
from perdure.engine.task import Call
from perdure.errors import ConfigurationError, PayloadTooLargeError
from perdure.model.policy import Sizes, exceeds
from perdure.model.records import NewExecution


def specify(
    call: Call[Any],
    execution_id: str,
    now: int,
    sizes: Sizes,
    payloads: Payloads,
    *,
    trace: str | None = None,
    resent: bool = False,
    measured: bool = True,
) -> NewExecution:
    """The record of an execution for a call whose arguments are checked already.

    The input's digest is stored where somebody may ask for the same id or key with other input: the caller gave one, or
    a replay makes the same id (`resent`). The size of an input that the engine made itself is not `measured`. Raises
    `PayloadTooLargeError`, `InvalidInputError`.
    """
    task, settings, options = call.task, call.task.settings, call.options
    text = task.signature.encode(call.arguments)
    if measured and task.sized:
        checked_input(task.name, text, sizes)
    if options.connection is not None:
        raise ConfigurationError(f"task {task.name}: this app's storage takes no connection of the caller")
    compared = resent or options.id is not None or options.idempotency_key is not None
    deadline = settings.deadline if options.deadline is None else options.deadline
    return NewExecution(
        id=execution_id,
        task_name=task.name,
        input=payloads.wrap(text),
        queue=options.queue or settings.queue or "default",
        priority=settings.priority if options.priority is None else options.priority,
        due_at=_due_at(
            settings.start_delay if options.start_delay is None else options.start_delay, options.start_at, now
        ),
        deadline_at=None if deadline is None else now + round(deadline * 1000),
        input_digest=task.signature.digest(call.arguments) if compared else None,
        idempotency_key=options.idempotency_key,
        options=options.stored(),
        version=settings.version,
        tags=json.dumps(dict(options.tags), ensure_ascii=False) if options.tags else None,
        trace=trace,
        max_crashes=settings.max_crashes,
        retention=None if settings.retention is None else round(settings.retention * 1000),
        external_key=task.external_key(call.arguments),
        origin=task.origin,
    )


def checked_input(name: str, text: str, sizes: Sizes) -> str:
    """An encoded input that is not too large. Raises `PayloadTooLargeError`."""
    if exceeds(text, sizes.input):
        raise PayloadTooLargeError(f"the input of task {name} has over {sizes.input} bytes; see Sizes(input=...)")
    return text


def _due_at(delay: float, start_at: int | None, now: int) -> int | None:
    if start_at is not None:
        return start_at
    return now + round(delay * 1000) if delay else None
