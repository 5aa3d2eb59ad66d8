"""`perdure worker` and `perdure dev` as processes: drain, stop, several of them, deaths, reloads."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Shell, until


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


def two_workers(shell: Shell) -> list[dict[str, Any]]:
    until(lambda: len(shell.workers()) == 2)
    return shell.workers()


def test_the_first_signal_lets_what_runs_finish(shell: Shell) -> None:
    worker = shell.start("worker")
    until(shell.workers)
    execution_id = shell("enqueue", "steps", "count=60").strip()
    until(lambda: shell.json("show", execution_id)["status"] == "running")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert shell.json("show", execution_id)["status"] == "completed"
    assert "perdure worker on sqlite:///jobs.db" in shell.log
    assert "drains: what runs (1)" in shell.log
    assert shell.workers() == []


def test_the_second_signal_stops_and_the_work_goes_on_elsewhere(shell: Shell) -> None:
    worker = shell.start("worker", "--drain", "60s")
    until(shell.workers)
    ids = [shell("enqueue", "steps", "count=400").strip(), shell("enqueue", "blocked", "seconds=60").strip()]
    until(lambda: all(shell.json("show", each)["status"] == "running" for each in ids))
    worker.send_signal(signal.SIGINT)
    until(lambda: "drains: what runs (2)" in shell.log)
    began = time.monotonic()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 130
    assert time.monotonic() - began < 15
    assert {shell.json("show", each)["status"] for each in ids} == {"pending"}
    done = len(shell.json("show", ids[0])["journal"])
    assert done
    shell.start("worker")
    until(lambda: len(shell.json("show", ids[0])["journal"]) > done)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_whose_store_is_moved_leaves(shell: Shell, processes: str) -> None:
    """It does not wait for what can be recorded by nobody, nor does another process take its place."""
    worker = shell.start("worker", "--processes", processes, "--drain", "600s")
    until(lambda: len(shell.workers()) == int(processes))
    ids = [shell("enqueue", "steps", "count=4000").strip(), shell("enqueue", "blocked", "seconds=600").strip()]
    until(lambda: all(shell.json("show", each)["status"] == "running" for each in ids))
    shell("copy", "sqlite:///jobs.db", "sqlite:///new.db")
    assert worker.wait(40) == 3
    assert 1 <= shell.log.count("stops: its store was moved") <= int(processes)
    assert "perdure worker on sqlite:///jobs.db" in shell.log
    before = len(shell.log)
    assert shell.start("worker").wait(40) == 3
    (first, *_) = shell.log[before:].splitlines()
    assert first.endswith("this store was moved: nothing can be done here any more")
    assert "^C drains" not in shell.log[before:]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_second_signal_ends_a_worker_whose_event_loop_is_blocked(shell: Shell, processes: str) -> None:
    worker = shell.start("worker", "--processes", processes)
    until(lambda: len(shell.workers()) == int(processes))
    children = [each["process"] for each in shell.workers()]
    execution_id = shell("enqueue", "spinning").strip()
    until(lambda: shell.json("show", execution_id)["status"] == "running")
    worker.send_signal(signal.SIGTERM)
    until(lambda: len(shell.workers()) < int(processes) or processes == "1")
    assert worker.poll() is None
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 130
    assert time.monotonic() - began < 12
    assert "the event loop is blocked; this process ends at once" in shell.log
    assert not any(map(is_running, children))


def test_several_processes_and_a_death_among_them(shell: Shell) -> None:
    supervisor = shell.start("worker", "--processes", "2", "--concurrency", "1", "--quiet")
    first = two_workers(shell)
    assert {worker["concurrency"] for worker in first} == {1}
    ids = [shell("enqueue", "steps", "count=80").strip() for _ in range(2)]
    until(lambda: sum(worker["running"] for worker in shell.workers()) == 2)
    os.kill(first[0]["process"], signal.SIGKILL)
    until(lambda: len(found := shell.workers()) == 2 and first[0]["id"] not in {worker["id"] for worker in found})
    assert "was killed by SIGKILL; another starts" in shell.log
    until(lambda: all(shell.json("show", each)["status"] == "completed" for each in ids))
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0
    assert "2 worker processes asked to drain" in shell.log
    assert shell.workers() == []


def test_a_killed_worker_is_called_dead_at_once(shell: Shell) -> None:
    worker = shell.start("worker")
    execution = shell("enqueue", "steps", "count=200").strip()
    (found,) = until(lambda: [each for each in shell.workers() if each["running"]])
    worker.kill()
    worker.wait()
    assert shell.workers() == []  # long before its lease of 15 s has ended
    assert f"its worker died (process {found['process']} on " in shell("show", execution)
    assert "✗ dead" in shell("workers")
    assert "1 execution held by dead workers" in shell("doctor")


def test_children_leave_when_their_supervisor_is_killed(shell: Shell) -> None:
    supervisor = shell.start("worker", "--processes", "2")
    children = [worker["process"] for worker in two_workers(shell)]
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    until(lambda: not any(map(is_running, children)))
    assert shell.workers() == []


def test_what_another_try_cannot_mend_is_not_tried_again(shell: Shell) -> None:
    assert shell.start("worker", "--processes", "2", "--queue", "not ok").wait(30) == 3
    assert shell.start("worker", "no_such:app").wait(30) == 3
    assert "Traceback" not in shell.log


def test_a_child_that_dies_at_once_is_started_again_later(shell: Shell) -> None:
    flag = shell.folder / "die"
    supervisor = shell.start("worker", "--processes", "2", DIE_WHILE=str(flag))
    until(lambda: len(shell.workers()) == 2)
    flag.touch()
    os.kill(shell.workers()[0]["process"], signal.SIGKILL)
    until(lambda: "ended with code 7; another starts in 1 s" in shell.log)
    flag.unlink()
    until(lambda: len(shell.workers()) == 2)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0


def test_an_operator_may_send_a_worker_home(shell: Shell) -> None:
    worker = shell.start("worker")
    (found,) = until(shell.workers)
    assert "is asked to drain" in shell("workers", "drain", found["id"])
    assert worker.wait(30) == 0


def test_dev_starts_anew_when_a_file_changes(shell: Shell) -> None:
    module = shell.folder / "mine.py"
    source = "from perdure import Perdure\napp = Perdure('sqlite:///jobs.db')\n@app.task\nasync def {}() -> str:\n    return 'ok'\n"
    module.write_text(source.format("first"))
    dev = shell.start("dev", "mine:app")
    until(lambda: [worker["tasks"] for worker in shell.workers()] == [["first"]])
    module.write_text(source.format("second"))
    until(lambda: [worker["tasks"] for worker in shell.workers()] == [["second"]])
    assert "↻ mine.py changed" in shell.log
    module.write_text("def :")
    until(lambda: "it starts again with the next change" in shell.log)
    assert "SyntaxError" in shell.log
    module.write_text(source.format("third"))
    until(lambda: [worker["tasks"] for worker in shell.workers()] == [["third"]])
    dev.send_signal(signal.SIGINT)
    assert dev.wait(30) == 0
    assert shell.workers() == []
