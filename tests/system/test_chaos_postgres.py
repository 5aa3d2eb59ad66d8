"""Real workers on one PostgreSQL server, while everything around them breaks: workers are killed and stopped, sessions ended,
the server killed and started, the network cut, slow and silent. Nothing is lost, nothing recorded runs again.

The usual run is small. `PERDURE_CHAOS=8,10000` makes it one of 8 workers and 10,000 executions.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from perdure import Handle, LoopResult, Perdure, StorageError
from perdure.storage.check import read
from perdure.testing.postgres import Server, server
from tests.system import chaos_program as program
from tests.system.chaos import (
    OPEN,
    Nursery,
    begun_after_record,
    broken,
    came_to,
    drawn,
    enqueue_list,
    enqueue_tree,
    finalized_once,
    one_moment,
)
from tests.system.proxy import Proxy, proxy

WORKERS, EXECUTIONS = map(int, os.environ.get("PERDURE_CHAOS", "4,600").split(","))
LEASE = 5.0
T = TypeVar("T")
End = tuple[Handle[Any], object]


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that keeps what it acknowledged."""
    with server(durable=True, autovacuum_naptime="5s") as found:
        yield found


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks again while the server is away, as a client must who wants an answer."""
    while True:
        try:
            return await ask()
        except StorageError as error:
            assert error.retryable, error
            await asyncio.sleep(0.1)


class Disasters:
    """What befalls the workers, of whom every other one reaches the server through a proxy. `seen` counts by name."""

    def __init__(self, own: Server, url: str, between: Proxy, workers: Nursery, chance: random.Random) -> None:
        self._own, self._between, self._workers, self._chance = own, between, workers, chance
        self._ways = {place: between.url if place % 2 else url for place in range(WORKERS)}
        self._pids = {place: workers.spawn(way) for place, way in self._ways.items()}
        self._bag: list[Callable[[], Awaitable[None]]] = []
        self.seen = Counter[str]()

    async def strike(self) -> None:
        """One of them; all come up before any comes up again."""
        if not self._bag:
            self._bag = [self.kill] * 4 + [
                self.terminate,
                self.cut,
                self.delay,
                self.silence,
                self.freeze,
                self.restart,
            ]
            self._chance.shuffle(self._bag)
        deed = self._bag.pop()
        self.seen[deed.__name__] += 1
        await deed()

    async def kill(self) -> None:
        place = self._chance.randrange(WORKERS)
        self._workers.kill(self._pids[place])
        await asyncio.sleep(self._chance.uniform(0, 1))
        self._pids[place] = self._workers.spawn(self._ways[place])

    async def terminate(self) -> None:
        self._own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    async def cut(self) -> None:
        self._between.cut()

    async def delay(self) -> None:
        self._between.delay(0.02)
        await asyncio.sleep(2)
        self._between.delay(0)

    async def silence(self) -> None:
        """Longer than a lease, at times: then others take over, and who comes back has lost all."""
        self._between.silence()
        await asyncio.sleep(self._chance.choice((0.5, LEASE + 3)))
        self._between.speak()

    async def freeze(self) -> None:
        victim = self._pids[self._chance.randrange(WORKERS)]
        os.kill(victim, signal.SIGSTOP)
        await asyncio.sleep(self._chance.choice((0.5, LEASE + 3)))
        os.kill(victim, signal.SIGCONT)

    async def restart(self) -> None:
        assert self._own.process is not None
        self._own.process.kill(signal.SIGQUIT)
        await asyncio.sleep(self._chance.uniform(0, 1))
        self._own.process.start()


async def enqueue(app: Perdure, chance: random.Random, number: int) -> list[End]:
    """One of each kind, under ids of their own: sent again they are the same."""

    def named(task: Any, *given: object) -> Callable[[], Awaitable[Handle[Any]]]:
        return lambda: app.enqueue(task.options(id=f"{task.name}-{number}").call(*given))

    shape, items = drawn(chance), chance.randint(0, 1 << 30)
    ends: list[End] = [
        (await insist(named(program.chain, 12)), 132),
        (await insist(named(program.fan, 6)), 36),
        (await insist(named(program.sleeper, number)), number * 3),
        (await insist(named(program.rounds, 0)), LoopResult(True, 30, 6)),
        (await insist(named(program.informed, f"late-{number}")), 10),
        await insist(lambda: enqueue_tree(app, shape, f"tree-{number}")),
        await insist(lambda: enqueue_list(app, random.Random(items), f"list-{number}")),
    ]
    asker = await insist(named(program.asker, number))
    await insist(lambda: asker.signal("number", 5))
    await insist(lambda: app.complete("answer", f"late-{number}", 5))
    return [*ends, (asker, number * 2 + 5)]


async def work(app: Perdure, chance: random.Random) -> list[End]:
    """So many executions in all, never too many of them open."""
    ends: list[End] = []
    while await insist(app.count) < EXECUTIONS:
        if await insist(lambda: app.count(OPEN)) < 40 * WORKERS:
            ends += await enqueue(app, chance, len(ends))
        else:
            await asyncio.sleep(0.1)
    return ends


async def settled(app: Perdure, workers: Nursery) -> None:
    """Returns when nothing is open any more; says what is, when that takes too long."""
    deadline = time.monotonic() + 120
    while await insist(lambda: app.count(OPEN)):
        if time.monotonic() > deadline:
            workers.explain()
            wrong = await asyncio.to_thread(broken, app)
            found = await app.search(OPEN)
            rows = app.opened.store.storage.get([one.id for one in found.items])
            raise AssertionError(f"still open: {rows}; the checker finds {wrong}")
        await asyncio.sleep(0.2)


def examine(app: Perdure, roots: set[str]) -> Counter[str]:
    """Holds all that is there against what must be; answers how many there are of each status."""
    storage = app.opened.store.storage
    with one_moment(storage):
        at = read(storage)
    assert {row.id for row in at.rows.values() if row.parent_id is None} == roots
    finalized_once(at)
    assert not [row.id for row in at.rows.values() if row.failure and "worker_lost" in row.failure]
    assert sum(row.token > 1 for row in at.rows.values()) > 20
    return Counter(row.status for row in at.rows.values())


def repeated(effects: Path) -> int:
    """How many bodies of activities ran again because they had not been recorded."""
    ran = Counter(tuple(line.split()[:2]) for line in effects.read_text().splitlines() if " double(" in line)
    return sum(count - 1 for count in ran.values())


@pytest.mark.timeout(7200)
async def test_whatever_breaks_nothing_is_lost_and_nothing_recorded_runs_again(own: Server, tmp_path: Path) -> None:
    chance, url = random.Random(5), own.create()
    app = program.make_app(url, LEASE)
    began = time.monotonic()
    async with app.connect():
        with proxy(url) as between, Nursery(tmp_path, url, LEASE) as workers:
            disasters = Disasters(own, url, between, workers, chance)
            working = asyncio.create_task(work(app, random.Random(6)))
            while not working.done() or len(disasters.seen) < 7:
                await asyncio.sleep(chance.uniform(0.5, 2))
                await disasters.strike()
                assert await asyncio.to_thread(broken, app) == []
            ends = await working
            await settled(app, workers)
            passed = time.monotonic() - began
        assert broken(app) == []
        statuses = examine(app, {handle.id for handle, _ in ends})
        for handle, end in ends:
            assert await came_to(app, handle) == end
        assert await begun_after_record(app, tmp_path / "effects") == []
    print(f"\n{passed:.0f} s, {dict(disasters.seen)}, {dict(statuses)}, {repeated(tmp_path / 'effects')} repeated")
