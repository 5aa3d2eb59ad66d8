"""Trip, from trip.mermaid. Written by `perdure generate`: change the diagram, not this file."""
# perdure generate: diagram 6737517ffa11d356, text 823abfbcb3d1738a
# ruff: noqa
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, final

from perdure.styles.diagram import Arrow, Graph, Node, Region, StateDiagram

from .trip_payloads import (
    FlyPayload,
    FlyResult,
    PlanPayload,
    ReservePayload,
    SearchPayload,
    SearchResult,
    SeatPayload,
    TravelPayload,
)

GRAPH: Final = Graph(
    "Trip",
    Region(
        (
            Node("split", "fork"),
            Node("both", "join"),
            Node("plan"),
            Node("fly"),
            Node(
                "Stay",
                "composite",
                texts=("Where to sleep",),
                regions=(
                    Region(
                        (
                            Node("search"),
                            Node("fits", "choice"),
                            Node("reserve"),
                        ),
                        (
                            Arrow(None, "search"),
                            Arrow("search", "fits"),
                            Arrow("fits", "reserve", "yes"),
                            Arrow("fits", None, "no"),
                            Arrow("reserve", None),
                        ),
                    ),
                ),
            ),
            Node("seat", attempts=2),
            Node("travel"),
        ),
        (
            Arrow(None, "plan"),
            Arrow("plan", "split"),
            Arrow("split", "fly"),
            Arrow("split", "Stay"),
            Arrow("fly", "seat"),
            Arrow("seat", "both"),
            Arrow("Stay", "both"),
            Arrow("both", "travel"),
            Arrow("travel", None),
        ),
    ),
)


@final
@dataclass(frozen=True, slots=True)
class SplitPayload:
    """What the branches of split begin with."""

    fly: FlyPayload
    search: SearchPayload


@final
@dataclass(frozen=True, slots=True)
class BothPayload:
    """What the branches of split came to."""

    fly: FlyResult
    search: SearchResult


@final
@dataclass(frozen=True, slots=True)
class FitsYes:
    """The choice fits, yes: reserve."""

    payload: ReservePayload
    to: ClassVar[Literal["reserve"]] = "reserve"
    label: ClassVar[Literal["yes"]] = "yes"


@final
@dataclass(frozen=True, slots=True)
class FitsNo:
    """The choice fits, no: the join both."""

    payload: SearchResult
    to: ClassVar[Literal["both"]] = "both"
    label: ClassVar[Literal["no"]] = "no"


FitsOutcome: TypeAlias = FitsYes | FitsNo


@final
class FitsChoice:
    """The outcomes of the choice fits."""

    __slots__ = ()

    def yes(self, payload: ReservePayload) -> FitsOutcome:
        """yes: reserve."""
        return FitsYes(payload)

    def no(self, payload: SearchResult) -> FitsOutcome:
        """no: the join both."""
        return FitsNo(payload)


TripState: TypeAlias = Literal[
    "both",
    "plan",
    "fly",
    "search",
    "reserve",
    "seat",
    "travel",
]


class TripDiagram(StateDiagram[PlanPayload]):
    """Trip: subclass it, with a method for each state."""

    graph: ClassVar[Graph] = GRAPH
    payloads: ClassVar[dict[str, type[object]]] = {
        "split": SplitPayload,
        "both": BothPayload,
        "plan": PlanPayload,
        "fly": FlyPayload,
        "search": SearchPayload,
        "reserve": ReservePayload,
        "seat": SeatPayload,
        "travel": TravelPayload,
    }
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {
        "fits": (
            FitsYes,
            FitsNo,
        ),
    }

    @final
    @property
    def fits(self) -> FitsChoice:
        """The outcomes of the choice fits."""
        return FitsChoice()

    @abstractmethod
    def both(self, payload: BothPayload, /) -> Awaitable[TravelPayload] | TravelPayload:
        """The join both. Then travel."""

    @abstractmethod
    def plan(self, payload: PlanPayload, /) -> Awaitable[SplitPayload] | SplitPayload:
        """The state plan. Then the fork split."""

    @abstractmethod
    def fly(self, payload: FlyPayload, /) -> Awaitable[SeatPayload] | SeatPayload:
        """The state fly. Then seat."""

    @abstractmethod
    def search(self, payload: SearchPayload, /) -> Awaitable[FitsOutcome] | FitsOutcome:
        """The state search. Then fits: yes, no."""

    @abstractmethod
    def reserve(
        self,
        payload: ReservePayload,
        /,
    ) -> Awaitable[SearchResult] | SearchResult:
        """The state reserve. Then the join both."""

    @abstractmethod
    def seat(self, payload: SeatPayload, /) -> Awaitable[FlyResult] | FlyResult:
        """The state seat. Then the join both.

        2 attempts.
        """

    @abstractmethod
    def travel(self, payload: TravelPayload, /) -> Awaitable[None] | None:
        """The state travel. Then the end."""
