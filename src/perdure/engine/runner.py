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

from perdure.codec import DecodeError, carried, encode_failure, failure_of
from perdure.engine.activity import timeout_of
from perdure.engine.blocking import BlockingContext, body_portal
from perdure.engine.compatibility import VERSION, begun_by, drift, undecodable
from perdure.engine.context import Context
from perdure.engine.decide import Ended, after_failure, drift_pause, settled
from perdure.engine.driver import Driver
from perdure.engine.durable import Durable
from perdure.engine.options import merged_retry
from perdure.engine.ports import Host
from perdure.engine.scope import Scope, current, make_task
from perdure.engine.styling import Encoded, Verdict
from perdure.engine.task import Task
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
from perdure.model.records import MEMO, Claim, Completed, Entry, JournalView, Outcome, Released, Retried, Settled
from perdure.model.status import SETTLED

logger = logging.getLogger("perdure")


def begin(host: Host, claim: Claim, view: JournalView, context: contextvars.Context) -> Driver:
    """Starts a pass of a claimed execution; the driver goes on by itself. `context` is a clean copy for its body."""
    task = host.directory.task(claim.task_name)
    driver = Driver(host, claim, view, partial(_concluded, task))
    shared = Pass(driver)
    verbs = Verbs(shared)
    driver.blocking = task is not None and not task.is_async and task.drive is None
    loop = asyncio.get_running_loop()
    bridge = body_portal(driver) if driver.blocking else None
    face = Context(verbs) if bridge is None else BlockingContext(verbs, bridge)
    scope = driver.scope = Scope(driver, shared.root, face, Durable(verbs), None, bridge)
    context.run(current.set, scope)
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
    driver.set_timeout(_timeout(task, claim))
    try:
        args, kwargs = task.signature.spread(task.signature.decode(host.payloads.unwrap(claim.input)))
    except (DecodeError, PerdureError) as error:
        raise JournalDriftError(f"the stored input of task {task.name} does not fit its signature: {error}") from error
    try:
        if task.drive is not None:
            return await task.drive(verbs, args, kwargs)
        if task.signature.context_name is not None:
            args.insert(0, scope.context)
        if task.is_async:
            return await cast("Any", task.fn(*args, **kwargs))
        return await host.in_thread(partial(task.fn, *args, **kwargs), body=True)
    except SystemExit as error:  # an exit would end the worker and all that runs beside
        raise RuntimeError(f"the body of task {task.name} called exit({error.code})") from error
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
    settings, ledger, enqueued = task.settings, driver.ledger, driver.claim.version
    begun = begun_by(ledger, enqueued)
    if settings.on_version == "resume" or begun == settings.version:
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


def _timeout(task: Task[..., Any], claim: Claim) -> float | None:
    stored: dict[str, Any] = json.loads(claim.options) if claim.options else {}
    if "timeout" in stored:
        return float(stored["timeout"])
    return timeout_of(task.settings.timeout, claim.attempt, f"task {task.name}")


def _concluded(task: Task[..., Any] | None, driver: Driver, root: asyncio.Task[Any]) -> Outcome:
    """The outcome of a body that ended, whatever goes wrong in writing it down (a codec of the user's, say)."""
    try:
        return _conclude(task, driver, root)
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
    return _completed(cast("Task[..., Any]", task), driver, root.result())


def _completed(task: Task[..., Any], driver: Driver, value: object) -> Outcome:
    if isinstance(value, Encoded):
        stored = value.text
    else:
        try:
            text = task.signature.result.encode(value)
        except NotSerializableError as error:
            return _after(task, driver, error)
        limit = driver.host.sizes.result
        if len(text) * 4 > limit and len(text.encode()) > limit:
            message = f"the result of task {task.name} has over {limit} bytes; see Sizes(result=...)"
            return settled(Failure("too_large", "PayloadTooLargeError", message, retryable=False))
        stored = driver.host.payloads.wrap(text)
    if logger.isEnabledFor(logging.INFO):
        claim = driver.claim
        logger.info("task %s (%s) completed", claim.task_name, claim.id, extra=_extra(driver))
    return Completed(stored)


def _after(task: Task[..., Any] | None, driver: Driver, error: BaseException) -> Outcome:
    """Retry or the end, for a body that raised."""
    return _decided(task, driver, _failure(error), error)


def _decided(task: Task[..., Any] | None, driver: Driver, failure: Failure, error: BaseException) -> Outcome:
    """What the task's policy makes of a failure; `error` is what it judges."""
    claim = driver.claim
    final = isinstance(error, ExecutionTimedOutError | ExecutionCancelledError | Abort)
    policy = _policy(task, driver)
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


def _failure(error: BaseException) -> Failure:
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


def _policy(task: Task[..., Any] | None, driver: Driver) -> Any:
    own = driver.host.retries if task is None or task.settings.retries is None else task.settings.retries
    stored = json.loads(driver.claim.options).get("retries") if driver.claim.options else None
    return merged_retry(stored, own)


def _timed_out(task: Task[..., Any] | None, driver: Driver) -> Outcome:
    claim = driver.claim
    if driver.timed_out == "deadline":
        message = f"task {claim.task_name} passed its deadline"
        return settled(Failure("timed_out", "Deadline", message, retryable=False))
    failure = Failure(
        "timed_out", "TimeoutError", f"task {claim.task_name} ran over its timeout of {driver.timeout:g} s"
    )
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
    claim = driver.claim
    if isinstance(outcome, Retried):
        pause = (outcome.due_at - driver.host.clock.now()) / 1000
        logger.warning("task %s attempt %d failed (%s: %s); retry in %.3g s",
                       claim.task_name, claim.attempt, failure.type, failure.message, pause, extra=_extra(driver))  # fmt: skip
    elif isinstance(outcome, Settled) and outcome.status in SETTLED:
        level = logging.WARNING if failure.kind == "aborted" else logging.ERROR
        logger.log(level, "task %s (%s) %s: %s: %s", claim.task_name, claim.id, outcome.status,
                   failure.type, failure.message, extra=_extra(driver))  # fmt: skip


def _extra(driver: Driver) -> dict[str, object]:
    claim = driver.claim
    return {"execution_id": claim.id, "task": claim.task_name, "attempt": claim.attempt}
