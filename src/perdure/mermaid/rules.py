"""What a diagram as a whole must fulfil to be executed: each rule finds its problems, whatever the others found."""

from __future__ import annotations

import keyword
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from perdure.mermaid.drafts import STAR, Draft, Drafting, Scope
from perdure.mermaid.names import generated
from perdure.mermaid.problems import Word
from perdure.model.diagram import Arrow, Graph, snake
from perdure.model.machine import END, Machine, between, lower

ARTICLE: Final = {"state": "state", "choice": "choice", "fork": "fork", "join": "join", "composite": "composite state"}

MOST_CYCLES: Final = 20
LONGEST_CYCLE: Final = 12


def check(drafting: Drafting, graph: Graph, title: Word) -> None:
    """Adds every problem of a diagram that was read."""
    _Regions(drafting).check(drafting.root)
    machine = lower(graph)
    _Names(drafting, graph, machine, title).check()
    _Paths(drafting, machine).check(graph.cycles)


class _Rules:
    def __init__(self, drafting: Drafting) -> None:
        self.drafting, self.add = drafting, drafting.problems.at


class _Regions(_Rules):
    """What holds in each region: its start, its end, the arrows of each state."""

    def check(self, scope: Scope) -> None:
        left: dict[str, list[tuple[Arrow, Word]]] = defaultdict(list)
        met: dict[str, int] = defaultdict(int)
        for arrow, word in scope.arrows:
            left[arrow.source or STAR].append((arrow, word))
            met[arrow.target or STAR] += 1
        self._start(scope, left.get(STAR, []))
        for draft in scope.drafts.values():
            self._leave(draft, left.get(draft.word.text, []))
            if draft.kind == "join" and met[draft.word.text] < 2:
                self.add(
                    draft.word, f"the join {draft.word.text} joins {met[draft.word.text]} ways; it needs two or more"
                )
            if draft.kind == "composite" and len(draft.texts) > 1:
                self.add(
                    draft.word, f"the composite state {draft.word.text} has several descriptions; Mermaid takes one"
                )
            if draft.kind != "state" and draft.attributes:
                self.add(
                    draft.word, f"attempts and backoffMs belong to states, {draft.word.text} is a {ARTICLE[draft.kind]}"
                )
            for region in draft.regions:
                self.check(region)

    def _start(self, scope: Scope, starts: Sequence[tuple[Arrow, Word]]) -> None:
        where = f" of {scope.word.text}" if scope.depth else ""
        if not starts:
            self.add(scope.word, f"unable to determine any state being the first{where}; write [*] --> STATE")
        for arrow, word in starts:
            target = scope.drafts.get(arrow.target or "")
            if target is not None and target.kind in ("choice", "join"):
                self.add(word, f"the start{where} leads to the {target.kind} {arrow.target}; it must lead to a state")
        if len(starts) > 1:
            targets = ", ".join(arrow.target or STAR for arrow, _ in starts)
            self.add(starts[1][1], f"the start{where} leads to several states: {targets}; it must lead to one")

    def _leave(self, draft: Draft, arrows: Sequence[tuple[Arrow, Word]]) -> None:
        name, kind = draft.word.text, ARTICLE[draft.kind]
        if not arrows:
            self.add(draft.word, f"the {kind} {name} is a dead end; say where it leads, to the end by {name} --> [*]")
        elif draft.kind == "choice":
            self._choose(draft, arrows)
        elif draft.kind == "fork":
            self._fork(draft, arrows)
        elif len(arrows) > 1:
            targets = ", ".join(arrow.target or STAR for arrow, _ in arrows)
            self.add(
                arrows[1][1],
                f"several arrows leave the {kind} {name}: to {targets}; only a choice or a fork has several",
            )

    def _choose(self, draft: Draft, arrows: Sequence[tuple[Arrow, Word]]) -> None:
        seen: dict[str, str] = {}
        for arrow, word in arrows:
            target = draft.scope.drafts.get(arrow.target or "")
            if target is not None and target.kind in ("choice", "join"):
                self.add(
                    word, f"the choice {draft.word.text} leads to the {target.kind} {arrow.target}; put a state between"
                )
            if not arrow.label:
                self.add(word, f"the arrow from the choice {draft.word.text} to {arrow.target or STAR} has no label")
            elif (name := snake(arrow.label)) in seen:
                self.add(word, f"two arrows of the choice {draft.word.text} are labelled {seen[name]!r} and {arrow.label!r}, "
                               "the same to Python")  # fmt: skip
            else:
                seen[name] = arrow.label

    def _fork(self, draft: Draft, arrows: Sequence[tuple[Arrow, Word]]) -> None:
        if len(arrows) == 1:
            self.add(arrows[0][1], f"the fork {draft.word.text} has one branch; it needs two or more")
        for arrow, word in arrows:
            target = draft.scope.drafts.get(arrow.target or "")
            if target is None or target.kind in ("choice", "join", "fork"):
                shown = STAR if target is None else f"the {target.kind} {arrow.target}"
                self.add(
                    word, f"a branch of the fork {draft.word.text} begins with {shown}; it must begin with a state"
                )


class _Names(_Rules):
    """Every name becomes one of Python's, and no two the same."""

    def __init__(self, drafting: Drafting, graph: Graph, machine: Machine, title: Word) -> None:
        super().__init__(drafting)
        self._graph, self._machine, self._title = graph, machine, title

    def check(self) -> None:
        self._labels(self.drafting.root)
        for draft in self.drafting.drafts.values():
            self._identifier(draft.word, draft.word.text)
            for region in draft.regions:
                self._labels(region)
        taken: dict[tuple[str, str], str] = {}
        told: set[tuple[str, str]] = set()
        for given in generated(self._graph, self._machine):
            other = taken.setdefault((given.space, given.name), given.what)
            if other != given.what and (given.what, other) not in told:
                told.add((given.what, other))
                known = self.drafting.drafts.get(given.owner)
                word = self._title if known is None else known.word
                self.add(word, f"{given.what} and {other} become one Python name, {given.name}; rename one")

    def _labels(self, scope: Scope) -> None:
        for arrow, word in scope.arrows:
            draft = scope.drafts.get(arrow.source or "")
            if draft is not None and draft.kind == "choice" and arrow.label:
                self._identifier(word, arrow.label)

    def _identifier(self, word: Word, text: str) -> None:
        name = snake(text)
        dunder = text.startswith("__") and text.endswith("__")
        if dunder or not name.isidentifier() or keyword.iskeyword(name):
            why = "is a word of Python's" if keyword.iskeyword(name) or dunder else "is no name in Python"
            self.add(word, f"{text!r} becomes {text if dunder else name!r}, which {why}; choose another one")


class _Paths(_Rules):
    """What can be said of the whole: what is reached, what comes to an end, what goes round in circles, what is joined."""

    def __init__(self, drafting: Drafting, machine: Machine) -> None:
        super().__init__(drafting)
        self._machine = machine
        self._after: dict[str, list[str]] = defaultdict(list)
        self._before: dict[str, list[str]] = defaultdict(list)
        for source, target in between(machine):
            self._after[source].append(target)
            self._before[target].append(source)

    def check(self, cycles: bool) -> None:
        steps = self._machine.steps
        reached = self._walk([name for name in self._machine.starts if name in steps], self._after)
        if reached:
            for name in steps:
                if name not in reached:
                    self._at(name, f"{name} is unreachable: no way from the start leads to it")
        for name, message in self._machine.astray:
            self._at(name, message)
        self._choices()
        self._cycles(cycles)

    def _choices(self) -> None:
        """Choices that lead to another one out of a composite state, which no arrow by itself shows."""
        steps, drafts = self._machine.steps, self.drafting.drafts
        for source, target in between(self._machine):
            both = steps[source].kind == steps[target].kind == "choice"
            if both and drafts[source].scope is not drafts[target].scope:
                self._at(source, f"the choice {source} leads to the choice {target}; put a state between")

    def _cycles(self, allowed: bool) -> None:
        steps = self._machine.steps
        forced = {name: after for name, after in self._after.items() if name in steps and steps[name].kind != "choice"}
        for cycle in islice(self._circles(forced), MOST_CYCLES):
            self._at(cycle[0], f"a cycle that never ends: {_shown(cycle)}; only a choice leads out of one")
        if allowed:
            self._endless()
            return
        for cycle in islice(self._circles(self._after), MOST_CYCLES):
            if any(steps[name].kind == "choice" for name in cycle):
                self._at(cycle[0], f"a cycle: {_shown(cycle)}; to allow it write cycles: true in the front matter")

    def _endless(self) -> None:
        """Choices of which no way leads to the end."""
        ends = [step.name for step in self._machine.steps.values() if END in step.targets]
        ending = self._walk(ends, self._before)
        for step in self._machine.steps.values():
            if step.kind == "choice" and step.name not in ending and step.targets:
                self._at(step.name, f"no way from the choice {step.name} leads to the end")

    def _circles(self, ways: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
        """Every way back that a walk in depth meets, as the steps of its circle."""
        state: dict[str, int] = {}
        path: list[str] = []
        place: dict[str, int] = {}
        for start in [*self._machine.starts, *self._machine.steps]:
            if start not in self._machine.steps or start in state:
                continue
            stack = [(start, iter(ways.get(start, ())))]
            state[start], place[start] = 1, len(path)
            path.append(start)
            while stack:
                name, targets = stack[-1]
                target = next(targets, None)
                if target is None:
                    stack.pop()
                    path.pop()
                    state[name] = 2
                elif state.get(target, 0) == 1:
                    yield path[place[target] :]
                elif target not in state:
                    state[target], place[target] = 1, len(path)
                    path.append(target)
                    stack.append((target, iter(ways.get(target, ()))))

    def _walk(self, starts: Sequence[str], ways: dict[str, list[str]]) -> set[str]:
        seen, left = set(starts), list(starts)
        while left:
            for name in ways.get(left.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    left.append(name)
        return seen

    def _at(self, name: str, message: str) -> None:
        draft = self.drafting.drafts.get(name) or self.drafting.drafts.get(name.removesuffix("_done"))
        self.add(draft.word if draft is not None else self.drafting.root.word, message)


def _shown(cycle: Sequence[str]) -> str:
    """A cycle as its arrows; of a long one both ends."""
    names = [*cycle, cycle[0]]
    if len(names) > LONGEST_CYCLE:
        names = [*names[: LONGEST_CYCLE // 2], "…", *names[-LONGEST_CYCLE // 2 :]]
    return " --> ".join(names)
