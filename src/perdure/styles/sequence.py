"""Sequences: tasks one after the other, each output the next one's input.

The steps are children, known by their place, so a sequence that stands still between two of them goes on after any
restart. A step that does not complete ends the sequence for good, but for `.retry()`, which goes on at that step. This
module must never start two steps at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast, overload

import msgspec

from perdure.codec import DecodeError, failure_of
from perdure.engine.children import check_depth, check_task, enter, prepared, settled_child, spec_of, standing
from perdure.engine.declaring import Declarer
from perdure.engine.mapping import TaskOf
from perdure.engine.options import CodelessSettings, OnVersion, TaskOptions
from perdure.engine.signature import FromHint
from perdure.engine.styling import Encoded, Verdict, children_failed
from perdure.engine.task import Call, Task
from perdure.errors import ConfigurationError, PerdureError
from perdure.model.outline import STEP, Part

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs
    from perdure.model.records import Child

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")
K = TypeVar("K")


class SequenceSettings(CodelessSettings, total=False):
    """Keyword options of `app.sequence`. A sequence runs no code of its own: retries and timeouts are its steps'."""

    on_version: OnVersion


class Sequence:
    """How one sequence is run."""

    def __init__(self, steps: tuple[Task[..., Any], ...]) -> None:
        self.steps = steps

    def returns(self, _: object) -> object:
        """The hint of the result: the last step's, whatever the first one's function says."""
        return self.steps[-1].signature.result.hint

    def outline(self, name: str) -> Part:
        """Its steps, one after the other."""
        return Part(name, parts=tuple(step.outline() for step in self.steps), order="sequence")

    async def drive(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> Any:
        """Goes on at the step that stands last."""
        children = [self._standing(verbs, index) for index in range(len(self.steps))]
        first = next((i for i, child in enumerate(children) if child is None or child.status != "completed"), None)
        child = children[-1]
        for index in range(len(self.steps) if first is None else first, len(self.steps)):
            child = children[index]
            if child is None:
                before = children[index - 1] if index else None
                child = await self._start(verbs, index, before, args, kwargs)
            child = children[index] = await settled_child(verbs, child)
            if child.status != "completed":
                raise children_failed([(index, child)], len(self.steps))
        return Encoded(cast("str", cast("Child", child).result))

    def _standing(self, verbs: Verbs, index: int) -> Child | None:
        """The child of a step. Steps are known by their place, so that one inserted under running work is drift."""
        child = standing(verbs, verbs.task_name, _slot(index))
        if child is not None:
            check_task(verbs, child, self.steps[index].name, f"step {index}")
        return child

    async def _start(
        self, verbs: Verbs, index: int, before: Child | None, args: list[object], kwargs: dict[str, object]
    ) -> Child:
        """Starts a step with what the one before came to. Raises `Verdict` where it does not take that."""
        await check_depth(verbs, self.steps[index].name)
        try:
            call = self._call(verbs, index, before, args, kwargs)
            spec = spec_of(verbs, await prepared(verbs, call))
        except PerdureError as error:
            failure = failure_of(error)
            message = f"{verbs.task_name}: [index={index}] {self.steps[index].name}: {failure.message}"
            raise Verdict(msgspec.structs.replace(failure, message=message, retryable=False, args=None)) from error
        await verbs.ready()
        return enter(verbs, spec, _slot(index))

    def _call(
        self, verbs: Verbs, index: int, before: Child | None, args: list[object], kwargs: dict[str, object]
    ) -> Call[Any]:
        step = self.steps[index]
        if before is None:
            return step.call(*args, **kwargs)
        result = self.steps[index - 1].signature.result
        try:
            return step.call(result.decode(verbs.host.payloads.unwrap(cast("str", before.result))))
        except DecodeError as error:
            raise verbs.drifted(f"the result of step {index - 1} does not decode: {error}") from error


class Sequences(Declarer):
    """Declares sequences."""

    # fmt: off
    @overload
    def sequence(self, name: str, a: Task[P, A], /, **settings: Unpack[SequenceSettings]) -> Task[P, A]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], /, **settings: Unpack[SequenceSettings]
    ) -> Task[P, B]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], /, **settings: Unpack[SequenceSettings]
    ) -> Task[P, C]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], /,
        **settings: Unpack[SequenceSettings],
    ) -> Task[P, D]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E], /,
        **settings: Unpack[SequenceSettings],
    ) -> Task[P, E]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E],
        f: TaskOf[E, F], /, **settings: Unpack[SequenceSettings],
    ) -> Task[P, F]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E],
        f: TaskOf[E, F], g: TaskOf[F, G], /, **settings: Unpack[SequenceSettings],
    ) -> Task[P, G]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E],
        f: TaskOf[E, F], g: TaskOf[F, G], h: TaskOf[G, H], /, **settings: Unpack[SequenceSettings],
    ) -> Task[P, H]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E],
        f: TaskOf[E, F], g: TaskOf[F, G], h: TaskOf[G, H], i: TaskOf[H, J], /, **settings: Unpack[SequenceSettings],
    ) -> Task[P, J]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, A], b: TaskOf[A, B], c: TaskOf[B, C], d: TaskOf[C, D], e: TaskOf[D, E],
        f: TaskOf[E, F], g: TaskOf[F, G], h: TaskOf[G, H], i: TaskOf[H, J], j: TaskOf[J, K], /,
        **settings: Unpack[SequenceSettings],
    ) -> Task[P, K]: ...
    @overload
    def sequence(
        self, name: str, a: Task[P, object], b: Task[..., object], c: Task[..., object], d: Task[..., object],
        e: Task[..., object], f: Task[..., object], g: Task[..., object], h: Task[..., object], i: Task[..., object],
        j: Task[..., object], k: Task[..., object], /, *more: Task[..., object],
        **settings: Unpack[SequenceSettings],
    ) -> Task[P, object]: ...
    # fmt: on
    def sequence(self, name: str, /, *steps: Any, **settings: Any) -> Any:
        """Declares a task that runs others one after the other: its arguments are the first one's, each output is the
        next one's single argument, its result is the last one's. Typed for up to ten.

        Raises `ValueError` without steps, `ConfigurationError` for what is no task, for a step that does not take one
        argument, for a wrong option or a name that is taken.
        """
        if not steps:
            raise ValueError(f"sequence {name!r} has no steps; give it at least one task")
        tasks = tuple(_step(name, index, step) for index, step in enumerate(steps))

        def make(name: str, options: TaskOptions) -> list[Task[..., Any]]:
            sequence = Sequence(tasks)
            return [
                Task(
                    tasks[0].fn, name, options, self, drive=sequence.drive, returns=FromHint(sequence.returns),
                    outline=sequence.outline,
                )
            ]  # fmt: skip

        return self._add_task(tasks[0].fn, {**settings, "name": name}, make)


def _step(name: str, index: int, step: object) -> Task[..., Any]:
    if not isinstance(step, Task):
        raise ConfigurationError(f"sequence {name!r}: step {index} is {step!r}; steps are tasks")
    task = cast("Task[..., Any]", step)
    if index:
        try:
            task.signature.bind((None,), {})
        except PerdureError as error:
            raise ConfigurationError(f"sequence {name!r}: step {index} must take one argument: {error}") from None
    return task


def _slot(index: int) -> str:
    """The place of a step. No task is named so, so that no alias meets it."""
    return f"{STEP}{index}"
