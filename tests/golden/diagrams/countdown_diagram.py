"""Countdown, from countdown.mermaid. Written by `perdure generate`: change the diagram, not this file."""
# perdure generate: diagram 485cec24f70bea94, text ac36eaabe19667e3
# ruff: noqa
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, final

from perdure.styles.diagram import Arrow, Graph, Node, Region, StateDiagram

from countdown_payloads import CountPayload

GRAPH: Final = Graph(
    "Countdown",
    Region(
        (
            Node("decide", "choice"),
            Node("count"),
        ),
        (
            Arrow(None, "count"),
            Arrow("count", "decide"),
            Arrow("decide", "count", "again"),
            Arrow("decide", None, "over"),
        ),
    ),
    cycles=True,
)


@final
@dataclass(frozen=True, slots=True)
class DecideAgain:
    """The choice decide, again: count."""

    payload: CountPayload
    to: ClassVar[Literal["count"]] = "count"
    label: ClassVar[Literal["again"]] = "again"


@final
@dataclass(frozen=True, slots=True)
class DecideOver:
    """The choice decide, over: the end."""

    to: ClassVar[Literal["[*]"]] = "[*]"
    label: ClassVar[Literal["over"]] = "over"


DecideOutcome: TypeAlias = DecideAgain | DecideOver


@final
class DecideChoice:
    """The outcomes of the choice decide."""

    __slots__ = ()

    def again(self, payload: CountPayload) -> DecideOutcome:
        """again: count."""
        return DecideAgain(payload)

    def over(self) -> DecideOutcome:
        """over: the end."""
        return DecideOver()


CountdownState: TypeAlias = Literal["count"]


class CountdownDiagram(StateDiagram[CountPayload]):
    """Countdown: subclass it, with a method for each state."""

    graph: ClassVar[Graph] = GRAPH
    payloads: ClassVar[dict[str, type[object]]] = {
        "count": CountPayload,
    }
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {
        "decide": (
            DecideAgain,
            DecideOver,
        ),
    }

    @final
    @property
    def decide(self) -> DecideChoice:
        """The outcomes of the choice decide."""
        return DecideChoice()

    @abstractmethod
    def count(
        self,
        payload: CountPayload,
        /,
    ) -> Awaitable[DecideOutcome] | DecideOutcome:
        """The state count. Then decide: again, over."""
