"""What follows a failure: another attempt or the end."""

from __future__ import annotations

import msgspec
import pytest

from perdure import ConfigurationError, Failure, Retry
from perdure.codec import decode_failure
from perdure.engine.decide import Ended, after_failure, drift_pause, settled
from perdure.model.records import Retried, Settled

NOW = 1_000_000
PLAIN = Retry(2, delay=10, factor=1, jitter=False)


def decided(
    failure: Failure, *, policy: Retry = PLAIN, attempt: int = 0, deadline: int | None = None
) -> Retried | Settled:
    return after_failure(Ended(failure), policy, attempt, NOW, deadline, lambda low, high: high)


def test_a_failure_is_retried_after_the_policys_pause() -> None:
    outcome = decided(Failure(message="no"))
    assert isinstance(outcome, Retried)
    assert outcome.due_at == NOW + 10_000
    assert decode_failure(outcome.failure).message == "no"


def test_the_last_attempt_ends_it() -> None:
    outcome = decided(Failure(), attempt=2)
    assert isinstance(outcome, Settled)
    assert outcome.status == "failed"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("error", "failed"), ("timed_out", "timed_out"), ("cancelled", "cancelled"), ("aborted", "failed"),
        ("too_large", "failed"), ("children_failed", "failed"), ("worker_lost", "failed"), ("not_found", "failed"),
        ("invalid_input", "failed"), ("finalize_failed", "failed"),
    ],
)  # fmt: skip
def test_the_kind_of_a_failure_says_how_an_execution_ends(kind: str, status: str) -> None:
    assert settled(msgspec.convert({"kind": kind}, Failure)).status == status


def test_a_time_out_is_retried_like_an_error() -> None:
    assert isinstance(decided(Failure("timed_out")), Retried)


@pytest.mark.parametrize(
    "ended",
    [Ended(Failure(retryable=False)), Ended(Failure(), wanted=False), Ended(Failure(), final=True)],
)
def test_what_cannot_be_retried_ends_at_once(ended: Ended) -> None:
    assert isinstance(after_failure(ended, PLAIN, 0, NOW, None, lambda low, high: high), Settled)


def test_a_delay_asked_for_by_the_failure_holds_whatever_the_policy_says() -> None:
    outcome = decided(Failure(retry_after=60))
    assert isinstance(outcome, Retried)
    assert outcome.due_at == NOW + 60_000
    assert isinstance(decided(Failure(retry_after=60), attempt=2), Settled)


@pytest.mark.parametrize(("deadline", "retried"), [(NOW + 10_001, True), (NOW + 10_000, False), (NOW, False)])
def test_no_attempt_begins_at_or_after_the_deadline(deadline: int, retried: bool) -> None:
    assert isinstance(decided(Failure(), deadline=deadline), Retried) == retried


def test_a_delay_function_that_answers_nonsense_is_named() -> None:
    with pytest.raises(ConfigurationError, match="function answered"):
        decided(Failure(), policy=Retry(delay=lambda _: -1))


def test_drift_is_looked_at_again_less_and_less_often() -> None:
    assert [drift_pause(drifts) for drifts in (0, 1, 2, 5, 6, 10_000)] == [1, 2, 4, 32, 60, 60]
