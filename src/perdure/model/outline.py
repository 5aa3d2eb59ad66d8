"""What a task or an execution is made of, as far as a drawing shows it: a tree of parts.

A style says of its tasks what they consist of (`Task.outline`); `part_of` says it of executions. `perdure.mermaid` draws
both. Nothing here reads a store, and no part knows who draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from perdure.model.diagram import Graph
from perdure.model.execution import Execution
from perdure.model.status import Status
from perdure.model.trees import FINALIZE

Shape: TypeAlias = Literal["task", "external", "finalize", "more"]
Order: TypeAlias = Literal["parallel", "sequence"]
STEP: Final = ">"
"""What the slots of steps begin with, of which one starts when the one before is over."""


@dataclass(frozen=True, slots=True)
class Part:
    """One box: `name`, below it `note`. Its `parts` come after it, all at once or one after the other, and `last` when all
    of them are over. `again` is the label of the way back to itself, where it is repeated, `slot` its place below its
    parent, where it is an execution's. With a `graph` it is that state diagram, in which `marks` say what was passed and how
    an execution stands."""

    name: str
    note: str = ""
    shape: Shape = "task"
    status: Status | None = None
    parts: tuple[Part, ...] = ()
    order: Order = "parallel"
    last: Part | None = None
    again: str = ""
    slot: str = ""
    graph: Graph | None = None
    marks: tuple[tuple[str, str], ...] = ()


def part_of(execution: Execution[Any], parts: Sequence[Part] = ()) -> Part:
    """An execution as it stands, with what is below it: steps one after the other, a finalizer after the others."""
    external = any(wait.kind == "external" for wait in execution.waits)
    shape: Shape = "finalize" if execution.slot == FINALIZE else "external" if external else "task"
    last = next((part for part in reversed(parts) if part.slot == FINALIZE), None)
    rest = tuple(part for part in parts if part is not last)
    steps = [part.slot.startswith(STEP) for part in rest if part.shape != "more"]
    return Part(
        execution.task_name, _note(execution), shape, execution.status, rest,
        "sequence" if steps and all(steps) else "parallel", last, slot=execution.slot or "",
    )  # fmt: skip


def _note(execution: Execution[Any]) -> str:
    words = execution.status.replace("_", " ")
    if execution.finished_at is not None:
        took = (execution.finished_at - (execution.started_at or execution.created_at)).total_seconds()
        return f"{words} in {took:.3g} s"
    if execution.waits:
        waits = [f"{wait.kind} {wait.name}".strip() for wait in execution.waits[:3]]
        return f"{words}: {', '.join(waits)}"
    return words
