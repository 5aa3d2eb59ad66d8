"""The items of a task list, for people: number, name, how each stands, and its value or failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from perdure.cli.screen import print_table, say, styled
from perdure.cli.shapes import plain
from perdure.cli.text import json_text, plural, safe_text
from perdure.model.execution import ListItem

MOST: Final = 200
MARKS: Final = {"completed": ("✓", "green"), "failed": ("✗", "red"), "pending": ("·", "dim")}


def print_items(items: Sequence[ListItem]) -> None:
    """A table of the items; of a long list those around the first that has not ended."""
    say("")
    counts = Counter(item.status for item in items)
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    say(styled(f"  {plural(len(items), 'item')}{': ' if words else ''}{words}", "bold"))
    current = next((item.seq for item in items if item.status == "pending"), len(items))
    start = max(0, min(current - MOST // 2, len(items) - MOST))
    shown = items[start : start + MOST]
    if shown:
        print_table(("  seq", "name", "status", "value"), map(_row, shown))
    if len(shown) < len(items):
        say(styled(f"  items {start} to {start + len(shown) - 1}; all with --json", "dim"))


def _row(item: ListItem) -> tuple[object, ...]:
    mark, style = MARKS[item.status]
    return f"  {item.seq}", safe_text(item.name, 40), Text(f"{mark} {item.status}", style), _value(item)


def _value(item: ListItem) -> Text:
    if item.status == "pending":
        return Text("")
    value = "" if item.status == "failed" and item.value is None else json_text(plain(item.value), indent=None)
    if item.failure is None:
        return Text(safe_text(value, 300))
    said = f"{item.failure.type}: {item.failure.message}"
    return Text(safe_text(f"{said}  {value}".rstrip(), 300), "red")
