"""Fulfil order workflow, from fulfil.mermaid. Written by `perdure generate`: change the diagram, not this file."""
# perdure generate: diagram 453d3aadae562ccc, text 999690d229e16c61
# ruff: noqa
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, final

from perdure.styles.diagram import Arrow, Graph, Node, Note, Region, StateDiagram

from fulfil_payloads import (
    BillPayload,
    BillResult,
    DonePayload,
    InformPayload,
    InformResult,
    PackPayload,
    PackResult,
    PickPayload,
    PickResult,
    SendPayload,
    TakePayload,
)

GRAPH: Final = Graph(
    "Fulfil order workflow",
    Region(
        (
            Node("split", "fork"),
            Node("both", "join"),
            Node("take"),
            Node("pack"),
            Node("bill"),
            Node(
                "Ship",
                "composite",
                texts=("Ship it",),
                regions=(
                    Region(
                        (
                            Node("pick", texts=("Pick, from \"shelf\" #4",)),
                            Node("send"),
                        ),
                        (
                            Arrow(None, "pick"),
                            Arrow("pick", "send"),
                            Arrow("send", None),
                        ),
                        "TB",
                    ),
                    Region(
                        (
                            Node("inform", notes=(Note("left of", "by mail"),)),
                        ),
                        (
                            Arrow(None, "inform"),
                            Arrow("inform", None),
                        ),
                    ),
                ),
            ),
            Node("done", notes=(Note("right of", "That: is all;\nthere --> is"),)),
        ),
        (
            Arrow(None, "take", "begin"),
            Arrow("take", "split"),
            Arrow("split", "pack"),
            Arrow("split", "bill"),
            Arrow("pack", "both"),
            Arrow("bill", "both"),
            Arrow("both", "Ship"),
            Arrow("Ship", "done"),
            Arrow("done", None),
        ),
        "LR",
    ),
)


@final
@dataclass(frozen=True, slots=True)
class SplitPayload:
    """What the branches of split begin with."""

    pack: PackPayload
    bill: BillPayload


@final
@dataclass(frozen=True, slots=True)
class BothPayload:
    """What the branches of split came to."""

    pack: PackResult
    bill: BillResult


@final
@dataclass(frozen=True, slots=True)
class ShipPayload:
    """What the branches of Ship begin with."""

    pick: PickPayload
    inform: InformPayload


@final
@dataclass(frozen=True, slots=True)
class ShipDonePayload:
    """What the branches of Ship came to."""

    pick: PickResult
    inform: InformResult


FulfilOrderState: TypeAlias = Literal[
    "both",
    "take",
    "pack",
    "bill",
    "Ship_done",
    "pick",
    "send",
    "inform",
    "done",
]


class FulfilOrderDiagram(StateDiagram[TakePayload]):
    """Fulfil order workflow: subclass it, with a method for each state."""

    graph: ClassVar[Graph] = GRAPH
    payloads: ClassVar[dict[str, type[object]]] = {
        "split": SplitPayload,
        "both": BothPayload,
        "take": TakePayload,
        "pack": PackPayload,
        "bill": BillPayload,
        "Ship": ShipPayload,
        "Ship_done": ShipDonePayload,
        "pick": PickPayload,
        "send": SendPayload,
        "inform": InformPayload,
        "done": DonePayload,
    }
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {}

    @abstractmethod
    def both(self, payload: BothPayload, /) -> Awaitable[ShipPayload] | ShipPayload:
        """The join both. Then the fork Ship."""

    @abstractmethod
    def take(self, payload: TakePayload, /) -> Awaitable[SplitPayload] | SplitPayload:
        """The state take. Then the fork split."""

    @abstractmethod
    def pack(self, payload: PackPayload, /) -> Awaitable[PackResult] | PackResult:
        """The state pack. Then the join both."""

    @abstractmethod
    def bill(self, payload: BillPayload, /) -> Awaitable[BillResult] | BillResult:
        """The state bill. Then the join both."""

    @abstractmethod
    def ship_done(
        self,
        payload: ShipDonePayload,
        /,
    ) -> Awaitable[DonePayload] | DonePayload:
        """The join Ship_done. Then done."""

    @abstractmethod
    def pick(self, payload: PickPayload, /) -> Awaitable[SendPayload] | SendPayload:
        """The state pick. Then send.

        Pick, from \"shelf\" #4
        """

    @abstractmethod
    def send(self, payload: SendPayload, /) -> Awaitable[PickResult] | PickResult:
        """The state send. Then the join Ship_done."""

    @abstractmethod
    def inform(
        self,
        payload: InformPayload,
        /,
    ) -> Awaitable[InformResult] | InformResult:
        """The state inform. Then the join Ship_done."""

    @abstractmethod
    def done(self, payload: DonePayload, /) -> Awaitable[None] | None:
        """The state done. Then the end."""
