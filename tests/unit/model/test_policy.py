"""Retry policies and sizes: every form of delay, the bounds of jitter, and values that make no sense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perdure import ConfigurationError, Retry, Sizes
from perdure.ids import Ids
from perdure.model.policy import retry_policy


def highest(low: float, high: float) -> float:
    return high


def lowest(low: float, high: float) -> float:
    return low


def test_the_documented_defaults() -> None:
    policy = Retry()
    assert (policy.max_retries, policy.delay, policy.factor, policy.max_delay, policy.jitter) == (
        3,
        1.0,
        2.0,
        60.0,
        True,
    )
    assert Retry.none().max_retries == 0
    assert Retry.forever().max_retries is None


def test_delays_grow_by_the_factor_up_to_the_longest() -> None:
    policy = Retry(10, delay=1, factor=2, max_delay=10, jitter=False)
    assert [policy.pause(attempt, highest) for attempt in range(6)] == [1, 2, 4, 8, 10, 10]


def test_a_delay_of_zero_stays_zero() -> None:
    assert Retry(delay=0).pause(7, highest) == 0


def test_jitter_draws_from_half_the_delay_up_to_the_delay() -> None:
    policy = Retry(delay=8, factor=1)
    assert (policy.pause(0, lowest), policy.pause(0, highest)) == (4, 8)
    drawn = [policy.pause(0, Ids(seed=1).uniform) for _ in range(200)]
    assert all(4 <= pause <= 8 for pause in drawn)


def test_jitter_is_drawn_below_the_longest_delay() -> None:
    policy = Retry(delay=100, max_delay=10)
    assert (policy.pause(0, lowest), policy.pause(0, highest)) == (5, 10)


def test_forever_waits_the_same_each_time() -> None:
    policy = Retry.forever(delay=5)
    assert [policy.pause(attempt, lowest) for attempt in (0, 1, 100, 10**6)] == [5, 5, 5, 5]
    assert policy.allows(10**9)


@pytest.mark.parametrize(
    "policy", [Retry.forever(timedelta(minutes=1)), Retry.forever(60), Retry.forever(lambda _: 60)]
)
def test_forever_takes_every_form_of_delay(policy: Retry) -> None:
    assert policy.pause(3, highest) == 60


def test_delay_may_be_a_function_of_the_attempt() -> None:
    policy = Retry(delay=lambda attempt: attempt * 10, jitter=False, max_delay=25)
    assert [policy.pause(attempt, highest) for attempt in range(4)] == [0, 10, 20, 25]


def test_delay_may_be_a_timedelta_and_a_function_may_answer_one() -> None:
    assert Retry(delay=timedelta(seconds=2), jitter=False).pause(1, highest) == 4
    assert (
        Retry(delay=lambda _: timedelta(seconds=2), max_delay=timedelta(seconds=1), jitter=False).pause(9, highest) == 1
    )


@pytest.mark.parametrize("answer", [-1, float("nan"), float("inf"), "1", None, True, 4e9])
def test_a_delay_function_that_answers_nonsense_is_named(answer: Any) -> None:
    with pytest.raises(ConfigurationError, match="function answered"):
        Retry(delay=lambda _: answer).pause(0, highest)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.5, 10, 1e6])
@pytest.mark.parametrize("attempt", [0, 1, 10, 647, 1023, 10**7])
def test_no_number_of_attempts_is_too_many_for_the_arithmetic(factor: float, attempt: int) -> None:
    policy = Retry(None, delay=1, factor=factor, max_delay=30, jitter=False)
    assert policy.pause(attempt, highest) == min(30, 1 if factor == 1 else 30 if attempt > 9 else factor**attempt)


def test_how_many_retries_are_allowed() -> None:
    assert [Retry(2).allows(attempt) for attempt in range(4)] == [True, True, False, False]
    assert not Retry.none().allows(0)


def test_only_wanted_errors_are_retried() -> None:
    policy = Retry(retry_on=(OSError, ValueError), give_up_on=ConnectionError)
    assert policy.wants(ValueError())
    assert policy.wants(FileNotFoundError())
    assert not policy.wants(ConnectionResetError())
    assert not policy.wants(KeyError())
    assert Retry().wants(Exception())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_retries": -5}, "max_retries"), ({"max_retries": "1"}, "max_retries"), ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": True}, "max_retries"), ({"delay": -1}, "delay"), ({"delay": "1"}, "delay"),
        ({"delay": None}, "delay"), ({"delay": float("nan")}, "delay"), ({"delay": timedelta(seconds=-1)}, "delay"),
        ({"delay": 1e12}, "delay"), ({"factor": 0.5}, "factor"), ({"factor": -2}, "factor"),
        ({"factor": float("inf")}, "factor"), ({"factor": float("nan")}, "factor"), ({"factor": "2"}, "factor"),
        ({"max_delay": -1}, "max_delay"), ({"max_delay": float("inf")}, "max_delay"), ({"max_delay": None}, "max_delay"),
        ({"retry_on": "ValueError"}, "retry_on"), ({"retry_on": (ValueError, 1)}, "retry_on"),
        ({"give_up_on": [ValueError]}, "give_up_on"), ({"give_up_on": int}, "give_up_on"),
    ],
)  # fmt: skip
def test_a_bad_value_names_the_option(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Retry {named} is"):
        Retry(**options)


def test_a_number_stands_for_a_policy_with_that_many_retries() -> None:
    assert retry_policy(7, Retry(), "x") == Retry(7)
    assert retry_policy(0, Retry(), "x") == Retry(0)
    assert retry_policy(None, Retry(9), "x") == Retry(9)


@pytest.mark.parametrize("value", [-1, True, 2.0, "3", [1]])
def test_anything_else_is_no_policy(value: Any) -> None:
    with pytest.raises(ConfigurationError):
        retry_policy(value, Retry(), "task x retries")


def test_the_documented_sizes() -> None:
    sizes = Sizes()
    assert (sizes.input, sizes.result, sizes.signal) == (1 << 20, 1 << 20, 1 << 20)
    assert (sizes.journal, sizes.children, sizes.depth) == (1_000_000, 100_000, 10_000)
    assert (sizes.items, sizes.name, sizes.tags) == (10_000, 255, 32)


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", None, True])
@pytest.mark.parametrize("name", ["input", "depth", "tags"])
def test_a_size_is_a_positive_whole_number(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"Sizes {name} is"):
        Sizes(**{name: value})
