"""`parse`: from the text of a diagram to its graph, or to all that is wrong with it. Linear in the length of the text."""

from __future__ import annotations

from perdure.mermaid.drafts import Drafting
from perdure.mermaid.front import read_front
from perdure.mermaid.problems import DiagramError, Problems
from perdure.mermaid.rules import check
from perdure.mermaid.statements import read_statements
from perdure.model.diagram import Graph, title_name

LONGEST = 4 << 20
"""Characters of the longest text that is looked at."""


def parse(text: str, source: str = "diagram", first: int = 1) -> Graph:
    """The graph of a diagram. `first` is the number of its first line, for messages. Raises `DiagramError`."""
    problems = Problems()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    unreadable = next((at for at, line in enumerate(lines) if "\0" in line), None)
    if unreadable is not None or len(text) > LONGEST:
        why = "this is no text" if unreadable is not None else f"the text has over {LONGEST} characters"
        problems.add(first + (unreadable or 0), 1, why)
        raise DiagramError(source, problems.found)
    front = read_front(lines, first, problems)
    after = first + front.lines
    drafting = Drafting(problems, after)
    drafting.take(read_statements(lines[front.lines :], after, problems))
    graph = Graph(front.title, drafting.root.region(), front.cycles)
    if front.title and not title_name(front.title).isidentifier():
        named = title_name(front.title)
        problems.at(front.place, f"the title {front.title!r} becomes {named!r}, which is no name in Python")
    if drafting.drafts or drafting.root.arrows or not problems.found:
        check(drafting, graph, front.place)
    if problems.found:
        raise DiagramError(source, problems.found)
    return graph
