"""Several processes on one SQLite file: nobody is locked out, nothing is lost, the dead are seen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from perdure.model.query import parse
from perdure.model.records import ClaimRequest, Completed, Heartbeat, NewExecution, Transition
from perdure.storage.check import check
from perdure.storage.sqlite import SQLiteStorage
from tests.system.sqlite_program import milliseconds, row

PROGRAM = Path(__file__).with_name("sqlite_program.py")
REQUEST = ClaimRequest("last", ("default",), ("work",), 500)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SQLiteStorage]:
    with closing(SQLiteStorage(str(tmp_path / "it.db"))) as storage:
        storage.migrate(milliseconds())
        yield storage


def start(storage: SQLiteStorage, name: str, seconds: float, pages: int = 1000) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), storage.path, name, str(seconds), str(pages)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(storage: SQLiteStorage) -> None:
    """Completes what is left."""
    storage.heartbeat(Heartbeat(row("last")), milliseconds())
    end = time.monotonic() + 30
    while storage.count(parse("status:pending,waiting,running"), 0):
        assert time.monotonic() < end, "something is stuck"
        storage.reclaim(milliseconds())
        claims = storage.claim(REQUEST, milliseconds()).claims
        storage.commit(
            [Transition(each.id, each.token, outcome=Completed('"late"')) for each in claims], milliseconds()
        )
        time.sleep(0.002)


def is_whole(storage: SQLiteStorage) -> bool:
    with closing(sqlite3.connect(storage.path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize("pages", [1000, 20])
def test_eight_processes_hammer_one_file(storage: SQLiteStorage, pages: int) -> None:
    """With few pages they checkpoint all the time: the log must survive it (the WAL-reset bug of older SQLites)."""
    processes = [start(storage, f"w{number}", 6.0, pages) for number in range(8)]
    outputs = [process.communicate(timeout=90) for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * 8
    totals = [output.splitlines()[-1].split() for output, _ in outputs]
    enqueued = sum(int(total[1]) for total in totals)
    assert all(int(total[1]) >= 5 for total in totals)
    assert storage.count(parse(""), 0) == enqueued
    finish(storage)
    assert storage.count(parse("status:completed"), 0) == enqueued
    assert check(storage) == []
    assert is_whole(storage)
    assert os.stat(f"{storage.path}-wal").st_size < 128 * 1024 * 1024
    assert os.listdir(f"{storage.path}.workers") == ["last.lock"]


def test_killed_at_any_moment(storage: SQLiteStorage) -> None:
    acknowledged: dict[str, int] = {}
    lives = [start(storage, "steady", 8.0)]
    for number in range(10):
        victim = start(storage, f"victim{number}", 60.0)
        assert victim.stdout is not None
        for _ in range(1 + number % 4 * 3):
            acknowledged[f"victim{number}"] = int(victim.stdout.readline())
        time.sleep(number % 3 * 0.003)
        victim.send_signal(signal.SIGKILL)
        for line in victim.communicate()[0].split("\n")[:-1]:
            acknowledged[f"victim{number}"] = int(line)
    output, errors = lives[0].communicate(timeout=60)
    assert (lives[0].returncode, errors) == (0, "")
    acknowledged["steady"] = int(output.splitlines()[-1].split()[1])
    ids = [f"{name}-{number}" for name, count in acknowledged.items() for number in range(count)]
    found = [each for start in range(0, len(ids), 500) for each in storage.get(ids[start : start + 500])]
    assert None not in found
    finish(storage)
    assert check(storage) == []
    assert is_whole(storage)


def test_a_killed_worker_is_seen_at_once(storage: SQLiteStorage) -> None:
    victim = start(storage, "victim", 60.0)
    assert victim.stdout is not None
    victim.stdout.readline()
    assert storage.reclaim(milliseconds()).workers == ()
    with storage.transaction():  # whoever is stopped while it writes keeps the others waiting
        victim.send_signal(signal.SIGSTOP)
        os.waitpid(victim.pid, os.WUNTRACED)
    assert storage.reclaim(milliseconds()).workers == ()
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert storage.reclaim(milliseconds()).workers == ("victim",)
    assert [each.id for each in storage.workers(0)] == []


def test_another_process_gives_a_hint(storage: SQLiteStorage) -> None:
    heard = threading.Event()
    storage.listen(heard.set)
    process = start(storage, "other", 0.5)
    assert heard.wait(30)
    process.communicate(timeout=30)
    storage.enqueue([NewExecution("own", "work", "{}")], milliseconds())
    assert os.listdir(f"{storage.path}.workers") == [storage._hints._name]
