"""Completions of external tasks on their way to the store and back: names, sizes, wrapped payloads. Asks nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.codec import Payloads
from perdure.engine.task import Task
from perdure.errors import PayloadTooLargeError
from perdure.model.externals import Answered, NewCompletion
from perdure.model.policy import Sizes, exceeds


def stored_completion(
    task: Task[..., Any], given: NewCompletion, id: str, sizes: Sizes, payloads: Payloads
) -> NewCompletion:
    """The record of a completion as it is stored. Raises `PayloadTooLargeError`."""
    if given.value is not None and exceeds(given.value, sizes.result):
        raise PayloadTooLargeError(
            f"the value of external task {task.name} has over {sizes.result} bytes; see Sizes(result=...)"
        )
    retention = task.settings.retention
    return msgspec.structs.replace(
        given,
        id=id,
        value=None if given.value is None else payloads.wrap(given.value),
        retention=None if retention is None else round(retention * 1000),
    )


def read_answer(answer: Answered, payloads: Payloads) -> Answered:
    """What the store answered, with the value as it was before it was wrapped."""
    stands = answer.completion
    if stands.value is None:
        return answer
    return msgspec.structs.replace(
        answer, completion=msgspec.structs.replace(stands, value=payloads.unwrap(stands.value))
    )
