"""The server's clock, by which leases are written and judged: hosts whose clocks differ agree on who is late (P9).

No statement reads a clock. Instead, what a worker says by the clock of its host is moved by as much as the server's is
ahead of that, where it concerns leases. How far that is gets measured now and then. What a round trip leaves uncertain is
never corrected, nor is what does not matter: where host and server agree, nothing moves, and a test may bring its own time.

This module must never decide what is late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from perdure.clock import CLOCK_DIFFERS, SystemClock

EVERY: Final = 5.0
"""Seconds for which a measurement holds, unless this host's clock is set."""
SLACK: Final = 250
"""Milliseconds that are not corrected."""
SET: Final = 1000
"""Milliseconds by which a clock that goes on does not move between two looks: it was set, or another server took over."""
PAUSE: Final = 60.0
"""Seconds for which leases are not judged then: all that live have written theirs by the new time."""
logger = logging.getLogger("perdure")


class ServerClock:
    """The clock of the server called `name`; `ask` answers its milliseconds UTC, or raises `StorageError`."""

    def __init__(self, name: str, ask: Callable[[], int]) -> None:
        self._name, self._ask, self._clock = name, ask, SystemClock()
        self._ahead: int | None = None
        self._looked = self._host = self._sound_from = 0.0

    def ahead(self) -> int:
        """Milliseconds by which the server's clock is ahead of this host's. Raises `StorageError`."""
        known, passed = self._ahead, self._clock.monotonic()
        host = self._clock.now() / 1000 - passed  # changes when the clock is set
        if known is not None and passed - self._looked < EVERY and abs(host - self._host) * 1000 < SLACK:
            return known
        found = self.measured(known or 0)
        if abs(found - (known or 0)) <= SLACK:
            found = known or 0
        self._ahead, self._looked, self._host = found, passed, host
        if known is None or abs(found - known) > SET:
            self._changed(found, None if known is None else found - known)
        return found

    def judged(self, moment: int) -> int:
        """A moment of this host by which leases are judged, as the server's clock has it; 0 where none are to be, or can
        be believed. Raises `StorageError`."""
        ahead = self.ahead()
        return moment + ahead if moment > 0 and self._clock.monotonic() >= self._sound_from else 0

    def measured(self, assumed: int = 0) -> int:
        """By how many milliseconds the server's clock is ahead now: what is assumed, if that can be, else what is nearest
        to it. Raises `StorageError`."""
        before = self._clock.now()
        server = self._ask()
        return min(max(assumed, server - self._clock.now()), server - before)

    def _changed(self, ahead: int, step: int | None) -> None:
        if step is not None:
            self._sound_from = self._clock.monotonic() + PAUSE
            logger.warning(
                "the clock of PostgreSQL database %s moved by %+.1f s against this host's; for %g s nobody is held for dead "
                "by a lease", self._name, step / 1000, PAUSE,
            )  # fmt: skip
        if abs(ahead) > CLOCK_DIFFERS:
            logger.warning(
                "the clock of PostgreSQL database %s is %+.1f s off this host's: set the clocks of all hosts by NTP, for due "
                "times follow them", self._name, ahead / 1000,
            )  # fmt: skip
