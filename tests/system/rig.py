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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from perdure import Perdure
from perdure.storage.check import check

ROOT = Path(__file__).parents[2]


class Effect(NamedTuple):
    """A line of the effect log: `execution` did `what` in `process` at `moment` (milliseconds)."""

    execution: str
    process: int
    moment: int
    what: str


class Nursery:
    """Forks workers from a process that has everything imported, and ends them."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder
        self.workers: list[int] = []

    def spawn(self, **order: Any) -> int:
        """A new worker's process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.workers.append(int(self._process.stdout.readline()))
        return self.workers[-1]

    def kill(self, worker: int) -> None:
        """SIGKILL."""
        os.kill(worker, signal.SIGKILL)
        self.workers.remove(worker)

    def log(self, worker: int) -> str:
        """What a worker logged."""
        path = self._folder / f"worker-{worker}.log"
        return path.read_text() if path.exists() else ""

    def left(self, worker: int) -> bool:
        """Whether a worker has gone by itself."""
        return "left with" in self.log(worker)


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """A nursery for the file in a folder."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.faults_program", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        made = Nursery(process, folder)
        try:
            yield made
        finally:
            for worker in made.workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            process.kill()


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
