"""Workers in processes of their own on one server: killed, cut off, and the server itself taken away."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure import Handle, Perdure
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.testing.postgres import Server, server
from tests.system import postgres_program as program
from tests.system.rig import until, worker

pytestmark = pytest.mark.timeout(180)
Spawning = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that keeps what it acknowledged."""
    with server(durable=True) as found:
        yield found


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawning]:
    """Starts a worker on a store."""
    running: list[subprocess.Popen[bytes]] = []

    def start(url: str) -> subprocess.Popen[bytes]:
        running.append(worker(tmp_path, url, f"worker{len(running)}.log"))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def client(url: str) -> Perdure:
    app = Perdure(url, poll=0.25)
    app.include(program.app)
    return app


def effects(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "effects"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def all_well(app: Perdure, url: str, handles: list[Handle[int]]) -> None:
    """All completed in their first attempt, and the promises hold."""
    await asyncio.gather(*(handle.result(timeout=100) for handle in handles))
    rows = [await handle.execution() for handle in handles]
    assert {(row.status, row.attempt) for row in rows} == {("completed", 0)}
    storage = PostgresStorage(f"{url}?hints=off")
    assert check(storage) == []
    storage.close()


async def test_a_killed_worker_is_relieved_long_before_its_lease_ends(
    own: Server, spawn: Spawning, tmp_path: Path
) -> None:
    url = own.create()
    app = client(url)
    async with app.connect():
        victim = spawn(url)
        handle = await app.enqueue(program.steps.call("a", 200))
        await until(lambda: len(effects(tmp_path)) > 5, 60)
        spawn(url)
        await until(lambda: sum(b"worker" in path.read_bytes() for path in tmp_path.glob("worker*.log")) == 2, 60)
        await asyncio.sleep(5)  # who watches must have stood for a while
        victim.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        await until(lambda: len({line[2] for line in effects(tmp_path)}) == 2, 30)
        assert time.monotonic() - killed < 15  # the lease is 60 s
        await all_well(app, url, [handle])
    done = Counter(line[1] for line in effects(tmp_path))
    assert len(done) == 200
    assert sum(done.values()) <= 201


async def test_a_server_that_goes_and_comes_back(own: Server, spawn: Spawning, tmp_path: Path) -> None:
    assert own.process is not None
    url = own.create()
    app = client(url)
    async with app.connect():
        for _ in range(2):
            spawn(url)
        handles = [await app.enqueue(program.steps.call(f"s{number}", 30)) for number in range(20)]
        handles += [await app.enqueue(program.family.call(f"f{number}", 5)) for number in range(4)]
        await until(lambda: len(effects(tmp_path)) > 50, 60)
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> 'postgres'"
        )
        count = len(effects(tmp_path))
        await until(lambda: len(effects(tmp_path)) > count + 50, 60)
        own.process.kill(signal.SIGQUIT)
        await asyncio.sleep(1)
        own.process.start()
        await all_well(app, url, handles)
    done = Counter((line[0], line[1]) for line in effects(tmp_path))
    assert len(done) == 20 * 30 + 4 * 5 * 3
