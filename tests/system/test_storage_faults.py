"""The file under a running app goes wrong: full, locked, read-only, replaced, gone, newer, or no database at all. Nothing
acknowledged is lost, nothing recorded runs again, work goes on by itself once it can, and the message says what to do."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from perdure import Perdure, StorageError
from tests.system import faults_program as program
from tests.system.rig import Nursery, broken, counts, environment, until

pytestmark = pytest.mark.timeout(60)
LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


def writer(app: Perdure) -> sqlite3.Connection:
    """The connection by which the open app writes."""
    session = app.opened.store.storage._database._writer  # type: ignore[attr-defined]
    return session.connection


def limit_pages(app: Perdure, spare: int) -> None:
    """Leaves so many pages to the app's file; a negative number, all there are."""
    connection = writer(app)
    pages = connection.execute("PRAGMA page_count").fetchone()[0] + spare if spare >= 0 else 2**30
    connection.execute(f"PRAGMA max_page_count = {pages}")


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Another program holds the file's write lock."""
    with subprocess.Popen([sys.executable, "-c", LOCKER, str(path), str(seconds)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.wait()


class SmallDisk:
    """A disk of four megabytes; where this user may not mount one, a limit to what this process's files may grow to."""

    def __init__(self, folder: Path, real: bool) -> None:
        self.folder, self._real = folder, real
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Takes all the room there is."""
        if not self._real:
            sizes = [path.stat().st_size for path in self.folder.glob("jobs.db*") if path.is_file()]
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes), self._before[1]))
            return
        with open(self.folder / "filler", "wb", buffering=0) as file:
            for size in (65536, 4096, 512):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        """Gives it back."""
        (self.folder / "filler").unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    real = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    disk = SmallDisk(folder, real)
    try:
        yield disk
    finally:
        disk.free()
        if real:
            subprocess.run(["umount", "-l", str(folder)], check=True)


# -- full ---------------------------------------------------------------------------------------------------------------


async def test_a_full_file_refuses_what_is_enqueued_and_says_what_to_do(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        before = await app.enqueue(program.hoard.call(1, 10))
        limit_pages(app, 0)
        with pytest.raises(StorageError, match="full: free some space") as caught:
            await app.enqueue_many([program.hold.call("x" * 300_000, 0.0), program.hold.call("small", 0.0)])
        assert caught.value.retryable
        assert await app.count() == 1
        limit_pages(app, -1)
        after = await app.enqueue(program.hold.call("x" * 300_000, 0.0))
        assert {await before.status(), await after.status()} == {"pending"}
        assert broken(app) == []


async def test_a_worker_waits_for_room_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = program.make_app(tmp_path, lease=1)
    async with app:
        handle = await app.enqueue(program.hoard.call(3, 200_000, 0.1))
        await until(lambda: counts(tmp_path)["step 0"])
        limit_pages(app, 0)
        await until(lambda: counts(tmp_path)["large 1"])
        await asyncio.sleep(2.5)
        assert counts(tmp_path)["step 1"] == 0
        waiting = [record for record in caplog.records if "cannot be written" in record.getMessage()]
        assert waiting
        assert "full" in waiting[0].getMessage()
        limit_pages(app, -1)
        assert await handle.result(timeout=20) == 600_000
        assert set(counts(tmp_path).values()) == {1}
        row = await handle.execution()
        assert (row.attempt, row.crashes) == (0, 0)
        assert broken(app) == []


async def test_a_disk_without_room_holds_everything_up_and_loses_nothing(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing can be written at all, for longer than leases last: no heartbeat either."""
    app, outside = program.make_app(small_disk.folder, lease=1), small_disk.folder.parent
    os.environ["FAULT_EFFECTS"] = str(outside / "effects")
    async with app:
        handles = [await app.enqueue(program.hoard.call(3, 20_000, 0.3)) for _ in range(4)]
        await until(lambda: counts(outside)["step 0"] == 4)
        small_disk.fill()
        with pytest.raises(StorageError, match="full|failed"):
            for _ in range(200):
                await app.enqueue(program.hold.call("y" * 100_000, 0.0))
        await asyncio.sleep(3.5)
        small_disk.free()
        assert [await handle.result(timeout=20) for handle in handles] == [60_000] * 4
        assert set(counts(outside).values()) == {4}, counts(outside)
        assert "cannot be written" in caplog.text
        assert [(await handle.execution()).attempt for handle in handles] == [0] * 4
        assert [(await handle.execution()).crashes for handle in handles] == [0] * 4
        assert broken(app) == []


async def test_what_was_refused_on_a_full_disk_is_not_there_after_a_restart(small_disk: SmallDisk) -> None:
    app = program.make_app(small_disk.folder)
    accepted: set[str] = set()
    async with app.connect():
        small_disk.fill()
        for _ in range(300):
            try:
                accepted.add((await app.enqueue(program.hold.call("z" * 30_000, 0.0))).id)
            except StorageError:
                continue
            else:
                await asyncio.sleep(0)
    small_disk.free()
    async with app.connect():
        kept = {row.id for row in (await app.search(limit=1000)).items}
        assert kept == accepted
        assert broken(app) == []


# -- locked -------------------------------------------------------------------------------------------------------------


async def test_a_worker_outwaits_another_programs_lock(tmp_path: Path) -> None:
    """The lock lasts longer than the leases; neither the worker itself nor its neighbour takes its work away."""
    app = program.make_app(tmp_path, lease=1)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn(lease=1)
            workers.spawn(lease=1)
            handles = [await app.enqueue(program.steps.call(3, 1.5)) for _ in range(6)]
            await until(lambda: counts(tmp_path)["step 0"] == 6)
            with locked(tmp_path / "jobs.db", 4.0):
                began = time.monotonic()
                late = await app.enqueue(program.hold.call("late", 0.0))
                assert time.monotonic() - began > 2
            assert [await handle.result(timeout=30) for handle in handles] == [3] * 6
            assert await late.result(timeout=20) == "late"
        found = counts(tmp_path)
        assert {found["step 0"], found["step 1"], found["step 2"]} == {6}, found
        assert [(await handle.execution()).attempt for handle in handles] == [0] * 6
        assert broken(app) == []


async def test_reading_goes_on_while_another_program_holds_the_lock(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        handle = await app.enqueue(program.hold.call("a", 0.0))
        with locked(tmp_path / "jobs.db", 1.5):
            began = time.monotonic()
            assert await handle.status() == "pending"
            assert await app.count("task:hold") == 1
            assert time.monotonic() - began < 1


# -- not what it should be ------------------------------------------------------------------------------------------------


AS_NOBODY = """
import asyncio, os, sys, tempfile
from pathlib import Path
from perdure import StorageError
from tests.system import faults_program as program

async def use(folder):
    app = program.make_app(folder)
    try:
        async with app.connect():
            print("count", await app.count())
            await app.enqueue(program.hold.call("x", 0.0))
            print("stored")
    except StorageError as error:
        print("refused", error)

with tempfile.TemporaryDirectory() as warm:  # whatever is loaded late is loaded now
    asyncio.run(use(Path(warm)))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print("---")
asyncio.run(use(Path(sys.argv[1])))
"""


def as_nobody(folder: Path) -> str:
    """What a client that has no rights of its own says."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(folder)],
        capture_output=True, text=True, timeout=50, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("---")[2]


def reachable(tmp_path: Path) -> Path:
    """A folder that anybody may enter."""
    folder = tmp_path / "open"
    folder.mkdir()
    for each in (folder, *folder.parents):
        if each == Path("/tmp") or not os.access(each, os.W_OK):
            break
        each.chmod(each.stat().st_mode | 0o055)
    return folder


@pytest.mark.parametrize("what", ["file", "folder", "both"])
async def test_read_only(tmp_path: Path, what: str) -> None:
    folder = reachable(tmp_path)
    app = program.make_app(folder)
    async with app.connect():
        await app.enqueue(program.hold.call("a", 0.0))
    database = folder / "jobs.db"
    database.chmod(0o444 if what in ("file", "both") else 0o666)
    folder.chmod(0o555 if what in ("folder", "both") else 0o777)
    answer = as_nobody(folder)
    folder.chmod(0o755)
    assert "stored" not in answer
    assert "refused" in answer
    assert "write access" in answer, answer
    async with app.connect():
        assert await app.count() == 1
        assert broken(app) == []


def perdure(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line."""
    return subprocess.run(
        [sys.executable, "-m", "perdure", *words],
        capture_output=True, text=True, cwd=folder, timeout=50, check=False, env=environment(),
    )  # fmt: skip


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "jobs.db"
    database.write_text("Dear diary, " * 1000)
    app = program.make_app(tmp_path)
    with pytest.raises(StorageError, match=r"no SQLite database.*choose another path"):
        await app.start()
    assert not app.is_open
    assert database.read_text() == "Dear diary, " * 1000
    answer = perdure("list", "--url", f"sqlite:///{database}", folder=tmp_path)
    assert answer.returncode == 5, answer
    assert "no SQLite database" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(each.name for each in tmp_path.iterdir() if not each.name.endswith(".workers")) == ["jobs.db"]


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    app = program.make_app(tmp_path)
    async with app:
        assert await app.run(program.hold.call("a", 0.0)) == "a"


async def test_somebody_elses_database_is_told_apart(tmp_path: Path) -> None:
    """A database of another program that has an `executions` table of its own is not written to."""
    with sqlite3.connect(tmp_path / "jobs.db") as other:
        other.execute("CREATE TABLE executions (id INTEGER, mine TEXT)")
        other.execute("INSERT INTO executions VALUES (1, 'precious')")
    other.close()
    app = program.make_app(tmp_path)
    with pytest.raises(StorageError):
        await app.start()
    with sqlite3.connect(tmp_path / "jobs.db") as other:
        assert other.execute("SELECT * FROM executions").fetchall() == [(1, "precious")]
        assert other.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0] == 1
    other.close()


async def test_a_newer_schema_is_refused_by_app_worker_and_command_line(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        await app.enqueue(program.hold.call("a", 0.0))
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    connection = sqlite3.connect(tmp_path / "jobs.db")
    connection.executemany("INSERT INTO schema_version VALUES (?, 'later', 'x', 0)", [(n,) for n in range(90, 99)])
    connection.commit()
    before = connection.execute("SELECT count(*), max(token) FROM executions").fetchone()
    connection.close()
    for worker in (False, True):
        with pytest.raises(StorageError, match="newer release; upgrade perdure"):
            await app.start(worker=worker)
    assert not app.is_open
    for words in (("list",), ("worker", "tests.system.slow_app:app")):
        answer = perdure(*words, "--url", url, folder=tmp_path)
        assert answer.returncode == 3, answer
        assert "upgrade perdure" in answer.stderr
        assert "Traceback" not in answer.stderr
    connection = sqlite3.connect(tmp_path / "jobs.db")
    assert connection.execute("SELECT count(*), max(token) FROM executions").fetchone() == before
    connection.close()


# -- moved away -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("all_of_it", [True, False])
async def test_a_file_deleted_under_a_running_app(tmp_path: Path, all_of_it: bool) -> None:
    """Nothing more is acknowledged, and a new file at the same place stays clean."""
    app, other = program.make_app(tmp_path), program.make_app(tmp_path)
    async with app.connect():
        await app.enqueue(program.hold.call("a", 0.0))
        for suffix in ("", "-wal", "-shm") if all_of_it else ("",):
            (tmp_path / f"jobs.db{suffix}").unlink(missing_ok=True)
        with pytest.raises(StorageError, match="moved, deleted or replaced"):
            await app.enqueue(program.hold.call("b", 0.0))
        with pytest.raises(StorageError, match="moved, deleted or replaced"):
            await app.count()
        assert not (tmp_path / "jobs.db").exists()
        if all_of_it:
            async with other.connect():
                fresh = await other.enqueue(program.hold.call("c", 0.0))
                with pytest.raises(StorageError, match="moved, deleted or replaced"):
                    await app.enqueue(program.hold.call("b", 0.0))
                assert [row.id for row in (await other.search()).items] == [fresh.id]
                assert broken(other) == []
    if all_of_it:
        async with other.connect():
            assert await other.count() == 1
            assert broken(other) == []
        connection = sqlite3.connect(tmp_path / "jobs.db")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


async def test_a_worker_whose_file_is_moved_waits_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = program.make_app(tmp_path)
    away = tmp_path / "away"
    away.mkdir()
    async with app:
        handle = await app.enqueue(program.steps.call(20, 0.1))
        await until(lambda: counts(tmp_path)["step 2"])
        for path in tmp_path.glob("jobs.db*"):
            if path.is_file():
                path.rename(away / path.name)
        await asyncio.sleep(1.0)
        done = sum(counts(tmp_path).values())
        assert done < 20
        assert "moved, deleted or replaced" in caplog.text
        await asyncio.sleep(0.3)
        assert sum(counts(tmp_path).values()) == done
        for path in away.iterdir():
            path.rename(tmp_path / path.name)
        assert await handle.result(timeout=20) == 190
        assert set(counts(tmp_path).values()) == {1}
        assert broken(app) == []


async def test_closing_an_app_whose_file_is_gone(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, drain=1)
    await app.start()
    handle = await app.enqueue(program.steps.call(100, 0.05))
    await until(lambda: counts(tmp_path)["step 1"])
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"jobs.db{suffix}").unlink(missing_ok=True)
    assert handle.id
    async with asyncio.timeout(20):
        await app.close()
    assert not (tmp_path / "jobs.db").exists()
    assert not [thread for thread in threading.enumerate() if thread.name in ("perdure-write", "perdure-heartbeat")]


async def test_errors_of_the_file_are_not_logged_without_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two lines a second are news; a thousand are noise."""
    caplog.set_level(logging.INFO)
    app = program.make_app(tmp_path, lease=1)
    async with app:
        handle = await app.enqueue(program.hoard.call(1, 500_000))
        limit_pages(app, 0)
        await asyncio.sleep(2.0)
        assert len(caplog.records) < 60
        limit_pages(app, -1)
        assert await handle.result(timeout=20) == 500_000
