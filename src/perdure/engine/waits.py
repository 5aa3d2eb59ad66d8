"""Open durable waits, and the suspension that they mean together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from perdure.clock import Clock
from perdure.engine.journal import Ledger
from perdure.engine.timers import Timers
from perdure.model.records import Suspended, Wait
from perdure.model.status import SETTLED, WaitKind

REST = 50
"""Milliseconds: the least time between two passes that several open waits bring about (R7)."""

FEW = 4
"""Of so many children one, or fewer, is looked for by itself."""


class OpenWait:
    """One branch waiting. `probe(ledger, now)` answers the wait or `None`; `children` are the ids of the children it
    waits for: all of them, with `any_of` the next one that settles, with `failing` also the first without success; `external`
    is the (origin, key) whose completion it waits for."""

    __slots__ = (
        "any_of", "children", "due_at", "external", "failing", "future", "key", "kind", "name", "probe", "task",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        kind: WaitKind,
        name: str,
        probe: Callable[[Ledger, int], Any],
        due_at: int | None = None,
        children: tuple[str, ...] = (),
        *,
        any_of: bool = False,
        failing: bool = False,
        external: tuple[str, str] | None = None,
    ) -> None:
        self.key, self.name, self.probe = key, name, probe
        self.kind: WaitKind = kind
        self.due_at, self.children, self.external = due_at, children, external
        self.any_of, self.failing = any_of, failing
        self.future: asyncio.Future[Any]
        self.task: asyncio.Task[Any] | None = None

    @property
    def shown(self) -> Wait:
        """The wait as others see it."""
        return Wait(self.kind, self.name, self.due_at)

    @property
    def answered(self) -> bool:
        """Whether the branch goes on already."""
        return self.future.done()

    def offer(self, ledger: Ledger, now: int) -> None:
        """Answers the wait if the ledger can."""
        if self.future.done():
            return
        try:
            answer = self.probe(ledger, now)
        except Exception as error:  # a full journal, say: it is the branch's to know
            self.future.set_exception(error)
            return
        if answer is not None:
            self.future.set_result(answer)


class Look(NamedTuple):
    """What a body in memory asks for: how these children are by now, `settled` children being known of."""

    children: tuple[str, ...]
    settled: int


class OpenWaits:
    """All that the branches of one pass wait for. Each may have a timer; `running` tells whether the pass holds its lease,
    without which nothing is answered."""

    def __init__(self, ledger: Ledger, timers: Timers, clock: Clock, running: Callable[[], bool]) -> None:
        self._ledger, self._timers, self._clock, self._running = ledger, timers, clock, running
        self._waits: dict[str, OpenWait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[OpenWait]:
        return iter(tuple(self._waits.values()))

    @property
    def any_answered(self) -> bool:
        """Whether a branch is about to go on."""
        return any(wait.answered for wait in self._waits.values())

    @property
    def tasks(self) -> set[asyncio.Task[Any] | None]:
        """The tasks that wait durably."""
        return {wait.task for wait in self._waits.values()}

    def open(self, wait: OpenWait) -> None:
        """Makes the wait's future and arms its timer."""
        wait.future = asyncio.get_running_loop().create_future()
        wait.task = asyncio.current_task()
        self._waits[wait.key] = wait
        self._arm(wait)

    def close(self, wait: OpenWait) -> None:
        """The branch goes on, or is gone."""
        if self._waits.get(wait.key) is wait:
            del self._waits[wait.key]
        self._timers.disarm(wait.key)

    def offer(self) -> None:
        """Answers what the ledger can answer by now."""
        now = self._clock.now()
        for wait in tuple(self._waits.values()):
            wait.offer(self._ledger, now)

    def only_timers_after(self, until: int) -> bool:
        """Whether nothing but timers is waited for, and none of them ends before `until`."""
        return all(wait.kind == "timer" and (wait.due_at or 0) >= until for wait in self._waits.values())

    def look(self) -> Look | None:
        """What is to be read to answer these waits: of a few of many children how they are by now; `None` for all there is."""
        children = {id for wait in self._waits.values() for id in wait.children if not self._settled(id)}
        if not all(wait.children for wait in self._waits.values()) or len(children) * FEW > len(self._ledger.children):
            return None
        return Look(tuple(sorted(children)), self._ledger.children_settled)

    def _settled(self, id: str) -> bool:
        child = self._ledger.child_by_id(id)
        return child is not None and child.status in SETTLED

    def _arm(self, wait: OpenWait) -> None:
        if wait.due_at is not None:
            self._timers.arm(wait.key, (wait.due_at - self._clock.now()) / 1000, lambda: self._due(wait))

    def _due(self, wait: OpenWait) -> None:
        if self._running():
            self.offer()
            if not wait.answered:  # the two clocks differ by a hair
                self._arm(wait)


def suspension(waits: OpenWaits, ledger: Ledger, now: int, pass_length: int) -> Suspended:
    """What the execution waits for as a whole: any of its waits wakes it, all at once sooner (R7)."""
    names = sorted({wait.name for wait in waits if wait.kind == "signal"})
    dues = [wait.due_at for wait in waits if wait.due_at is not None]
    joined = [wait for wait in waits if wait.children]
    joins = [_open(wait, ledger) for wait in joined]
    hasty = any(wait.any_of for wait in joined)
    known = ledger.children_settled
    return Suspended(
        waits=tuple(wait.shown for wait in waits),
        due_at=min(dues, default=None),
        signals=tuple(names),
        taken=tuple(ledger.taken[name] for name in names),
        wake_any=known + (1 if hasty else min(joins)) if joins else None,
        wake_all=known + sum(joins) if joins else None,
        wake_failed=ledger.children_failed if any(wait.failing for wait in joined) else None,
        rest_until=now + max(REST, 2 * pass_length) if hasty or len(joins) > 1 else now,
        external=next((wait.external for wait in waits if wait.external is not None), None),
    )


def _open(wait: OpenWait, ledger: Ledger) -> int:
    """How many of the children that a wait is for are open, as far as is known; at least one."""
    count = 0
    for execution_id in wait.children:
        child = ledger.child_by_id(execution_id)
        count += child is None or child.status not in SETTLED
    return max(count, 1)
