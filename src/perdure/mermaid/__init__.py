"""Drawing tasks and executions as Mermaid: `draw(part_of(execution))`, `draw(task.outline())`. Usable without an engine."""

from perdure.mermaid.draw import draw, fenced
from perdure.model.outline import Part, part_of

__all__ = ["Part", "draw", "fenced", "part_of"]
