"""Running the function of a task: awaited if it is an `async def`, in a thread of its own if it is a `def`.

One place for whole executions (`runner`) and for their chapters (`chapters`), so that both give the function the same
context, bridge and running time. It must never know what becomes of how the function ended.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from perdure.engine.activity import timeout_of
from perdure.engine.blocking import BlockingContext, body_portal
from perdure.engine.context import Context
from perdure.engine.driver import Driver
from perdure.engine.durable import Durable
from perdure.engine.journal import Branch
from perdure.engine.options import merged_retry, stored_options
from perdure.engine.ports import Host
from perdure.engine.scope import Scope, current
from perdure.engine.task import Task
from perdure.engine.verbs import Verbs
from perdure.model.policy import Retry
from perdure.model.records import Claim


def scope_of(verbs: Verbs, branch: Branch, blocking: bool) -> Scope:
    """Where a function is to run: an `async def`, or if `blocking` a `def` in a thread."""
    driver = verbs.driver
    bridge = body_portal(driver) if blocking else None
    face = Context(verbs) if bridge is None else BlockingContext(verbs, bridge)
    return Scope(driver, branch, face, Durable(verbs), None, bridge)


@contextmanager
def within(verbs: Verbs, branch: Branch, blocking: bool) -> Generator[Scope]:
    """A place of its own for a function that a drive runs. The branches that it leaves behind are cancelled."""
    driver, around = verbs.driver, current.get()
    outside = driver.scope
    driver.blocking = blocking
    scope = driver.scope = scope_of(verbs, branch, blocking)
    current.set(scope)
    try:
        yield scope
    finally:
        current.set(around)
        driver.blocking = False
        if driver.phase != "gone":
            driver.scope = outside
        if driver.branches is not None:
            driver.branches.cancel_all()


async def run_function(
    host: Host, task: Task[..., Any], context: object, args: list[object], kwargs: Mapping[str, object]
) -> Any:
    """What the task's function answers, given its context if it asks for one."""
    given = args if task.signature.context_name is None else [context, *args]
    if task.is_async:
        return await cast("Any", task.fn(*given, **kwargs))
    return await host.in_thread(partial(task.fn, *given, **kwargs), body=True)


def running_time(task: Task[..., Any], claim: Claim) -> float | None:
    """The timeout of this attempt: that of the call, else the task's own."""
    stored = stored_options(claim.options)
    if "timeout" in stored:
        return float(stored["timeout"])
    return timeout_of(task.settings.timeout, claim.attempt, f"task {task.name}")


def policy_of(task: Task[..., Any] | None, driver: Driver) -> Retry:
    """The retry policy that holds for an execution: its chapter's or its task's, with what the call said over it."""
    chapter = driver.chapter
    if chapter is not None and chapter.policy is not None:
        own = chapter.policy
    else:
        own = driver.host.retries if task is None or task.settings.retries is None else task.settings.retries
    return merged_retry(stored_options(driver.claim.options).get("retries"), own)
