"""The engine's side of a body's verbs: where a call stands (its branch), what is recorded for it, what it records.

`Verbs` is one pass seen from one place. `Context` and `BlockingContext` are its public faces, tasks and handles reach it
as their `Transport`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from msgspec.structs import replace

from perdure.codec import exception_of
from perdure.engine.activity import Plan, perform, plan_activity
from perdure.engine.children import child_result, spawn
from perdure.engine.compatibility import VERSION
from perdure.engine.driver import Driver
from perdure.engine.journal import Branch, verb_key
from perdure.engine.options import CallSettings, call_retries
from perdure.engine.ports import Host
from perdure.engine.refusal import refuse
from perdure.engine.scope import Scope, current
from perdure.errors import (
    ExecutionError,
    Failure,
    GiveUp,
    JournalDriftError,
    NotInExecutionError,
    StorageError,
    StoreSealedError,
)
from perdure.model.records import Entry, EntryKind

if TYPE_CHECKING:
    from perdure.engine.chapters import Chapter
    from perdure.engine.task import Activity

T = TypeVar("T")
ROOT: Final = "0"
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


class Pass:
    """What all branches of one pass share."""

    __slots__ = ("_turned", "count", "driver", "flights", "prepared", "root", "unmet")

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.flights: dict[str, Any] = {}
        self.root = Branch(ROOT)
        self.unmet = set(driver.ledger.memos) | set(driver.ledger.children)
        self.unmet.discard(VERSION)  # no call of the body's
        if driver.claim.token > 1:  # the pass before may have got as far as to wait for what has come since
            self.unmet |= driver.ledger.fresh_signals()
        self.count = 0
        self.prepared: object = None
        self._turned = False

    def enter(self, prefix: str) -> None:
        """A chapter begins. Only the first one of a pass may go over what was done before."""
        kept = () if self._turned else tuple(self.unmet)
        self.unmet = {key for key in kept if key.startswith(prefix) and key != prefix}
        if not self._turned and self.driver.claim.token > 1:
            self.unmet |= self.driver.ledger.fresh_signals()
        self._turned = True


class Verbs:
    """One pass, seen from one place in its body, which may be in a chapter."""

    __slots__ = ("_branch", "chapter", "driver", "host", "shared")

    def __init__(self, shared: Pass, branch: Branch | None = None, chapter: Chapter | None = None) -> None:
        self.shared, self.chapter = shared, chapter
        self.driver: Driver = shared.driver
        self.host: Host = shared.driver.host
        self._branch = branch

    # -- where the call stands ----------------------------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        """The scope of the calling code. Raises `NotInExecutionError` inside an activity's body."""
        scope = current.get()
        if scope is None or scope.body is not self.driver:
            scope = self.driver.scope
        if scope is None:
            raise NotInExecutionError("this context belongs to an execution that is not running here")
        if asyncio.get_running_loop() is not self.driver.loop:
            raise NotInExecutionError("durable verbs belong in the event loop that runs their body, not in another one")
        if scope.activity is not None:
            raise NotInExecutionError(
                f"activity {scope.activity} is a leaf: durable verbs belong in the task that calls it; "
                "inside an activity the context reads and reports progress"
            )
        return scope

    async def ready(self) -> None:
        """Returns when a durable verb may act here. Raises `NotInExecutionError` inside an activity's body, and
        `CancelledError` when the pass is over."""
        _ = self.scope
        await self.held()

    async def held(self) -> None:
        """Returns while the lease is held. Raises `CancelledError` when the pass is over, or the chapter: a branch that a
        chapter left behind does not act in the next one."""
        if self.chapter is not None and self.chapter.over:
            await refuse(self.driver)
        if self.driver.phase != "running":
            await self.driver.ready()

    def ready_now(self) -> None:
        """As `ready`, for verbs that answer at once. They need no lease; what they note waits for it."""
        _ = self.scope
        if self.driver.unwinding or (self.chapter is not None and self.chapter.over):
            self.driver.refused += 1
            raise asyncio.CancelledError

    @property
    def branch(self) -> Branch:
        """The branch of the calling code."""
        return self._branch or self.scope.branch

    def in_branch(self, branch: Branch) -> Verbs:
        """The same pass, seen from another branch."""
        return Verbs(self.shared, branch, self.chapter)

    @property
    def flights(self) -> dict[str, Any]:
        """Activities that run now, by key."""
        return self.shared.flights

    @property
    def task_name(self) -> str:
        """`task NAME`, for messages."""
        return f"task {self.name}"

    @property
    def name(self) -> str:
        """The name of the task whose function runs: of a list, that of its item."""
        return self.driver.claim.task_name if self.chapter is None else self.chapter.task_name

    def activity_scope(self, name: str) -> Scope:
        """The scope inside an activity's body."""
        scope = self.scope
        return Scope(scope.body, scope.branch, scope.context, scope.transport, name, scope.bridge)

    def unique(self, base: str) -> str:
        """A key for an open wait, which several branches may hold on one thing."""
        self.shared.count += 1
        return f"{base} {self.shared.count}"

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def key(self, verb: str, explicit: str | None) -> str:
        """The key of a verb without identity of its own."""
        return verb_key(self.branch, verb, self.own_key(verb, explicit))

    def own_key(self, verb: str, explicit: str | None) -> str | None:
        """A key given by the caller. Ends the execution for one that cannot be stored."""
        if explicit is None or (1 <= len(explicit) <= self.host.sizes.name and explicit.isprintable()):
            return explicit
        most = self.host.sizes.name
        raise GiveUp(f"{verb} key is {explicit!r}; it must be a text of 1 to {most} printable characters")

    def recorded(self, key: str, kind: EntryKind, what: str) -> Entry | None:
        """What is recorded under a key. Ends the pass as drift when another kind of verb, or a task, recorded it."""
        ledger = self.driver.ledger
        try:
            if kind != "child" and ledger.child(key) is not None:
                raise JournalDriftError(f"{what} meets key {key!r}, which a child task recorded; use another key")
            entry = ledger.memo(key, kind, what)
        except JournalDriftError as error:
            raise self.drifted(str(error)) from None
        if entry is None:
            self.missed()
        else:
            self.met(key)
        return entry

    def met(self, key: str) -> None:
        """A recorded call was asked for; after the last one the pass no longer replays."""
        self.shared.unmet.discard(key)

    def missed(self) -> None:
        """A call that is not recorded: from here on the pass no longer replays."""
        self.shared.unmet.clear()

    @property
    def replaying(self) -> bool:
        """Whether the body still goes over what it did before."""
        return bool(self.shared.unmet)

    async def record(self, entry: Entry, *, wait: bool = True) -> None:
        """Writes an entry, by default returning once it is durable."""
        driver = self.driver
        self._check_room()
        await self.held()
        driver.write(entry, relaxed=not wait)
        if wait:
            await driver.flushed()

    def keep(self, entry: Entry) -> None:
        """Notes an entry that holds from now on in this pass, durable before anything leaves the process."""
        self._check_room()
        self.driver.ledger.add(entry)
        self.driver.outbox.add(entry)

    def drifted(self, message: str) -> JournalDriftError:
        """Ends the pass as drift; the error is what the verb raises meanwhile."""
        error = JournalDriftError(f"{self.task_name} ({self.driver.claim.id}): {message}")
        self.driver.fail_drift(error)
        return error

    def _check_room(self) -> None:
        if self.driver.ledger.size >= self.host.sizes.journal:
            raise GiveUp(f"{self.task_name} has {self.host.sizes.journal} journal entries; see Sizes(journal=...)")

    # -- activities and executions ------------------------------------------------------------------------------------

    async def activity(self, activity: Activity[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The result of an activity's call, recorded."""
        _ = self.scope
        return await self.activity_planned(activity, plan_activity(self, activity, args, kwargs), args, kwargs)

    async def activity_planned(
        self, activity: Activity[..., Any], plan: Plan, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """As `activity`, under a plan made before."""
        queue = activity.settings.queue
        if queue is None:
            return await perform(self, plan)
        return await self._activity_elsewhere(activity, queue, plan, args, kwargs)

    async def _activity_elsewhere(
        self,
        activity: Activity[..., Any],
        queue: str,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """An activity with a queue of its own runs as a child execution; its failure is raised as an activity's."""
        task = self.host.directory.task(activity.name)
        if task is None:
            raise self.drifted(f"activity {activity.name} has a queue but is not declared in this app")
        settings, options = activity.settings, CallSettings(queue=queue)
        if settings.retries != task.settings.retries:
            options["retries"] = call_retries(settings.retries, task.settings.retries)
        if (
            settings.timeout != task.settings.timeout
            and not callable(settings.timeout)
            and settings.timeout is not None
        ):
            options["timeout"] = settings.timeout
        try:
            child = await spawn(self, task.options(**options).call(*args, **kwargs), plan.key)
            return await child_result(self, child, task)
        except ExecutionError as error:
            if error.failure is None:
                raise
            raise exception_of(_as_of_activity(activity.name, error.failure)) from error

    async def outside(self, act: Callable[[], Awaitable[T]]) -> T:
        """Does something that is no part of the journal, and that may be done again: once all that is recorded so far is
        durable, and as often as it takes while the database cannot be reached, which consumes no attempt (R13)."""
        driver, pause = self.driver, FIRST_PAUSE
        driver.busy += 1
        try:
            await self.ready()
            await driver.flushed()
            while True:
                try:
                    return await act()
                except StoreSealedError:
                    raise
                except StorageError as error:
                    if pause == FIRST_PAUSE:
                        self.logger.warning("the storage cannot be reached; it is tried again: %s", error)
                await self.host.clock.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            driver.idle()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """The task's logger: silent while replaying, records carry execution, task and attempt."""
        return PassLogger(self)


def _as_of_activity(name: str, failure: Failure) -> Failure:
    """How a child ended that ran an activity, as an activity tells it: a time-out raises `TimeoutError`, and neither that nor
    a cancel is an end of the task that called it. What the activity raised by itself keeps its type."""
    if failure.kind == "timed_out" and failure.module is None:
        message = f"activity {name}: {failure.message}"
        return replace(failure, kind="error", type="TimeoutError", module="builtins", message=message, args=(message,))
    if failure.kind == "cancelled" and failure.module is None:
        return replace(failure, kind="error", message=f"activity {name} was cancelled: {failure.message}")
    return replace(failure, kind="error") if failure.kind in ("timed_out", "cancelled") else failure


class PassLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs under `perdure.task.<name>` with the execution's id, task and attempt; nothing while replaying."""

    def __init__(self, verbs: Verbs) -> None:
        claim = verbs.driver.claim
        extra = {"execution_id": claim.id, "task": verbs.name, "attempt": claim.attempt}
        super().__init__(verbs.host.logger.getChild(f"task.{verbs.name}"), extra)
        self._verbs = verbs

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """The caller's own `extra` is kept beside ours."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **cast("dict[str, object]", self.extra)}
        return msg, kwargs

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging gave it
        """Nothing is logged while the body goes over what it did before."""
        return not self._verbs.replaying and self.logger.isEnabledFor(level)


__all__ = ["Pass", "PassLogger", "Verbs"]
