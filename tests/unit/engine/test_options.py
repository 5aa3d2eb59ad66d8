"""Options of tasks, activities and calls: what each accepts, and how it complains."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import ConfigurationError, Perdure, Retry, Sizes
from perdure.engine.options import CallOptions, activity_options, call_options, merged_retry, task_options

TASK: list[tuple[str, Any]] = [
    ("queue", "a b"), ("queue", ""), ("queue", 5), ("retries", -1), ("retries", "3"), ("retries", True),
    ("timeout", 0), ("timeout", -1), ("timeout", "1"), ("timeout", float("nan")), ("timeout", True),
    ("deadline", 0), ("deadline", -1), ("deadline", timedelta(days=-1)), ("start_delay", -1),
    ("start_delay", 1e10), ("priority", "high"), ("priority", 1.5), ("priority", 2**31), ("validate", "function"),
    ("retention", -1), ("retention", "long"), ("version", 2), ("on_version", "ignore"), ("max_crashes", 0),
    ("max_crashes", True), ("aliases", ("a b",)), ("colour", "red"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), TASK)
def test_a_wrong_option_of_a_task_is_named_with_the_task(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="task t") as caught:
        task_options("task t", **{name: value})
    assert name.rstrip("es") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memo", "yes"), ("run_in", "fibre"), ("on_interrupt", "ignore"), ("durability", "lax"), ("retries", -1),
        ("timeout", 0), ("queue", "ä"), ("priority", 1), ("deadline", 1), ("colour", "red"),
    ],
)  # fmt: skip
def test_a_wrong_option_of_an_activity_is_named_with_the_activity(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="activity a") as caught:
        activity_options("activity a", **{name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""), ("id", "x" * 256), ("id", "a\nb"), ("id", 5), ("idempotency_key", ""), ("idempotency_key", None),
        ("key", ""), ("tags", {"a": 1}), ("tags", {1: "a"}), ("tags", ["a"]), ("tags", {"": "a"}), ("tags", {"a": "x" * 256}),
        ("tags", {str(number): "x" for number in range(33)}), ("start_at", "tomorrow"), ("start_at", 5),
        ("start_at", datetime(2026, 1, 1)), ("timeout", lambda attempt: 1), ("timeout", -1),  # noqa: DTZ001
        ("retries", Retry(delay=lambda attempt: 1)), ("retries", Retry(retry_on=ValueError)),
        ("retries", Retry(give_up_on=ValueError)), ("version", "2"), ("validate", print),
    ],
)  # fmt: skip
def test_a_wrong_option_of_a_call_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"task t.*{name.rstrip('s')}"):
        call_options("task t", CallOptions(), Sizes(), **{name: value})


def test_an_unknown_option_names_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no option 'retrys'; options are .*retries"):
        call_options("task t", CallOptions(), Sizes(), retrys=3)  # type: ignore[call-arg]


def test_options_of_a_call_add_up() -> None:
    first = call_options("t", CallOptions(), Sizes(), queue="a", priority=1)
    second = call_options("t", first, Sizes(), priority=2, tags={"k": "v"})
    assert (second.queue, second.priority, second.tags) == ("a", 2, (("k", "v"),))
    assert first.priority == 1


def test_sizes_bound_names_and_tags() -> None:
    small = Sizes(name=3, tags=1)
    with pytest.raises(ConfigurationError, match="1 to 3 characters"):
        call_options("t", CallOptions(), small, id="long")
    with pytest.raises(ConfigurationError, match="at most 1"):
        call_options("t", CallOptions(), small, tags={"a": "1", "b": "2"})


def test_what_travels_with_an_execution_is_plain_json() -> None:
    options = call_options(
        "t",
        CallOptions(),
        Sizes(),
        retries=Retry(2, delay=timedelta(seconds=5), max_delay=timedelta(minutes=1)),
        timeout=7,
    )
    text = options.stored()
    assert text is not None
    stored = json.loads(text)
    assert stored["timeout"] == 7
    assert merged_retry(stored["retries"], Retry(9)) == Retry(2, delay=5.0, max_delay=60.0)
    assert CallOptions().stored() is None


def test_a_stored_policy_keeps_the_tasks_own_classes() -> None:
    own = Retry(1, retry_on=OSError, give_up_on=ConnectionError)
    text = call_options("t", CallOptions(), Sizes(), retries=5).stored()
    assert text is not None
    merged = merged_retry(json.loads(text)["retries"], own)
    assert (merged.max_retries, merged.retry_on, merged.give_up_on) == (5, OSError, ConnectionError)


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "x" * 255])
def test_good_names(name: str) -> None:
    app = Perdure("memory://")

    @app.task(name=name)
    async def body() -> None: ...

    assert body.name == name


@pytest.mark.parametrize("name", ["invalid id", "$invalid_id", "invalid_id ", "ä", "x" * 256, "a/b", "a\n", 5])
def test_bad_names(name: Any) -> None:
    app = Perdure("memory://")

    async def body() -> None: ...

    with pytest.raises(ConfigurationError, match="1 to 255 letters"):
        app.task(name=name)(body)
    with pytest.raises(ConfigurationError, match="1 to 255 letters"):
        app.activity(name=name)(body)


def test_an_empty_name_is_no_name_at_all() -> None:
    app = Perdure("memory://")

    async def body() -> None: ...

    with pytest.raises(ConfigurationError):
        app.task(name="")(body)


def test_start_at_and_start_delay_are_moments_and_spans() -> None:
    options = call_options(
        "t", CallOptions(), Sizes(), start_at=datetime(2026, 1, 1, tzinfo=UTC), start_delay=timedelta(hours=1)
    )
    assert (options.start_at, options.start_delay) == (1_767_225_600_000, 3600.0)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", 5])
def test_a_bad_key_of_an_activity_is_refused(key: Any) -> None:
    app = Perdure("memory://")

    @app.activity
    async def act() -> None: ...

    with pytest.raises(ConfigurationError, match="activity act key"):
        act.options(key=key)
