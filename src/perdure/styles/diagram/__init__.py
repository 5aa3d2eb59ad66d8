"""State diagrams: each state a method, each arrow a type, the picture the single source of truth.

This is what generated code imports.
"""

from perdure.model.diagram import Arrow, Graph, Node, Note, Region
from perdure.styles.diagram.base import StateDiagram

__all__ = ["Arrow", "Graph", "Node", "Note", "Region", "StateDiagram"]
