"""`watch`: what happens to one execution or to all that fit a query, line by line, with a bar where progress is told.

While the store is away it waits, and says so on the error stream. JSON lines for programs. Watching one ends when it is
settled, with 0 if it completed; watching a query goes on until ^C, or with --until-settled until nothing open fits.
"""

from __future__ import annotations

from typing import Any, Final, Self

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from perdure.app import Perdure
from perdure.cli.listing import help_or, remark
from perdure.cli.naming import named
from perdure.cli.screen import console, present, print_json, status_text, styled
from perdure.cli.shapes import entry_shape, execution_shape, plain
from perdure.cli.shell_completion import execution_ids
from perdure.cli.text import json_text, safe_text
from perdure.cli.where import Where, shared
from perdure.clock import SystemClock
from perdure.errors import ExecutionNotFoundError, InvalidQueryError
from perdure.model.execution import Event, Execution, JournalEntry
from perdure.model.query import parse

PAUSE: Final = 0.5
MOST: Final = 1000


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("target", nargs=-1, required=True, metavar="ID | QUERY", shell_complete=execution_ids, callback=help_or)
@click.option("--until-settled", is_flag=True, help="With a query: end when nothing open fits.")
@shared()
def watch(where: Where, target: tuple[str, ...], until_settled: bool) -> int:
    """Follow execution ID, or all that fit QUERY (as in `list`), as it happens."""
    text = " ".join(target)
    screen = Screen(as_json=where.json)
    with screen:
        if _is_query(text):
            return where.read(lambda app: _watch_many(app, text, until_settled, screen))
        return where.read(lambda app: _watch_one(app, text, screen))


def _is_query(text: str) -> bool:
    try:
        return bool(parse(text).terms)
    except InvalidQueryError:
        if " " in text:
            raise
        return False


async def _watch_one(app: Perdure, execution_id: str, screen: Screen) -> int:
    last: Execution[Any] | None = None
    try:
        async for event in (await named(app, execution_id)).watch():
            screen.event(event, last)
            last = event.execution
    except ExecutionNotFoundError:
        parse(execution_id) if ":" in execution_id else None
        raise
    return 0 if last is not None and last.status == "completed" else 1


async def _watch_many(app: Perdure, query: str, until_settled: bool, screen: Screen) -> int:
    seen: dict[str, Execution[Any]] = {}
    page = await app.search(query, limit=MOST)
    while True:
        for execution in reversed(page.items):
            before = seen.get(execution.id)
            if before is None or _told(before) != _told(execution):
                screen.execution(execution)
            seen[execution.id] = execution
        if until_settled and all(each.settled for each in page.items):
            return 0
        await SystemClock().sleep(PAUSE)
        page = await app.client.patiently(lambda: app.search(query, limit=MOST))


def _told(execution: Execution[Any]) -> tuple[object, ...]:
    return execution.status, execution.cancelling, execution.attempt, execution.generation, execution.progress


class Screen:
    """Where the lines go. On a terminal a bar stands below them while there is progress."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._console = console()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self._console, transient=True, disable=as_json or not self._console.is_terminal,
        )  # fmt: skip
        self._row: Any = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def event(self, event: Event, before: Execution[Any] | None) -> None:
        """What was recorded, and where the execution stands if that changed."""
        if self._json:
            document = {"execution": execution_shape(event.execution), "entries": list(map(entry_shape, event.entries))}
            print_json(document, line=True)
            return
        for entry in event.entries:
            self._line(_entry_line(entry))
        if before is None or before.status != event.execution.status or before.attempt != event.execution.attempt:
            self._line(_execution_line(event.execution))
        self._progress(event.execution)

    def execution(self, execution: Execution[Any]) -> None:
        """Where one of many stands now."""
        if self._json:
            print_json({"execution": execution_shape(execution)}, line=True)
            return
        line = _execution_line(execution)
        line.append(f"  {safe_text(execution.id)}", "dim")
        self._line(line)

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    def _progress(self, execution: Execution[Any]) -> None:
        progress = execution.progress
        if progress is None or progress.total is None:
            return
        if self._row is None:
            self._row = self._bar.add_task("", total=progress.total)
        words = safe_text(progress.text or execution.task_name, 40).replace("[", r"\[")
        self._bar.update(self._row, completed=progress.done, total=progress.total, description=words)


def _execution_line(execution: Execution[Any]) -> Text:
    at = present().strftime("%H:%M:%S")
    line = Text.assemble((f"{at}  ", "dim"), styled(execution.task_name, "bold"), "  ", status_text(execution.status))
    if execution.attempt:
        line.append(f"  attempt {execution.attempt}")
    words = remark(execution)
    if execution.status == "completed":
        words = safe_text(json_text(plain(execution.result), indent=None), 200)
    return line.append(f"  {safe_text(words)}", "dim") if words else line


def _entry_line(entry: JournalEntry) -> Text:
    at = entry.recorded_at.strftime("%H:%M:%S")
    line = Text.assemble((f"{at}  ", "dim"), f"  {entry.kind} ", styled(entry.name))
    if entry.failure is not None:
        return line.append(f"  ✗ {safe_text(entry.failure.type)}: {safe_text(entry.failure.message, 160)}", "red")
    if entry.outcome == "recorded" and entry.kind in ("activity", "signal", "child", "item", "state"):
        line.append(f"  {safe_text(json_text(plain(entry.value), indent=None), 160)}", "dim")
    return line
