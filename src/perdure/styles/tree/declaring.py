"""`parent_task` of apps and registries, typed.

A finalizer that is a plain function becomes a task of its own, `NAME.finalize`, so that it has a row, retries and a place
in the tree like any other. This module must never run anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from perdure.engine.blocking import BlockingContext
from perdure.engine.context import Context
from perdure.engine.declaring import Declarer
from perdure.engine.mapping import TaskOf
from perdure.engine.options import TaskOptions, TaskSettings
from perdure.engine.signature import FromHint
from perdure.engine.task import Task
from perdure.errors import ConfigurationError
from perdure.model.policy import Retry
from perdure.styles.tree.drive import OnChildFailure, Tree, takes_joined
from perdure.styles.tree.joined import Joined, Spawn, TreeResult

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 - input, as in Joined[I, O]
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
Finalizer = (
    TaskOf[Joined[I, O], R] | Callable[[Context, Joined[I, O]], Awaitable[R]] | Callable[[Joined[I, O]], Awaitable[R]]
)
BlockingFinalizer = Callable[[BlockingContext, Joined[I, O]], R] | Callable[[Joined[I, O]], R]
POLICIES: Final = ("cancel_siblings", "collect")


class ParentSettings(TaskSettings, total=False):
    """Keyword options of `@app.parent_task`, but `finalize`."""

    on_child_failure: OnChildFailure
    max_parallel: int


class ParentDecorator:
    """What `@app.parent_task(...)` without a finalizer answers."""

    def __init__(self, declare: Callable[[Callable[..., object]], Task[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Awaitable[Spawn[O]]], /
    ) -> Task[P, TreeResult[O]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[BlockingContext, P], Spawn[O]], /) -> Task[P, TreeResult[O]]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[Spawn[O]]], /) -> Task[P, TreeResult[O]]: ...
    @overload
    def __call__(self, function: Callable[P, Spawn[O]], /) -> Task[P, TreeResult[O]]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Declares the function as the body of a parent task."""
        return self._declare(function)


class FinalizedDecorator(Generic[O, R]):
    """What `@app.parent_task(finalize=...)` answers: the body's output is what the finalizer takes, the finalizer's result
    is the task's."""

    def __init__(self, declare: Callable[[Callable[..., object]], Task[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[Spawn[O]]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[BlockingContext, P], Spawn[O]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[Spawn[O]]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Spawn[O]], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Declares the function as the body of a parent task."""
        return self._declare(function)


class Trees(Declarer):
    """Declares parent tasks."""

    @overload
    def parent_task(
        self, function: Callable[Concatenate[Context, P], Awaitable[Spawn[O]]], /
    ) -> Task[P, TreeResult[O]]: ...
    @overload
    def parent_task(
        self, function: Callable[Concatenate[BlockingContext, P], Spawn[O]], /
    ) -> Task[P, TreeResult[O]]: ...
    @overload
    def parent_task(self, function: Callable[P, Awaitable[Spawn[O]]], /) -> Task[P, TreeResult[O]]: ...
    @overload
    def parent_task(self, function: Callable[P, Spawn[O]], /) -> Task[P, TreeResult[O]]: ...
    @overload
    def parent_task(
        self, *, finalize: Finalizer[I, O, R], **settings: Unpack[ParentSettings]
    ) -> FinalizedDecorator[O, R]: ...
    @overload
    def parent_task(
        self, *, finalize: BlockingFinalizer[I, O, R], **settings: Unpack[ParentSettings]
    ) -> FinalizedDecorator[O, R]: ...
    @overload
    def parent_task(self, **settings: Unpack[ParentSettings]) -> ParentDecorator: ...
    def parent_task(self, function: Callable[..., Any] | None = None, *, finalize: Any = None, **settings: Any) -> Any:
        """Declares a task that says, in the `Spawn` that its body returns, which children to run; `finalize` (a function, a
        task or a parent task) combines what they came to, and its result is the task's. Without it the result is a
        `TreeResult`. Options are those of `task`, and `on_child_failure` and `max_parallel`.

        Raises `ConfigurationError` for a wrong option or a name that is taken, `NotSerializableError` for what cannot be
        stored.
        """

        def declare(function: Callable[..., object]) -> Task[..., Any]:
            return self._declare_parent(function, finalize, dict(settings))

        if function is not None:
            return declare(function)
        return FinalizedDecorator[Any, Any](declare) if finalize is not None else ParentDecorator(declare)

    def _declare_parent(
        self, function: Callable[..., object], finalize: object, settings: dict[str, Any]
    ) -> Task[..., Any]:
        on_child_failure = settings.pop("on_child_failure", "cancel_siblings")
        max_parallel = settings.pop("max_parallel", None)

        def make(name: str, options: TaskOptions) -> list[Task[..., Any]]:
            what = f"task {name}"
            if on_child_failure not in POLICIES:
                raise ConfigurationError(
                    f"{what} on_child_failure is {on_child_failure!r}; it must be one of {', '.join(POLICIES)}"
                )
            if max_parallel is not None and (type(max_parallel) is not int or max_parallel < 1):
                raise ConfigurationError(f"{what} max_parallel is {max_parallel!r}; it must be a whole number from 1")
            last, own = self._finalizer(name, options, finalize)
            tree = Tree(function, what, last, on_child_failure, max_parallel)
            task = Task(
                cast("Callable[..., Any]", function),
                name,
                options,
                self,
                drive=tree.drive,
                returns=FromHint(tree.returns),
                outline=tree.outline,
            )
            return [task, *own]

        return self._add_task(function, settings, make)

    def _finalizer(
        self, name: str, options: TaskOptions, finalize: object
    ) -> tuple[Task[..., Any] | None, list[Task[..., Any]]]:
        """The finalizer of a parent task, and those of it that are to be declared with the parent."""
        if finalize is None:
            return None, []
        if isinstance(finalize, Task):
            takes_joined(cast("Task[..., Any]", finalize), f"task {name}")
            return cast("Task[..., Any]", finalize), []
        if not callable(finalize) or isinstance(finalize, type):
            raise ConfigurationError(f"task {name} finalize is {finalize!r}; it must be a function or a task")
        aliases = tuple(f"{alias}.finalize" for alias in options.aliases)
        settings = TaskOptions(aliases=aliases, queue=options.queue, retries=Retry(), priority=options.priority)
        task: Task[..., Any] = Task(finalize, f"{name}.finalize", settings, self)
        takes_joined(task, f"task {name}")
        return task, [task]
