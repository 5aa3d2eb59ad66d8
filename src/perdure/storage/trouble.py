"""`Trouble`: what fails again and again while a database is away. It is told once of each kind, then seldom, and once more when
it is over: a log that repeats one sentence hides the others.

It must never decide what follows a failure; whoever failed does.
"""

from __future__ import annotations

import logging
from typing import Final

from perdure.clock import Clock

FIRST_SILENCE: Final = 10.0
LONGEST_SILENCE: Final = 600.0
"""Seconds between two warnings of one kind: each silence is twice as long as the last one."""
UNREADABLE: Final = "the storage cannot be read; it is tried again"
logger = logging.getLogger("perdure")


class Trouble:
    """The trouble of one store, whoever has it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = 0.0
        self._kinds: dict[str, tuple[float, float]] = {}  # when it is told again, and how long the silence is then

    def failed(self, kind: str, what: str, why: object) -> None:
        """Something of a kind failed, for the first time or again."""
        now = self._clock.monotonic()
        if not self._kinds:
            self._began = now
        again, silence = self._kinds.get(kind, (now, FIRST_SILENCE))
        if now >= again:
            self._kinds[kind] = now + silence, min(silence * 2, LONGEST_SILENCE)
            logger.warning("%s: %s", what, why)

    def over(self, kind: str) -> None:
        """Something of that kind worked."""
        if self._kinds.pop(kind, None) is not None and not self._kinds:
            logger.warning("the storage works again, after %.3g s", self._clock.monotonic() - self._began)
