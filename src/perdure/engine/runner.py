"""From a claimed execution to a running driver, and from how its body ended to an outcome.

Before the body runs, the journal is held against the code: what does not fit is drift and releases the execution
untouched. A body is then started as one task in a clean context, with its own scope.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from functools import partial
from typing import Any, cast

from perdure.codec import DecodeError, carried, encode_failure, failure_of, place_of
from perdure.engine import items, preparing
from perdure.engine.bodies import policy_of, run_function, running_time, scope_of
from perdure.engine.compatibility import VERSION, begun_by, drift, undecodable
from perdure.engine.contained import EXITS, left
from perdure.engine.decide import Ended, after_failure, drift_pause, settled
from perdure.engine.driver import Driver
from perdure.engine.ports import Host
from perdure.engine.scope import Scope, current, make_task
from perdure.engine.styling import Encoded, Verdict
from perdure.engine.task import Task
from perdure.engine.telling import ToldDriver
from perdure.engine.verbs import Pass, Verbs
from perdure.errors import (
    Abort,
    ExecutionCancelledError,
    ExecutionTimedOutError,
    Failure,
    GiveUp,
    JournalDriftError,
    NotSerializableError,
    PerdureError,
)
from perdure.model.policy import exceeds
from perdure.model.records import MEMO, Claim, Completed, Entry, JournalView, Outcome, Released, Retried, Settled
from perdure.model.status import SETTLED

logger = logging.getLogger("perdure")


def begin(host: Host, claim: Claim, view: JournalView, context: contextvars.Context) -> Driver:
    """Starts a pass of a claimed execution; the driver goes on by itself. `context` is a clean copy for its body."""
    task = host.directory.task(claim.task_name)
    driver = (Driver if host.told is None else ToldDriver)(host, claim, view, partial(_concluded, task))
    shared = Pass(driver)
    verbs = Verbs(shared)
    driver.blocking = task is not None and not task.is_async and task.drive is None
    loop = asyncio.get_running_loop()
    scope = driver.scope = scope_of(verbs, shared.root, driver.blocking)
    context.run(current.set, scope)
    if isinstance(driver, ToldDriver) and host.told is not None:
        driver.begin(host.told, context)
    coroutine = _body(verbs, task, scope, view)
    driver.start(make_task(loop, coroutine, context, claim.id))
    if claim.cancel_reason is not None:
        driver.cancel(claim.cancel_reason)
    return driver


async def _body(verbs: Verbs, task: Task[..., Any] | None, scope: Scope, view: JournalView) -> Any:
    """Checks, decodes and runs the task's function, or what drives it."""
    host, driver, claim = verbs.host, verbs.driver, verbs.driver.claim
    if driver.cancel_reason is not None:  # of a `def` body, whose thread is not started
        raise asyncio.CancelledError
    if task is None:
        raise JournalDriftError(f"task {claim.task_name} is not declared in this app")
    _check_fit(host, task, driver, view)
    if logger.isEnabledFor(logging.INFO):
        what = "goes on" if view.entries or view.children else "started"
        logger.info("task %s (%s) %s, attempt %d", claim.task_name, claim.id, what, claim.attempt, extra=_extra(driver))
    if claim.deadline_at is not None and claim.deadline_at <= host.clock.now():
        driver.timed_out = "deadline"
        raise TimeoutError
    driver.set_timeout(running_time(task, claim))
    try:
        args, kwargs = task.signature.spread(task.signature.decode(host.payloads.unwrap(claim.input)))
    except (DecodeError, PerdureError) as error:
        raise JournalDriftError(f"the stored input of task {task.name} does not fit its signature: {error}") from error
    try:
        if task.drive is not None:
            return await task.drive(verbs, args, kwargs)
        if (place := items.place_of(claim.options)) is not None:
            run = f"{place.run}+{claim.generation}" if claim.generation else place.run
            verbs.shared.prepared = await preparing.prepare(verbs, task, place.list_id, run)
        return await run_function(host, task, scope.context, args, kwargs)
    except EXITS as error:  # an exit would end the worker and all that runs beside
        raise left(error, f"the body of task {task.name}") from error
    finally:
        if driver.phase in ("suspending", "lingering"):  # it ended by itself while another branch waited
            await driver.ready()


def _check_fit(host: Host, task: Task[..., Any], driver: Driver, view: JournalView) -> None:
    """Raises `JournalDriftError` when something recorded is not declared or decoded any more, or the version is pinned
    elsewhere."""
    claim, ledger = driver.claim, driver.ledger
    _check_version(host, task, driver)
    if not (view.entries or view.children):
        return
    for problem in drift(host.directory, ledger.names(), ledger.task_names()):
        raise JournalDriftError(f"task {task.name} ({claim.id}): {problem}")
    for problem in undecodable(host.directory, host.payloads, ledger):
        raise JournalDriftError(f"task {task.name} ({claim.id}): {problem}")


def _check_version(host: Host, task: Task[..., Any], driver: Driver) -> None:
    """Raises when a version that is pinned, or not to be gone on with, began this; notes the version that begins."""
    settings, ledger = task.settings, driver.ledger
    if settings.on_version == "resume":
        return
    begun = begun_by(ledger, driver.claim.version)
    if begun == settings.version:
        return
    if ledger.untouched:
        now = host.clock.now()
        entry = Entry(VERSION, MEMO, ledger.take_position(), "value", VERSION, json.dumps(settings.version), None, None,
                      now, None, driver.claim.token)  # fmt: skip
        ledger.add(entry)
        driver.outbox.add(entry)
    elif settings.on_version == "fail":
        raise GiveUp(
            f"task {task.name} was begun by version {begun!r}; this is {settings.version!r} (on_version='fail')"
        )
    else:
        raise JournalDriftError(f"task {task.name}: version {begun!r} is pinned; this is {settings.version!r}")


def _concluded(task: Task[..., Any] | None, driver: Driver, root: asyncio.Task[Any]) -> Outcome:
    """The outcome of a body that ended, whatever goes wrong in writing it down (a codec of the user's, say)."""
    try:
        outcome = _conclude(task, driver, root)
        if driver.chapter is not None:
            driver.chapter.ended(outcome)
        return outcome
    except Exception as error:
        logger.exception("the end of task %s cannot be written down", driver.claim.task_name, extra=_extra(driver))
        try:
            return _after(task, driver, error)
        except Exception:
            return settled(failure_of(error))


def _conclude(task: Task[..., Any] | None, driver: Driver, root: asyncio.Task[Any]) -> Outcome:
    """The outcome of a body that ended."""
    if driver.cancel_reason is not None:
        return _cancelled(driver)
    if driver.drift is not None:
        return _drifted(driver, driver.drift)
    if driver.timed_out is not None:
        return _timed_out(task, driver)
    if root.cancelled():
        return _after(task, driver, asyncio.CancelledError("the body was cancelled from within"))
    error = root.exception()
    if isinstance(error, JournalDriftError):
        return _drifted(driver, error)
    if isinstance(error, Verdict):
        outcome = settled(error.failure)
        _log(driver, error.failure, outcome)
        return outcome
    if error is not None:
        return _after(task, driver, error)
    value = root.result()
    if isinstance(value, Abort):
        return _after(task, driver, value)
    return _completed(cast("Task[..., Any]", task), driver, value)


def _completed(task: Task[..., Any], driver: Driver, value: object) -> Outcome:
    if isinstance(value, Encoded):
        stored = value.text
    else:
        try:
            text = task.signature.result.encode(value)
        except NotSerializableError as error:
            return _after(task, driver, error)
        limit = driver.host.sizes.result
        if task.sized and exceeds(text, limit):
            message = f"the result of task {task.name} has over {limit} bytes; see Sizes(result=...)"
            return settled(Failure("too_large", "PayloadTooLargeError", message, retryable=False))
        stored = driver.host.payloads.wrap(text)
    if logger.isEnabledFor(logging.INFO):
        claim = driver.claim
        logger.info("task %s (%s) completed", claim.task_name, claim.id, extra=_extra(driver))
    return Completed(stored)


def _after(task: Task[..., Any] | None, driver: Driver, error: BaseException) -> Outcome:
    """Retry or the end, for a body that raised."""
    return _decided(task, driver, _failure(task, error), error)


def _decided(task: Task[..., Any] | None, driver: Driver, failure: Failure, error: BaseException) -> Outcome:
    """What the task's policy makes of a failure; `error` is what it judges."""
    claim = driver.claim
    final = isinstance(error, ExecutionTimedOutError | ExecutionCancelledError | Abort)
    policy = policy_of(task, driver)
    try:
        ended = Ended(failure, _wanted(policy, error), final)
        outcome = after_failure(
            ended, policy, claim.attempt, driver.host.clock.now(), claim.deadline_at, driver.host.ids.uniform
        )
    except Exception as broken:
        logger.exception("the retry policy of task %s failed", claim.task_name)
        outcome = settled(failure_of(broken))
    _log(driver, failure, outcome)
    return outcome


def _wanted(policy: Any, error: BaseException) -> bool:
    """Whether the policy retries such an error; a stray cancel inside the body counts as an error."""
    return policy.wants(error) or isinstance(error, asyncio.CancelledError)


def _failure(task: Task[..., Any] | None, error: BaseException) -> Failure:
    if isinstance(error, Abort) and task is not None:
        return failure_of(error, encode=task.signature.result.encode)
    if isinstance(error, ExecutionTimedOutError):
        return failure_of(error, kind="timed_out")
    if isinstance(error, ExecutionCancelledError):
        return failure_of(error, kind="cancelled")
    recorded = carried(error)
    if recorded is not None and recorded.type == type(error).__name__:
        return failure_of(error, kind=recorded.kind)
    if recorded is not None and type(error).__name__ == "ActivityFailedError":
        return recorded
    return failure_of(error)


def _timed_out(task: Task[..., Any] | None, driver: Driver) -> Outcome:
    claim = driver.claim
    if driver.timed_out == "deadline":
        message = f"task {claim.task_name} passed its deadline"
        return settled(Failure("timed_out", "Deadline", message, retryable=False))
    name = claim.task_name if driver.chapter is None else driver.chapter.task_name
    failure = Failure("timed_out", "TimeoutError", f"task {name} ran over its timeout of {driver.timeout:g} s")
    return _decided(task, driver, failure, TimeoutError(failure.message))


def _cancelled(driver: Driver) -> Outcome:
    claim = driver.claim
    logger.info("task %s (%s) cancelled: %s", claim.task_name, claim.id, driver.cancel_reason, extra=_extra(driver))
    return Settled("cancelled", encode_failure(Failure("cancelled", "Cancelled", driver.cancel_reason or "")))


def _drifted(driver: Driver, error: JournalDriftError) -> Outcome:
    pause = drift_pause(driver.claim.drifts)
    logger.warning("execution %s does not fit this code, next look in %.3g s: %s", driver.claim.id, pause, error,
                   extra=_extra(driver))  # fmt: skip
    due_at = driver.host.clock.now() + round(pause * 1000)
    return Released(due_at, encode_failure(failure_of(error)), drifted=True)


def _log(driver: Driver, failure: Failure, outcome: Outcome) -> None:
    claim, place = driver.claim, place_of(failure)
    at = f" at {place}" if place else ""
    if isinstance(outcome, Retried):
        pause = (outcome.due_at - driver.host.clock.now()) / 1000
        what = f"task {claim.task_name}" if driver.chapter is None else driver.chapter.shown
        logger.warning("%s attempt %d failed%s (%s: %s); retry in %.3g s",
                       what, claim.attempt, at, failure.type, failure.message, pause, extra=_extra(driver))  # fmt: skip
    elif isinstance(outcome, Settled) and outcome.status in SETTLED:
        level = logging.WARNING if failure.kind == "aborted" else logging.ERROR
        logger.log(level, "task %s (%s) %s%s: %s: %s", claim.task_name, claim.id, outcome.status, at,
                   failure.type, failure.message, extra=_extra(driver))  # fmt: skip


def _extra(driver: Driver) -> dict[str, object]:
    claim = driver.claim
    return {"execution_id": claim.id, "task": claim.task_name, "attempt": claim.attempt}
