"""The asyncio tasks of one pass: the body's root and the branches it makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any


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

    def await_other_than(self, waiting: Collection[asyncio.Task[Any] | None]) -> bool:
        """Whether a branch without branches of its own awaits something that is not durable (plain I/O)."""
        paths = {task: path for task, path in self._paths.items() if not task.done()}
        inner = [task for task, path in paths.items() if any(p.startswith(path + ".") for p in paths.values())]
        return any(task not in waiting and task not in inner for task in paths)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._paths.pop(task, None)
        self._ended()
