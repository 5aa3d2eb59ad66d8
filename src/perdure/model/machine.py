"""A state diagram as it is executed: flat steps, each with what may follow it.

Composite states dissolve: whoever enters one enters its first state, whoever reaches its end goes where it leads. One of
several regions is a fork and, when all have ended, a join. Each step knows in which branch of which fork it stands. A graph
that breaks the rules becomes a machine too, so that its reader can say all that is wrong with it; only one that keeps them
is ever executed.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from perdure.model.diagram import BACKOFF_MS, Graph, Node, Region

StepKind: TypeAlias = Literal["state", "choice", "fork", "join"]
END: Final = "[*]"
DONE: Final = "_done"
"""A composite state of several regions is joined in a step of this name: the state's own, and this."""


class Branch:
    """Where a step stands: on the main way (`None`), or in a branch of a fork that stands somewhere itself."""

    __slots__ = ("fork", "index", "within")

    def __init__(self, fork: str, index: int, within: Branch | None) -> None:
        self.fork, self.index, self.within = fork, index, within

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Branch) and (self.fork, self.index) == (other.fork, other.index)

    def __hash__(self) -> int:
        return hash((self.fork, self.index))


@dataclass(slots=True)
class Step:
    """One step. `targets` are what may follow, for a choice with their `labels`; those of a fork all do. `join` is where the
    branches of a fork meet."""

    name: str
    kind: StepKind
    attempts: int = 1
    backoff_ms: int = BACKOFF_MS
    targets: list[str] = field(default_factory=list[str])
    labels: list[str] = field(default_factory=list[str])
    branch: Branch | None = None
    join: str = ""

    @property
    def runs(self) -> bool:
        """Whether code stands behind it."""
        return self.kind in ("state", "join")


@dataclass(slots=True)
class Machine:
    """All steps by name, and the first ones (one, where the graph keeps the rules). `astray` are arrivals that break the
    rules of forks: a step, and what is wrong."""

    starts: list[str]
    steps: dict[str, Step]
    astray: list[tuple[str, str]]

    @property
    def start(self) -> str:
        """The first step."""
        return self.starts[0]

    def digest(self) -> str:
        """Equal for diagrams that are executed alike, whatever they say beside."""
        told = [
            (step.name, step.kind, step.attempts, step.backoff_ms, step.targets, step.labels, step.join)
            for step in sorted(self.steps.values(), key=lambda step: step.name)
        ]
        return hashlib.sha256(msgspec.json.encode([self.starts, told])).hexdigest()[:16]


def lower(graph: Graph) -> Machine:
    """The machine of a graph."""
    return _Lowering(graph).machine()


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._composites: dict[str, Node] = {}
        self._steps: dict[str, Step] = {}
        self._entries: dict[str, list[str]] = {}
        for node in graph.nodes():
            self._declare(node)

    def _declare(self, node: Node) -> None:
        if node.kind != "composite":
            self._steps[node.name] = Step(node.name, node.kind, node.attempts, node.backoff_ms)
            return
        self._composites[node.name] = node
        if len(node.regions) > 1:
            self._steps[node.name] = Step(node.name, "fork", join=node.name + DONE)
            self._steps[node.name + DONE] = Step(node.name + DONE, "join")

    def machine(self) -> Machine:
        self._connect(self._graph.root, [END])
        starts = self._starts(self._graph.root)
        machine = Machine(starts, self._steps, [])
        _Branches(machine).place()
        return machine

    def _connect(self, region: Region, after: list[str]) -> None:
        """The arrows of a region and within it; at its end `after` follows."""
        left: dict[str, list[str]] = {}
        for arrow in region.arrows:
            if arrow.source is None or arrow.source == arrow.target:
                continue
            targets = after if arrow.target is None else self._entry(arrow.target)
            left.setdefault(arrow.source, []).extend(targets)
            if arrow.source in self._steps and arrow.source not in self._composites:
                step = self._steps[arrow.source]
                step.targets += targets
                step.labels += [arrow.label] * len(targets) if step.kind == "choice" else []
        for node in region.nodes:
            if node.regions:
                self._enter(node, left.get(node.name, []))

    def _enter(self, node: Node, after: list[str]) -> None:
        if len(node.regions) == 1:
            self._connect(node.regions[0], after)
            return
        fork, join = self._steps[node.name], self._steps[node.name + DONE]
        fork.targets = [start for region in node.regions for start in self._starts(region)]
        join.targets = after
        for region in node.regions:
            self._connect(region, [join.name])

    def _starts(self, region: Region) -> list[str]:
        targets = [arrow.target for arrow in region.arrows if arrow.source is None]
        return [entry for target in targets for entry in ([END] if target is None else self._entry(target))]

    def _entry(self, name: str) -> list[str]:
        """Where one arrives who enters a state. Of a composite one without a start: nowhere."""
        node = self._composites.get(name)
        if node is None or len(node.regions) != 1:
            return [name]
        if name not in self._entries:
            self._entries[name] = []  # a composite state cannot begin with itself
            self._entries[name] = self._starts(node.regions[0])
        return self._entries[name]


class _Branches:
    """Walks a machine once and says of each step in which branch it stands, and of each fork where its branches meet."""

    def __init__(self, machine: Machine) -> None:
        self._steps, self._astray = machine.steps, machine.astray
        self._machine = machine
        self._seen: set[str] = set()
        self._arrived: dict[str, set[int]] = {}
        self._left: deque[tuple[str, Branch | None, str]] = deque()

    def place(self) -> None:
        self._left.extend((name, None, "") for name in self._machine.starts)
        while self._left:
            self._arrive(*self._left.popleft())
        for step in self._steps.values():
            if step.kind == "fork" and step.name in self._seen:
                self._check_joined(step)

    def _arrive(self, name: str, branch: Branch | None, source: str) -> None:
        step = self._steps.get(name)
        if step is None:
            if branch is not None and name == END:
                self._astray.append(
                    (source, f"{source} ends the diagram within a branch of {branch.fork}; join it first")
                )
        elif step.kind == "join":
            self._meet(step, branch, source)
        elif name not in self._seen:
            self._pass(step, branch)
        elif step.branch != branch:
            self._astray.append((name, f"{name} is reached from {_where(branch)} and from {_where(step.branch)}"))

    def _pass(self, step: Step, branch: Branch | None) -> None:
        self._seen.add(step.name)
        step.branch = branch
        for index, target in enumerate(step.targets):
            self._left.append((target, Branch(step.name, index, branch) if step.kind == "fork" else branch, step.name))

    def _meet(self, join: Step, branch: Branch | None, source: str) -> None:
        if branch is None:
            self._astray.append((join.name, f"{join.name} joins nothing: {source} stands in no branch of a fork"))
            return
        fork = self._steps[branch.fork]
        if fork.join not in ("", join.name):
            self._astray.append((join.name, f"the branches of {fork.name} meet in {fork.join} and in {join.name}"))
            return
        if fork.join == "" and join.name in self._seen:
            self._astray.append((join.name, f"{join.name} joins the branches of two forks; give each its own"))
            return
        fork.join = join.name
        self._arrived.setdefault(fork.name, set()).add(branch.index)
        if join.name not in self._seen:
            self._pass(join, branch.within)

    def _check_joined(self, fork: Step) -> None:
        missing = set(range(len(fork.targets))) - self._arrived.get(fork.name, set())
        for index in sorted(missing):
            self._astray.append(
                (fork.name, f"the branch of {fork.name} that begins with {fork.targets[index]} is never joined")
            )


def _where(branch: Branch | None) -> str:
    return "outside of every fork" if branch is None else f"branch {branch.index + 1} of {branch.fork}"


def between(machine: Machine) -> Iterator[tuple[str, str]]:
    """Every pair of a step and one that may follow it, the start and the end left out."""
    for step in machine.steps.values():
        for target in step.targets:
            if target in machine.steps:
                yield step.name, target
