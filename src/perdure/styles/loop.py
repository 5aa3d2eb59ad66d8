"""Loops: one function again and again in one execution, until it says that it is done. Polling is a loop with a delay.

Each iteration is a chapter of the execution's journal. When one is over, a single transition writes the number and input
of the next one, counts attempts anew and removes what the iteration recorded: row and journal stay as they are however
many follow. A crash repeats the iteration that it met, its activities answered as far as they were recorded.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from perdure.clock import Duration, milliseconds, seconds
from perdure.codec import DecodeError
from perdure.engine import chapters, waiting
from perdure.engine.blocking import BlockingContext
from perdure.engine.bodies import running_time
from perdure.engine.chapters import Chapter
from perdure.engine.context import Context
from perdure.engine.declaring import Declarer
from perdure.engine.journal import Branch, chapter_prefix
from perdure.engine.options import TaskOptions, TaskSettings
from perdure.engine.signature import FromHint
from perdure.engine.specification import checked_input
from perdure.engine.task import Task
from perdure.engine.verbs import Verbs
from perdure.errors import Abort, ConfigurationError, GiveUp, InvalidInputError, JournalDriftError, PerdureError
from perdure.model.outline import Part
from perdure.model.records import Entry

P = ParamSpec("P")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)
SAME: Final = object()
PAUSE: Final = "sleep@delay#0"
"""What follows the number of an iteration in the key of the timer before it."""
Delay = Duration | Callable[[int], Duration]


class Continue:
    """Returned by an iteration of a loop that is to go on: with that input, or without one with the same as before."""

    __slots__ = ("input",)

    def __init__(self, next_input: object = SAME, /) -> None:
        self.input = next_input

    def __repr__(self) -> str:
        return "Continue()" if self.input is SAME else f"Continue({self.input!r})"


@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """Returned by the last iteration of a loop, with what the loop came to."""

    value: T_co


@dataclass(frozen=True)
class LoopResult(Generic[T_co]):
    """What a loop came to. `done`: an iteration said so, with that `value`; else `max_iterations` were reached.
    `iterations` is how many ran to their end."""

    done: bool
    value: T_co | None
    iterations: int


class LoopDrive:
    """What drives a loop. Deterministic given the journal: the number and input of the iteration that is on."""

    def __init__(self, what: str, max_iterations: int | None, delay: Delay | None) -> None:
        if max_iterations is not None and (type(max_iterations) is not int or max_iterations < 1):
            raise ConfigurationError(
                f"{what} max_iterations is {max_iterations!r}; it must be a whole number from 1, or None for no end"
            )
        if inspect.iscoroutinefunction(delay):
            raise ConfigurationError(
                f"{what} delay is an async def; it must be seconds, a timedelta or a plain function"
            )
        self._what, self._most = what, max_iterations
        self._delay = delay if delay is None or callable(delay) else seconds(delay, f"{what} delay")

    def outline(self, name: str) -> Part:
        """One box, with a way back to itself."""
        pause = (
            "" if self._delay is None else " after a pause" if callable(self._delay) else f" after {self._delay:g} s"
        )
        most = "" if self._most is None else f", {self._most} times at most"
        return Part(name, again=f"again{pause}{most}")

    async def __call__(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> LoopResult[Any]:
        """Runs iterations until one is the last."""
        driver, host = verbs.driver, verbs.host
        task = cast("Task[..., Any]", host.directory.task(driver.claim.task_name))
        number, text = _begun(verbs)
        if text is not None:
            args, kwargs = _arguments(task, host.payloads.unwrap(text))
        if self._enough(number) and not _under_way(verbs, number):  # a deploy lowered the bound
            return LoopResult(False, None, number)
        while True:
            await self._pause(verbs, number)
            chapter = Chapter(number, task.name, shown=f"task {task.name} iteration {number}", iteration=number)
            timeout = running_time(task, driver.claim)
            answer = await chapters.run(verbs, chapter, task, args, kwargs, timeout)
            if isinstance(answer, Abort):
                raise answer
            if isinstance(answer, Done):
                return LoopResult(True, cast("Done[Any]", answer).value, number + 1)
            if not isinstance(answer, Continue):
                raise GiveUp(f"{self._what}: iteration {number} returned {answer!r}; return Continue(...) or Done(...)")
            if self._enough(number + 1):
                return LoopResult(False, None, number + 1)
            if answer.input is not SAME:
                text = host.payloads.wrap(self._next(verbs, task, answer.input, number))
            timer = self._timer(verbs, number + 1)
            entry = chapters.entry_of(verbs, "iteration", number + 1, "iteration", text)
            await chapters.turn(verbs, entry, chapter.prefix, timer)
            number += 1
            args, kwargs = _arguments(task, host.payloads.unwrap(text or driver.claim.input))

    def _enough(self, iterations: int) -> bool:
        return self._most is not None and iterations >= self._most

    def _next(self, verbs: Verbs, task: Task[..., Any], given: object, number: int) -> str:
        """The input of the next iteration, checked as at enqueue. Raises `InvalidInputError`, `PayloadTooLargeError`."""
        try:
            arguments = task.signature.checked(task.signature.bind((given,), {}))
            return checked_input(task.name, task.signature.encode(arguments), verbs.host.sizes)
        except InvalidInputError as error:
            raise InvalidInputError(f"{self._what}: what iteration {number} continues with: {error}") from error

    async def _pause(self, verbs: Verbs, number: int) -> None:
        """The delay before an iteration: a durable sleep until its timer ends, which a deploy may have added."""
        if self._delay is None or number == 0:
            return
        inside = Verbs(verbs.shared, Branch("delay", chapter_prefix(number)))
        known = verbs.driver.ledger.memos.get(chapter_prefix(number) + PAUSE)
        await waiting.sleep(inside, 0 if known is not None else self._length(self._delay, number), None)

    def _timer(self, verbs: Verbs, number: int) -> Entry | None:
        """The timer before an iteration, written with its beginning. A function that fails, fails the iteration before it."""
        if self._delay is None:
            return None
        length = milliseconds(self._length(self._delay, number), f"{self._what} delay")
        return waiting.timer(verbs, chapter_prefix(number) + PAUSE, "sleep", length)

    def _length(self, delay: Delay, number: int) -> Duration:
        return delay(number - 1) if callable(delay) else delay


def _begun(verbs: Verbs) -> tuple[int, str | None]:
    """The iteration that is on, and its input where it is not the execution's own."""
    ledger = verbs.driver.ledger
    entry = ledger.memos.get(chapter_prefix(ledger.iteration))
    return ledger.iteration, None if entry is None else entry.value


def _under_way(verbs: Verbs, number: int) -> bool:
    """Whether an iteration has recorded something of its own."""
    ledger, prefix = verbs.driver.ledger, chapter_prefix(number)
    own = (key for key in (*ledger.memos, *ledger.children) if key.startswith(prefix))
    return any(key not in (prefix, prefix + PAUSE) for key in own)


def _arguments(task: Task[..., Any], text: str) -> tuple[list[object], dict[str, object]]:
    try:
        return task.signature.spread(task.signature.decode(text))
    except (DecodeError, PerdureError) as error:
        raise JournalDriftError(f"the stored input of task {task.name} does not fit its signature: {error}") from error


def _result_hint(hint: Any) -> object:
    """`LoopResult[T]`, where the iteration says that it returns `Done[T]`."""
    parts = typing.get_args(hint) if typing.get_origin(hint) not in (None, Done) else (hint,)
    for part in parts:
        if typing.get_origin(part) is Done:
            return LoopResult[typing.get_args(part)[0]]
    return LoopResult[Any]


class Loops(Declarer):
    """The part of a registry that declares loops."""

    @overload
    def loop(
        self, name: str, iteration: Callable[Concatenate[Context, P], Awaitable[Continue | Done[R] | Abort]], /, *,
        max_iterations: int | None = None, delay: Delay | None = None, **settings: Unpack[TaskSettings],
    ) -> Task[P, LoopResult[R]]: ...  # fmt: skip
    @overload
    def loop(
        self, name: str, iteration: Callable[Concatenate[BlockingContext, P], Continue | Done[R] | Abort], /, *,
        max_iterations: int | None = None, delay: Delay | None = None, **settings: Unpack[TaskSettings],
    ) -> Task[P, LoopResult[R]]: ...  # fmt: skip
    @overload
    def loop(
        self, name: str, iteration: Callable[P, Awaitable[Continue | Done[R] | Abort]], /, *,
        max_iterations: int | None = None, delay: Delay | None = None, **settings: Unpack[TaskSettings],
    ) -> Task[P, LoopResult[R]]: ...  # fmt: skip
    @overload
    def loop(
        self, name: str, iteration: Callable[P, Continue | Done[R] | Abort], /, *,
        max_iterations: int | None = None, delay: Delay | None = None, **settings: Unpack[TaskSettings],
    ) -> Task[P, LoopResult[R]]: ...  # fmt: skip
    def loop(
        self, name: str, iteration: Callable[..., Any], /, *,
        max_iterations: int | None = None, delay: Delay | None = None, **settings: Any,
    ) -> Task[..., Any]:  # fmt: skip
        """Declares a task that runs `iteration` until it returns `Done(value)`; `Continue()` and `Continue(next_input)` go
        on. `ctx.iteration` counts from 0.

        After `max_iterations` (default: no end) the result is `LoopResult(done=False)`. `delay` lies between two
        iterations: seconds, a timedelta, or a function of the number of the iteration before it; it holds no slot. Other
        options are those of a task; `retries` and `timeout` hold for each iteration. Raises `ConfigurationError`.
        """
        if "name" in settings or inspect.isclass(iteration) or not callable(iteration):
            raise ConfigurationError(f"app.loop takes a name and a function, not {name!r} and {iteration!r}")
        drive = LoopDrive(f"loop {name}", max_iterations, delay)

        def make(name: str, options: TaskOptions) -> list[Task[..., Any]]:
            returns = FromHint(_result_hint)
            return [Task(iteration, name, options, self, drive=drive, returns=returns, outline=drive.outline)]

        return self._add_task(iteration, {**settings, "name": name}, make)
