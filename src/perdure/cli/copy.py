"""`copy`: move a whole store to another URL, from a file to a server or back, while executions run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from perdure.cli.problems import Problem, problem_of
from perdure.cli.screen import console, print_json, say, styled
from perdure.cli.text import plural
from perdure.cli.where import Where
from perdure.clock import SystemClock
from perdure.errors import StorageError
from perdure.storage import inspection
from perdure.storage.moving import Movable, move, moved_before
from perdure.storage.opening import open_storage
from perdure.storage.urls import in_schema, without_password

ROWS: Final = {
    "executions": ("execution", "executions"), "journal": ("journal entry", "journal entries"),
    "signals": ("signal", "signals"), "externals": ("external answer", "external answers"),
}  # fmt: skip
"""One row of each table, and several."""


@click.command()
@click.argument("source", metavar="SRC_URL")
@click.argument("destination", metavar="[DST_URL]", required=False)
@click.option("--schema", default="perdure", metavar="NAME", help="The schema in a Postgres database (both sides).")
@click.option("--unseal", is_flag=True, help="Let SRC_URL take changes again. Only if the copy is not used!")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def copy(source: str, destination: str | None, schema: str, unseal: bool, as_json: bool) -> int:
    """Move everything in SRC_URL to DST_URL, an empty or new store: executions, journals, signals, completions.

    First SRC_URL is sealed: it can be read for ever, but takes no changes any more, from nobody. So nothing is lost and
    nothing is done twice; what a worker had in hand there starts again at DST_URL, from its journal. Point your apps to
    DST_URL afterwards. When copying fails, SRC_URL is unsealed and goes on; when this program is killed, run it again: it
    says so where DST_URL has everything already.
    """
    if unseal == (destination is not None):
        raise click.UsageError("say SRC_URL and DST_URL, or SRC_URL and --unseal")
    with _named_by_themselves(), _opened(source, schema) as here:
        if destination is None:
            return _unseal(here, _named(source, schema), as_json)
        with _opened(destination, schema, made=True) as there:
            return _copy(here, there, (_named(source, schema), _named(destination, schema)), as_json)


def _copy(source: Movable, destination: Movable, urls: tuple[str, str], as_json: bool) -> int:
    if not inspection.missing(destination) and moved_before(source, destination):
        return _say_complete(source.sizes(), urls, as_json)
    now = SystemClock().now()
    live = [worker for worker in source.workers(now) if worker.lease_until > now]
    with _progress(hidden=as_json) as report:
        copied = move(source, destination, now, report)
    if as_json:
        print_json(
            {"source": urls[0], "destination": urls[1], "rows": copied, "workers_left": [one.id for one in live]}
        )
        return 0
    counts = ", ".join(plural(count, *ROWS[name]) for name, count in copied.items())
    say(styled("copied ", "green"), counts)
    if live:
        workers = plural(len(live), "worker that still looks", "workers that still look")
        say(styled(f"stop {workers} at {urls[0]}: nothing can be changed there", "yellow"))
    say(styled(f"{urls[0]} is sealed: it can be read, and takes no changes any more", "dim"))
    there = Where(None, urls[1], json=False)
    say(styled(f"next: {there.explained(there.worker)}", "dim"))
    say(styled("and write the new URL where your apps have the old one: in their code, or in $PERDURE_URL", "dim"))
    return 0


def _named(url: str, schema: str) -> str:
    """The URL for people: it says all by itself, but no password."""
    return without_password(in_schema(url, schema))


def _say_complete(rows: dict[str, int], urls: tuple[str, str], as_json: bool) -> int:
    if as_json:
        print_json({"source": urls[0], "destination": urls[1], "rows": rows, "workers_left": [], "complete": True})
    else:
        say(styled("complete", "green"), f", nothing to do: {urls[1]} has all that was in {urls[0]}")
    return 0


def _unseal(storage: Movable, url: str, as_json: bool) -> int:
    was = storage.sealed()
    storage.unseal()
    if as_json:
        print_json({"url": url, "was_sealed": was})
    else:
        say(f"{url} takes changes again" if was else f"{url} was not sealed")
    return 0


@contextmanager
def _named_by_themselves() -> Generator[None]:
    """There are two stores, and an error says which one it is about: no command follows that could look at another."""
    try:
        yield
    except StorageError as error:
        problem = problem_of(error)
        if problem is None:
            raise
        problem.following = ""
        raise problem from error.__cause__


@contextmanager
def _opened(url: str, schema: str, *, made: bool = False) -> Generator[Movable]:
    """The store at a URL; only with `made` one that is not there yet. Raises `Problem`."""
    storage, name = open_storage(url, schema), _named(url, schema)
    try:
        if inspection.lives_here(storage) or not isinstance(storage, Movable):
            raise Problem(3, f"{name} cannot be copied", "it does not outlive its process, or is not ours to move")
        if not made and (missing := inspection.missing(storage)):
            raise Problem(5, f"there is no store at {name}", f"no file {missing}", "perdure copy sqlite:///other.db …")
        yield storage
    finally:
        storage.close()


@contextmanager
def _progress(*, hidden: bool) -> Generator[Callable[[str, int, int], None]]:
    """A bar for each table, where somebody looks."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn())
    screen = console(error=True)
    with Progress(*columns, console=screen, transient=True, disable=hidden or not screen.is_terminal) as progress:
        bars: dict[str, TaskID] = {}

        def report(table: str, done: int, total: int) -> None:
            if table not in bars:
                bars[table] = progress.add_task(table, total=total)
            progress.update(bars[table], completed=done)

        yield report
