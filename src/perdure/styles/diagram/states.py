"""A diagram's class held against its graph: what each state is given, what it may answer, and where that leads.

All that can be wrong with a class shows here, when it is declared. This module runs no state and reads no journal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, cast, get_type_hints

import msgspec

from perdure.codec import DecodeError, TypeCodec, codec_for
from perdure.engine.blocking import BlockingContext
from perdure.engine.context import Context
from perdure.engine.options import TaskOptions
from perdure.engine.ports import Owner
from perdure.engine.task import Task
from perdure.errors import ConfigurationError, GiveUp, NotSerializableError
from perdure.model.diagram import snake
from perdure.model.machine import END, Machine, Step, lower
from perdure.styles.diagram.base import StateDiagram

Make = Callable[[], StateDiagram[Any]]


class Onward(NamedTuple):
    """Where a state leads: the next step and its payload, as JSON text and as it will be read again. `label` is the outcome
    of the choice between."""

    target: str
    text: str = "null"
    value: object = None
    label: str = ""


class States:
    """The states of one declared diagram."""

    def __init__(self, make: Make, what: str) -> None:
        self.make, self.what = make, what
        self.cls = _class_of(make, what)
        self.machine: Machine = lower(self.cls.graph)
        self._codecs = {
            name: codec_for(hint, f"the payload of state {name} of {what}") for name, hint in self.cls.payloads.items()
        }
        self._results = self._branches()
        self._check_methods()

    @property
    def start(self) -> str:
        """The first step."""
        return self.machine.start

    def codec(self, name: str) -> TypeCodec:
        """How the payload of a state, a fork or a join is stored."""
        return self._codecs[name]

    def result(self, step: Step) -> TypeCodec:
        """How that is stored to which the branch comes that a step stands in."""
        assert step.branch is not None
        return self._results[step.branch.fork, step.branch.index]

    def branch_hint(self, fork: Step, index: int) -> object:
        """The class to which a branch comes."""
        return self._results[fork.name, index].hint

    def _branches(self) -> dict[tuple[str, int], TypeCodec]:
        found: dict[tuple[str, int], TypeCodec] = {}
        for fork in [step for step in self.machine.steps.values() if step.kind == "fork"]:
            hints = get_type_hints(self.cls.payloads[fork.join])
            for index, entry in enumerate(fork.targets):
                where = f"the result of branch {entry} of {self.what}"
                found[fork.name, index] = codec_for(hints[snake(entry)], where)
        return found

    def _check_methods(self) -> None:
        for step in self.machine.steps.values():
            if not step.runs:
                continue
            method = inspect.getattr_static(self.cls, snake(step.name), None)
            if (
                not inspect.isfunction(method)
                or inspect.isgeneratorfunction(method)
                or inspect.isasyncgenfunction(method)
            ):
                raise ConfigurationError(
                    f"{self.what}: {self.cls.__name__}.{snake(step.name)} must be a method that returns"
                )

    def task(self, step: Step, name: str, owner: Owner) -> Task[..., Any]:
        """What runs a state: its method on an instance made for it alone."""
        method, make = getattr(self.cls, snake(step.name)), self.make

        async def state(ctx: Context, payload: object) -> Any:
            return await method(_placed(make(), ctx), payload)

        def plain(ctx: BlockingContext, payload: object) -> Any:
            return method(_placed(make(), ctx), payload)

        function = state if inspect.iscoroutinefunction(method) else plain
        return Task(cast("Callable[..., Any]", function), name, TaskOptions(), owner)

    # -- what a state answers -----------------------------------------------------------------------------------------

    def onward(self, step: Step, returned: object) -> Onward:
        """Where what a state returned leads. Raises `GiveUp` for what the diagram does not allow, `NotSerializableError`."""
        target, label = step.targets[0], ""
        after = self.machine.steps.get(target)
        if after is not None and after.kind == "choice":
            target, label = self._chosen(step, after, returned)
            returned = getattr(returned, "payload", None)
        if target == END:
            if returned is not None:
                raise GiveUp(f"{self._of(step)} returned {returned!r}; the end follows it, so it returns nothing")
            return Onward(END, label=label)
        codec = self.result(step) if self.machine.steps[target].kind == "join" else self.codec(target)
        if isinstance(codec.hint, type) and not isinstance(returned, codec.hint):
            raise GiveUp(
                f"{self._of(step)} returned {returned!r}; {target} follows, so it returns {codec.hint.__name__}"
            )
        try:
            text, value = codec.settle(returned)
        except DecodeError as error:
            raise NotSerializableError(f"{self._of(step)}: {error}") from error
        return Onward(target, text, value, label)

    def _chosen(self, step: Step, choice: Step, returned: object) -> tuple[str, str]:
        classes = self.cls.outcomes[choice.name]
        for each, target, label in zip(classes, choice.targets, choice.labels, strict=True):
            if type(returned) is each:
                return target, label
        name = snake(choice.name)
        outcomes = ", ".join(f"self.{name}.{snake(label)}(…)" for label in choice.labels)
        raise GiveUp(
            f"{self._of(step)} returned {returned!r}; the choice {choice.name} follows, so it returns {outcomes}"
        )

    def _of(self, step: Step) -> str:
        return f"state {step.name} of {self.what}"

    def joined(self, fork: Step, results: list[msgspec.Raw]) -> str:
        """The payload of the join, from what the branches came to."""
        names = [snake(entry) for entry in fork.targets]
        return msgspec.json.encode(dict(zip(names, results, strict=True))).decode()


def _placed(instance: StateDiagram[Any], context: Context | BlockingContext) -> StateDiagram[Any]:
    instance._context = context  # pyright: ignore[reportPrivateUsage]
    return instance


def _class_of(make: object, what: str) -> type[StateDiagram[Any]]:
    """The class of a diagram, or of what a factory makes. Raises `ConfigurationError`."""
    if isinstance(make, type):
        found = cast("type[object]", make)
    elif callable(make):
        try:
            found = type(make())
        except TypeError as error:
            raise ConfigurationError(f"{what}: the factory cannot make a diagram: {error}") from error
    else:
        raise ConfigurationError(f"app.diagram takes a class or a function that makes an instance, not {make!r}")
    if not issubclass(found, StateDiagram) or "graph" not in dir(cast("type[object]", found)):
        raise ConfigurationError(f"{what}: {found.__name__} is no subclass of a class that `perdure generate` wrote")
    cls = cast("type[StateDiagram[Any]]", found)
    if cls is make:
        _check_constructor(cls, what)
    return cls


def _check_constructor(cls: type[object], what: str) -> None:
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise ConfigurationError(f"{what}: {cls.__name__} has no method for {', '.join(missing)}")
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"{what}: {cls.__name__}() {error}; give a function that makes one: app.diagram(lambda: {cls.__name__}(...))"
        ) from None
