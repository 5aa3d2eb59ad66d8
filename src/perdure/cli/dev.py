"""`dev`: a worker that starts anew whenever a file of the project changes.

Files are asked for their times twice a second: no library, no watch limits, works on every mount. A change drains the worker
shortly; what it interrupts goes on in the next one, which is what durable means.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from perdure.cli.problems import Problem
from perdure.cli.screen import say, styled
from perdure.cli.supervisor import Brood, ending, worker_command
from perdure.cli.text import plural
from perdure.cli.where import Where, shared
from perdure.clock import SystemClock

PAUSE: Final = 0.5
DRAIN: Final = "2s"
MOST: Final = 5_000
SUFFIXES: Final = (".py", ".toml", ".mermaid", ".mmd")
PASSED_OVER: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "build", "dist"})

Times = dict[str, int]


@click.command()
@click.argument("app", required=False, metavar="[MODULE:OBJECT]")
@click.option("--folder", type=click.Path(exists=True, file_okay=False), default=".", help="The folder to watch.")
@shared(json=False)
def dev(where: Where, app: str | None, folder: str) -> int:
    """Run a worker, and start it anew whenever a file below the folder changes."""
    where.app_name = app or where.app_name
    name = where.named
    if name is None:
        raise Problem(2, "no app is named", "", "perdure dev module:app")
    options = ["--drain", DRAIN] + (["--url", where.url] if where.url else [])
    return asyncio.run(Reloader(worker_command(name, *options), Path(folder), name).run())


class Reloader:
    """One worker process, and the files that it was made of."""

    def __init__(self, command: list[str], folder: Path, app: str) -> None:
        self._brood, self._folder, self._app = Brood(command), folder, app
        self._stopped = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """Works until a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        times = times_of(self._folder)
        say(styled("perdure dev", "bold"), f"  {self._app}  reloads when one of {plural(len(times), 'file')} changes")
        say(styled(f"  in another terminal:  perdure --app {self._app} enqueue TASK …", "dim"))
        try:
            while not self._stopped.is_set():
                times = await self._one_life(times)
        finally:
            self._brood.send(signal.SIGKILL)
            self._brood.close()
        return 0

    async def _one_life(self, times: Times) -> Times:
        """A worker until something changes or it is time to go; answers the files' new times."""
        process = await self._brood.start()
        end = asyncio.ensure_future(self._brood.ended(process))
        changed, told = times, False
        while changed == times and not self._stopped.is_set():
            await SystemClock().sleep(PAUSE)
            if end.done() and not told:
                told = True
                say(styled(f"the worker {ending(end.result())}; it starts again with the next change", "yellow"))
            changed = times_of(self._folder)
        if not self._stopped.is_set():
            say(styled(f"↻ {', '.join(difference(times, changed)[:3])} changed", "cyan"))
        if not end.done():
            process.terminate()
        await end
        return changed

    def _signalled(self) -> None:
        self._signals += 1
        self._stopped.set()
        if self._signals > 1:
            self._brood.send(signal.SIGTERM)


def times_of(folder: Path) -> Times:
    """When the project's files were last changed, at most so many of them."""
    found: Times = {}
    for path in source_files(folder):
        try:
            found[path] = os.stat(path).st_mtime_ns
        except OSError:
            continue
        if len(found) >= MOST:
            break
    return found


def source_files(folder: Path) -> Iterator[str]:
    """Files that may change what a worker does; hidden folders, environments and builds are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER and not name.startswith("."))
        yield from (os.path.join(place, name) for name in names if name.endswith(SUFFIXES))


def difference(before: Times, after: Times) -> list[str]:
    """Names of what was added, changed or removed."""
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return sorted(os.path.relpath(path) for path in changed)
