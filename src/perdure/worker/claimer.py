"""When to ask for work, and for how much.

A claim rides with the batch that frees the slots it fills, so settling and claiming share a round trip. While the last
claim came back short nothing is asked for again until something may have fallen due: a commit that says so, a hint, the
next due moment, or the poll.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure.clock import Cancellable, Clock
from perdure.model.records import Claimed, ClaimRequest
from perdure.storage.store import Store

NOTHING = Claimed((), True, None)


class Claimer:
    """Asks the store for work. `demand` makes the request (`None`: no slot is free), `take` starts what came, `doubt` hears
    that an answer may have been lost, `polled` that it is time to look for what no hint told of."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        poll: float,
        demand: Callable[[], ClaimRequest | None],
        take: Callable[[Claimed], None],
        doubt: Callable[[], None],
        polled: Callable[[], None],
    ) -> None:
        self._store, self._clock, self._poll = store, clock, poll
        self._demand, self._take, self._doubt, self._polled = demand, take, doubt, polled
        self._maybe_due, self._asking, self._closed = True, False, False
        self._tick: Cancellable | None = None
        self._next_due: int | None = None
        self.short = False

    def due(self) -> None:
        """Something may have fallen due."""
        self._maybe_due = True
        self.slot_free()

    def slot_free(self) -> None:
        """A slot is, or is about to be, free."""
        if self._maybe_due and not self._asking and not self._closed:
            self._asking = True
            self._store.put("claim", None, self._answered, take=self._request)

    @property
    def asking(self) -> bool:
        """Whether an answer is still to come; also after `close`."""
        return self._asking

    def close(self) -> None:
        """No new claims."""
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()

    def _request(self) -> ClaimRequest | None:
        self._maybe_due = False  # what falls due from now on, this claim may not see
        request = None if self._closed else self._demand()
        if request is None:
            self._asking, self._maybe_due = False, True
            self._take(NOTHING)
        return request

    def _answered(self, answer: Any) -> None:
        self._asking = False
        if isinstance(answer, BaseException):
            if not self._closed:
                self._store.trouble.failed("claim", "work cannot be claimed", answer)
            self._maybe_due = True
            self._doubt()
            self._take(NOTHING)
            self._sleep(self._poll)
            return
        claimed: Claimed = answer
        self._store.trouble.over("claim")
        self.short = claimed.short
        self._maybe_due |= not claimed.short
        self._next_due = claimed.next_due
        self._take(claimed)
        if not self._maybe_due:
            self._sleep(self._pause())
        else:
            self.slot_free()

    def _pause(self) -> float:
        if self._next_due is None:
            return self._poll
        return min(self._poll, max((self._next_due - self._clock.now()) / 1000, 0.0))

    def _sleep(self, pause: float) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick = None if self._closed else self._clock.call_later(pause, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self._polled()
        self.due()
