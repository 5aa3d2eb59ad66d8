"""Open durable waits, and the suspension that they mean together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from perdure.engine.journal import Ledger
from perdure.model.records import Suspended, Wait
from perdure.model.status import SETTLED, WaitKind

REST = 50
"""Milliseconds: the least time between two passes that several open waits bring about (R7)."""


class OpenWait:
    """One branch waiting. `probe(ledger, now)` answers the wait or `None`; `children` are the ids of the children it
    waits for, all of them."""

    __slots__ = ("children", "due_at", "future", "key", "kind", "name", "probe", "task")

    def __init__(
        self,
        key: str,
        kind: WaitKind,
        name: str,
        probe: Callable[[Ledger, int], Any],
        due_at: int | None = None,
        children: tuple[str, ...] = (),
    ) -> None:
        self.key, self.name, self.probe = key, name, probe
        self.kind: WaitKind = kind
        self.due_at, self.children = due_at, children
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
        if not self.future.done():
            answer = self.probe(ledger, now)
            if answer is not None:
                self.future.set_result(answer)


def suspension(waits: list[OpenWait], ledger: Ledger, now: int, pass_length: int) -> Suspended:
    """What the execution waits for as a whole: any of its waits wakes it, all at once sooner (R7)."""
    names = sorted({wait.name for wait in waits if wait.kind == "signal"})
    dues = [wait.due_at for wait in waits if wait.due_at is not None]
    joins = [_open(wait, ledger) for wait in waits if wait.kind == "children"]
    known = ledger.children_settled
    return Suspended(
        waits=tuple(wait.shown for wait in waits),
        due_at=min(dues, default=None),
        signals=tuple(names),
        taken=tuple(ledger.taken[name] for name in names),
        wake_any=known + min(joins) if joins else None,
        wake_all=known + sum(joins) if joins else None,
        rest_until=now + max(REST, 2 * pass_length) if len(joins) > 1 else now,
    )


def _open(wait: OpenWait, ledger: Ledger) -> int:
    """How many of the children that a wait is for are open, as far as is known; at least one."""
    count = 0
    for execution_id in wait.children:
        child = ledger.child_by_id(execution_id)
        count += child is None or child.status not in SETTLED
    return max(count, 1)
