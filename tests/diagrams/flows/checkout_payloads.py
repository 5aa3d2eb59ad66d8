"""What the states of Checkout are given. Yours to fill in: missing classes are appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChargePayload:
    """What the state `charge` is given."""

    card: str
    amount: int


@dataclass(frozen=True)
class ShipPayload:
    """What the state `ship` is given."""

    parcel: str


@dataclass(frozen=True)
class NotifyPayload:
    """What the state `notify` is given."""

    why: str
