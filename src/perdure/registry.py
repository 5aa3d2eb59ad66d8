"""Declaring tasks and activities: on an app, or on a `Registry` in a module of its own that an app includes.

Declaring needs no storage and no event loop. A name is the function's `__name__`, never its module, so that `__main__`, an
import and a web app agree. Tasks, activities and aliases share one space of names.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, cast, overload

from perdure.engine.blocking import BlockingContext
from perdure.engine.context import Context
from perdure.engine.declaring import Make
from perdure.engine.options import (
    LIST,
    ActivitySettings,
    TaskOptions,
    TaskSettings,
    activity_options,
    checked_aliases,
    checked_name,
    task_options,
)
from perdure.engine.ports import Transport
from perdure.engine.task import Activity, AsyncActivity, BlockingActivity, Task
from perdure.errors import AppClosedError, ConfigurationError, TaskNotFoundError
from perdure.model.execution import ListItem
from perdure.model.policy import Sizes
from perdure.styles.diagram.declaring import Diagrams
from perdure.styles.external import ExternalSettings, ExternalTask, external_options
from perdure.styles.lists import Lists, list_task
from perdure.styles.loop import Loops
from perdure.styles.sequence import Sequences
from perdure.styles.tree.declaring import Trees

P = ParamSpec("P")
R = TypeVar("R")


class Anything:
    """For type checkers only: nothing is one. A first parameter that takes it takes any object, so it is no context."""


class TaskDecorator:
    """What `@app.task(...)` with options answers: it declares the function below it."""

    def __init__(self, declare: Callable[[Callable[..., object]], Task[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(
        self, function: Callable[Concatenate[Anything, P], Awaitable[R]], /
    ) -> Task[Concatenate[object, P], R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Anything, P], R], /) -> Task[Concatenate[object, P], R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[BlockingContext, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Declares the function as a task."""
        return self._declare(function)


class ActivityDecorator:
    """What `@app.activity(...)` with options answers: it declares the function below it."""

    def __init__(self, declare: Callable[[Callable[..., object]], Activity[..., Any]]) -> None:
        self._declare = declare

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> AsyncActivity[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, function: Callable[P, R], /) -> BlockingActivity[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Activity[..., Any]:
        """Declares the function as an activity."""
        return self._declare(function)


class Registry(Trees, Sequences, Loops, Lists, Diagrams):
    """Tasks and activities declared apart from an app: `app.include(registry)` adds them. `prefix` stands before each
    name. Raises `ConfigurationError` for a bad or duplicate name when something is declared."""

    def __init__(self, prefix: str = "") -> None:
        if prefix:
            checked_name("registry prefix", prefix)
        self.prefix = prefix
        self._sizes: Sizes | None = None
        self._tasks: dict[str, Task[..., Any]] = {}
        self._activities: dict[str, Activity[..., Any]] = {}
        self._names: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._includers: list[Registry] = []
        self._list_task: Task[..., list[ListItem]] | None = None

    # -- declaring ----------------------------------------------------------------------------------------------------

    @overload
    def task(
        self, function: Callable[Concatenate[Anything, P], Awaitable[R]], /
    ) -> Task[Concatenate[object, P], R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Anything, P], R], /) -> Task[Concatenate[object, P], R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[BlockingContext, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, **settings: Unpack[TaskSettings]) -> TaskDecorator: ...
    def task(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Declares a durable function, bare or with options (see `docs/reference/options.md`).

        Raises `ConfigurationError` for a wrong option or a name that is taken, `NotSerializableError` for a parameter
        or result that cannot be stored.
        """
        if function is not None:
            return self._declare_task(function, settings)
        return TaskDecorator(lambda function: self._declare_task(function, settings))

    @overload
    def activity(self, function: Callable[P, Awaitable[R]], /) -> AsyncActivity[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def activity(self, function: Callable[P, R], /) -> BlockingActivity[P, R]: ...
    @overload
    def activity(self, **settings: Unpack[ActivitySettings]) -> ActivityDecorator: ...
    def activity(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Declares a small idempotent function whose result is recorded once per execution, bare or with options.

        Raises as `task` does.
        """
        if function is not None:
            return self._declare_activity(function, settings)
        return ActivityDecorator(lambda function: self._declare_activity(function, settings))

    @overload
    def external_task(self, name: str, type: type[R], **settings: Unpack[ExternalSettings]) -> ExternalTask[R]: ...
    @overload
    def external_task(self, name: str, type: object, **settings: Unpack[ExternalSettings]) -> ExternalTask[R]: ...
    def external_task(self, name: str, type: object, **settings: Unpack[ExternalSettings]) -> ExternalTask[R]:
        """Declares a task that is completed from outside, by key, with a value of `type`; `timeout` is how long an
        execution of it waits (see `docs/reference/options.md`).

        What is no class, as `int | None`, needs the type beside it: `answer: ExternalTask[int | None] =
        app.external_task("answer", int | None)`. Raises as `task` does.
        """
        name = checked_name("external task", f"{self.prefix}{name}" if isinstance(name, str) and name else name)  # pyright: ignore[reportUnnecessaryIsInstance]
        task = ExternalTask[R](name, type, external_options(name, **settings), self)
        self._enter("external task", task)
        return task

    def _declare_task(self, function: Callable[..., object], settings: Mapping[str, Any]) -> Task[..., Any]:
        return self._add_task(function, settings, lambda name, options: [Task(function, name, options, self)])

    def _add_task(self, function: Callable[..., object], settings: Mapping[str, Any], make: Make) -> Task[..., Any]:
        """Declares what a style makes; see `Declarer`. Either all of its tasks are declared, or none."""
        given = dict(settings)
        name = self._name("task", function, given)
        made = make(name, task_options(f"task {name}", **cast("TaskSettings", given)))
        self._enter("task", *made)
        return made[0]

    def _enter(self, kind: str, *made: Task[..., Any]) -> None:
        """All of these tasks, or, where a name is taken, none."""
        names = {each: task for task in made for each in (task.name, *task.settings.aliases)}
        self._check_names((f"{kind} {task.name}", each) for each, task in names.items())
        self._names.update((each, f"{kind} {task.name}") for each, task in names.items())
        self._tasks.update(names)
        for task in made:
            self._renamed.update(dict.fromkeys(task.settings.aliases, task.name))
        self._grew()

    def _declare_activity(self, function: Callable[..., object], settings: dict[str, Any]) -> Activity[..., Any]:
        name = self._name("activity", function, settings)
        aliases = checked_aliases(f"activity {name}", settings.pop("aliases", ()))
        options = activity_options(f"activity {name}", **cast("ActivitySettings", settings))
        activity: Activity[..., Any]
        if inspect.iscoroutinefunction(function):
            activity = AsyncActivity(function, name, options, self)
        else:
            activity = BlockingActivity(function, name, options, self)
        self._claim_names(f"activity {name}", name, *aliases)
        for each in (name, *aliases):
            self._activities[each] = activity
        if options.queue is not None:
            elsewhere = TaskOptions(retries=options.retries, timeout=options.timeout, queue=options.queue)
            task: Task[..., Any] = Task(function, name, elsewhere, self)
            self._tasks.update(dict.fromkeys((name, *aliases), task))
        self._declared(name, aliases)
        return activity

    def _name(self, kind: str, function: object, settings: dict[str, Any]) -> str:
        if not callable(function) or isinstance(function, type | Task | Activity):
            raise ConfigurationError(f"@app.{kind} decorates a function, not {function!r}")
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise ConfigurationError(f"@app.{kind} decorates a function that returns, not a generator: {function!r}")
        name = settings.pop("name", None)
        if name is None:
            name = getattr(function, "__name__", None)
        return checked_name(kind, f"{self.prefix}{name}" if isinstance(name, str) and name else name)

    def _claim_names(self, what: str, *names: str) -> None:
        self._check_names((what, name) for name in names)
        self._names.update(dict.fromkeys(names, what))

    def _check_names(self, names: Iterable[tuple[str, str]]) -> None:
        registries = (self, *self._all_includers())
        for what, name in names:
            for registry in registries:
                if name in registry._names:
                    taken = f"the name {name!r} is taken by {registry._names[name]}"
                    raise ConfigurationError(f"{what}: {taken}; give name='...'")

    def _all_includers(self) -> Iterator[Registry]:
        for includer in self._includers:
            yield includer
            yield from includer._all_includers()

    def _declared(self, name: str, aliases: tuple[str, ...]) -> None:
        self._renamed.update(dict.fromkeys(aliases, name))
        self._grew()

    def _grew(self) -> None:
        """Something is declared that was not before: whoever includes this has it too."""
        for includer in self._includers:
            includer._adopt(self)

    def include(self, registry: Registry) -> None:
        """Adds all that is, and later will be, declared on another registry. Raises `ConfigurationError` for a name
        that is taken."""
        if registry is self or self in registry._includers or registry in self._all_includers():
            raise ConfigurationError("a registry cannot include itself")
        for name, what in registry._names.items():
            if name in self._names:
                raise ConfigurationError(f"include: the name {name!r} of {what} is taken by {self._names[name]}")
        registry._includers.append(self)
        self._adopt(registry)

    def _adopt(self, registry: Registry) -> None:
        """Takes over what is new in an included registry."""
        self._names.update(registry._names)
        self._renamed.update(registry._renamed)
        self._tasks.update(registry._tasks)
        self._activities.update(registry._activities)
        self._grew()

    @property
    def sizes(self) -> Sizes:
        """The sizes that hold for what is declared here: the app's own, or those of the app that includes this."""
        own = self._sizes
        return own if own is not None else next((includer.sizes for includer in self._includers), Sizes())

    # -- finding ------------------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> dict[str, Task[..., object]]:
        """Tasks by the names they answer to, aliases included."""
        return {**self._tasks}

    @property
    def activities(self) -> dict[str, Activity[..., object]]:
        """Activities by the names they answer to."""
        return {**self._activities}

    @property
    def list_task(self) -> Task[..., list[ListItem]]:
        """The task behind the lists of what is declared here."""
        if self._list_task is None:
            self._list_task = list_task(self, Names(self))
        return self._list_task

    @property
    def served(self) -> tuple[str, ...]:
        """What a worker takes on: all tasks, and lists of them."""
        return (*self._tasks, LIST) if self._tasks else ()

    def find_task(self, name: str) -> Task[..., object]:
        """The task that answers to a name. Raises `TaskNotFoundError` naming the nearest one."""
        task = self._tasks.get(name)
        if task is None:
            near = difflib.get_close_matches(name, self._tasks, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TaskNotFoundError(f"no task named {name!r} is declared in this app{hint}")
        return task

    # -- owner of its tasks -------------------------------------------------------------------------------------------

    def transport(self) -> Transport:
        """The open client of the one app that includes this registry. Raises `AppClosedError`, `ConfigurationError`."""
        found = [each for includer in self._includers if (each := includer.open_transport()) is not None]
        if len(found) > 1:
            raise ConfigurationError("this registry is included in several open apps; use app.enqueue(task.call(...))")
        if not found:
            raise AppClosedError("no app that includes this registry is open; use `async with app:`")
        return found[0]

    def open_transport(self) -> Transport | None:
        """The open client, if there is one that is usable from here."""
        for includer in self._includers:
            if (transport := includer.open_transport()) is not None:
                return transport
        return None


class Names:
    """A registry as the engine asks it: tasks and activities by name."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @property
    def renamed(self) -> dict[str, str]:
        """From each alias to the name."""
        return self._registry._renamed  # pyright: ignore[reportPrivateUsage]

    def task(self, name: str) -> Task[..., Any] | None:
        """The task that answers to `name`."""
        if name == LIST:
            return self._registry.list_task
        return self._registry._tasks.get(name)  # pyright: ignore[reportPrivateUsage]

    def activity(self, name: str) -> Activity[..., Any] | None:
        """The activity that answers to `name`."""
        return self._registry._activities.get(name)  # pyright: ignore[reportPrivateUsage]


__all__ = ["ActivityDecorator", "Names", "Registry", "TaskDecorator"]
