"""What follows a failure: another attempt, or the end. Pure: time and jitter are handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from perdure.codec import encode_failure
from perdure.errors import Failure
from perdure.model.policy import Retry
from perdure.model.records import Retried, Settled
from perdure.model.status import Status

STATUS_OF: dict[str, Status] = {"timed_out": "timed_out", "cancelled": "cancelled"}
LONGEST_PAUSE: Final = 3_200_000_000_000
"""Milliseconds, about a hundred years: what a record of an older version, or of another program, asks for at most."""
DRIFT_PAUSE, LONGEST_DRIFT_PAUSE = 1.0, 60.0


class Ended(msgspec.Struct, frozen=True):
    """How an attempt ended without success: the record, whether the policy wants such errors, and whether it is final
    whatever the policy says."""

    failure: Failure
    wanted: bool = True
    final: bool = False


def after_failure(
    ended: Ended,
    policy: Retry,
    attempt: int,
    now: int,
    deadline_at: int | None,
    draw: Callable[[float, float], float],
) -> Retried | Settled:
    """Another attempt if error, policy and deadline allow one, else the end. Raises `ConfigurationError` when the
    policy's delay function answers nonsense."""
    failure = ended.failure
    if ended.final or not failure.retryable or not ended.wanted or not policy.allows(attempt):
        return settled(failure)
    pause = failure.retry_after if failure.retry_after is not None else policy.pause(attempt, draw)
    due_at = now + min(max(round(pause * 1000), 0), LONGEST_PAUSE)
    if deadline_at is not None and due_at >= deadline_at:
        return settled(failure)
    return Retried(due_at, encode_failure(failure))


def settled(failure: Failure) -> Settled:
    """The end that a failure means."""
    return Settled(STATUS_OF.get(failure.kind, "failed"), encode_failure(failure))


def drift_pause(drifts: int) -> float:
    """Seconds until an execution that does not fit this code is looked at again."""
    return min(DRIFT_PAUSE * 2.0 ** min(drifts, 10), LONGEST_DRIFT_PAUSE)
