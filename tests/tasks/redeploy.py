"""Two versions of a program on one store, one after the other, on virtual time."""

from __future__ import annotations

from perdure import Perdure
from perdure.testing import TestApp


def redeployed(before: TestApp, app: Perdure, *, always_replay: bool = False) -> TestApp:
    """The next version of a program: another app on the store of a test that is over, at the moment at which it ended."""
    after = TestApp(app, before.now, always_replay=always_replay, seed=1)
    after.faults = before.faults
    return after
