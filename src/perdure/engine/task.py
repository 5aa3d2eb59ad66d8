"""`Task`, `Activity` and `Call`: durable functions as declared, and calls of them not yet made.

Declaring needs no storage and no event loop. Whoever declared them (an app, a registry) is their `Owner`; it knows the
open client. Inside a body the scope answers instead, so the same words are durable there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, cast

from perdure.engine.handle import Handle, checked_id
from perdure.engine.options import (
    LIST,
    ActivityOptions,
    ActivitySettings,
    CallOptions,
    CallSettings,
    TaskOptions,
    activity_options,
    call_options,
    checked_name,
)
from perdure.engine.ports import Owner, Transport
from perdure.engine.scope import body_scope, current
from perdure.engine.signature import AS_HINTED, Arguments, Signature
from perdure.errors import ConfigurationError, InvalidInputError, NotInExecutionError, PerdureError
from perdure.model.outline import Part

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Prepare = TypeVar("Prepare", bound=Callable[..., object])
Drive: TypeAlias = "Callable[[Verbs, list[object], dict[str, object]], Awaitable[Any]]"


class Preparing:
    """The function that a task declared by `prepare`, if any; all `options` of a task share it."""

    __slots__ = ("function", "signature")

    def __init__(self) -> None:
        self.function: Callable[..., object] | None = None
        self.signature: Signature | None = None

    def declare(self, name: str, function: Callable[..., object]) -> None:
        """Sets the function. Raises `ConfigurationError`."""
        signature = Signature(function, f"prepare of task {name}", context=True, returns=object)
        if self.function is not None:
            raise ConfigurationError(f"task {name} has a prepare already: {self.function!r}")
        if signature.names:
            raise ConfigurationError(f"prepare of task {name} may take a Context and nothing else: {function!r}")
        self.function, self.signature = function, signature


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """A task with its arguments, not yet enqueued: for children, lists and bulk."""

    task: Task[..., R_co]
    arguments: Arguments
    options: CallOptions

    async def prepared(self) -> Call[R_co]:
        """The call with its arguments converted by the type hints and by the task's `validate`.

        Raises `InvalidInputError` naming the parameter."""
        arguments = self.task.signature.checked(self.arguments)
        validate = self.task.settings.validate
        if validate is not None:
            arguments = self.task.signature.checked(await _validated(self.task, validate, arguments))
        return Call(self.task, arguments, self.options)


class Task(Generic[P, R_co]):
    """A durable function as declared. `fn` is the undecorated function, `name` what it is stored under.

    `drive` is what runs in its place where the task is of another style than a plain function: a tree, a sequence. It is
    given the pass and the arguments, and calls `fn` as it sees fit. `returns` is then the hint of the result, and `outline` tells,
    by the task's name, what it consists of.
    """

    sized = True
    """Whether `Sizes(input=..., result=...)` hold for it as a whole; those of a list hold for each item."""

    def __init__(
        self,
        function: Callable[..., Awaitable[R_co] | R_co],
        name: str,
        settings: TaskOptions,
        owner: Owner,
        call: CallOptions | None = None,
        *,
        drive: Drive | None = None,
        returns: object = AS_HINTED,
        preparing: Preparing | None = None,
        outline: Callable[[str], Part] = Part,
    ) -> None:
        self.fn, self.drive, self._returns, self._outline = function, drive, returns, outline
        self.name = name if name == LIST else checked_name(f"task {name!r}", name)
        self.preparing = Preparing() if preparing is None else preparing
        self.settings = settings
        self.owner = owner
        self.call_options = call or CallOptions()
        self.is_async = inspect.iscoroutinefunction(function)
        self.signature = Signature(function, f"task {name}", context=True, returns=returns)
        if self.is_async and self.signature.context_name == "BlockingContext":
            raise ConfigurationError(f"task {name} is an async def and asks for BlockingContext; annotate Context")
        if not self.is_async and self.signature.context_name == "Context":
            raise ConfigurationError(f"task {name} is a plain def and asks for Context; annotate BlockingContext")
        self.__doc__, self.__name__, self.__wrapped__ = function.__doc__, name, function

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Inside a body: a child execution and its result. Raises `NotInExecutionError` elsewhere."""
        scope = body_scope()
        if scope is None:
            raise NotInExecutionError(
                f"task {self.name} was called outside an execution; "
                f"use `await {self.name}.run(...)` for its result or `.enqueue(...)` for a handle"
            )
        if scope.blocking:
            raise ConfigurationError(f"in a `def` body call a task by ctx.run({self.name}.call(...))")
        return scope.transport.run(self.call(*args, **kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """This task with its arguments, not yet enqueued. Raises `InvalidInputError` for a wrong number or name."""
        arguments = self.signature.bind(args, kwargs)
        self.external_key(arguments)  # refuses what is no key
        return Call(cast("Task[..., R_co]", self), arguments, self.call_options)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Stores an execution and answers its handle; durable once this returns.

        Raises `InvalidInputError`, `PayloadTooLargeError` (nothing is stored then), `IdempotencyConflictError`."""
        return (await self.transport.enqueue([self.call(*args, **kwargs)]))[0]

    async def run(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Stores an execution and waits for its result; inside a body a child. Raises as `Handle.result` does."""
        return await self.transport.run(self.call(*args, **kwargs))

    def options(self, **settings: Unpack[CallSettings]) -> Task[P, R_co]:
        """The same task with options for its next calls. Raises `ConfigurationError`."""
        call = call_options(f"task {self.name}", self.call_options, self.owner.sizes, **settings)
        return Task(
            self.fn, self.name, self.settings, self.owner, call, drive=self.drive, returns=self._returns,
            preparing=self.preparing, outline=self._outline,
        )  # fmt: skip

    def prepare(self, function: Prepare) -> Prepare:
        """Declares what runs before the first item of this task in a task list, once per list and process; what it returns
        is `ctx.prepared` of those items, and is never stored. Raises `ConfigurationError` for a function that takes more
        than a `Context`."""
        self.preparing.declare(self.name, function)
        return function

    @property
    def origin(self) -> str:
        """Its first name: ids, keys and answers from outside are compared by it, so that a rename changes nothing."""
        return self.settings.aliases[0] if self.settings.aliases else self.name

    def external_key(self, arguments: Arguments) -> str | None:
        """The key by which an execution with these arguments is completed from outside; `None` where it is not."""
        return None

    def outline(self) -> Part:
        """What it consists of, for a drawing: of a plain function nobody knows before it runs."""
        return self._outline(self.name)

    def handle(self, id: str) -> Handle[R_co]:
        """A handle on an execution of this task by its id. Asks nothing. Raises `ConfigurationError` for what can be no id."""
        return Handle(checked_id(id), cast("Task[..., R_co]", self), self.transport)

    @property
    def transport(self) -> Transport:
        """Who answers: inside a body its durable context, else the owner's open client."""
        scope = body_scope()
        return self.owner.transport() if scope is None else scope.transport


class Activity(Generic[P, R_co]):
    """A small idempotent function whose result is recorded once per execution. Outside an execution, and inside another
    activity, it is the plain function."""

    def __init__(
        self, function: Callable[P, Awaitable[R_co] | R_co], name: str, settings: ActivityOptions, owner: Owner
    ) -> None:
        self.fn = function
        self.name = checked_name(f"activity {name!r}", name)
        self.settings = settings
        self.owner = owner
        self.is_async = inspect.iscoroutinefunction(function)
        self.signature = Signature(function, f"activity {name}", context=False)
        if self.is_async and settings.run_in != "loop":
            raise ConfigurationError(f"activity {name} is an async def; run_in={settings.run_in!r} needs a plain def")
        self.__doc__, self.__name__, self.__wrapped__ = function.__doc__, name, function

    def __repr__(self) -> str:
        return f"Activity({self.name!r})"

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The activity awaited: inside an `async def` task recorded (a plain function runs in a thread), elsewhere the
        function itself, a plain one in a thread."""
        scope = body_scope()
        if scope is not None and scope.blocking:
            raise ConfigurationError(f"in a `def` body use {self.name}(...), or ctx.record({self.name}, ...)")
        if scope is not None:
            return await scope.transport.activity(self, args, kwargs)
        if self.is_async:
            return cast("R_co", await cast("Awaitable[Any]", self.fn(*args, **kwargs)))
        return cast("R_co", await asyncio.to_thread(self.fn, *args, **kwargs))


class AsyncActivity(Activity[P, R_co]):
    """An activity declared with `async def`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """The recorded result, or a run that records it; outside an execution the function itself."""
        scope = current.get()
        if scope is None or scope.activity is not None:
            return cast("Coroutine[Any, Any, R_co]", self.fn(*args, **kwargs))
        if scope.blocking:
            raise ConfigurationError(
                f"activity {self.name} is an async def; in a `def` body use ctx.record({self.name}, ...)"
            )
        return scope.transport.activity(self, args, kwargs)

    def options(self, *, key: str | None = None, **settings: Unpack[ActivitySettings]) -> AsyncActivity[P, R_co]:
        """The same activity with other options; `key` replaces the arguments in its identity."""
        return AsyncActivity(self.fn, self.name, _changed(self, key, settings), self.owner)


class BlockingActivity(Activity[P, R_co]):
    """An activity declared with `def`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Inside a `def` task the recorded result, or a run that records it; outside an execution the function itself.
        Raises `ConfigurationError` inside an `async def` task, where `.aio` is the word."""
        scope = current.get()
        if scope is None or scope.activity is not None:
            return cast("R_co", self.fn(*args, **kwargs))
        if scope.bridge is None:
            raise ConfigurationError(
                f"activity {self.name} is a plain def; in an `async def` task use `await {self.name}.aio(...)`"
            )
        return scope.bridge.run(scope.transport.activity(self, args, kwargs))

    def options(self, *, key: str | None = None, **settings: Unpack[ActivitySettings]) -> BlockingActivity[P, R_co]:
        """The same activity with other options; `key` replaces the arguments in its identity."""
        return BlockingActivity(self.fn, self.name, _changed(self, key, settings), self.owner)


def _changed(activity: Activity[..., Any], key: str | None, settings: ActivitySettings) -> ActivityOptions:
    if "name" in settings or ("queue" in settings and activity.settings.queue is None):
        raise ConfigurationError(
            f"activity {activity.name}: name and queue are declared; a call may only change a queue"
        )
    named = activity_options(f"activity {activity.name}", **settings)
    changed = {name: getattr(named, name) for name in settings}
    if isinstance(number := settings.get("retries"), int):
        changed["retries"] = replace(activity.settings.retries, max_retries=number)
    if key is not None:
        limit = activity.owner.sizes.name
        if not isinstance(key, str) or not 1 <= len(key) <= limit or not key.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"activity {activity.name} key is {key!r}; it must be 1 to {limit} printable characters"
            )
        changed["key"] = key
    return replace(activity.settings, **changed)


def checked_call(given: object) -> Call[Any]:
    """What is to be enqueued or run as a child. Raises `ConfigurationError` for anything but a call, with what to write."""
    if isinstance(given, Call):
        return cast("Call[Any]", given)
    if inspect.iscoroutine(given):
        given.close()
        raise ConfigurationError("a call is needed, as `task.call(...)`, not a coroutine; await that by itself")
    if isinstance(given, Task):
        task = cast("Task[..., Any]", given)
        raise ConfigurationError(f"a call is needed, not a task; write {task.name}.call(...)")
    if isinstance(given, Activity):
        activity = cast("Activity[..., Any]", given)
        raise ConfigurationError(f"a call of a task is needed; the activity {activity.name} is called by itself")
    raise ConfigurationError(f"a call is needed, as `task.call(...)`, not {type(given).__qualname__}")


async def _validated(task: Task[..., Any], validate: Callable[..., Any], arguments: Arguments) -> Arguments:
    """What the task's `validate` makes of the arguments: one value, or a tuple of several."""
    args, kwargs = task.signature.spread(arguments)
    try:
        answer = validate(*args, **kwargs)
        if inspect.isawaitable(answer):
            answer = await answer
    except PerdureError:
        raise
    except Exception as error:
        raise InvalidInputError(f"task {task.name}: {error}") from error
    names = task.signature.names
    values: object = answer if len(names) != 1 else (answer,)
    if not isinstance(values, tuple) or len(cast("tuple[object, ...]", values)) != len(names):
        raise InvalidInputError(f"task {task.name}: validate must return {len(names)} values, for {', '.join(names)}")
    return dict(zip(names, cast("tuple[object, ...]", values), strict=True))
