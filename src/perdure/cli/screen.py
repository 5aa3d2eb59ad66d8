"""What every command prints with: plain where nobody looks, coloured where somebody does, JSON where a program reads.

Cells and lines are made of `Text`, so that data is never read as markup. `NO_COLOR` and pipes are honoured by rich; what goes
into a pipe is not cut to the width of a window.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from perdure.cli.text import json_text, safe_text
from perdure.clock import SystemClock
from perdure.model.execution import moment

COLOURS: Final = {
    "pending": "yellow", "running": "cyan", "waiting": "blue", "completed": "green",
    "failed": "red", "timed_out": "red", "cancelled": "magenta",
}  # fmt: skip
GLYPHS: Final = {
    "pending": "○", "running": "▶", "waiting": "◷", "completed": "✓", "failed": "✗", "timed_out": "✗", "cancelled": "⊘",
}  # fmt: skip
MARKS: Final = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}
UNBOUNDED: Final = 100_000
NARROW: Final = 28
"""Cells that a table's last column must have to stand beside the others."""


def console(*, error: bool = False) -> Console:
    """A console on the output (or error) stream as it is now."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else UNBOUNDED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_json(value: object, *, line: bool = False) -> None:
    """A JSON document, or one line of JSON lines."""
    click.echo(json_text(value, indent=None if line else 2))


def say(*parts: object, error: bool = False) -> None:
    """One line of text for people; `Text` keeps its style, anything else is shown safely."""
    line = Text()
    for part in parts:
        line.append_text(part) if isinstance(part, Text) else line.append(safe_text(part))
    console(error=error).print(line, soft_wrap=True)


def say_new_store(path: str | None) -> None:
    """A store that is about to be made: with a relative path, a command in another folder makes a second one."""
    if path is not None:
        say(styled("new store ", "yellow"), path, error=True)


def styled(text: object, style: str = "") -> Text:
    """Data in a style."""
    return Text(safe_text(text), style)


def status_text(status: str, *, cancelling: bool = False) -> Text:
    """A status with its sign and colour."""
    word = f"{status}, cancelling" if cancelling else status
    return Text(f"{GLYPHS.get(status, '?')} {word}", COLOURS.get(status, ""))


def say_wrapped(text: Text, indent: int, *, first: Text | None = None) -> None:
    """A longer text, broken between words and indented; `first` stands before its first line in the indent."""
    screen = console()
    lines = list(text.wrap(screen, max(screen.width - indent, 20))) or [Text()]
    for number, line in enumerate(lines):
        head = first if first is not None and number == 0 else Text()
        line.rstrip()
        screen.print(Text.assemble(head, " " * (indent - head.cell_len), line), soft_wrap=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table without lines. The last column takes the room that is left and ends in an ellipsis; where hardly any is
    left it stands on a line of its own below. The other columns are never cut."""
    screen = console()
    cells = [[cell if isinstance(cell, Text) else Text(safe_text(cell)) for cell in row] for row in rows]
    table = [[Text(heading, "bold") for heading in headings], *cells]
    widths = [max(row[column].cell_len for row in table) for column in range(len(headings) - 1)]
    room = screen.width - sum(widths) - 2 * len(widths)
    longest = max(row[-1].cell_len for row in table)
    beside = room >= min(longest, NARROW)
    for row in table:
        line = Text("  ").join(
            _filled(cell, width, heading in right) for cell, width, heading in zip(row, widths, headings, strict=False)
        )
        last = row[-1]
        last.truncate(max(room if beside else screen.width - 4, 8), overflow="ellipsis")
        if beside:
            line.append("  ").append_text(last)
        line.rstrip()
        screen.print(line, soft_wrap=True)
        if not beside and last.cell_len and row is not table[0]:
            screen.print(Text("    ").append_text(last), soft_wrap=True)


def _filled(cell: Text, width: int, right: bool) -> Text:
    blank = " " * (width - cell.cell_len)
    return Text.assemble(blank, cell) if right else Text.assemble(cell, blank)


def program_name() -> str:
    """What one types to run this program again: its name where the shell finds it, else as it was started."""
    if shutil.which("perdure"):
        return "perdure"
    path = os.path.relpath(sys.argv[0])
    if os.path.basename(path) != "perdure":
        return f"{os.path.basename(sys.executable)} -m perdure"
    return path if not path.startswith("..") else os.path.abspath(path)


def present() -> datetime:
    """The time, as people's screens are relative to it."""
    return moment(SystemClock().now())


def utc(text: datetime) -> datetime:
    """The same moment in UTC."""
    return text.astimezone(UTC)
