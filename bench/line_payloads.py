"""What the states of Line are given. Yours to fill in: missing classes are appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FirstPayload:
    """What the state `first` is given."""

    text: str


@dataclass(frozen=True)
class SecondPayload:
    """What the state `second` is given."""

    text: str


@dataclass(frozen=True)
class ThirdPayload:
    """What the state `third` is given."""

    text: str


@dataclass(frozen=True)
class FourthPayload:
    """What the state `fourth` is given."""

    text: str


@dataclass(frozen=True)
class FifthPayload:
    """What the state `fifth` is given."""

    text: str
