"""Which execution, branch or activity the running code belongs to: one context variable, and the task factory that gives
each asyncio task made inside a body a branch of its own.

The branch is taken when a task is *made*, not when it first calls, so that it does not depend on scheduling.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from perdure.engine.contained import Contained
from perdure.engine.journal import Branch

if TYPE_CHECKING:
    from perdure.engine.ports import BodyTransport

R = TypeVar("R")
AnyCoroutine: TypeAlias = Coroutine[Any, Any, Any] | Generator[Any, None, Any]


class Body(Protocol):
    """What a scope needs of a driver."""

    def track(self, task: asyncio.Task[Any], path: str) -> None:
        """Remembers a branch's task, to cancel it when the pass ends."""
        ...


class Bridge(Protocol):
    """How the thread of a `def` body runs coroutines on the loop."""

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result, waiting for it."""
        ...


class Scope:
    """Where code runs. `activity` is set inside an activity's body; then durable verbs are refused. `bridge` is there in
    a `def` body. `context` is what `current_context()` gives; `transport` answers tasks, activities and handles."""

    __slots__ = ("activity", "body", "branch", "bridge", "context", "transport")

    def __init__(
        self,
        body: Body,
        branch: Branch,
        context: object,
        transport: BodyTransport,
        activity: str | None = None,
        bridge: Bridge | None = None,
    ) -> None:
        self.body, self.branch, self.context, self.transport = body, branch, context, transport
        self.activity, self.bridge = activity, bridge

    @property
    def blocking(self) -> bool:
        """Whether this is the thread of a `def` body, or an activity below it."""
        return self.bridge is not None

    def in_branch(self, branch: Branch) -> Scope:
        """The same place, another branch."""
        return Scope(self.body, branch, self.context, self.transport, None, self.bridge)


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("perdure_scope", default=None)


def body_scope() -> Scope | None:
    """The scope when the calling code is the body of an execution (and not of an activity)."""
    return _of_body(current.get())


def _of_body(scope: Scope | None) -> Scope | None:
    return None if scope is None or scope.activity is not None else scope


def make_task(
    loop: asyncio.AbstractEventLoop, coroutine: AnyCoroutine, context: contextvars.Context, name: str | None = None
) -> asyncio.Task[Any]:
    """A task in exactly this context, whatever task factory the loop has."""
    return asyncio.Task(cast("Coroutine[Any, Any, Any]", coroutine), loop=loop, context=context, name=name)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Makes `loop` give branches to tasks made inside bodies. A factory that was set before still makes the others."""
    previous = cast("Any", loop.get_task_factory())
    if getattr(previous, "perdure_branches", False):
        return

    def factory(loop: asyncio.AbstractEventLoop, coroutine: AnyCoroutine, **options: Any) -> asyncio.Future[Any]:
        given: contextvars.Context | None = options.get("context")
        found = current.get() if given is None else given.get(current)
        if found is not None:
            coroutine = Contained(cast("Coroutine[Any, Any, Any]", coroutine))
        scope = _of_body(found)
        if scope is None:
            return (
                previous(loop, coroutine, **options)
                if previous
                else asyncio.Task(cast("Any", coroutine), loop=loop, **options)
            )
        context = contextvars.copy_context() if given is None else given.copy()  # one of several tasks may share it
        branch = scope.branch.child()
        context.run(current.set, scope.in_branch(branch))
        options["context"] = context
        options.pop("eager_start", None)
        task = (
            previous(loop, coroutine, **options)
            if previous
            else asyncio.Task(cast("Any", coroutine), loop=loop, **options)
        )
        scope.body.track(task, branch.path)
        return task

    factory.perdure_branches = True  # type: ignore[attr-defined]
    loop.set_task_factory(cast("Any", factory))
