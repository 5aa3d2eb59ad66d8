"""What the chaos tests share: workers that are forked quickly and killed, work whose end is known, and looking at what came
of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from perdure import Call, Handle, Perdure
from perdure.engine.options import LIST
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.session import PostgresSession
from perdure.storage.protocol import Storage
from tests.system import chaos_program as program


class Nursery:
    """Forks workers from a process that has everything imported, and kills them. `workers` are their process ids."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self._url = process, url
        self.workers: list[int] = []

    def spawn(self, url: str | None = None) -> int:
        """A worker, perhaps by another way to the store."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{url or self._url}\n")
        self._process.stdin.flush()
        self.workers.append(int(self._process.stdout.readline()))
        return self.workers[-1]

    def kill(self, worker: int) -> None:
        """Ends one without a word."""
        os.kill(worker, signal.SIGKILL)
        self.workers.remove(worker)


@contextmanager
def nursery(folder: Path, url: str, lease: float) -> Iterator[Nursery]:
    """Workers on a store, whose bodies write into the folder's file `effects`. What they log is in `workers.log`."""
    arguments = [str(folder / "effects"), str(lease)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with open(folder / "workers.log", "ab") as log, subprocess.Popen(
        [sys.executable, "-m", "tests.system.chaos_program", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
    ) as process:  # fmt: skip
        made = Nursery(process, url)
        try:
            yield made
        finally:
            for worker in made.workers:
                os.kill(worker, signal.SIGKILL)
            process.kill()


@contextmanager
def one_moment(storage: Storage) -> Iterator[None]:
    """All that is read inside is of one moment. In a file writers wait meanwhile; a server is asked for a snapshot."""
    with storage.transaction():
        if isinstance(storage, PostgresStorage):
            storage._write(lambda session: isolate(cast("PostgresSession", session)), 0)
        yield


def isolate(session: PostgresSession) -> None:
    session.connection.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def broken(app: Perdure) -> list[object]:
    """What the checker finds wrong at this moment."""
    storage = app.opened.store.storage
    with one_moment(storage):
        return list(check(storage))


async def begun_after_record(app: Perdure, effects: Path) -> list[str]:
    """Bodies that began although their result was recorded already."""
    begun: dict[tuple[str, str], int] = {}
    for line in effects.read_text().splitlines():
        execution_id, what, moment = line.split()
        begun[execution_id, what] = max(begun.get((execution_id, what), 0), int(moment))
    wrong: list[str] = []
    for execution_id in {execution_id for execution_id, _ in begun}:
        for entry in await app.handle(execution_id).activities():
            if entry.kind == "activity" and entry.outcome == "recorded":
                number = entry.value // 2 if entry.name == "double" else entry.value  # type: ignore[operator]
                last = begun[execution_id, f"{entry.name}({number})"]
                if last > entry.recorded_at.timestamp() * 1000 + 1:
                    wrong.append(f"{execution_id} {entry.key}")
    return wrong


def drawn(chance: random.Random, depth: int = 0) -> program.Shape:
    """A random tree."""
    below = tuple(drawn(chance, depth + 1) for _ in range(chance.choice((0, 0, 1, 2)) if depth < 2 else 0))
    broken = chance.choice((0, 0, 0, 1))
    return program.Shape(chance.randint(0, 4), broken, below, chance.random() < 0.5, chance.random() < 0.5)


async def enqueue_tree(app: Perdure, shape: program.Shape, id: str | None = None) -> tuple[Handle[Any], object]:
    tree = program.trees[shape.fast, shape.narrow]
    return await app.enqueue((tree.options(id=id) if id else tree).call(shape)), shape.value


async def enqueue_list(app: Perdure, chance: random.Random, id: str) -> tuple[Handle[Any], object]:
    """A list of random items, perhaps with one that aborts it; its end is that of its items."""
    calls: list[Call[Any]] = []
    ends: list[tuple[str, object]] = []
    over = False
    for number in range(chance.randint(1, 5)):
        kind = chance.choice(("pair", "pair", "pair", "item", "list"))
        calls.append(program.pair.call(number) if kind == "pair" else program.picky.call(number, kind))
        end = ("completed", number * 4 + 2000) if kind == "pair" else ("failed", number * 2)
        ends.append(("pending", None) if over else end)
        over = over or kind == "list"
    return await app.enqueue_list(id, calls), ends


async def came_to(app: Perdure, handle: Handle[Any]) -> object:
    """How a tree or a list ended: a tree's result, `None` where it failed, or how a list's items stand."""
    execution = await handle.wait(timeout=240)
    if execution.task_name != LIST:
        assert execution.status in ("completed", "failed")
        return execution.result if execution.status == "completed" else None
    items = len(json.loads(app.opened.store.storage.get([handle.id])[0].input)["items"])  # type: ignore[union-attr]
    return [(each.status, each.value) for each in [await app.list_item(handle.id, seq) for seq in range(items)]]
