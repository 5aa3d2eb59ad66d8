"""The conductor: it enqueues one execution, starts workers, kills the busy one half-way, starts another, and waits.

It looks at the work from outside, by the store's public verbs and the effect log. Interrupted by ^C it stops the workers; run
again, the execution goes on from where it was, as it would after any crash.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import msgspec

from perdure.app import Perdure
from perdure.cli.demo.effects import EACH, VARIABLE, Identity, Log
from perdure.cli.demo.search import is_file
from perdure.cli.problems import Problem
from perdure.cli.supervisor import Brood, ending, worker_command
from perdure.clock import SystemClock
from perdure.engine.handle import Handle
from perdure.model.execution import Execution
from perdure.model.records import JournalView

DATA: Final = ".perdure-demo"
TASK: Final = "index_folder"
APP: Final = "perdure.cli.demo.index:app"
LOOK: Final = 0.1
LEAVING: Final = 30.0

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """The demo's data folder, and what stands in it."""

    folder: Path

    @property
    def usual(self) -> bool:
        """Whether it is the one that is meant where none is named."""
        return self.folder == Path(DATA).absolute()

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.folder / "jobs.db"

    @property
    def url(self) -> str:
        """The store."""
        return f"sqlite:///{quote(str(self.store))}"

    @property
    def index(self) -> Path:
        """The full-text index."""
        return self.folder / "index.db"

    @property
    def effects(self) -> Path:
        """What activities really did."""
        return self.folder / "effects.log"

    @property
    def log(self) -> Path:
        """What workers wrote."""
        return self.folder / "worker.log"

    def open_log(self) -> IO[bytes]:
        """The workers' log, to be added to."""
        return open(self.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600))

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keeps a second demo out of the folder meanwhile. Raises `Problem`."""
        with open(self.folder / "lock", "a") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise Problem(3, f"a demo runs in {self.folder} already", "", "perdure demo --data OTHER") from None
            yield

    def wipe(self) -> None:
        """Removes what earlier demos left, and nothing else."""
        for name in (
            "jobs.db",
            "jobs.db-wal",
            "jobs.db-shm",
            "index.db",
            "index.db.draft",
            "effects.log",
            "worker.log",
        ):
            (self.folder / name).unlink(missing_ok=True)
        for path in (self.folder / "jobs.db.workers").glob("*"):
            path.unlink(missing_ok=True)


@dataclasses.dataclass(slots=True)
class Kill:
    """What was true when the worker was killed."""

    process: int
    asked_at: int
    dead_at: int
    finished: int
    recorded: dict[Identity, int]


@dataclasses.dataclass(slots=True)
class Story:
    """What happened, for the report."""

    execution: Execution[Any]
    log: Log
    view: JournalView
    resumed: bool
    kills: list[Kill] = dataclasses.field(default_factory=list[Kill])


@dataclasses.dataclass(slots=True)
class Scene:
    """What there is to see now. `total` is 0 until the files are counted."""

    done: int
    total: int
    text: str
    note: str = ""


Watcher = Callable[[Scene], None]


async def conduct(app: Perdure, home: Home, folder: Path, *, kill: bool, workers: int, see: Watcher) -> Story:
    """Runs the whole demo on an app that is connected to the home's store. Raises `Problem`."""
    handle, resumed = await _handle(app, home, folder)
    await _emptied(app, see)
    log = Log(str(home.effects), handle.id)
    with home.open_log() as output:
        conductor = Conductor(app, home, handle, log, _brood(home, output), see)
        try:
            return await conductor.run(kill=kill, workers=workers, resumed=resumed)
        finally:
            await conductor.stop()


async def _handle(app: Perdure, home: Home, folder: Path) -> tuple[Handle[Any], bool]:
    """The unfinished execution of an earlier demo, or a new one."""
    unfinished = await app.search(f"task:{TASK} -status:completed,failed,timed_out,cancelled", limit=1)
    if not unfinished.items:
        call = app.call(TASK, str(folder), str(home.index))
        return await app.enqueue(call), False
    found = unfinished.items[0]
    if found.input["folder"] != str(folder):
        raise Problem(
            3, f"an unfinished demo stands in {home.folder}", f"it indexes {found.input['folder']}",
            f"perdure demo {found.input['folder']}   to finish it, or perdure demo --fresh   to forget it",
        )  # fmt: skip
    return app.handle(found.id), True


async def _emptied(app: Perdure, see: Watcher) -> None:
    """Returns when no worker of an earlier demo is left. One whose demo was killed notices that, and leaves by itself."""
    clock = SystemClock()
    until = clock.monotonic() + LEAVING
    while True:
        await app.client.store.ask("reclaim", None)
        left = [worker for worker in await app.workers() if worker.alive]
        if not left:
            return
        if clock.monotonic() > until:
            raise Problem(1, f"worker {left[0].id} of an earlier demo does not leave", "", f"kill {left[0].process}")
        see(Scene(0, 0, "a worker of the last demo leaves"))
        await app.client.store.ask("drain", ([worker.id for worker in left],))
        await clock.sleep(LOOK)


def _brood(home: Home, output: IO[bytes]) -> Brood:
    command = worker_command(APP, "--url", home.url, "--drain", "1s")
    return Brood(command, {VARIABLE: str(home.effects)}, output)


class Conductor:
    """One demo, in one event loop."""

    def __init__(self, app: Perdure, home: Home, handle: Handle[Any], log: Log, brood: Brood, see: Watcher) -> None:
        self._app, self._home, self._handle, self._log, self._brood, self._see = app, home, handle, log, brood, see
        self._clock = SystemClock()
        self._killed: set[int] = set()
        self._note = ""

    async def run(self, *, kill: bool, workers: int, resumed: bool) -> Story:
        """Until the execution is settled."""
        for _ in range(workers):
            await self._brood.start()
        kills: list[Kill] = []
        already = self._log.more()
        while True:
            execution = await self._handle.execution()
            done, total = self._look(execution)
            if execution.settled:
                break
            if kill and not kills and total and done >= already + (total - already) // 2 and done < total:
                kills.append(await self._kill(total))
            self._check_alive()
            await self._clock.sleep(LOOK)
        self._log.more()
        return Story(execution, self._log, await self._view(), resumed, kills)

    def _look(self, execution: Execution[Any]) -> tuple[int, int]:
        self._log.more()
        done = sum(activity == EACH for activity, _ in self._log.ends)
        progress = execution.progress
        total = round(progress.total or 0) if progress else 0
        self._see(Scene(done, total, progress.text if progress else "starting a worker", self._note))
        return done, total

    async def _kill(self, total: int) -> Kill:
        """Kills the worker that wrote last, starts another, and notes what was recorded when it died."""
        busy = self._log.lines[-1].process
        victim = next((process for process in self._brood.alive if process.pid == busy), None)
        if victim is None:
            raise Problem(1, f"the worker {busy} that did the work is none of those started here")
        asked_at = self._clock.now()
        victim.send_signal(signal.SIGKILL)
        self._killed.add(busy)
        await self._brood.ended(victim)
        dead_at = self._clock.now()
        recorded = recorded_items(await self._view(), dead_at)
        finished = self._log.more()
        self._note = f"kill -9 {busy}: {len(recorded):,} results are recorded, another worker takes over"
        await self._brood.start()
        return Kill(busy, asked_at, dead_at, finished, recorded)

    async def _view(self) -> JournalView:
        ids = [self._handle.id]
        return (await self._app.client.store.read(lambda storage: storage.journal(ids)))[0]

    def _check_alive(self) -> None:
        """Raises `Problem` when a worker ended that nobody killed."""
        for process in self._brood.alive:
            code = process.returncode
            if code is not None and process.pid not in self._killed:
                raise Problem(1, f"a worker {ending(code)}, and nobody killed it", "", f"tail {self._home.log}")

    async def stop(self) -> None:
        """Sends the workers home; what they interrupt goes on another time."""
        self._brood.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.gather(*(process.wait() for process in self._brood.alive)), 10)
        except TimeoutError:
            self._brood.send(signal.SIGKILL)
        self._brood.close()


def recorded_items(view: JournalView, until: int | None = None) -> dict[Identity, int]:
    """When each activity's result was recorded, in milliseconds."""
    return {
        (entry.name, str(msgspec.json.decode(entry.value)["path"]) if entry.name == EACH else ""): entry.recorded_at
        for entry in view.entries
        if entry.kind == "activity" and entry.value is not None and (until is None or entry.recorded_at <= until)
    }


def first_file(folder: Path) -> str | None:
    """Some file of the folder; `None` where there is none at all."""
    for place, _, names in os.walk(folder):
        for name in names:
            if is_file(os.path.join(place, name)):
                return os.path.join(place, name)
    return None
