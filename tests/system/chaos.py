"""What the chaos tests share: workers that are forked quickly and killed, work whose end is known, and looking at what came
of it."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from perdure import Call, Handle, Perdure
from perdure.engine.options import LIST
from perdure.model.trees import FINALIZE
from perdure.storage.check import Snapshot, check
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.session import PostgresSession
from perdure.storage.protocol import Storage
from perdure.testing.simulation.trees import wrong_tree
from tests.system import chaos_program as program
from tests.system.rig import Forks

OPEN = "status:pending,running,waiting"


class Nursery(Forks):
    """Workers on a store, whose bodies write into the folder's file `effects`. What they log is in `workers.log`."""

    def __init__(self, folder: Path, url: str, lease: float) -> None:
        with open(folder / "workers.log", "ab") as log:
            super().__init__("tests.system.chaos_program", str(folder / "effects"), str(lease), errors=log)
        self._url = url

    def spawn(self, url: str | None = None) -> int:
        """A worker, perhaps by another way to the store."""
        return self.fork(url or self._url)

    def explain(self) -> None:
        """Lets all log where their threads are."""
        for worker in self.workers:
            os.kill(worker, signal.SIGUSR1)


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


def finalized_once(at: Snapshot) -> None:
    """Holds that every tree is as it must be, and that who completed was finalized, once."""
    assert wrong_tree(at) is None
    ended = Counter(row.parent_id for row in at.rows.values() if row.slot == FINALIZE and row.status == "completed")
    assert set(ended.values()) == {1}
    assert all(tree.row.id in ended for tree in at.trees if tree.row.status == "completed")


async def begun_after_record(app: Perdure, effects: Path) -> list[str]:
    """Bodies that began although their result was recorded already. Those of a worker that had lost its lease, and stood
    still since before it could learn of that, are passed over: what came of them changed nothing."""
    begun = defaultdict[tuple[str, str], list[tuple[int, int]]](list)
    for line in effects.read_text().splitlines():
        execution_id, what, moment, token = line.split()
        begun[execution_id, what].append((int(moment), int(token)))
    ids = sorted({execution_id for execution_id, _ in begun})
    journals = await app.opened.store.read(lambda storage: storage.journal(ids))
    wrong: list[str] = []
    for execution_id, journal in zip(ids, journals, strict=True):
        for entry in journal.entries:
            if entry.kind == "activity" and entry.value is not None:
                number = json.loads(entry.value) // (2 if entry.name == "double" else 1)
                held = [when for when, token in begun[execution_id, f"{entry.name}({number})"] if token >= entry.token]
                if max(held) > entry.recorded_at + 1:
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
