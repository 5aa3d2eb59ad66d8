"""The way that an execution took through its diagram, as marks on the states: what was passed, and how it stands where it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from perdure.mermaid.statechart import PASSED
from perdure.model.diagram import Graph, snake
from perdure.model.execution import Execution, JournalEntry
from perdure.model.machine import END, Machine, lower

Marks = tuple[tuple[str, str], ...]


class Trace(NamedTuple):
    """An execution of a diagram, or of a branch of one, with its journal."""

    execution: Execution[Any]
    entries: Sequence[JournalEntry]


def marks_of(graph: Graph, traces: Iterable[Trace]) -> Marks:
    """The classes of the states, by the execution itself and those of its branches."""
    machine = lower(graph)
    marks: dict[str, str] = {}
    here: dict[str, str] = {}
    for execution, entries in traces:
        passed = [entry for entry in entries if entry.kind == "state"]
        for entry in passed:
            marks[entry.name] = PASSED
            step = machine.steps.get(entry.name)
            target = step.targets[0] if step is not None and step.targets else END
            if target in machine.steps and machine.steps[target].kind == "choice":
                marks[target] = PASSED
        if execution.status != "completed":
            here[_reached(passed, execution, machine)] = execution.status
    return tuple({**marks, **here}.items())


def _reached(passed: Sequence[JournalEntry], execution: Execution[Any], machine: Machine) -> str:
    """Where the last entry leads; before the first one, the state by whose name the input goes."""
    last = max(passed, key=lambda entry: int(entry.key.removesuffix("/")), default=None)
    if last is None or not isinstance(last.value, dict):
        given = next(iter(execution.input), "")
        return next((name for name in machine.steps if snake(name) == given), machine.start)
    return str(cast("dict[str, object]", last.value).get("to", machine.start))
