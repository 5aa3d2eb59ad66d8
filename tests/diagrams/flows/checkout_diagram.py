"""Checkout, from checkout.mermaid. Written by `perdure generate`: change the diagram, not this file."""
# perdure generate: diagram 21e44a53271713b2, text e226c5978280d4ba
# ruff: noqa
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, final

from perdure.styles.diagram import Arrow, Graph, Node, Region, StateDiagram

from .checkout_payloads import ChargePayload, NotifyPayload, ShipPayload

GRAPH: Final = Graph(
    "Checkout",
    Region(
        (
            Node("paid", "choice"),
            Node("charge", attempts=3, backoff_ms=2000),
            Node("ship"),
            Node("notify"),
        ),
        (
            Arrow(None, "charge"),
            Arrow("charge", "paid"),
            Arrow("paid", "ship", "accepted"),
            Arrow("paid", "notify", "declined"),
            Arrow("ship", None),
            Arrow("notify", None),
        ),
    ),
)


@final
@dataclass(frozen=True, slots=True)
class PaidAccepted:
    """The choice paid, accepted: ship."""

    payload: ShipPayload
    to: ClassVar[Literal["ship"]] = "ship"
    label: ClassVar[Literal["accepted"]] = "accepted"


@final
@dataclass(frozen=True, slots=True)
class PaidDeclined:
    """The choice paid, declined: notify."""

    payload: NotifyPayload
    to: ClassVar[Literal["notify"]] = "notify"
    label: ClassVar[Literal["declined"]] = "declined"


PaidOutcome: TypeAlias = PaidAccepted | PaidDeclined


@final
class PaidChoice:
    """The outcomes of the choice paid."""

    __slots__ = ()

    def accepted(self, payload: ShipPayload) -> PaidOutcome:
        """accepted: ship."""
        return PaidAccepted(payload)

    def declined(self, payload: NotifyPayload) -> PaidOutcome:
        """declined: notify."""
        return PaidDeclined(payload)


CheckoutState: TypeAlias = Literal[
    "charge",
    "ship",
    "notify",
]


class CheckoutDiagram(StateDiagram[ChargePayload]):
    """Checkout: subclass it, with a method for each state."""

    graph: ClassVar[Graph] = GRAPH
    payloads: ClassVar[dict[str, type[object]]] = {
        "charge": ChargePayload,
        "ship": ShipPayload,
        "notify": NotifyPayload,
    }
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {
        "paid": (
            PaidAccepted,
            PaidDeclined,
        ),
    }

    @final
    @property
    def paid(self) -> PaidChoice:
        """The outcomes of the choice paid."""
        return PaidChoice()

    @abstractmethod
    def charge(self, payload: ChargePayload, /) -> Awaitable[PaidOutcome] | PaidOutcome:
        """The state charge. Then paid: accepted, declined.

        3 attempts.
        """

    @abstractmethod
    def ship(self, payload: ShipPayload, /) -> Awaitable[None] | None:
        """The state ship. Then the end."""

    @abstractmethod
    def notify(self, payload: NotifyPayload, /) -> Awaitable[None] | None:
        """The state notify. Then the end."""
