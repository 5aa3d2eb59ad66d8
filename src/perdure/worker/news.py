"""`News`: tells bodies that run here what others did to their executions: children that settled, signals that came.

Who waits as a whole is woken by the storage. This is for bodies of which one branch waits while another runs: they hold
their lease, so nobody wakes them. A hint asks for a look, and where hints are lost, the next poll does (rule R14).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from perdure.engine.driver import Driver
from perdure.errors import AppClosedError, StorageError
from perdure.storage.store import Store
from perdure.worker.journals import read

logger = logging.getLogger("perdure")


class News:
    """Looks at the journals of `drivers`, many in one go; `start` runs a job of the worker's."""

    def __init__(
        self, store: Store, drivers: Mapping[str, Driver], start: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._store, self._drivers, self._start = store, drivers, start
        self._asked: set[str] = set()

    def look(self) -> None:
        """Looks for every body of which a branch waits while it holds its lease."""
        if self._drivers:
            self.look_at(id for id, driver in self._drivers.items() if _half_waits(driver))

    def look_at(self, ids: Iterable[str]) -> None:
        """Looks for these executions."""
        idle = not self._asked
        self._asked.update(ids)
        if idle and self._asked:
            self._start(self._read())

    def ended(self, child: Driver) -> None:
        """A child ended in this process: its parent may run here and wait for it in one branch."""
        parent = self._drivers.get(child.claim.parent_id or "")
        if parent is not None and _half_waits(parent):
            self.look_at((parent.claim.id,))

    async def _read(self) -> None:
        asked = {id: driver for id in self._asked if (driver := self._drivers.get(id)) is not None}
        self._asked.clear()
        looks = [None if driver.waits is None else driver.waits.look() for driver in asked.values()]
        try:
            views = await self._store.read(lambda storage: read(storage, list(asked), looks))
        except (StorageError, AppClosedError) as error:  # the next poll looks again
            logger.debug("journals cannot be read: %s", error)
            return
        for (execution_id, driver), view in zip(asked.items(), views, strict=True):
            if self._drivers.get(execution_id) is driver:
                driver.feed(view)


def _half_waits(driver: Driver) -> bool:
    return bool(driver.waits) and driver.phase == "running"
