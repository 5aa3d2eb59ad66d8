"""Executions below one, read for a drawing: level by level, so that what is left out stands as deep as can be.

Each bound is for one screen: so many below one, so many levels, so many in all. Nothing here prints.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from perdure.app import Perdure
from perdure.model.execution import Execution

MOST: Final = 1_000
"""So many executions one drawing has."""


@dataclass(slots=True)
class Branch:
    """An execution, those below it, and how many more of them there are that are not drawn."""

    execution: Execution[Any]
    below: list[Branch] = field(default_factory=list["Branch"])
    more: int = 0


async def read_tree(app: Perdure, execution: Execution[Any], wide: int, deep: int, most: int = MOST) -> Branch:
    """The tree below an execution: at most `wide` below each, `deep` levels, `most` in all. Raises `StorageError`."""
    top = Branch(execution, more=execution.children_total)
    level, left = deque([(top, 0)]), most
    while level and left > 0:
        branch, depth = level.popleft()
        if not branch.more or depth >= deep:
            continue
        children = await app.handle(branch.execution.id).children(min(wide, left))
        branch.below = [Branch(child, more=child.children_total) for child in children]
        branch.more = max(branch.more - len(children), 0)
        left -= len(children)
        level.extend((child, depth + 1) for child in branch.below)
    return top
