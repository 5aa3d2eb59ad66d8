"""A graph as the text of a Mermaid state diagram: what `parse` makes of it is the same graph again.

Of an execution the way it took is drawn in by classes, which GitHub and editors show: what was passed, and where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from perdure.model.diagram import BACKOFF_MS, Graph, Node, Region, nodes_of

STAR: Final = "[*]"
PASSED: Final = "passed"
GREEN: Final = "fill:#d3f9d8,stroke:#2f9e44,color:#212529"
COLORS: Final = {
    "pending": "fill:#f1f3f5,stroke:#868e96,color:#212529",
    "running": "fill:#d0ebff,stroke:#1c7ed6,color:#212529",
    "waiting": "fill:#fff3bf,stroke:#f08c00,color:#212529",
    "completed": GREEN,
    "failed": "fill:#ffe3e3,stroke:#e03131,color:#212529",
    "timed_out": "fill:#ffe8cc,stroke:#e8590c,color:#212529",
    "cancelled": "fill:#e9ecef,stroke:#495057,color:#212529",
    PASSED: GREEN,
}
"""How a class is drawn, in the order in which drawings name them."""


def draw_graph(graph: Graph, marks: Mapping[str, str] | None = None) -> str:
    """The Mermaid text. `marks` gives states a class: `passed`, or the status in which an execution stands there."""
    front = ["---", f"title: {json.dumps(graph.title, ensure_ascii=False)}"]
    front += ["cycles: true"] if graph.cycles else []
    body = [f"    {line}" for line in _region(graph.root)]
    return "\n".join([*front, "---", "stateDiagram-v2", *body, *_marked(graph, marks or {})]) + "\n"


def _region(region: Region) -> Iterator[str]:
    if region.direction:
        yield f"direction {region.direction}"
    bare = _order_needs_mention(region)
    for node in region.nodes:
        yield from _declared(node, bare)
    for node in region.nodes:
        for note in node.notes:
            yield f"note {note.side} {node.name}"
            yield from (f"    {line}" for line in note.text.split("\n"))
            yield "end note"
    for source, target, label in _arrows(region):
        yield f"{source} --> {target}: {label}" if label else f"{source} --> {target}"


def _arrows(region: Region) -> Iterator[tuple[str, str, str]]:
    """The arrows, before the first one of a state the one to itself that says how often it is tried."""
    untold = {node.name: label for node in region.nodes if (label := _attributes(node))}
    for arrow in region.arrows:
        source, target = arrow.source or STAR, arrow.target or STAR
        if label := untold.pop(source, ""):
            yield source, source, label
        yield source, target, arrow.label


def _attributes(node: Node) -> str:
    attributes = [f"attempts={node.attempts}"] if node.attempts != 1 else []
    attributes += [f"backoffMs={node.backoff_ms}"] if node.backoff_ms != BACKOFF_MS else []
    return r"\n".join(attributes)


def _order_needs_mention(region: Region) -> bool:
    """Whether states without a line of their own would be met in another order than theirs."""
    met = [node.name for node in region.nodes if node.kind != "state" or node.texts]
    met += [node.name for node in region.nodes if node.notes]
    met += [name for source, target, _ in _arrows(region) for name in (source, target) if name != STAR]
    return list(dict.fromkeys(met)) != [node.name for node in region.nodes]


def _declared(node: Node, bare: bool) -> Iterator[str]:
    if node.kind == "composite":
        text = f'"{node.texts[0]}" as ' if node.texts else ""
        yield f"state {text}{node.name} {{"
        for at, region in enumerate(node.regions):
            if at:
                yield "    --"
            yield from (f"    {line}" for line in _region(region))
        yield "}"
        return
    if node.kind != "state":
        yield f"state {node.name} <<{node.kind}>>"
    elif not node.texts and bare:
        yield node.name
    for text in node.texts:
        yield f"{node.name}: {text}" if '"' in text else f'state "{text}" as {node.name}'


def _marked(graph: Graph, marks: Mapping[str, str]) -> Iterator[str]:
    names = [node.name for node in nodes_of(graph.root) if node.name in marks and node.kind != "composite"]
    for mark in dict.fromkeys(marks[name] for name in names):
        yield f"    classDef {mark} {COLORS[mark]}"
        for name in names:
            if marks[name] == mark:
                yield f"    class {name} {mark}"
