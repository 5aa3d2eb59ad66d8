"""`perdure demo`: from the command line to the conductor, and what is seen meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import Final, Self

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from perdure.cli.demo.index import app as program
from perdure.cli.demo.index import index_folder
from perdure.cli.demo.report import report, standard_library, tell
from perdure.cli.demo.run import DATA, Home, Scene, Story, conduct, first_file
from perdure.cli.demo.search import Hit, has_words, search
from perdure.cli.problems import Problem
from perdure.cli.screen import console, print_json, say, styled
from perdure.cli.tasks import source_of
from perdure.cli.text import plural, safe_text
from perdure.cli.where import where_of

OPEN: Final = "-status:completed,failed,timed_out,cancelled"


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--search", "sought", metavar="WORD", help="Search the index that the demo made.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many hits.")
@click.option("--keep", is_flag=True, help="Keep what earlier demos left, and do it once more beside it.")
@click.option("--fresh", is_flag=True, help="Forget an unfinished demo instead of finishing it.")
@click.option("--no-kill", is_flag=True, help="Kill nothing.")
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="How many worker processes.")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True, help="Where its files stand.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def demo(
    folder: Path | None, sought: str | None, limit: int, keep: bool, fresh: bool, no_kill: bool, workers: int,
    data: Path, as_json: bool,
) -> int:  # fmt: skip
    """Index every text file of FOLDER durably, while the worker that does it is killed half-way.

    FOLDER is by default the source of Python's standard library. Interrupted by ^C, the demo goes on when it is run again.
    """
    as_json = as_json or where_of(None, None, False).json
    home = Home(data.absolute())
    if sought is not None:
        return _search(home, sought, limit, as_json)
    where_from = _checked_folder(folder)
    story = _played(home, where_from, keep=keep, fresh=fresh, kill=not no_kill, workers=workers, quiet=as_json)
    found = report(story, home)
    if as_json:
        print_json(msgspec.to_builtins(found) | {"store": home.url, "index": str(home.index)})
    else:
        tell(found, home, source_of(index_folder.fn), kill=not no_kill)
    return 1 if found.broken else 0


def _checked_folder(folder: Path | None) -> Path:
    """The folder as it is said in stored data. Raises `Problem`."""
    found = (folder or standard_library()).resolve()
    if not found.is_dir():
        what = f"{folder} is no folder" if found.exists() else f"there is no folder {folder}"
        raise Problem(4, what, "", "perdure demo   indexes Python's standard library")
    if not os.access(found, os.R_OK | os.X_OK):
        raise Problem(4, f"the folder {found} cannot be read", "this user has no right to list it")
    if first_file(found) is None:
        raise Problem(4, f"there is no file in {found}", "nothing to index", "perdure demo FOLDER")
    return found


def _played(home: Home, folder: Path, *, keep: bool, fresh: bool, kill: bool, workers: int, quiet: bool) -> Story:
    try:
        home.folder.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(3, f"{home.folder} cannot be made", str(error), "perdure demo --data FOLDER") from error
    with home.alone():
        program.settings = dataclasses.replace(program.settings, url=home.url)
        unfinished = (keep or not fresh) and asyncio.run(_is_unfinished(home))
        if not keep and not unfinished:
            home.wipe()
        stage = Stage(folder, quiet=quiet, resumed=unfinished)
        try:
            with stage:
                return asyncio.run(_conducted(home, folder, kill, workers, stage))
        except KeyboardInterrupt:
            raise Problem(130, "interrupted", "what is recorded is kept", "run it again to go on from there") from None


async def _is_unfinished(home: Home) -> bool:
    """Whether an earlier demo stands in the middle."""
    if not home.store.exists():
        return False
    async with program.connect():
        return await program.count(OPEN) > 0


async def _conducted(home: Home, folder: Path, kill: bool, workers: int, stage: Stage) -> Story:
    async with program.connect():
        return await conduct(program, home, folder, kill=kill, workers=workers, see=stage.see)


class Stage:
    """The progress bar; where nobody looks, a line for each turn of events."""

    def __init__(self, folder: Path, *, quiet: bool, resumed: bool) -> None:
        self._console = console(error=True)
        self._quiet = quiet
        self._drawn = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("  {task.description:<9}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self._console, transient=True, disable=not self._drawn,
        )  # fmt: skip
        self._row = self._bar.add_task("starting", total=None)
        self._told = ""
        if not quiet:
            say(styled("perdure demo", "bold"), f"  indexes {folder}, one activity for each file", error=True)
            if resumed:
                say(styled("  goes on where an earlier run was interrupted", "dim"), error=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def see(self, scene: Scene) -> None:
        """Shows the scene."""
        words = "starting" if not scene.total else scene.text
        self._bar.update(self._row, description=words, completed=scene.done, total=scene.total or None)
        if scene.note and scene.note != self._told and not self._quiet:
            self._told = scene.note
            self._console.print(Text.assemble(("  ✗ ", "red"), safe_text(scene.note)), soft_wrap=True)


# --- searching


def _search(home: Home, sought: str, limit: int, as_json: bool) -> int:
    if not home.index.exists():
        raise Problem(4, "there is no index yet", f"no file {home.index}", "perdure demo")
    if not has_words(sought):
        raise Problem(2, f"{sought!r} has no word to search for", "", "perdure demo --search WORD")
    folder, count, hits = search(str(home.index), sought, limit)
    if as_json:
        print_json({"folder": folder, "files": count, "hits": [hit._asdict() for hit in hits]})
        return 0
    say(styled(plural(count, "file") if count else "no file", "bold"), f" of {folder} with {sought}")
    for hit in hits:
        _show(hit, folder, sought)
    return 0


def _show(hit: Hit, folder: str, sought: str) -> None:
    where = os.path.relpath(hit.path, folder)
    say(styled(f"{where}:{hit.line}", "cyan"))
    snippet = styled(f"    {hit.snippet}")
    snippet.highlight_words(sought.split(), "bold yellow", case_sensitive=False)
    say(snippet)
