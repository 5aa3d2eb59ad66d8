"""Awaiting a result under a virtual clock.

When somebody awaits a result and nothing on the loop can go on, the clock is moved to the next due moment, and so on until
there is an answer: the caller's own `timeout` is such a moment too. When nothing is due any more, the wait can never end;
it fails with `StuckError`, which says what the execution waits for. While the test itself moves the clock
(`advance`, `idle`, …) nothing here does.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Final

from perdure.client.waiting import Waiters
from perdure.clock import Clock
from perdure.storage.settling import load_waits
from perdure.storage.store import Ending, Store
from perdure.testing.driving import Drive

LOOKING: Final = 30_000_000
"""Microseconds for which workers may look around although nothing is due."""
FINE_STEPS: Final = 200
"""Moments without any change after which the clock goes on to what the storage calls due (a `watch` looks for ever)."""
STEPS: Final = 10_000
"""Moments without any change after which there is no hope."""
PAUSE: Final = 0.001
GRACE: Final = 0.05
CHANCES: Final = 3


class StuckError(AssertionError):
    """A result is awaited that nothing will ever bring about: no work, no timer and no deadline is due."""


class PatientWaiters(Waiters):
    """The waiters of a client whose clock is virtual; they move it when all are stuck without."""

    def __init__(self, store: Store, clock: Clock, poll: float, drive: Drive) -> None:
        super().__init__(store, clock, poll)
        self._drive = drive
        self._awaited: list[str] = []
        self._mover: asyncio.Task[None] | None = None
        self._clean = contextvars.copy_context()
        self._never: asyncio.Future[None] = self._loop.create_future()

    async def ending(self, execution_id: str) -> Ending:
        """As `Waiters.ending`. Raises `StuckError` when nothing will ever bring it about."""
        self._awaited.append(execution_id)
        if self._mover is None or self._mover.done():
            self._never = self._loop.create_future()
            self._mover = self._loop.create_task(self._move(), context=self._clean.copy())
            self._mover.add_done_callback(self._moved)
        answer = self._loop.create_task(super().ending(execution_id), context=self._clean.copy())
        try:
            await asyncio.wait({answer, self._never}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            self._never.result()
            raise StuckError(self._why(execution_id))
        finally:
            self._awaited.remove(execution_id)
            answer.cancel()

    def close(self) -> None:
        """As `Waiters.close`."""
        super().close()
        if self._mover is not None:
            self._mover.cancel()

    async def _move(self) -> None:
        """Moves the clock as long as somebody waits."""
        pace = _Pace(self._drive)
        while self._awaited:
            pause = PAUSE
            async with self._drive.turn_of_waiting() as allowed:
                if allowed and self._awaited and not self._drive.watch.in_threads:
                    pause = await pace.step()
            await asyncio.sleep(pause)
            if pace.stuck and not self._never.done():
                self._never.set_result(None)
                return

    def _moved(self, mover: asyncio.Task[None]) -> None:
        """What went wrong while moving is told to those who wait."""
        error = None if mover.cancelled() else mover.exception()
        if error is not None and not self._never.done():
            self._never.set_exception(error)

    def _why(self, execution_id: str) -> str:
        row = self._store.storage.get([execution_id])[0]
        waits = load_waits(row.waits) if row is not None else ()
        words = ", ".join(f"{wait.kind} {wait.name}".strip() for wait in waits) or "nothing that is known"
        status = row.status if row is not None else "gone"
        return f"execution {execution_id} is {status} and waits for {words}; nothing is due, so its result would never come"


class _Pace:
    """Steps of the clock, as long as there is hope."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._changed()

    def _changed(self) -> None:
        self._mark, self._since, self._steps, self._chances = self._drive.mark, self._drive.clock.micros, 0, CHANCES

    @property
    def stuck(self) -> bool:
        """Whether nothing will ever come about."""
        return self._chances == 0

    async def step(self) -> float:
        """Goes to the next moment; answers how many real seconds to give others before the next step."""
        drive = self._drive
        if drive.mark != self._mark:
            self._changed()
        idle = drive.next_due() is None and drive.clock.micros - self._since > LOOKING
        moment = None if idle or self._steps > STEPS else drive.next_moment(self._since)
        if moment is None:
            self._chances -= 1
            return GRACE
        self._steps += 1
        if self._steps > FINE_STEPS:
            moment = drive.stored_due() or moment
        await drive.go(moment)
        return 0.0
