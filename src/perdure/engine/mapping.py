"""`ctx.map`: one activity or task over many items, bounded, with a tolerance for failures.

Keys and slots are taken in input order before anything starts, so the same items meet the same records on every replay,
however they are scheduled. Children without a bound are started in one transition and joined as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from perdure.codec import carried, failure_of
from perdure.engine.activity import plan_activity
from perdure.engine.children import check_depth, child_result, met_child, prepared, slot_of, spawn, start_child
from perdure.engine.scope import current
from perdure.engine.task import Activity, Call, Task
from perdure.engine.waits import OpenWait
from perdure.errors import ConfigurationError, Failure, JournalDriftError, LeaseLostError, MapFailedError
from perdure.model.records import Child
from perdure.model.status import SETTLED

if TYPE_CHECKING:
    from perdure.engine.journal import Ledger
    from perdure.engine.verbs import Verbs

Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)
Job = Callable[[], Awaitable[Any]]


class ActivityOf(Protocol[Item, Result]):
    """An activity that can be called with one item and nothing else."""

    def aio(self, item: Item, /) -> Coroutine[Any, Any, Result]:
        """The activity's result, awaited."""
        ...


class TaskOf(Protocol[Item, Result]):
    """A task that can be called with one item and nothing else."""

    def call(self, item: Item, /) -> Call[Result]:
        """The task with its input."""
        ...


class Outcomes:
    """What the items of a map came to: results in input order, and how many failed of how many may."""

    def __init__(self, count: int, tolerate: float | None) -> None:
        self.results: list[Any] = [None] * count
        self.reached = [False] * count
        self.failed = 0
        self.allowed = _allowed(tolerate, count)
        self.strict = tolerate is None

    @property
    def exceeded(self) -> bool:
        """Whether more failed than may."""
        return self.failed > self.allowed

    async def take(self, index: int, job: Job) -> None:
        """Runs one item. Its failure is kept, or raised when none is tolerated."""
        try:
            self.results[index] = await job()
        except Exception as error:
            if self.strict or isinstance(error, JournalDriftError | LeaseLostError):
                raise
            self.failed += 1
            self.results[index] = _failure(error)
        self.reached[index] = True

    def answer(self) -> list[Any]:
        """The results. Raises `MapFailedError` when more failed than may."""
        if self.exceeded:
            first = next(each for each in self.results if isinstance(each, Failure))
            reached = tuple(value for value, there in zip(self.results, self.reached, strict=True) if there)
            message = (
                f"{self.failed} of {len(self.results)} items failed, {self.allowed} may; the first: {first.message}"
            )
            raise MapFailedError(message, first, reached)
        return self.results


async def map_items(
    verbs: Verbs,
    function: Activity[..., Any] | Task[..., Any],
    items: Sequence[Any],
    concurrency: int | None,
    tolerate: float | None,
) -> list[Any]:
    """Results in input order; see `Context.map`."""
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise ConfigurationError(f"map concurrency is {concurrency!r}; it must be a whole number from 1")
    outcomes = Outcomes(len(items), tolerate)
    await verbs.ready()
    if not items:
        return []
    inside = verbs.in_branch(verbs.branch.child())
    if isinstance(function, Activity):
        jobs = [_activity_job(inside, function, item) for item in items]
    elif concurrency is None:
        return await _map_children(inside, function, items, outcomes)
    else:
        jobs = [_child_job(inside, function, item) for item in items]
    await _run_bounded(inside, outcomes, jobs, concurrency or len(jobs))
    return outcomes.answer()


def _activity_job(verbs: Verbs, activity: Activity[..., Any], item: object) -> Job:
    plan = plan_activity(verbs, activity, (item,), {})
    return lambda: verbs.activity_planned(activity, plan, (item,), {})


def _child_job(verbs: Verbs, task: Task[..., Any], item: object) -> Job:
    call = task.call(item)
    slot = slot_of(call, verbs.branch)

    async def job() -> Any:
        return await child_result(verbs, await spawn(verbs, call, slot), task)

    return job


async def _run_bounded(verbs: Verbs, outcomes: Outcomes, jobs: list[Job], concurrency: int) -> None:
    """Runs jobs in order, at most `concurrency` at once; none starts once too many failed. The tasks that do are made in the
    map's own branch: how many there are must not shift the branches that the body makes later."""
    queue = iter(enumerate(jobs))

    async def runner() -> None:
        for index, job in queue:
            if outcomes.exceeded:
                return
            await outcomes.take(index, job)

    token = current.set(verbs.scope.in_branch(verbs.branch))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(jobs))):
                group.create_task(runner())
    except* Exception as errors:
        raise _first(errors) from None
    finally:
        current.reset(token)


async def _map_children(verbs: Verbs, task: Task[..., Any], items: Sequence[Any], outcomes: Outcomes) -> list[Any]:
    """Starts all children in one transition and joins them as a whole."""
    calls = [task.call(item) for item in items]
    slots = [slot_of(call, verbs.branch) for call in calls]
    for index, (call, slot) in enumerate(zip(calls, slots, strict=True)):
        if met_child(verbs, call, slot) is None:
            calls[index] = await prepared(verbs, call)
            await check_depth(verbs, call.task.name)
    children = [
        met_child(verbs, call, slot) or start_child(verbs, call, slot) for call, slot in zip(calls, slots, strict=True)
    ]
    await verbs.driver.flushed()
    await _joined(verbs, task.name, [child for child in children if child.slot != child.id])
    for index, child in enumerate(children):
        await outcomes.take(index, _result_job(verbs, child, task))
    return outcomes.answer()


def _result_job(verbs: Verbs, child: Child, task: Task[..., Any]) -> Job:
    return lambda: child_result(verbs, verbs.driver.ledger.child(child.slot) or child, task)


async def _joined(verbs: Verbs, name: str, children: list[Child]) -> None:
    """Returns once all children are settled."""
    slots = [child.slot for child in children]

    def probe(ledger: Ledger, _: int) -> bool | None:
        return all(_is_settled(ledger.child(slot)) for slot in slots) or None

    if probe(verbs.driver.ledger, 0) is None:
        ids = tuple(child.id for child in children)
        await verbs.driver.wait(OpenWait(verbs.unique(f"map {name}"), "children", name, probe, None, ids))


def _is_settled(child: Child | None) -> bool:
    return child is not None and child.status in SETTLED


def _failure(error: Exception) -> Failure:
    return carried(error) or failure_of(error)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(cast("ExceptionGroup[Exception]", first)) if isinstance(first, ExceptionGroup) else first


def _allowed(tolerate: float | None, count: int) -> int:
    if tolerate is None:
        return 0
    if isinstance(tolerate, bool) or not isinstance(tolerate, int | float) or tolerate < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"map tolerate is {tolerate!r}; it must be a share from 0.0 to 1.0 or a count")
    if isinstance(tolerate, int):
        return tolerate
    if not tolerate <= 1:
        raise ConfigurationError(f"map tolerate is {tolerate!r}; a share lies between 0.0 and 1.0, a count is an int")
    return int(tolerate * count + 1e-9)  # 0.29 * 100 is 28.999…
