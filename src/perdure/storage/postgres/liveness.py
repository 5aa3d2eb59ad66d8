"""Seeing soon that a worker anywhere is dead: its process holds a session of the server, which ends with it (rule R6).

A worker's row names that session. One that is gone proves little by itself: a cut connection is made anew within a second,
and a server that restarts ends all at once. So a worker counts as dead only when its session has been seen gone for a
while, by an observer whose own session has stood for longer than that: whatever ended the sessions of all ended the
observer's too. Where no session is proven (see `hints`), leases decide.

This module must never ask the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.clock import Clock, SystemClock
from perdure.storage.forks import in_child
from perdure.storage.postgres.hints import NOBODY, Witness

PATIENCE: Final = 1.5
"""Seconds for which a session must be seen gone."""
SETTLED: Final = 4.0
"""Seconds for which the observer's own must have stood."""


class Liveness:
    """What this process knows of the sessions of workers, its own and others'."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._gone: dict[str, tuple[Witness, float]] = {}
        self.mine: set[str] = set()
        """Workers whose rows name this process's session."""
        in_child(self._forget)

    def dead(self, gone: Sequence[tuple[str, Witness]], age: float) -> list[str]:
        """Those of other workers that are dead, given whose sessions are gone now, and how long our own has stood."""
        now = self._clock.monotonic()
        seen = {id: witness for id, witness in gone if witness != NOBODY and id not in self.mine}
        before = self._gone  # another thread may be asking too
        found = {
            id: before[id] if id in before and before[id][0] == witness else (witness, now)
            for id, witness in seen.items()
        }
        self._gone = found
        if age < SETTLED:
            return []
        return sorted(id for id, (_, since) in found.items() if now - since >= PATIENCE)

    def _forget(self) -> None:
        """In a forked child, which has no workers yet: its parent's are others', and not to be spoken for."""
        self._gone, self.mine = {}, set()
