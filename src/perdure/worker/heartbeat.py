"""Renewing the worker's lease, and learning what was lost or cancelled.

It also knows how far the leases of others can be believed: not when the clock was set, nor when this worker stood still or
could not write, for then the others may have done so too.

Where the storage may be called from threads, the heart beats in a thread of its own: an event loop that user code blocks
keeps its lease. A loop blocked beyond ten leases is given up, so that others take over its work.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from perdure.clock import Cancellable, Clock
from perdure.closing import Steps
from perdure.errors import AppClosedError, StorageError, StoreSealedError
from perdure.model.records import Beat, Heartbeat
from perdure.storage.store import Store

PATIENCE = 10
BEATS = 4
SOON = 0.02
DOUBT = 0.1
BLOCKED = 1.0
USUAL_LEASE = 15.0
logger = logging.getLogger("perdure")


class Heart:
    """Beats every quarter of a lease, and soon after `beat_soon`. `make` makes the beat, `heard` takes it and the answer.
    `make_whole` makes one that names all the worker holds: it is sent in line with what the worker writes, every lease and
    after a `doubt`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lease: float,
        make: Callable[[], Heartbeat],
        make_whole: Callable[[], Heartbeat],
        heard: Callable[[Heartbeat, Beat], None],
    ) -> None:
        self._store, self._clock, self._lease = store, clock, lease
        self._make, self._make_whole, self._heard = make, make_whole, heard
        self._interval = lease / BEATS
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: Cancellable | None = None
        self._soon: Cancellable | None = None
        self._renewed = self._sound_from = clock.monotonic()
        self._asked: float | None = None
        self._ahead, self._leased_until = clock.now() / 1000 - self._renewed, 0
        self._warned = False
        self._doubtful = False
        self._known = True
        self._beats = 0

    async def start(self) -> None:
        """Registers the worker, then keeps beating. Raises `StorageError` when the first beat fails."""
        first = self._make()
        try:
            self._heard(first, await self._store.ask("heartbeat", first))
        except StorageError:
            self._known = False
            raise
        self._was_renewed(first)
        if self._store.storage.inline:
            self._next()
        else:
            self._thread = threading.Thread(target=self._beat_in_thread, name="perdure-heartbeat", daemon=True)
            self._thread.start()

    def judged(self) -> int:
        """The moment by which leases may be judged, always before the end of this worker's own; 0 where none can be believed:
        this worker did not renew its own in time, or others may not have been able to. After a full disk, a lock of another
        program, a stop or a clock that was set, everybody gets the time for a beat before anybody is held for dead."""
        now, passed = self._clock.now(), self._clock.monotonic()
        self._look_at_clock(now, passed)
        if passed - self._renewed >= self._lease or passed < self._sound_from:
            return 0
        return min(now, self._leased_until - 1)

    def _look_at_clock(self, now: int, passed: float) -> None:
        """Leases end by a clock that may be set, and that goes on while a machine sleeps."""
        ahead = now / 1000 - passed
        step, self._ahead = ahead - self._ahead, ahead
        if abs(step) > self._interval:
            pause = max(self._lease, USUAL_LEASE)
            logger.warning("the clock moved by %+.1f s; for %.3g s nobody is held for dead by a lease", step, pause)
            self._disturbed(pause)

    def _disturbed(self, pause: float) -> None:
        self._sound_from = max(self._sound_from, self._clock.monotonic() + pause)

    def _was_renewed(self, beat: Heartbeat) -> None:
        now = self._clock.monotonic()
        if now - self._renewed > self._lease:
            self._disturbed(self._lease)  # this worker stood still; maybe all did
        self._renewed, self._leased_until = now, beat.worker.lease_until

    async def leave(self, farewell: Heartbeat) -> None:
        """Stops beating and tells the store, where that knows this worker and can be told, that it leaves."""
        self._fall_silent()
        steps = Steps()
        if self._thread is not None:
            await steps.take(asyncio.to_thread(self._thread.join))
        try:
            if self._known:
                await steps.take(self._store.ask("heartbeat", farewell))
        except (StorageError, AppClosedError) as error:
            if self._known:
                logger.warning("the worker could not say that it leaves; its lease will end: %s", error)
        steps.end()

    def sealed(self) -> None:
        """The store was moved: there is nobody to beat for."""
        self._known = False
        self._fall_silent()

    def _fall_silent(self) -> None:
        self._stop.set()
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()

    def doubt(self) -> None:
        """An answer was lost: the store may think that this worker holds what it knows nothing of. Says what it holds."""
        if not self._doubtful and not self._stop.is_set():
            self._doubtful = True
            self._clock.call_later(DOUBT, self._say_all)

    def _say_all(self) -> None:
        self._doubtful = False
        if not self._stop.is_set():
            self._put(self._make_whole, self.doubt)

    def _put(self, make: Callable[[], Heartbeat], failed: Callable[[], None] = lambda: None) -> None:
        """Sends a beat with the next batch, made when that is closed."""
        made: list[Heartbeat] = []

        def take() -> Heartbeat:
            made.append(make())
            return made[0]

        def answered(answer: object) -> None:
            self._answered(made[0] if made else None, answer)
            if isinstance(answer, StorageError):
                failed()

        self._store.put("heartbeat", None, answered, take=take)

    def beat_soon(self) -> None:
        """A cancel may wait for this worker."""
        if self._soon is None and not self._stop.is_set():
            self._soon = self._clock.call_later(SOON, self._beat_once)

    def _beat_once(self) -> None:
        self._soon = None
        self._put(self._make)

    def _count(self) -> None:
        """Once per lease the worker says all that it holds, though it has no doubt."""
        self._beats += 1
        if self._beats % BEATS == 0:
            self._say_all()

    def _next(self) -> None:
        self._timer = self._clock.call_later(self._interval, self._beat_and_next)

    def _beat_and_next(self) -> None:
        self._beat_once()
        self._count()
        if not self._stop.is_set():
            self._next()

    def _answered(self, beat: Heartbeat | None, answer: object) -> None:
        if beat is not None and isinstance(answer, Beat):
            self._store.trouble.over("heartbeat")
            self._was_renewed(beat)
            self._heard(beat, answer)
            return
        self._disturbed(2 * self._interval)
        if isinstance(answer, StoreSealedError):
            self._store.tell_sealed(answer)
        elif not isinstance(answer, AppClosedError):
            self._store.trouble.failed("heartbeat", "the worker's heartbeat failed", answer)

    def _beat_in_thread(self) -> None:
        while not self._stop.wait(self._interval):
            blocked = self._ping()
            if blocked > PATIENCE * self._lease:
                logger.error("the event loop is blocked for %.0f s; this worker's work is left to others", blocked)
                continue
            self._tell(*self._beat_here())

    def _beat_here(self) -> tuple[Heartbeat | None, object]:
        """One beat, made once the storage lets it in: however long that took, the lease is renewed from then."""
        began, storage = self._clock.monotonic(), self._store.storage
        try:
            with storage.transaction():
                if self._stop.is_set():  # nobody waited for this thread: the farewell may be written
                    raise AppClosedError("the worker left while its heartbeat waited")
                beat = self._make()
                answer = storage.heartbeat(beat, self._clock.now())
            return beat, answer
        except Exception as error:
            return None, error
        finally:
            if self._clock.monotonic() - began > self._interval:
                self._disturbed(2 * self._interval)

    def _ping(self) -> float:
        """For how many seconds the loop has not answered, however long this thread itself had to wait meanwhile."""
        now = self._clock.monotonic()
        asked = self._asked
        if asked is None:
            self._asked = asked = now
            try:
                self._loop.call_soon_threadsafe(self._ponged)
            except RuntimeError:
                self._stop.set()
        blocked = now - asked
        if blocked > BLOCKED and not self._warned:
            self._warned = True
            logger.warning("the event loop is blocked for %.1f s by code that does not await", blocked)
        return blocked

    def _ponged(self) -> None:
        self._asked, self._warned = None, False
        self._count()

    def _tell(self, beat: Heartbeat | None, answer: object) -> None:
        try:
            self._loop.call_soon_threadsafe(self._answered, beat, answer)
        except RuntimeError:
            self._stop.set()
