"""What the states, choices and labels of a diagram are called in Python. One place, so that what is checked for clashes is
what is generated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from perdure.model.diagram import Graph, pascal, snake, title_name
from perdure.model.machine import END, Machine, Step

IMPORTED: Final = (
    "ABC", "Arrow", "Awaitable", "ClassVar", "Final", "Graph", "Literal", "Node", "Region", "StateDiagram", "TypeAlias",
    "abstractmethod", "dataclass", "final", "GRAPH",
)  # fmt: skip
ATTRIBUTES: Final = ("ctx", "blocking", "graph", "payloads", "outcomes")
"""Members of the base class of every diagram."""
USED: Final = ("abstractmethod", "final", "property")
"""What decorates the methods of a generated class: one of that name would decorate those after it."""


class Given(NamedTuple):
    """A name in generated code: which state it is due to, what it stands for, where it is told apart, and itself."""

    owner: str
    what: str
    space: str
    name: str


def base_name(graph: Graph) -> str:
    """The name of the generated base class."""
    return title_name(graph.title) + "Diagram"


def states_name(graph: Graph) -> str:
    """The name of the type that lists the states."""
    return title_name(graph.title) + "State"


def payload_of(name: str) -> str:
    """The class that a state, a fork or a join is given."""
    return pascal(name) + "Payload"


def branch_result(first: str) -> str:
    """The class by which a branch of a fork ends, by the state that it begins with."""
    return pascal(first) + "Result"


def result_of(machine: Machine, step: Step) -> str:
    """The class by which the branch ends that a step stands in."""
    assert step.branch is not None
    return branch_result(machine.steps[step.branch.fork].targets[step.branch.index])


def handed(machine: Machine, step: Step, target: str) -> str:
    """The class that is handed on from a step to what follows it; an empty text at the end."""
    if target == END:
        return ""
    after = machine.steps[target]
    if after.kind == "join":
        return result_of(machine, step)
    return outcome_of(target) if after.kind == "choice" else payload_of(target)


def choice_name(name: str) -> str:
    """The class by which a choice's outcomes are made."""
    return pascal(name) + "Choice"


def outcome_of(name: str) -> str:
    """The name for any outcome of a choice."""
    return pascal(name) + "Outcome"


def edge_name(choice: Step, label: str) -> str:
    """The class of one outcome of a choice."""
    return pascal(choice.name) + pascal(label)


def written(machine: Machine) -> list[str]:
    """The classes that the user fills in: a payload for each state, a result for each branch of a fork."""
    names: list[str] = []
    for step in machine.steps.values():
        if step.kind == "state":
            names.append(payload_of(step.name))
        elif step.kind == "fork":
            names += [branch_result(target) for target in step.targets]
    return names


def generated(graph: Graph, machine: Machine) -> Iterator[Given]:
    """Every name that generated code gives, the user's classes included."""
    title = f"the title {graph.title!r}"
    for name in IMPORTED:
        yield Given("", f"the imported {name}", "module", name)
    for name in ATTRIBUTES:
        yield Given("", f"the attribute {name}", "class", name)
    for name in USED:
        yield Given("", f"the decorator {name}", "class", name)
    yield Given("", title, "module", base_name(graph))
    yield Given("", title, "module", states_name(graph))
    for step in machine.steps.values():
        yield from _of_step(step)


def _of_step(step: Step) -> Iterator[Given]:
    name, what = step.name, f"the {step.kind} {step.name}"
    if step.kind != "fork":
        yield Given(name, what, "class", snake(name))
    if step.kind != "choice":
        yield Given(name, what, "module", payload_of(name))
        for target in step.targets if step.kind == "fork" else ():
            yield Given(name, f"the branch {target}", "module", branch_result(target))
        return
    yield Given(name, what, "module", choice_name(name))
    yield Given(name, what, "module", outcome_of(name))
    for label in step.labels:
        if label:
            yield Given(name, f"the label {label!r} of {name}", "module", edge_name(step, label))
