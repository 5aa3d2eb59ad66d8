"""A log of what activities really did, which the engine neither writes nor reads: the witness of the demo.

Each activity writes a line when its body begins and one when it ends, by a single `write` to a file opened for appending: lines
of several threads and processes never mix, and what was written survives SIGKILL. So "was a recorded activity run again?"
has an answer from outside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from perdure.clock import SystemClock
from perdure.engine.context import current_context
from perdure.errors import NotInExecutionError

VARIABLE = "PERDURE_DEMO_EFFECTS"


class Line(NamedTuple):
    """One line: `begin` or `end`, when (milliseconds), in which process, for which execution, of what."""

    mark: Literal["begin", "end"]
    at: int
    process: int
    execution: str
    activity: str
    item: str


@contextmanager
def effect(activity: str, item: str) -> Iterator[None]:
    """Notes begin and end of a body, if there is a log."""
    _note("begin", activity, item)
    yield
    _note("end", activity, item)


def _note(mark: str, activity: str, item: str) -> None:
    path = os.environ.get(VARIABLE)
    if not path:
        return
    fields = (mark, SystemClock().now(), os.getpid(), _execution(), activity, item)
    line = "\t".join(str(field).replace("\t", " ").replace("\n", " ") for field in fields) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode("utf-8", "surrogateescape"))
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
        self.ends: set[tuple[str, str]] = set()

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
            self._take(raw.decode("utf-8", "surrogateescape").split("\t"))
        return len(self.ends)

    def _take(self, fields: list[str]) -> None:
        if len(fields) != 6 or fields[3] != self._execution:
            return
        mark: Literal["begin", "end"] = "begin" if fields[0] == "begin" else "end"
        line = Line(mark, int(fields[1]), int(fields[2]), fields[3], fields[4], fields[5])
        self.lines.append(line)
        if mark == "end":
            self.ends.add((line.activity, line.item))
