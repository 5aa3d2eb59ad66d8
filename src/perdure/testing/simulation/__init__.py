"""Deterministic simulation: random programs on simulated workers, under faults, decided by one seed.

    report = simulate(seed=7)
    assert report.failure is None, report.story()

The whole engine runs as it is: workers, stores and clients of several processes on one seeded event loop with virtual time,
over the memory storage (or any other that may be called inline). `python -m perdure.testing.simulation --seed 7` prints
the shortest story of a failing seed.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from perdure.storage import Storage
from perdure.storage.opening import open_storage
from perdure.testing.simulation.profile import Profile
from perdure.testing.simulation.tape import Log, Tape, shrink, weight
from perdure.testing.simulation.world import World

__all__ = ["Report", "shortest", "simulate"]


def memory() -> Storage:
    """A fresh memory storage."""
    return open_storage("memory://")


@dataclass(frozen=True)
class Report:
    """What became of one run. `failure` is what was wrong, `None` if nothing; `log` repeats the run; `trace` is what
    happened, line by line."""

    seed: int
    failure: str | None
    log: Log = field(repr=False)
    trace: list[str] = field(repr=False)
    seconds: float = 0.0
    steps: int = 0
    crashes: int = 0

    def story(self, lines: int = 200) -> str:
        """The run for people: what was wrong, and the last lines of the trace."""
        told = self.trace[-lines:]
        left = f"  ... {len(self.trace) - lines} lines before\n" if len(self.trace) > lines else ""
        head = f"seed {self.seed}: {self.failure}\n{weight(self.log)} choices, {self.steps} steps\n"
        return head + left + "\n".join(told)


def simulate(seed: int, *, make_storage: Callable[[], Storage] = memory, log: Log | None = None) -> Report:
    """One run, decided by `seed`, or by the tape `log` of an earlier run of that seed."""
    tape, storage = Tape(seed, log), make_storage()
    world = World(tape, storage, Profile(seed))
    silent, collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        world.run()
        failure = None
    except Exception as error:
        failure = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    finally:
        world.bury()
        logging.disable(silent)
        if collecting:
            gc.enable()
        storage.close()
    return Report(seed, failure, dict(tape.log), world.trace, world.loop.seconds, world.loop.steps, world.crashes)


def shortest(report: Report, *, make_storage: Callable[[], Storage] = memory, tries: int = 200) -> Report:
    """A failing run with as few choices as a bounded search finds."""
    if report.failure is None:
        return report

    kind = report.failure.split(":")[0]

    def fails(log: Log) -> bool:
        found = simulate(report.seed, make_storage=make_storage, log=log).failure
        return found is not None and found.split(":")[0] == kind

    small = shrink(report.log, fails, tries)
    return simulate(report.seed, make_storage=make_storage, log=small)
