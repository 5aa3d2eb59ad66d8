"""What a worker's process writes to its error stream: the library's log, one safe line each, tracebacks below."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Final

from perdure.cli.text import safe_lines, safe_text

COLOURS: Final = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


class Lines(logging.Formatter):
    """`02:23:28 warning  text`, with the process where several write to one stream."""

    def __init__(self, *, coloured: bool, process: bool) -> None:
        super().__init__()
        self._coloured, self._process = coloured, f" {os.getpid()}" if process else ""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{at}{self._process} {record.levelname.lower():<8} {safe_text(record.getMessage())}"
        colour = COLOURS.get(record.levelno)
        if self._coloured and colour:
            line = f"\x1b[{colour}m{line}\x1b[0m"
        if record.exc_info:
            line += "\n" + safe_lines(self.formatException(record.exc_info))
        return line


def to_stderr(*, quiet: bool, process: bool) -> None:
    """Sends the log of `perdure` to the error stream; warnings only where it is to be quiet."""
    logger = logging.getLogger("perdure")
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(coloured=coloured, process=process))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
