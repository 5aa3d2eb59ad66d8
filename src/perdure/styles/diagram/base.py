"""The class above every generated one: the graph, the context of the state that runs.

Its members are the only names that a diagram cannot give its states (`perdure.mermaid.names` holds the list).
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, Generic, TypeVar, cast, final

from perdure.engine.blocking import BlockingContext
from perdure.engine.context import Context
from perdure.errors import NotInExecutionError
from perdure.model.diagram import Graph

S = TypeVar("S")


class StateDiagram(ABC, Generic[S]):
    """A diagram with a method for each state; `S` is what its first state is given. A fresh instance runs each state."""

    graph: ClassVar[Graph]
    payloads: ClassVar[dict[str, type[object]]]
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]]
    _context: Context | BlockingContext | None = None

    @final
    @property
    def ctx(self) -> Context:
        """The context of the execution. In a state that is a plain `def` its verbs block; there `blocking` is the same,
        typed. Raises `NotInExecutionError` where no state runs."""
        if self._context is None:
            raise NotInExecutionError(f"{type(self).__name__}.ctx: no state of it runs")
        return cast("Context", self._context)

    @final
    @property
    def blocking(self) -> BlockingContext:
        """The context of the execution, in a state that is a plain `def`. Raises `NotInExecutionError` elsewhere."""
        if isinstance(self._context, BlockingContext):
            return self._context
        hint = "an async def state uses self.ctx" if self._context is not None else "no state of it runs"
        raise NotInExecutionError(f"{type(self).__name__}.blocking: {hint}")
