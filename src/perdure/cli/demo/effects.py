"""A log of what activities really did, which the engine neither writes nor reads: the witness of the demo.

Each activity writes a line when its body begins and one when it ends, by a single `write` to a file opened for appending: lines
of several threads and processes never mix, and what was written survives SIGKILL. So "was a recorded activity run again?"
has an answer from outside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

from perdure.clock import SystemClock
from perdure.engine.context import current_context
from perdure.errors import NotInExecutionError

VARIABLE: Final = "PERDURE_DEMO_EFFECTS"
EACH: Final = "read_file"

Identity = tuple[str, str]
"""Activity and file."""


class Line(NamedTuple):
    """One line: `begin` or `end`, when (milliseconds), in which process, for which execution, of what."""

    mark: Literal["begin", "end"]
    at: int
    process: int
    execution: str
    activity: str
    item: str

    @property
    def identity(self) -> Identity:
        """Which activity it is: there is one for each file, and one of each other name."""
        return self.activity, self.item if self.activity == EACH else ""


@contextmanager
def effect(activity: str, item: str) -> Generator[None]:
    """Notes begin and end of a body, if there is a log."""
    _note("begin", activity, item)
    yield
    _note("end", activity, item)


def _note(mark: str, activity: str, item: str) -> None:
    path = os.environ.get(VARIABLE)
    if not path:
        return
    line = json.dumps([mark, SystemClock().now(), os.getpid(), _execution(), activity, item]) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _execution() -> str:
    try:
        return current_context().execution_id
    except NotInExecutionError:
        return "-"


class Log:
    """The log as its reader sees it: `more` reads what came since."""

    def __init__(self, path: str, execution: str) -> None:
        self._path, self._execution = path, execution
        self._offset = 0
        self._rest = b""
        self.lines: list[Line] = []
        self.ends: set[Identity] = set()

    def more(self) -> int:
        """Takes in new lines of this execution; answers how many activities have ended."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return 0
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            self._take(Line(*json.loads(raw)))
        return len(self.ends)

    def _take(self, line: Line) -> None:
        if line.execution == self._execution:
            self.lines.append(line)
            if line.mark == "end":
                self.ends.add(line.identity)
