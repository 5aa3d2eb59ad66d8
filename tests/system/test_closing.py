"""Closing that somebody breaks off: a time limit, Ctrl-C. Nothing of the worker stays behind, and its work goes on elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perdure import Perdure
from tests.system.rig import broken, until

pytestmark = pytest.mark.timeout(60)


def make_app(folder: Path, drain: float = 100) -> Perdure:
    """An app whose first body does not end by itself; the second returns at once."""
    app, runs = Perdure(f"sqlite:///{folder / 'jobs.db'}", poll=0.1, lease=30, drain=drain), folder / "runs"

    @app.task
    async def body() -> str:
        first = not runs.exists()
        runs.touch()
        if first:
            await asyncio.Event().wait()
        return "done"

    return app


def own_threads() -> list[str]:
    """The threads of open apps."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("perdure"))


async def test_a_close_that_is_cancelled_while_it_drains_leaves_nothing_behind(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    await app.start()
    handle = await app.enqueue(app.call("body"))
    await until((tmp_path / "runs").exists)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(app.close(), 0.1)
    assert not app.is_open
    assert own_threads() == []
    async with app:
        assert await app.handle(handle.id).result(timeout=20) == "done"
        assert len(await app.workers()) == 1
        assert broken(app) == []


@pytest.mark.parametrize("cancels", range(1, 7))
async def test_a_close_that_is_cancelled_again_and_again_ends_all_the_same(tmp_path: Path, cancels: int) -> None:
    app = make_app(tmp_path)
    await app.start()
    handle = await app.enqueue(app.call("body"))
    await until((tmp_path / "runs").exists)
    closing = asyncio.create_task(app.close())
    for _ in range(cancels):
        for _ in range(3):
            await asyncio.sleep(0)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not app.is_open
    await until(lambda: own_threads() == [])
    async with app.connect():
        rows = await app.workers()
        assert len(rows) <= (cancels > 1)
        if not rows:
            assert await app.handle(handle.id).status() == "pending"


async def test_cancelled_closes_of_an_idle_app_leave_no_thread_and_no_file(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    before = 0
    for number in range(24):
        await app.start()
        closing = asyncio.create_task(app.close())
        for _ in range(1 + number % 12):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert not app.is_open
        await until(lambda: own_threads() == [])
        before = before or len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) <= before + 2


async def test_a_worker_that_is_cancelled_closes_its_app(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    run = asyncio.create_task(app.worker(drain=0.1).run())
    await until(lambda: app.is_open and app.opened.worker)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not app.is_open
    assert own_threads() == []


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_blocking_client_and_its_worker(tmp_path: Path, presses: int) -> None:
    app = make_app(tmp_path, 100 if presses > 1 else 0.2)
    ids = list[str]()

    def press() -> None:
        for number in range(presses):
            pressed = threading.Event()
            while not (tmp_path / "runs").exists():
                pressed.wait(0.02)
            if number and (worker := app.opened.worker) is not None:
                while not worker.shutting_down:
                    pressed.wait(0.02)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt), app as client:
        ids.append(client.enqueue(client.call("body")).id)
        client.handle(ids[0]).result()
    assert not app.is_open
    assert own_threads() == []
    with app as client:
        assert client.handle(ids[0]).result(timeout=20) == "done"


UNCLOSED = """
import asyncio, sys
from perdure import Perdure

app = Perdure(f"sqlite:///{sys.argv[1]}")

@app.activity
async def slow(number: int) -> int:
    await asyncio.sleep(60)
    return number

@app.task(retries=0)
async def plain() -> None:
    await asyncio.sleep(60)

@app.task(retries=0)
async def recording(number: int) -> int:
    return await slow(number)

@app.task(retries=0)
async def gathering(number: int) -> list[int]:
    return list(await asyncio.gather(slow(number), slow(number + 1)))

@app.task(retries=0)
async def grumbling() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise ValueError("who cancels me?") from None

async def main() -> None:
    await app.start()
    handles = [await app.enqueue(each) for each in (plain.call(), recording.call(1), gathering.call(2), grumbling.call())]
    while any([await handle.status() != "running" for handle in handles]):
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_program_that_ends_without_closing_its_app_fails_nothing(tmp_path: Path) -> None:
    """asyncio.run cancels every task at its end. That is no failure of the bodies: as after a crash, they run again."""
    for number in range(4):
        file = tmp_path / f"{number}.db"
        subprocess.run([sys.executable, "-c", UNCLOSED, str(file)], check=True, timeout=30)
        with Perdure(f"sqlite:///{file}") as client:
            assert client.count("status:failed") == 0
            assert client.count("") == 4
