"""`Context`: what a body sees of its execution, and the durable verbs.

All state is in `Verbs`; this is the public face, typed. `BlockingContext` (in `blocking`) has the same verbs for `def`
bodies.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast, overload
from uuid import UUID

import msgspec

from perdure.clock import Duration
from perdure.codec import TypeCodec, argument_digest, codec_for, decode_failure
from perdure.engine import items, mapping, progress, waiting
from perdure.engine.activity import Plan, call_plain, perform
from perdure.engine.durable import Durable
from perdure.engine.handle import Handle
from perdure.engine.journal import activity_key
from perdure.engine.mapping import ActivityOf, TaskOf
from perdure.engine.options import checked_name
from perdure.engine.scope import current
from perdure.engine.signal import Signal
from perdure.engine.task import Activity, AsyncActivity, Call, Task
from perdure.errors import ConfigurationError, Failure, JournalDriftError, NotInExecutionError
from perdure.ids import derived_random
from perdure.model.execution import ListItem, moment
from perdure.model.policy import Retry, retry_policy

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")
NATURAL = codec_for(object, "a recorded value")


class About:
    """What any context tells about its execution. Allowed inside activities too."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._claim = verbs.driver.claim

    @property
    def execution_id(self) -> str:
        """The id of this execution."""
        return self._claim.id

    @property
    def task_name(self) -> str:
        """The name of this execution's task; in a task list, that of the item's."""
        return self._verbs.name

    @property
    def attempt(self) -> int:
        """Which try this is, from 0. Suspensions, shutdowns and crashes do not raise it."""
        return self._claim.attempt

    @property
    def previous_failure(self) -> Failure | None:
        """How the attempt before this one ended; `None` in the first, and where since then a journal that did not fit
        the code was shown in its place."""
        failure = decode_failure(self._claim.failure) if self._claim.failure and self._claim.attempt else None
        return None if failure is None or failure.type == JournalDriftError.__name__ else failure

    @property
    def iteration(self) -> int:
        """Which iteration of its loop this is, from 0. Raises `ConfigurationError` outside a loop."""
        number = None if self._verbs.chapter is None else self._verbs.chapter.iteration
        if number is None:
            raise ConfigurationError(f"ctx.iteration: {self._verbs.task_name} is no loop")
        return number

    @property
    def list_id(self) -> str:
        """The id of the task list that this item belongs to. Raises `ConfigurationError` outside a list."""
        return self._place("list_id")[0]

    @property
    def seq(self) -> int:
        """The place of this item in its task list, from 0. Raises `ConfigurationError` outside a list."""
        return self._place("seq")[1]

    @property
    def prepared(self) -> Any:
        """What the `prepare` of this item's task returned, in this process; `None` without one. Raises
        `ConfigurationError` outside a list."""
        self._place("prepared")
        return self._verbs.shared.prepared

    def _place(self, what: str) -> tuple[str, int]:
        chapter = self._verbs.chapter
        if chapter is not None and chapter.list_id is not None:
            return chapter.list_id, chapter.number
        place = items.place_of(self._claim.options)
        if place is None:
            raise ConfigurationError(f"ctx.{what}: {self._verbs.task_name} runs in no task list here")
        return place.list_id, place.seq

    @property
    def root(self) -> str:
        """The id of the tree's root; its own id for an execution without parent."""
        return self._claim.root_id

    @property
    def parent(self) -> str | None:
        """The id of the execution that started this one as a child."""
        return self._claim.parent_id

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags given at enqueue."""
        return cast("dict[str, str]", json.loads(self._claim.tags)) if self._claim.tags else {}

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger `perdure.task.<name>`: silent while replaying, records carry execution, task and attempt."""
        return self._verbs.logger

    @property
    def cancelled(self) -> bool:
        """Whether a cancel, a time-out or the end of the pass asks the body to stop."""
        driver = self._verbs.driver
        return driver.cancel_reason is not None or driver.timed_out is not None or driver.unwinding

    @property
    def shutting_down(self) -> bool:
        """Whether the worker is closing: finish soon, or be interrupted and go on elsewhere."""
        return self._verbs.host.shutting_down

    @property
    def suspending(self) -> bool:
        """Whether the body is being unwound because it waits; what it does now is not recorded."""
        driver = self._verbs.driver
        return driver.unwinding and driver.cancel_reason is None and driver.timed_out is None

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Says how far the work is; shown by `watch`, page and command line. Written at most twice a second."""
        chapter = self._verbs.chapter
        told = {"done": done, "total": total, "text": text}
        if chapter is not None and chapter.state is not None:
            told["state"] = chapter.state
        progress.note(self._verbs.driver, msgspec.json.encode(told).decode())


C = TypeVar("C", bound=About)


class Context(About):
    """An execution as seen by its `async def` body."""

    async def sleep(self, duration: Duration, *, key: str | None = None) -> None:
        """Waits for `duration` (seconds or a timedelta) without holding a worker's slot; survives restarts."""
        await waiting.sleep(self._verbs, duration, key)

    @overload
    async def wait_for(self, name: Signal[T], *, timeout: Duration | None = None, key: str | None = None) -> T: ...
    @overload
    async def wait_for(
        self, name: str, type: type[T], *, timeout: Duration | None = None, key: str | None = None
    ) -> T: ...
    @overload
    async def wait_for(self, name: str, *, timeout: Duration | None = None, key: str | None = None) -> object: ...
    async def wait_for(
        self, name: str | Signal[Any], type: Any = object, *, timeout: Duration | None = None, key: str | None = None
    ) -> Any:
        """The next signal of that name, sent before or after. Raises `TimeoutError` when it has not come after
        `timeout` seconds; that is recorded, and the same on every replay."""
        name, codec = signal_codec(name, type)
        return await waiting.wait_for(self._verbs, name, codec, timeout, key)

    async def item(self, which: int | str) -> ListItem:
        """An item of this task list by its number (from 0) or name, as it stands: earlier ones have ended. Raises
        `LookupError` for an item that is not there, `ConfigurationError` outside a list."""
        return await items.read_item(self._verbs, which)

    async def run(self, call: Call[R]) -> R:
        """A child execution and its result. Raises `ExecutionFailedError` and its kin."""
        return await Durable(self._verbs).run(call)

    async def spawn(self, call: Call[R]) -> Handle[R]:
        """Starts a child execution; `await handle.result()` waits for it without a slot."""
        return await Durable(self._verbs).spawn(call)

    async def enqueue(self, call: Call[R]) -> Handle[R]:
        """Starts an execution that is nobody's child, once; it is not cancelled with this one."""
        return cast("Handle[R]", (await Durable(self._verbs).enqueue([call]))[0])

    @overload
    async def map(
        self, function: ActivityOf[T, R] | TaskOf[T, R], items: Iterable[T], *,
        concurrency: int | None = None,
    ) -> list[R]: ...  # fmt: skip
    @overload
    async def map(
        self, function: ActivityOf[T, R] | TaskOf[T, R], items: Iterable[T], *,
        concurrency: int | None = None, tolerate: float,
    ) -> list[R | Failure]: ...  # fmt: skip
    async def map(
        self, function: Any, items: Iterable[Any], *, concurrency: int | None = None, tolerate: float | None = None
    ) -> list[Any]:
        """An activity or task over items, results in input order, at most `concurrency` at once.

        Without `tolerate` the first failure is raised. With it (a share as float, or a count as int) failures up to
        that stand in the list as `Failure`; above it `MapFailedError` is raised and no new item starts.
        """
        return await mapping.map_items(self._verbs, mappable(function), list(items), concurrency, tolerate)

    @overload
    async def record(
        self, function: Callable[[Unpack[Ts]], Awaitable[R]], *args: *Ts, key: str | None = None,
        retries: int | Retry | None = None,
    ) -> R: ...  # fmt: skip
    @overload
    async def record(
        self, function: Callable[[Unpack[Ts]], R], *args: *Ts, key: str | None = None,
        retries: int | Retry | None = None,
    ) -> R: ...  # fmt: skip
    async def record(
        self, function: Callable[..., Any], *args: Any, key: str | None = None, retries: int | Retry | None = None
    ) -> Any:
        """The result of any callable, recorded: run once per arguments (or per `key`), answered from then on. A plain
        function runs in a thread. `retries` are none by default, and an activity's own."""
        return await record(self._verbs, function, args, key, retries)

    def now(self, *, key: str | None = None) -> datetime:
        """The time as an aware datetime (UTC), the same in every pass and later attempt."""
        return moment(waiting.now(self._verbs, key))

    def uuid(self, *, key: str | None = None) -> UUID:
        """A UUID, the same in every pass and later attempt."""
        self._verbs.ready_now()
        source = derived_random(self._claim.id, self._verbs.key("uuid", key))
        return UUID(int=source.getrandbits(128), version=4)

    def random(self, *, key: str | None = None) -> float:
        """A number in [0, 1), the same in every pass and later attempt."""
        self._verbs.ready_now()
        return derived_random(self._claim.id, self._verbs.key("random", key)).random()


async def record(
    verbs: Verbs, function: Callable[..., Any], args: tuple[Any, ...], key: str | None, retries: int | Retry | None
) -> Any:
    """`ctx.record`: an activity keeps its own name, and its options but those given here; any other callable is recorded
    under its name."""
    await verbs.ready()
    if isinstance(function, Activity):
        activity = cast("AsyncActivity[..., Any]", function)
        if key is not None:
            activity = activity.options(key=key)
        if retries is not None:
            activity = activity.options(retries=retries)
        return await verbs.activity(activity, args, {})
    name, key = getattr(function, "__qualname__", type(function).__name__), verbs.own_key("record", key)
    policy = retry_policy(retries, Retry.none(), f"record {name} retries")
    digest = "" if key else argument_digest({str(index): argument for index, argument in enumerate(args)})
    plan = Plan(
        verbs.branch.key("record " + activity_key(name, digest, key)), name, NATURAL, lambda: call_plain(verbs, function, args),
        policy,
    )  # fmt: skip
    return await perform(verbs, plan)


def signal_codec(name: str | Signal[Any], type: Any) -> tuple[str, TypeCodec]:
    """Name and codec of a signal given as `Signal`, or as a name with a type beside it."""
    if isinstance(name, Signal):
        return name.name, name.codec
    return checked_name("signal", name), codec_for(type, f"signal {name}")


def mappable(function: object) -> Activity[..., Any] | Task[..., Any]:
    """What `map` can run over items. Raises `ConfigurationError` for anything but an activity or a task."""
    if isinstance(function, Activity | Task):
        return cast("Activity[..., Any] | Task[..., Any]", function)
    raise ConfigurationError(f"ctx.map takes an activity or a task, not {function!r}; declare it with @app.activity")


@overload
def current_context() -> Context: ...
@overload
def current_context(kind: type[C], /) -> C: ...
def current_context(kind: type[About] = About, /) -> About:
    """The context of the execution that the calling code belongs to, also inside its activities. Under a `def` body say
    `current_context(BlockingContext)`, so that type checkers know which it is.

    Raises `NotInExecutionError` elsewhere, `ConfigurationError` when the body has the other kind."""
    scope = current.get()
    if scope is None:
        raise NotInExecutionError("there is no execution here; a context exists only while a task's body runs")
    if not isinstance(scope.context, kind):
        raise ConfigurationError(f"the context of this body is a {type(scope.context).__name__}, no {kind.__name__}")
    return scope.context
