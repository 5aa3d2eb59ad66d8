"""What the tests of diagrams share: an app of one's own, on memory, and what the states of its diagrams noted."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Perdure
from tests.diagrams.implemented import Checkout, Countdown, Seen, Trip


@pytest.fixture
def app() -> Perdure:
    return Perdure("memory://")


@pytest.fixture(autouse=True)
def seen() -> Seen:
    """What states were given, from the beginning of the test; nothing fails, and there is a room."""
    Checkout.seen = Countdown.seen = Trip.seen = fresh = list[Any]()
    Checkout.failing, Trip.room = 0, "blue"
    return fresh
