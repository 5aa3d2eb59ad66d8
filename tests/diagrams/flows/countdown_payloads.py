"""What the states of Countdown are given. Yours to fill in: missing classes are appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CountPayload:
    """What the state `count` is given."""

    left: int
