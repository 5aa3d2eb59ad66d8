"""Activities that run in processes of their own: they must be importable there."""

from __future__ import annotations

import os
import signal
import sys
import time

from perdure import GiveUp, Registry, Retry

registry = Registry()


class Crooked(Exception):
    """Cannot be pickled back into being."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(f"{one} and {two}")


@registry.activity(run_in="process")
def square(number: int) -> int:
    """Works."""
    return number * number


@registry.activity(run_in="process")
def where() -> int:
    """The process's id."""
    return os.getpid()


@registry.activity(run_in="process")
def crooked() -> None:
    """Raises what pickle breaks."""
    raise Crooked(1, 2)


@registry.activity(run_in="process")
def wrong(text: str) -> None:
    """Raises a plain error."""
    raise ValueError(text)


@registry.activity(run_in="process")
def give_up() -> None:
    """Raises what is not to be tried again."""
    raise GiveUp("never")


@registry.activity(run_in="process")
def leave() -> None:
    """Leaves."""
    sys.exit(5)


@registry.activity(run_in="process")
def interrupted() -> None:
    """As if somebody had typed it."""
    raise KeyboardInterrupt


@registry.activity(run_in="process")
def die() -> None:
    """Is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


@registry.activity(run_in="process", retries=Retry(5, delay=0.01))
def die_once(marker: str) -> str:
    """Is killed the first time."""
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@registry.activity(run_in="process", timeout=0.7)
def slow(pause: float) -> None:
    """Takes too long."""
    time.sleep(pause)


@registry.activity(run_in="process")
def unstorable() -> object:
    """Gives what JSON lacks."""
    return object()


@registry.activity(run_in="process")
def surrogate() -> str:
    """Gives what cannot be stored as text."""
    return "bad \ud800 text"
