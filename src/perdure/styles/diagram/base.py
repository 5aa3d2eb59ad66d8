"""The class above every generated one: the graph, the context of the state that runs.

Its members are the only names that a diagram cannot give its states (`perdure.mermaid.names` holds the list).
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, Generic, TypeVar, final

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
        """The context of the execution, in an `async def` state. Raises `NotInExecutionError` where no state runs, or where
        the method is a plain `def`: it has `blocking`."""
        if isinstance(self._context, Context):
            return self._context
        hint = "a state that is a plain def uses self.blocking" if self._context is not None else "no state of it runs"
        raise NotInExecutionError(f"{type(self).__name__}.ctx: {hint}")

    @final
    @property
    def blocking(self) -> BlockingContext:
        """The context of the execution, in a state that is a plain `def`. Raises `NotInExecutionError` elsewhere."""
        if isinstance(self._context, BlockingContext):
            return self._context
        hint = "an async def state uses self.ctx" if self._context is not None else "no state of it runs"
        raise NotInExecutionError(f"{type(self).__name__}.blocking: {hint}")
