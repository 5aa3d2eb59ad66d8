"""The typed base class of a diagram, as Python text: the same bytes for the same diagram, wherever and whenever.

What a type checker can hold against the diagram it is told here: one method for each state, one final class for each outcome
of a choice, the next state's payload as what a method returns. The graph travels along, so that nothing has to read Mermaid
while a program runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from perdure.mermaid.names import (
    base_name,
    branch_result,
    choice_name,
    edge_name,
    handed,
    outcome_of,
    payload_of,
    states_name,
    written,
)
from perdure.model.diagram import BACKOFF_MS, Graph, Node, Region, snake
from perdure.model.machine import END, Machine, Step, lower

WIDTH: Final = 88
STAMP: Final = re.compile(r"# perdure generate: diagram ([0-9a-f]{16}), text ([0-9a-f]{16})")


def code(graph: Graph, source: str, payloads: str) -> str:
    """The module of a diagram that stands in the file `source`; `payloads` is what its classes are imported from."""
    machine = lower(graph)
    body = (
        "\n".join([*_imports(graph, machine, payloads), *_graph(graph), *_classes(machine), *_base(graph, machine)])
        + "\n"
    )
    title = _said(f"{graph.title}, from {source}")
    head = [
        f'"""{title}. Written by `perdure generate`: change the diagram, not this file."""',
        f"# perdure generate: diagram {machine.digest()}, text {_digest_of(body)}",
    ]
    return "\n".join(head) + "\n" + body


def _digest_of(body: str) -> str:
    """By which it shows that somebody edited what was generated."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def is_untouched(text: str) -> bool:
    """Whether a text is as it was generated, by this version or another."""
    lines = text.split("\n", 2)
    stamp = STAMP.fullmatch(lines[1]) if len(lines) == 3 else None
    return stamp is not None and stamp[2] == _digest_of(lines[2])


def _imports(graph: Graph, machine: Machine, payloads: str) -> Iterator[str]:
    choices = any(step.kind == "choice" for step in machine.steps.values())
    forks = any(step.kind == "fork" for step in machine.steps.values())
    yield from ("# ruff: noqa", "# fmt: off", "", "from __future__ import annotations", "")
    yield "from abc import abstractmethod"
    yield "from collections.abc import Awaitable"
    if choices or forks:
        yield "from dataclasses import dataclass"
    yield f"from typing import ClassVar, Final, Literal, TypeAlias{', final' if choices or forks else ''}"
    names = [
        "Arrow",
        "Graph",
        "Node",
        *(["Note"] if any(node.notes for node in graph.nodes()) else []),
        "Region",
        "StateDiagram",
    ]
    yield ""
    yield from _from("perdure.styles.diagram", names)
    yield ""
    yield from _from(payloads, sorted(written(machine)))
    yield ""


def _from(module: str, names: Sequence[str]) -> Sequence[str]:
    broken = [f"from {module} import (", *(f"    {name}," for name in names), ")"]
    return _fitting(f"from {module} import {', '.join(names)}", broken)


def _fitting(line: str, broken: Sequence[str]) -> Sequence[str]:
    """What is said in one line, where that is not too wide; else the lines that it is broken into."""
    return [line] if len(line) <= WIDTH else broken


# --- the graph


def _graph(graph: Graph) -> Iterator[str]:
    root = list(_region(graph.root))
    yield "GRAPH: Final = Graph("
    yield f"    {_text(graph.title)},"
    yield from _indented(root)
    if graph.cycles:
        yield "    cycles=True,"
    yield ")"


def _region(region: Region) -> Iterator[str]:
    yield from ("Region(", "    (")
    for node in region.nodes:
        yield from (f"        {line}" for line in _node(node))
    yield from ("    ),", "    (")
    for arrow in region.arrows:
        label = f", {_text(arrow.label)}" if arrow.label else ""
        yield f"        Arrow({_text(arrow.source)}, {_text(arrow.target)}{label}),"
    yield "    ),"
    if region.direction:
        yield f"    {_text(region.direction)},"
    yield "),"


def _node(node: Node) -> Iterator[str]:
    told = [_text(node.name)] + ([_text(node.kind)] if node.kind != "state" else [])
    told += [f"texts=({', '.join(map(_text, node.texts))},)"] if node.texts else []
    notes = [f"Note({_text(note.side)}, {_text(note.text)})" for note in node.notes]
    told += [f"notes=({', '.join(notes)},)"] if notes else []
    told += [f"attempts={node.attempts}"] if node.attempts != 1 else []
    told += [f"backoff_ms={node.backoff_ms}"] if node.backoff_ms != BACKOFF_MS else []
    if not node.regions:
        yield f"Node({', '.join(told)}),"
        return
    yield "Node("
    yield from (f"    {each}," for each in told)
    yield "    regions=("
    for region in node.regions:
        yield from (f"        {line}" for line in _region(region))
    yield from ("    ),", "),")


def _indented(lines: Sequence[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


# --- outcomes, and what forks and joins are given


def _classes(machine: Machine) -> Iterator[str]:
    for step in machine.steps.values():
        if step.kind == "choice":
            yield from _choice(machine, step)
        elif step.kind == "fork":
            yield from _fork(step)


def _choice(machine: Machine, choice: Step) -> Iterator[str]:
    edges = list(zip(choice.labels, choice.targets, strict=True))
    for label, target in edges:
        payload = handed(machine, choice, target)
        doc = f"The choice {choice.name}, {label}: {_to(machine, target)}."
        yield from _dataclass(edge_name(choice, label), doc, [f"payload: {payload}"] if payload else [])
        yield f"    to: ClassVar[Literal[{_text(target)}]] = {_text(target)}"
        yield f"    label: ClassVar[Literal[{_text(label)}]] = {_text(label)}"
    names = [edge_name(choice, label) for label, _ in edges]
    yield from ("", "")
    yield from _alias(outcome_of(choice.name), names)
    yield from (
        "",
        "",
        "@final",
        f"class {choice_name(choice.name)}:",
        f'    """The outcomes of the choice {choice.name}."""',
    )
    yield from ("", "    __slots__ = ()")
    for label, target in edges:
        payload = handed(machine, choice, target)
        yield ""
        yield from _signature(snake(label), f"payload: {payload}" if payload else "", outcome_of(choice.name))
        yield f'        """{_said(label)}: {_to(machine, target)}."""'
        yield f"        return {edge_name(choice, label)}({'payload' if payload else ''})"


def _fork(fork: Step) -> Iterator[str]:
    parts = [(snake(target), target) for target in fork.targets]
    yield from _dataclass(
        payload_of(fork.name), f"What the branches of {fork.name} begin with.",
        [f"{name}: {payload_of(target)}" for name, target in parts],
    )  # fmt: skip
    yield from _dataclass(
        payload_of(fork.join), f"What the branches of {fork.name} came to.",
        [f"{name}: {branch_result(target)}" for name, target in parts],
    )  # fmt: skip


def _dataclass(name: str, doc: str, fields: Sequence[str]) -> Iterator[str]:
    yield from (
        "",
        "",
        "@final",
        "@dataclass(frozen=True, slots=True)",
        f"class {name}:",
        f'    """{_said(doc)}"""',
        "",
    )
    yield from (f"    {each}" for each in fields)


def _alias(name: str, parts: Sequence[str]) -> Sequence[str]:
    broken = [f"{name}: TypeAlias = (", f"    {parts[0]}", *(f"    | {part}" for part in parts[1:]), ")"]
    return _fitting(f"{name}: TypeAlias = {' | '.join(parts)}", broken)


# --- the base class


def _base(graph: Graph, machine: Machine) -> Iterator[str]:
    running = [step for step in machine.steps.values() if step.runs]
    choices = [step for step in machine.steps.values() if step.kind == "choice"]
    yield from ("", "")
    yield from _names(states_name(graph), [_text(step.name) for step in running])
    yield from ("", "")
    yield f"class {base_name(graph)}(StateDiagram[{payload_of(machine.start)}]):"
    yield f'    """{_said(graph.title)}: subclass it, with a method for each state."""'
    yield from ("", "    graph: ClassVar[Graph] = GRAPH", "    payloads: ClassVar[dict[str, type[object]]] = {")
    for step in machine.steps.values():
        if step.kind != "choice":
            yield f"        {_text(step.name)}: {payload_of(step.name)},"
    yield "    }"
    yield "    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {" + ("" if choices else "}")
    for step in choices:
        yield f"        {_text(step.name)}: ("
        yield from (f"            {edge_name(step, label)}," for label in step.labels)
        yield "        ),"
    yield from ["    }"] if choices else []
    for step in choices:
        yield from (
            "",
            "    @final",
            "    @property",
            f"    def {snake(step.name)}(self) -> {choice_name(step.name)}:",
        )
        yield f'        """The outcomes of the choice {step.name}."""'
        yield f"        return {choice_name(step.name)}()"
    texts = {node.name: node.texts for node in graph.nodes()}
    for step in running:
        yield from _method(machine, step, texts.get(step.name, ()))


def _names(name: str, literals: Sequence[str]) -> Iterator[str]:
    if len(literals) == 1:
        yield f"{name}: TypeAlias = Literal[{literals[0]}]"
        return
    yield f"{name}: TypeAlias = Literal["
    yield from (f"    {literal}," for literal in literals)
    yield "]"


def _method(machine: Machine, step: Step, texts: Sequence[str]) -> Iterator[str]:
    returned = returned_by(machine, step)
    yield from ("", "    @abstractmethod")
    yield from _signature(
        snake(step.name), f"payload: {payload_of(step.name)}, /", f"Awaitable[{returned}] | {returned}"
    )
    doc = [f"The {step.kind} {step.name}. Then {_to(machine, step.targets[0])}."]
    doc += [f"{step.attempts} attempts."] if step.attempts > 1 else []
    doc += [_said(text) for text in texts]
    if len(doc) == 1:
        yield f'        """{_said(doc[0])}"""'
        return
    yield f'        """{_said(doc[0])}'
    yield ""
    yield from (f"        {line}" for line in doc[1:])
    yield '        """'


def returned_by(machine: Machine, step: Step) -> str:
    """What the method of a state returns."""
    return handed(machine, step, step.targets[0]) or "None"


def _signature(name: str, parameter: str, returned: str) -> Sequence[str]:
    given = ["self", *(parameter.split(", ") if parameter else [])]
    broken = [f"    def {name}(", *(f"        {each}," for each in given), f"    ) -> {returned}:"]
    return _fitting(f"    def {name}({', '.join(given)}) -> {returned}:", broken)


def _to(machine: Machine, target: str) -> str:
    """What follows, in words."""
    if target == END:
        return "the end"
    after = machine.steps[target]
    if after.kind == "choice":
        return f"{target}: {', '.join(after.labels)}"
    return f"{'' if after.kind == 'state' else f'the {after.kind} '}{target}"


def _said(text: str) -> str:
    """A text inside a docstring."""
    return "".join(each if each.isprintable() else " " for each in text).replace("\\", "\\\\").replace('"', '\\"')


def _text(value: str | None) -> str:
    """A literal of Python's. What cannot be shown is escaped, one by one: JSON's pairs of escapes are no characters here."""
    if value is None:
        return "None"
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in quoted)


__all__ = ["code", "is_untouched", "returned_by"]
