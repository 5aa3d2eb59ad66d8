"""How a pass that is over refuses durable verbs, and what becomes of a body that does not take it for an answer.

A verb of such a pass raises `CancelledError` at once. A body that swallows that and asks again, in a loop, would keep the
event loop to itself: after a few refusals each gives way, and after many the body is held where it stands, for ever.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from typing import Any, Final, NoReturn, Protocol

FEW, MANY = 10, 1000
PAUSE = 0.05

logger = logging.getLogger("perdure")
_abandoned: Final[set[asyncio.Task[Any]]] = set()


class Refusing(Protocol):
    """A driver, as far as its refusals go."""

    refused: int
    loop: asyncio.AbstractEventLoop


async def refuse(driver: Refusing) -> NoReturn:
    """Raises `CancelledError`, or never returns where that was of no use."""
    driver.refused += 1
    if driver.refused > MANY:
        if not driver.loop.is_closed():  # else it is the interpreter that ends, and closes what is left of the body
            _hold(asyncio.current_task(driver.loop))
        await driver.loop.create_future()
    if driver.refused > FEW:
        await asyncio.sleep(0)
    raise asyncio.CancelledError


def give_way(refused: int) -> None:
    """The same for the thread of a `def` body, which cannot be held for ever: it is slowed down."""
    if refused > FEW:
        threading.Event().wait(PAUSE)


def abandon(root: asyncio.Task[Any] | None, execution_id: str) -> None:
    """Leaves a body to itself. Nobody waits for it at the end of the event loop, and it is kept from the collector, which
    could do no more than complain."""
    logger.warning("execution %s: its body does not end; it is abandoned", execution_id)
    _hold(root)


def leave_behind(tasks: Iterable[asyncio.Task[Any]], execution_id: str) -> None:
    """The same for branches that a chapter of a body left behind."""
    for task in tasks:
        logger.warning("execution %s: a branch that was left behind does not end; it is abandoned", execution_id)
        _hold(task)


def _hold(task: asyncio.Task[Any] | None) -> None:
    if task is not None and not task.done() and task not in _abandoned:
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)
        # No public word takes a task out of `asyncio.all_tasks()`, and `asyncio.run` ends only when each of those has ended,
        # which this one never does: without it a worker's process would hang at its end.
        asyncio.tasks._unregister_task(task)  # pyright: ignore[reportPrivateUsage]
