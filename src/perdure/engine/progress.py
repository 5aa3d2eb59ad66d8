"""How far a body says it is: noted from any thread, written with the next transition or after half a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.engine.driver import Driver

PAUSE = 0.5


def note(driver: Driver, text: str) -> None:
    """Takes a progress (JSON text) of a driver's body."""
    driver.loop.call_soon_threadsafe(keep, driver, text)


def keep(driver: Driver, text: str) -> None:
    """As `note`, in the driver's own thread, at once."""
    driver.outbox.progress = text
    if "progress" not in driver.timers and not driver.unwinding:
        driver.timers.arm("progress", PAUSE, lambda: _write(driver))


def _write(driver: Driver) -> None:
    if driver.outbox.progress is not None and driver.phase == "running":
        driver.mark_dirty()
