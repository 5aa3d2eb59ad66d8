"""Random programs: what simulated executions do, and what must come of them.

A program is plain data, drawn from the tape, and is the input of the one task that runs it. Each step leaves something in
the result that tells whether the rules held: which value an activity recorded, how long a sleep took, which signal was
received. `expected` says what must have come out, whatever happened on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, cast

import msgspec

from perdure.testing.simulation.tape import Tape

Kind = Literal[
    "act", "again", "sleep", "signal", "late", "child", "spawn", "map", "gather", "enqueue", "loop", "list", "tree",
    "external",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = (
    "act", "again", "sleep", "signal", "late", "child", "spawn", "map", "gather", "enqueue", "loop", "list", "tree",
)  # fmt: skip


Values: TypeAlias = dict[str, set[str]]


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a body does. `name` is unique in its program; `span` are seconds, `nodes` and `steps` what is below;
    `tries` is how often an activity fails before it works."""

    kind: Kind
    name: str
    span: float = 0.0
    tries: int = 0
    nodes: tuple[Node, ...] = ()
    steps: tuple[Step, ...] = ()


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One execution's program: its steps, and in how many attempts it fails after them (it has two retries)."""

    name: str
    steps: tuple[Step, ...] = ()
    fails: int = 0


class Program(msgspec.Struct, frozen=True):
    """The input of the task that runs programs."""

    node: Node


class Rounds(msgspec.Struct, frozen=True):
    """What a loop repeats: one program per iteration, and what came of those before."""

    nodes: tuple[Node, ...]
    results: list[object]


RETRIES: Final = 2
BROKEN: Final = "broken"
"""What stands in a result for a child that failed for good."""


class Maker:
    """Draws programs. `room` bounds how many executions one program has in all."""

    def __init__(self, tape: Tape, room: int = 8) -> None:
        self._tape, self._room, self._count = tape, room, 0

    def root(self, name: str) -> Node:
        """A program for a root: it may wait for signals, and for external tasks whose keys hold its id."""
        node = self._node(name, 0)
        steps = list(node.steps)
        for number in range(self._tape.pick("outside", 3, 0.5)):
            steps.insert(self._tape.choose("outside", len(steps) + 1), Step("external", f"x{number}"))
        return msgspec.structs.replace(node, steps=tuple(steps))

    def _node(self, name: str, depth: int) -> Node:
        self._room -= 1
        steps = tuple(self._step(depth) for _ in range(1 + self._tape.choose("program", 4)))
        fails = (0, 0, 0, 1, 2, 3)[self._tape.choose("program", 6)]
        return Node(name, steps, fails)

    def _step(self, depth: int, *, leaf: bool = False) -> Step:
        self._count += 1
        name = f"s{self._count}"
        kinds: list[Kind] = [kind for kind in KINDS if self._fits(kind, depth, leaf)]
        kind: Kind = kinds[self._tape.choose("program", len(kinds))]
        if kind in ("act", "again"):
            return Step(kind, name, tries=(0, 0, 1, 2)[self._tape.choose("program", 4)])
        if kind in ("sleep", "late"):
            return Step(kind, name, span=(0.01, 0.5, 3.0, 30.0)[self._tape.choose("program", 4)])
        if kind in ("child", "enqueue"):
            return Step(kind, name, nodes=(self._node(name, depth + 1),))
        if kind in ("spawn", "map", "loop", "list", "tree"):
            size = 1 + self._tape.choose("program", 3)
            return Step(kind, name, nodes=tuple(self._node(f"{name}.{index}", depth + 1) for index in range(size)))
        if kind == "gather":
            size = 2 + self._tape.choose("program", 2)
            return Step(kind, name, steps=tuple(self._step(depth, leaf=True) for _ in range(size)))
        return Step(kind, name)

    def _fits(self, kind: Kind, depth: int, leaf: bool) -> bool:
        """Signals go to roots alone, whose ids are known; a branch of a gather makes no branches of its own."""
        above = ("spawn", "map", "enqueue", "gather", "loop", "list", "tree")
        if kind in above and (leaf or self._room <= 0 or depth >= 2):
            return False
        if kind == "child" and (self._room <= 0 or depth >= 3):
            return False
        return kind != "signal" or (depth == 0 and not leaf)


def signals(node: Node) -> list[str]:
    """The signals for which a root waits, in order."""
    return [step.name for step in node.steps if step.kind == "signal"]


def externals(node: Node) -> list[str]:
    """The external tasks for which a root waits."""
    return [step.name for step in node.steps if step.kind == "external"]


def succeeds(node: Node) -> bool:
    """Whether an execution of the program completes, left alone."""
    return node.fails <= RETRIES


def nodes(node: Node) -> Iterator[Node]:
    """The program and all below it, what it starts independently included."""
    yield node
    for step in node.steps:
        for below in step.nodes:
            yield from nodes(below)


def mismatch(node: Node, result: object, values: Values) -> str | None:
    """What is wrong with the result of a program that completed; `None` when it is right. `values` are those that bodies
    of activities really returned, by the activity's name."""
    parts = _parts(result)
    if len(parts) != len(node.steps):
        return f"{node.name}: {result!r} does not have {len(node.steps)} parts"
    found = (_step_mismatch(step, part, values) for step, part in zip(node.steps, parts, strict=True))
    wrong = next((each for each in found if each is not None), None)
    return None if wrong is None else f"{node.name}: {wrong}"


def _step_mismatch(step: Step, part: object, values: Values) -> str | None:
    match step.kind:
        case "act" | "again":
            recorded = {str(each) for each in _parts(part)}
            right = len(recorded) == 1 and recorded <= values.get(step.name, set())
            return None if right else f"{step.name} recorded {part!r}; its bodies returned {values.get(step.name)}"
        case "sleep":
            right = isinstance(part, float) and part > step.span - 0.0005
            return None if right else f"{step.name} slept {part!r}, not {step.span}"
        case "signal" | "external":
            return None if part == step.name else f"{step.name} received {part!r}"
        case "late":
            return None if part == "late" else f"{step.name} received {part!r}, not its time-out"
        case "enqueue" | "list":
            return None if isinstance(part, str) else f"{step.name} answered {part!r}, no id"
        case "child":
            return _child(step.nodes[0], part, values)
        case "loop" if not all(map(succeeds, step.nodes)):
            return None if part == BROKEN else f"{step.name} must fail, and answered {part!r}"
        case _:
            return _list_mismatch(step, _parts(part), values)


def _list_mismatch(step: Step, parts: list[object], values: Values) -> str | None:
    """The results of several: branches, or children."""
    if len(parts) != len(step.steps) + len(step.nodes):
        return f"{step.name} has {len(parts)} results"
    wrong = [_step_mismatch(each, got, values) for each, got in zip(step.steps, parts, strict=False)]
    wrong += [_child(each, got, values) for each, got in zip(step.nodes, parts, strict=False)]
    return next((each for each in wrong if each is not None), None)


def _child(node: Node, result: object, values: Values) -> str | None:
    if succeeds(node):
        return mismatch(node, result, values)
    return None if result == BROKEN else f"{node.name} must fail, and answered {result!r}"


def _parts(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
