"""Calling an activity inside a body: find what is recorded, else run it once, with its retries, and record.

What is raised is the *recorded* failure, live as on replay; live, the original is its `__cause__`. Equal calls in one pass
run once (single flight). An activity that is cancelled has recorded nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from perdure.clock import Timeout, seconds
from perdure.codec import DecodeError, TypeCodec, encode_failure, exception_of, failure_of
from perdure.codec import decode_failure as read_failure
from perdure.engine.contained import EXITS, left
from perdure.engine.journal import STARTED, activity_key
from perdure.engine.scope import current
from perdure.engine.telling import told_try
from perdure.errors import (
    Failure,
    JournalDriftError,
    LeaseLostError,
    PayloadTooLargeError,
)
from perdure.model.policy import Retry, exceeds
from perdure.model.records import MEMO, Entry

if TYPE_CHECKING:
    from perdure.engine.task import Activity
    from perdure.engine.verbs import Verbs

AGAIN = "seen again: this attempt has recorded it; the next attempt runs the activity again"


class Plan(msgspec.Struct, frozen=True):
    """One call of an activity, ready to be looked up or run. `invoke` runs the function once; `timeout` is as declared."""

    key: str
    name: str
    result: TypeCodec
    invoke: Callable[[], Any]
    retries: Retry
    timeout: Any = None
    once: bool = False
    relaxed: bool = False


def plan_activity(
    verbs: Verbs, activity: Activity[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Plan:
    """The plan of an activity's call. Raises `InvalidInputError` for a wrong number or name of arguments."""
    settings, signature = activity.settings, activity.signature
    arguments = signature.bind(args, kwargs)
    key = activity_key(activity.name, "" if settings.key else signature.digest(arguments), settings.key)
    key = verbs.branch.numbered(key) if settings.memo == "call" and settings.key is None else verbs.branch.key(key)
    return Plan(
        key,
        activity.name,
        signature.result,
        partial(activity.fn, *args, **kwargs) if activity.is_async else partial(_invoke, verbs, activity, args, kwargs),
        settings.retries,
        settings.timeout,
        settings.on_interrupt == "fail",
        settings.durability == "relaxed",
    )


async def perform(verbs: Verbs, plan: Plan) -> Any:
    """The recorded result of a call, or a run that records it. Raises the recorded failure."""
    driver, flights = verbs.driver, verbs.flights
    while True:
        await verbs.held()
        failed = driver.ledger.failure(plan.key)
        entry = verbs.recorded(plan.key, "activity", f"activity {plan.name}") if failed is None else None
        if entry is not None:
            return _answer(verbs, plan, entry)
        if failed is not None:
            error = exception_of(read_failure(cast("str", failed.failure)))
            error.add_note(AGAIN)
            raise error
        if plan.key not in flights:
            return await _fly(verbs, plan)
        flight = flights[plan.key] = flights[plan.key] or asyncio.get_running_loop().create_future()
        await asyncio.wait([flight])


def _answer(verbs: Verbs, plan: Plan, entry: Entry) -> Any:
    try:
        return plan.result.decode(verbs.host.payloads.unwrap(cast("str", entry.value)))
    except DecodeError as error:
        raise verbs.drifted(f"the recorded result of activity {plan.name} does not decode: {error}") from error


async def _fly(verbs: Verbs, plan: Plan) -> Any:
    """Runs the activity as the one flight of its key."""
    driver = verbs.driver
    verbs.flights[plan.key] = None  # a future, once somebody waits
    driver.busy += 1
    try:
        if driver.outbox.pressing:
            await driver.flushed()
        return await _run(verbs, plan)
    finally:
        flight = verbs.flights.pop(plan.key)
        if flight is not None:
            flight.set_result(None)
        driver.idle()


async def _run(verbs: Verbs, plan: Plan) -> Any:
    driver, clock = verbs.driver, verbs.host.clock
    if plan.once:
        await _mark_started(verbs, plan)
    began = clock.now()
    try:
        value = await _attempts(verbs, plan)
        text, value = plan.result.settle(value)
        _check_size(verbs, plan, text)
    except asyncio.CancelledError:
        raise
    except (JournalDriftError, LeaseLostError):
        raise
    except Exception as error:
        failure = failure_of(error, encode=plan.result.encode)
        await _record_failure(verbs, plan, failure, began)
        recorded = exception_of(failure)
        raise recorded from error
    entry = Entry(
        plan.key, MEMO, driver.ledger.take_position(), "activity", plan.name,
        verbs.host.payloads.wrap(text), None, None, clock.now(), began, driver.claim.token,
    )  # fmt: skip
    await verbs.record(entry, wait=not plan.relaxed)
    return value


async def _mark_started(verbs: Verbs, plan: Plan) -> None:
    """At most once: the mark is durable before the body runs; a mark without a result is a failure for good."""
    driver = verbs.driver
    if driver.ledger.interrupted(plan.key):
        failure = Failure(
            "worker_lost", "ActivityInterrupted", f"activity {plan.name} was interrupted", retryable=False
        )
        raise exception_of(failure)
    entry = Entry(
        plan.key, STARTED + driver.ledger.scope, driver.ledger.take_position(), "activity", plan.name,
        recorded_at=verbs.host.clock.now(), token=driver.claim.token,
    )  # fmt: skip
    await verbs.record(entry)


async def _record_failure(verbs: Verbs, plan: Plan, failure: Failure, began: int) -> None:
    driver = verbs.driver
    entry = Entry(
        plan.key, driver.ledger.scope, driver.ledger.take_position(), "activity", plan.name,
        None, encode_failure(failure), None, verbs.host.clock.now(), began, driver.claim.token,
    )  # fmt: skip
    await verbs.record(entry)


async def _attempts(verbs: Verbs, plan: Plan) -> Any:
    """Tries until the activity succeeds or its policy ends. Raises the last error."""
    attempt = 0
    while True:
        try:
            if (told := verbs.host.told) is not None:
                return await told_try(told, verbs, plan.name, attempt, partial(_once, verbs, plan, attempt))
            return await _once(verbs, plan, attempt)
        except Exception as error:
            failure = failure_of(error)
            if not failure.retryable or not plan.retries.wants(error) or not plan.retries.allows(attempt):
                raise
            pause = plan.retries.pause(attempt, verbs.host.ids.uniform)
            if failure.retry_after is not None:
                pause = failure.retry_after
            verbs.logger.warning("activity %s failed (%s: %s); try %d in %.3g s",
                                 plan.name, failure.type, failure.message, attempt + 2, pause)  # fmt: skip
        await verbs.host.clock.sleep(pause)
        attempt += 1


async def _once(verbs: Verbs, plan: Plan, attempt: int) -> Any:
    limit = None if plan.timeout is None else timeout_of(plan.timeout, attempt, f"activity {plan.name}")
    token = current.set(verbs.activity_scope(plan.name))
    try:
        if limit is None:
            return await plan.invoke()
        async with Timeout(verbs.host.clock, limit):
            return await plan.invoke()
    except EXITS as error:  # in a branch, an exit would leave asyncio and end the worker
        raise left(error, f"activity {plan.name}") from error
    finally:
        current.reset(token)


async def _invoke(
    verbs: Verbs, activity: Activity[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Any:
    settings = activity.settings
    if settings.run_in == "process":
        signature = activity.signature
        text = signature.encode(signature.bind(args, kwargs))
        return signature.result.decode(await verbs.host.in_process(activity.fn, text))
    return await verbs.host.in_thread(lambda: activity.fn(*args, **kwargs), body=False)


async def call_plain(verbs: Verbs, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    """Runs any callable for `ctx.record`: a coroutine function here, anything else in a thread, since it may block. A
    coroutine that it answers (a lambda's, say) is awaited here."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    answer = await verbs.host.in_thread(lambda: function(*args), body=False)
    return await answer if asyncio.iscoroutine(answer) else answer


def timeout_of(timeout: Any, attempt: int, what: str) -> float | None:
    """A declared timeout for one attempt, in seconds. Raises `ConfigurationError` when a function answers nonsense."""
    if timeout is None or isinstance(timeout, float):
        return timeout
    return seconds(timeout(attempt), f"{what} timeout on attempt {attempt}", least=1e-3)


def _check_size(verbs: Verbs, plan: Plan, text: str) -> None:
    limit = verbs.host.sizes.result
    if exceeds(text, limit):
        raise PayloadTooLargeError(f"the result of activity {plan.name} has over {limit} bytes; see Sizes(result=...)")


__all__ = ["Plan", "call_plain", "perform", "plan_activity", "timeout_of"]
