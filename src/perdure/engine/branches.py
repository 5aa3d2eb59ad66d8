"""The asyncio tasks of one pass: the body's root and the branches it makes."""

from __future__ import annotations

import asyncio
from asyncio import taskgroups, tasks
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

from perdure.clock import Clock, Timeout

JOINING: Final = frozenset({
    (taskgroups.__file__, "__aexit__"), (tasks.__file__, "_wait"), (tasks.__file__, "_wait_for_one"),
})  # fmt: skip
"""Where asyncio's own coroutines stand while they wait for tasks, and for nothing else: file and name of their code."""


class Branches:
    """Tasks by the path of their branch. `ended` is called when one ends."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._paths: dict[asyncio.Task[Any], str] = {}
        self._ended = ended

    def add(self, task: asyncio.Task[Any], path: str) -> None:
        """Remembers a branch's task."""
        self._paths[task] = path
        task.add_done_callback(self._done)

    def cancel_all(self) -> None:
        """Cancels what is left."""
        for task in tuple(self._paths):
            task.cancel()

    async def end(self, clock: Clock, bound: float) -> list[asyncio.Task[Any]]:
        """Returns when all that were cancelled have ended; after `bound` seconds those that have not, and forgets them."""
        with suppress(TimeoutError):
            async with Timeout(clock, bound):
                while self._paths:
                    await asyncio.wait(tuple(self._paths))
        rest = list(self._paths)
        self._paths.clear()
        return rest

    def await_other_than(self, root: asyncio.Task[Any] | None, waiting: Collection[asyncio.Task[Any] | None]) -> bool:
        """Whether a task awaits something that is neither durable nor a branch of its own: plain I/O."""
        paths = {task: path for task, path in self._paths.items() if not task.done()}
        for task, path in paths.items():
            if task in waiting:
                continue
            inner = any(other.startswith(path + ".") for other in paths.values())
            if not inner or not _joins(task):
                return True
        return root is not None and root not in waiting and not (paths and _joins(root))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._paths.pop(task, None)
        self._ended()


def torn_down(root: asyncio.Task[Any]) -> bool:
    """Whether a body that nobody of ours cancelled ended because everything on the loop is cancelled at once, as `asyncio.run`
    does when a program ends without closing its app. A body that cancels itself leaves others that go on."""
    return root.cancelling() > 0 and all(task.cancelling() for task in asyncio.all_tasks(root.get_loop()))


def _joins(task: asyncio.Task[Any]) -> bool:
    """Whether a task that has branches awaits them, as far as can be told. Where it cannot, what it awaits counts as I/O:
    then a body stays in memory for longer, and nothing else comes of it."""
    awaited: object = getattr(task, "_fut_waiter", None)
    if isinstance(awaited, asyncio.Task) or type(awaited).__name__ == "_GatheringFuture":
        return True
    coroutine: Any = task.get_coro()
    while (inner := getattr(coroutine, "cr_await", None)) is not None and hasattr(inner, "cr_code"):
        coroutine = inner
    code = getattr(coroutine, "cr_code", None)
    return code is not None and (code.co_filename, code.co_name) in JOINING
