"""What a worker says in its heartbeats, and what it does about the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perdure.engine.driver import Driver
from perdure.model.records import Beat, Heartbeat, WorkerRow


def beat_of(row: WorkerRow, drivers: Iterable[Driver], holding: Iterable[str] | None = None) -> Heartbeat:
    """The worker and what runs in it. `holding` names all it has, where that is known for sure."""
    running = tuple((driver.claim.id, driver.claim.token) for driver in drivers if driver.phase == "running")
    return Heartbeat(row, running, holding=None if holding is None else tuple(sorted(holding)))


def obey(asked: Heartbeat, beat: Beat, drivers: Mapping[str, Driver]) -> None:
    """Ends what is lost and cancels what is to be cancelled. Old news, of a pass that has ended meanwhile, is passed over."""
    tokens = dict(asked.running)
    for execution_id in beat.lost:
        driver = drivers.get(execution_id)
        if driver is not None and driver.phase == "running" and driver.claim.token == tokens.get(execution_id):
            driver.interrupt()  # releases under its token: harmless if lost
    for execution_id, reason in beat.cancelled:
        driver = drivers.get(execution_id)
        if driver is not None:
            driver.cancel(reason)
