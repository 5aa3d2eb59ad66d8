"""What the states of Trip are given. Yours to fill in: missing classes are appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FlyResult:
    """What the branch that begins with `fly` comes to."""

    seat: str


@dataclass(frozen=True)
class SearchResult:
    """What the branch that begins with `search` comes to."""

    room: str | None


@dataclass(frozen=True)
class PlanPayload:
    """What the state `plan` is given."""

    city: str


@dataclass(frozen=True)
class FlyPayload:
    """What the state `fly` is given."""

    city: str


@dataclass(frozen=True)
class SearchPayload:
    """What the state `search` is given."""

    city: str


@dataclass(frozen=True)
class ReservePayload:
    """What the state `reserve` is given."""

    room: str


@dataclass(frozen=True)
class SeatPayload:
    """What the state `seat` is given."""

    flight: str


@dataclass(frozen=True)
class TravelPayload:
    """What the state `travel` is given."""

    seat: str
    room: str | None
