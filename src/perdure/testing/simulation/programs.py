"""Random programs: what simulated executions do, and what must come of them.

A program is plain data, drawn from the tape, and is the input of the one task that runs it. Each step leaves something in
the result that tells whether the rules held: which value an activity recorded, how long a sleep took, which signal was
received. `expected` says what must have come out, whatever happened on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias, cast

import msgspec

from perdure.testing.simulation.tape import Tape

Kind = Literal[
    "act", "again", "sleep", "signal", "late", "child", "spawn", "map", "gather", "enqueue", "loop", "list", "tree",
    "external",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = (
    "act", "again", "sleep", "signal", "late", "child", "spawn", "map", "gather", "enqueue", "loop", "list", "tree",
)  # fmt: skip


Abortion = Literal["", "item", "list"]
Values: TypeAlias = dict[str, set[str]]


class Style(NamedTuple):
    """How a tree runs: does it collect or fail fast, how many children at once, is its finalizer a tree itself?"""

    collects: bool
    parallel: int | None
    wide: bool


STYLES: Final = (
    Style(True, 2, False), Style(True, None, True), Style(False, None, False), Style(False, 1, True), Style(False, 2, False),
)  # fmt: skip


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a body does. `name` is unique in its program; `span` are seconds, `nodes` and `steps` what is below;
    `tries` is how often an activity, or a tree's finalizer, fails before it works. `style` is that of a tree (`STYLES`): its
    children are the trees in `steps`, then the programs in `nodes`."""

    kind: Kind
    name: str
    span: float = 0.0
    tries: int = 0
    style: int = 0
    nodes: tuple[Node, ...] = ()
    steps: tuple[Step, ...] = ()


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One execution's program: its steps, and in how many attempts it fails after them (it has two retries). An item of a
    list may end with an `abort`."""

    name: str
    steps: tuple[Step, ...] = ()
    fails: int = 0
    abort: Abortion = ""


class Program(msgspec.Struct, frozen=True):
    """The input of the task that runs programs."""

    node: Node


class Rounds(msgspec.Struct, frozen=True):
    """What a loop repeats: one program per iteration, and what came of those before."""

    nodes: tuple[Node, ...]
    results: list[object]


RETRIES: Final = 2
FINAL_RETRIES: Final = 3
"""Those of a finalizer."""
SPANS: Final = (0.01, 0.5, 3.0, 30.0)
BROKEN: Final = "broken"
"""What stands in a result for a child that failed for good."""


class Maker:
    """Draws programs. `room` bounds how many executions one program has in all, `seconds` how long it may take at worst: with
    every attempt of everything, one after another, where activities take up to `pause`."""

    def __init__(self, tape: Tape, room: int = 8, seconds: float = 500.0, pause: float = 6.0) -> None:
        self._tape, self._room, self._seconds, self._pause, self._count = tape, room, seconds, pause, 0

    def root(self, name: str) -> Node:
        """A program for a root: it may wait for signals, and for external tasks whose keys hold its id."""
        node = self._node(name, 0, 1)
        steps = list(node.steps)
        for number in range(self._tape.pick("outside", 3, 0.5)):
            steps.insert(self._tape.choose("outside", len(steps) + 1), Step("external", f"x{number}"))
        return msgspec.structs.replace(node, steps=tuple(steps))

    def _node(self, name: str, depth: int, times: int) -> Node:
        """A program that is begun up to so many `times`: a child that fails is started anew by each attempt above it."""
        self._room -= 1
        fails = (0, 0, 0, 1, 2, 3)[self._tape.choose("program", 6)] if self._allows(10 * times) else 0
        times *= 1 + min(fails, RETRIES)
        size = 1 + self._tape.choose("program", 4) if self._allows(times) else 1
        steps = tuple(self._step(depth, times) for _ in range(size))
        return Node(name, steps, fails)

    def _step(self, depth: int, times: int, *, leaf: bool = False) -> Step:
        name = self._name()
        kinds: list[Kind] = [kind for kind in KINDS if self._fits(kind, depth, leaf)]
        kind: Kind = kinds[self._tape.choose("program", len(kinds))]
        if kind in ("act", "again"):
            tries = (0, 0, 1, 2)[self._tape.choose("program", 4)] if self._allows(3 * times) else 0
            self._seconds -= times * (1 + tries) * self._pause
            return Step(kind, name, tries=tries)
        if kind in ("sleep", "late"):
            spans = [span for span in SPANS if span * times <= self._seconds] or SPANS[:1]
            span = spans[self._tape.choose("program", len(spans))]
            self._seconds -= times * span
            return Step(kind, name, span=span)
        if kind in ("child", "enqueue"):
            return Step(kind, name, nodes=(self._node(name, depth + 1, times),))
        if kind == "tree":
            return self._tree(name, depth, times)
        if kind in ("spawn", "map", "loop", "list"):
            nodes = self._nodes(name, 1 + self._tape.choose("program", 3), depth, times)
            return Step(kind, name, nodes=tuple(map(self._item, nodes)) if kind == "list" else nodes)
        if kind == "gather":
            size = 2 + self._tape.choose("program", 2)
            return Step(kind, name, steps=tuple(self._step(depth, times, leaf=True) for _ in range(size)))
        return Step(kind, name)

    def _allows(self, activities: int) -> bool:
        """Whether there is time for so many activities."""
        return self._seconds > activities * self._pause

    def _name(self) -> str:
        self._count += 1
        return f"s{self._count}"

    def _nodes(self, name: str, size: int, depth: int, times: int) -> tuple[Node, ...]:
        return tuple(self._node(f"{name}.{index}", depth + 1, times) for index in range(size))

    def _tree(self, name: str, depth: int, times: int) -> Step:
        """A tree, in which others may stand as children."""
        style = self._tape.choose("program", len(STYLES))
        tries = (0, 0, 0, 1, FINAL_RETRIES + 1)[self._tape.choose("program", 5)]
        nodes = self._nodes(name, self._tape.choose("program", 4), depth, times)
        deeper = self._tape.choose("program", 3) if depth < 3 and self._room > 0 else 0
        trees = tuple(self._tree(self._name(), depth + 1, times) for _ in range(deeper) if self._room > 0)
        self._room -= 1 + len(trees)
        return Step("tree", name, tries=tries, style=style, nodes=nodes, steps=trees)

    def _item(self, node: Node) -> Node:
        ends: tuple[Abortion, ...] = ("", "", "", "item", "list")
        return msgspec.structs.replace(node, abort=ends[self._tape.choose("program", len(ends))])

    def _fits(self, kind: Kind, depth: int, leaf: bool) -> bool:
        """Signals go to roots alone, whose ids are known; a branch of a gather makes no branches of its own."""
        above = ("spawn", "map", "enqueue", "gather", "loop", "list", "tree")
        below = self._room > 0 and self._seconds > 0
        if kind in above and (leaf or not below or depth >= 2):
            return False
        if kind == "child" and (not below or depth >= 3):
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


def tree_succeeds(step: Step) -> bool:
    """Whether a tree completes, left alone."""
    children = STYLES[step.style].collects or (all(map(succeeds, step.nodes)) and all(map(tree_succeeds, step.steps)))
    return children and step.tries <= FINAL_RETRIES


def nodes(node: Node) -> Iterator[Node]:
    """The program and all below it, what it starts independently included."""
    yield node
    for step in node.steps:
        yield from _below(step)


def _below(step: Step) -> Iterator[Node]:
    for node in step.nodes:
        yield from nodes(node)
    for inner in step.steps:
        yield from _below(inner)


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
        case "tree" if not tree_succeeds(step):
            return None if part == BROKEN else f"tree {step.name} must fail, and answered {part!r}"
        case _:
            return _list_mismatch(step, _parts(part), values)


def _list_mismatch(step: Step, parts: list[object], values: Values) -> str | None:
    """The results of several: branches or trees, then children."""
    count = len(step.steps)
    if len(parts) != count + len(step.nodes):
        return f"{step.name} has {len(parts)} results"
    wrong = [_step_mismatch(each, got, values) for each, got in zip(step.steps, parts[:count], strict=True)]
    wrong += [_child(each, got, values) for each, got in zip(step.nodes, parts[count:], strict=True)]
    return next((each for each in wrong if each is not None), None)


def _child(node: Node, result: object, values: Values) -> str | None:
    if succeeds(node):
        return mismatch(node, result, values)
    return None if result == BROKEN else f"{node.name} must fail, and answered {result!r}"


def _parts(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
