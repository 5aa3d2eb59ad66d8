"""What any worker does for all: take back what the dead held, settle what is past its deadline, remove what is past its
retention. Every pass is idempotent and bounded; no leader is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from perdure.clock import Cancellable, Clock
from perdure.errors import StorageError, StoreSealedError
from perdure.model.records import Reclaimed
from perdure.storage.store import Store

PRUNE_EVERY = 60
BITE = 1000
logger = logging.getLogger("perdure")


class Maintenance:
    """Looks every `interval` seconds, and judges leases by the moment that `judged` answers; prunes what is past its own retention, and of the rest what
    closed longer than `retention` seconds ago, if that is set."""

    def __init__(
        self, store: Store, clock: Clock, interval: float, retention: float | None, judged: Callable[[], int]
    ) -> None:
        self._store, self._clock, self._judged = store, clock, judged
        self._interval, self._retention = interval, retention
        self._timer: Cancellable | None = None
        self._prune_at = 0
        self._refused = set[str]()
        self._closed = False

    def start(self) -> None:
        """Looks at once, then regularly."""
        self._look()

    def close(self) -> None:
        """No further looks."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._closed:
            return
        self._store.put("reclaim", None, self._reclaimed, take=lambda: {"judged": self._judged()})
        if (now := self._clock.now()) >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY * 1000
            self._prune()
        self._timer = self._clock.call_later(self._interval, self._look)

    def _prune(self) -> None:
        before = None if self._retention is None else self._clock.now() - round(self._retention * 1000)
        self._store.put("prune", {"closed_before": before, "limit": BITE, "spare_own": True}, self._pruned)

    def _pruned(self, answer: Any) -> None:
        self._told("what is past its retention cannot be removed", answer)
        if isinstance(answer, int) and answer >= BITE and not self._closed:
            self._prune()

    def _told(self, what: str, answer: Any) -> None:
        """What will not mend itself (a right that is missing, say) is said once; all else is tried again soon. Of a store that
        was moved the worker itself tells."""
        if isinstance(answer, StoreSealedError):
            return
        if not isinstance(answer, StorageError):
            self._refused.discard(what)
        elif not answer.retryable and what not in self._refused:
            self._refused.add(what)
            logger.warning("%s: %s", what, answer)

    def _reclaimed(self, answer: Any) -> None:
        self._told("what dead workers hold cannot be taken back", answer)
        if not isinstance(answer, Reclaimed):
            return
        for worker in answer.workers:
            logger.warning("worker %s is dead; what it held is due again", worker)
        for execution_id in answer.poisoned:
            logger.error("execution %s failed: its workers died too often", execution_id)
