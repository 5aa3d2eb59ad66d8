"""Mermaid: `draw` writes tasks, executions and state diagrams, `parse` reads state diagrams. Usable without an engine.

Reading needs the extra `codegen`; drawing, and running what was generated, does not.
"""

from __future__ import annotations

from typing import cast

from perdure.errors import ConfigurationError
from perdure.extras import load
from perdure.mermaid.draw import draw, fenced
from perdure.mermaid.path import Trace, marks_of
from perdure.mermaid.problems import DiagramError, Problem
from perdure.mermaid.statechart import draw_graph
from perdure.model.diagram import Arrow, Graph, Node, Note, Region
from perdure.model.outline import Part, part_of

__all__ = [
    "Arrow", "DiagramError", "Graph", "Node", "Note", "Part", "Problem", "Region", "Trace", "draw", "draw_graph", "fenced",
    "marks_of", "parse", "part_of",
]  # fmt: skip


def parse(text: str, source: str = "diagram", first: int = 1) -> Graph:
    """The graph of a state diagram; `source` and the number of its `first` line are for messages.

    Raises `DiagramError` with every problem, its line and its column, and `ConfigurationError` where the extra is missing.
    """
    try:
        read = load("perdure.mermaid.reading:parse")
    except ImportError as error:
        raise ConfigurationError("reading diagrams needs `pip install 'perdure[codegen]'`") from error
    return cast("Graph", read(text, source, first))
