"""What the fault tests share: a nursery of real workers, the effect log, and the checker on a live file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from perdure import Perdure
from perdure.storage.check import check

ROOT = Path(__file__).parents[2]


class Effect(NamedTuple):
    """A line of the effect log: `execution` did `what` in `process` at `moment` (milliseconds)."""

    execution: str
    process: int
    moment: int
    what: str


def environment(**given: str) -> dict[str, str]:
    """What a process is started with, so that it finds our modules; and what is given."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **given}


def worker(folder: Path, url: str, log: str = "worker.log", poll: float = 0.25) -> subprocess.Popen[bytes]:
    """Starts a worker of `postgres_program` on a store; what it logs and what its bodies do is in the folder."""
    given = environment(STORE=url, POLL=str(poll), EFFECTS=str(folder / "effects"))
    words = [sys.executable, "-m", "perdure", "worker", "tests.system.postgres_program:app"]
    with open(folder / log, "ab") as output:
        return subprocess.Popen(words, stdout=output, stderr=output, env=given, cwd=folder)


class Forks:
    """Forks workers from a process that has everything imported, and ends them. `workers` are their process ids."""

    def __init__(self, module: str, *arguments: str, errors: IO[bytes] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(),
        )  # fmt: skip
        self.workers: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            for worker in self.workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            self._process.kill()

    def fork(self, order: str) -> int:
        """A worker by an order of one line; answers its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        self.workers.append(int(self._process.stdout.readline()))
        return self.workers[-1]

    def kill(self, worker: int) -> None:
        """SIGKILL."""
        os.kill(worker, signal.SIGKILL)
        self.workers.remove(worker)


class Nursery(Forks):
    """Workers on the file in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tests.system.faults_program", str(folder))
        self._folder = folder

    def spawn(self, **order: Any) -> int:
        """A new worker's process id."""
        return self.fork(json.dumps(order))

    def log(self, worker: int) -> str:
        """What a worker logged."""
        path = self._folder / f"worker-{worker}.log"
        return path.read_text() if path.exists() else ""

    def left(self, worker: int) -> bool:
        """Whether a worker has gone by itself."""
        return "left with" in self.log(worker)


def effects(folder: Path) -> list[Effect]:
    """The effect log, in order."""
    path = folder / "effects"
    found = path.read_text().splitlines() if path.exists() else []
    parts = [line.split(" ", 3) for line in found]
    return [Effect(execution, int(process), int(moment), what) for execution, process, moment, what in parts]


def counts(folder: Path, execution: str | None = None) -> Counter[str]:
    """How often each thing was done."""
    return Counter(each.what for each in effects(folder) if execution in (None, each.execution))


async def until(holds: Callable[[], Any], patience: float = 20.0) -> Any:
    """Waits, within reason, until something (a plain or a coroutine function) holds; answers it."""
    deadline = time.monotonic() + patience
    while True:
        answer = holds()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, "it never held"
        await asyncio.sleep(0.02)


def broken(app: Perdure) -> list[object]:
    """What the checker finds wrong at this moment; writers wait while it reads."""
    storage = app.opened.store.storage
    with storage.transaction():
        return list(check(storage))
