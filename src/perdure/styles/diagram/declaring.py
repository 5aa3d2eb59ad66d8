"""Declaring diagrams: `app.diagram(Checkout)` is a task, and so is each branch of its forks, which its executions start.

The diagram's digest is the task's version, so that an execution says under which one it was enqueued.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, Unpack, cast

from perdure.engine.declaring import Declarer
from perdure.engine.options import CodelessSettings, OnVersion, TaskOptions, Timeout
from perdure.engine.task import Task
from perdure.errors import ConfigurationError
from perdure.model.diagram import snake, title_name
from perdure.model.machine import END, Step
from perdure.model.outline import Part
from perdure.styles.diagram.base import StateDiagram
from perdure.styles.diagram.drive import Beginning, Walk
from perdure.styles.diagram.states import States

S = TypeVar("S")


class DiagramSettings(CodelessSettings, total=False):
    """Keyword options of `app.diagram`. How often a state is tried stands in the diagram."""

    name: str
    timeout: Timeout
    validate: Callable[..., object]
    on_version: OnVersion


class Diagrams(Declarer):
    """Declares diagrams."""

    def diagram(self, make: Callable[[], StateDiagram[S]], /, **settings: Unpack[DiagramSettings]) -> Task[[S], None]:
        """Declares a task that runs a state diagram: a subclass of what `perdure generate` wrote, or a function that makes an
        instance (it is called once here, and once for each state). The task is given the first state's payload; its name is
        the diagram's title. `timeout` holds for each state.

        Raises `ConfigurationError` for a class that lacks a state, for a wrong option or a name that is taken,
        `NotSerializableError` for a payload that cannot be stored.
        """
        if "retries" in settings:
            raise ConfigurationError("app.diagram: how often a state is tried stands in the diagram, as attempts=…")
        name = settings.get("name")
        states = States(make, f"diagram {name or getattr(make, '__name__', make)}")
        title = title_name(states.cls.graph.title)

        def declare(name: str, options: TaskOptions) -> list[Task[..., Any]]:
            return _Declaration(states, self).tasks(name, options)

        given: dict[str, Any] = {"name": title, **settings}
        return cast("Task[[S], None]", self._add_task(_beginning(states, states.start), given, declare))


class _Declaration:
    """The tasks of one diagram."""

    def __init__(self, states: States, owner: Diagrams) -> None:
        self._states, self._owner, self._made = states, owner, list[Task[..., Any]]()
        self._runs: dict[str, Task[..., Any]] = {}
        self._branches: dict[tuple[str, str], Task[..., Any]] = {}

    def tasks(self, name: str, options: TaskOptions) -> list[Task[..., Any]]:
        """The diagram itself, and after it the branches of its forks."""
        version = options.version or self._states.machine.digest()
        options = replace(options, version=version)
        main = self._task(name, options, Walk(self._states, self._states.start), None)
        own = replace(options, deadline=None, start_delay=0.0, validate=None, retention=None)
        for fork in self._states.machine.steps.values():
            for index, entry in enumerate(fork.targets if fork.kind == "fork" else ()):
                self._branch(name, own, fork, index, entry)
        for step in self._states.machine.steps.values():
            if step.runs:
                self._runs[step.name] = self._states.task(step, f"{name}.{_ascii(step.name)}", self._owner)
        return [main, *self._made]

    def _branch(self, name: str, options: TaskOptions, fork: Step, index: int, entry: str) -> None:
        suffix = f"{_ascii(fork.name)}.{_ascii(entry)}"
        options = replace(options, aliases=tuple(f"{alias}.{suffix}" for alias in options.aliases))
        result = self._states.branch_hint(fork, index)
        task = self._task(f"{name}.{suffix}", options, Walk(self._states, entry, fork.join), result)
        self._branches[fork.name, entry] = task
        self._made.append(task)

    def _task(self, name: str, options: TaskOptions, walk: Walk, returns: object) -> Task[..., Any]:
        walk.runs, walk.branches = self._runs, self._branches
        function = _beginning(self._states, walk.start)

        def outline(name: str) -> Part:
            return Part(name, graph=self._states.cls.graph if walk.end == END else None)

        task = Task(function, name, options, self._owner, drive=walk, returns=returns, outline=outline)
        task.signature = walk.beginning = Beginning(function, f"task {name}", context=False, returns=returns)
        return task


def _beginning(states: States, start: str) -> Callable[..., Any]:
    """A function with one parameter: the first state's payload, under that state's name."""

    def begin(*_: object) -> None: ...

    name, hint = snake(start), states.cls.payloads[start]
    parameter = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=hint)
    begin.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    begin.__annotations__ = {name: hint}
    begin.__doc__, begin.__name__ = states.cls.__doc__, states.cls.__name__
    return begin


def _ascii(name: str) -> str:
    """A state's name as names of tasks are written."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"-{ord(found[0]):x}-", name)
