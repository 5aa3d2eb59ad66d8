"""What one execution has recorded and not yet written: it fills while a commit is in flight and goes out whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from perdure.engine.ports import Host
from perdure.model.records import Committed, Enqueued, Entry, NewExecution, Outcome, Transition

MOST_RELAXED: Final = 256
"""So many relaxed results of one execution may be lost by a crash; then the body waits for them."""


class Sent:
    """A transition in flight, and who waits for it."""

    __slots__ = ("pressing", "transition", "waiters")

    def __init__(self, transition: Transition, waiters: list[asyncio.Future[Committed]], pressing: bool) -> None:
        self.transition, self.waiters, self.pressing = transition, waiters, pressing

    def resolve(self, answer: Committed) -> None:
        """Tells everyone who waits that it is durable."""
        for future in self.waiters:
            if not future.done():
                future.set_result(answer)

    def hand_over(self, host: Host, answer: Committed) -> None:
        """Starts what was stored leased to this worker, and lets go of what was not."""
        specs = self.transition.spawns
        if answer.cancelled or len(answer.spawned) != len(specs):
            host.dropped(specs)
            return
        for spec, spawned in zip(specs, answer.spawned, strict=True):
            if spec.worker_id is None:
                continue
            if isinstance(spawned, Enqueued) and spawned.leased and spawned.created:
                host.spawned(spec)
            else:
                host.dropped((spec,))


class Outbox:
    """Entries, spawns and progress of one execution on their way to the storage."""

    __slots__ = ("_drop", "_pressing", "_sent", "_turned", "_waiters", "entries", "progress", "spawns")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.spawns: list[NewExecution] = []
        self.progress: str | None = None
        self._waiters: list[asyncio.Future[Committed]] = []
        self._sent: deque[Sent] = deque()
        self._pressing = self._turned = False
        self._drop: str | None = None

    @property
    def empty(self) -> bool:
        """Whether all that was recorded is durable."""
        return not (self.entries or self.spawns or self._sent)

    @property
    def pressing(self) -> bool:
        """Whether something has to be durable before an activity may act on it: anything but a few relaxed results."""
        if self._pressing or self.spawns or len(self.entries) >= MOST_RELAXED:
            return True
        return bool(self._sent) and any(sent.pressing for sent in self._sent)

    def add(self, entry: Entry, *, relaxed: bool = False) -> None:
        """Takes an entry."""
        self.entries.append(entry)
        self._pressing = self._pressing or not relaxed

    def turn(self, entry: Entry, drop: str | None) -> None:
        """Takes the entry with which a chapter ends; attempts count anew, and what stands under `drop` goes."""
        self.add(entry)
        self._turned, self._drop = True, drop

    def next_ack(self) -> asyncio.Future[Committed]:
        """A future of one's own, resolved when what stands here now is durable."""
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        if self._sent and not (self.entries or self.spawns):
            self._sent[-1].waiters.append(future)
        else:
            self._waiters.append(future)
        return future

    def close(
        self, execution_id: str, token: int, outcome: Outcome | None, hand_off: Callable[[NewExecution], NewExecution]
    ) -> Transition | None:
        """All that stands here as one transition, `None` when there is nothing to write."""
        if not (self.entries or self.spawns or outcome is not None or self.progress is not None):
            self._resolve_idle()
            return None
        spawns = tuple(hand_off(spec) for spec in self.spawns) if self.spawns else ()
        transition = Transition(
            execution_id, token, tuple(self.entries), spawns, outcome, self.progress, self._turned, self._drop
        )
        self._sent.append(Sent(transition, self._waiters, self._pressing or bool(spawns)))
        self.entries, self.spawns, self.progress, self._waiters, self._pressing = [], [], None, [], False
        self._turned, self._drop = False, None
        return transition

    def acknowledged(self) -> Sent | None:
        """The transition that was in flight longest; the storage has answered it. `None` where the store was closed before
        anything was sent."""
        return self._sent.popleft() if self._sent else None

    def fail(self, why: str) -> None:
        """Nothing more will be written: everyone who waits is cancelled."""
        self.entries, self.spawns, self.progress = [], [], None
        self._turned, self._drop = False, None
        if not (self._waiters or self._sent):
            return
        waiters = [*self._waiters, *(future for sent in self._sent for future in sent.waiters)]
        self._waiters = []
        for future in waiters:
            if not future.done():
                future.cancel(why)

    def _resolve_idle(self) -> None:
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(Committed())
