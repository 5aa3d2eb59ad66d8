"""What the states of FulfilOrder are given. Yours to fill in: missing classes are appended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PackResult:
    """What the branch that begins with `pack` comes to."""


@dataclass(frozen=True)
class BillResult:
    """What the branch that begins with `bill` comes to."""


@dataclass(frozen=True)
class TakePayload:
    """What the state `take` is given."""


@dataclass(frozen=True)
class PackPayload:
    """What the state `pack` is given."""


@dataclass(frozen=True)
class BillPayload:
    """What the state `bill` is given."""


@dataclass(frozen=True)
class PickResult:
    """What the branch that begins with `pick` comes to."""


@dataclass(frozen=True)
class InformResult:
    """What the branch that begins with `inform` comes to."""


@dataclass(frozen=True)
class PickPayload:
    """What the state `pick` is given."""


@dataclass(frozen=True)
class SendPayload:
    """What the state `send` is given."""


@dataclass(frozen=True)
class InformPayload:
    """What the state `inform` is given."""


@dataclass(frozen=True)
class DonePayload:
    """What the state `done` is given."""
