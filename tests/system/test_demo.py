"""`perdure demo` as it is: real processes, a real kill, interruptions; and its figures held against the store."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.system.conftest import Shell, until

FILES = 300


def make_files(shell: Shell, count: int = FILES, words: int = 1000) -> None:
    folder = shell.folder / "files"
    folder.mkdir()
    for number in range(count):
        text = f"word{number * 7 % 97} durable{number} " * words
        (folder / f"{number:04}.txt").write_text(text)
    (folder / "binary").write_bytes(b"a\0b")


def entries_of(shell: Shell) -> list[dict[str, Any]]:
    url = f"sqlite:///{shell.folder / '.perdure-demo' / 'jobs.db'}"
    (execution,) = shell.json("--url", url, "list")["items"]
    assert execution["status"] == "completed"
    return shell.json("--url", url, "show", execution["id"])["journal"]


def effects_of(shell: Shell) -> list[list[Any]]:
    lines = (shell.folder / ".perdure-demo" / "effects.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_killed_worker_loses_nothing_and_nothing_runs_twice(shell: Shell) -> None:
    del shell.environment["PERDURE_APP"]
    make_files(shell)
    found = shell.json("demo", "files")
    assert found["broken"] == []
    assert (found["files"], found["indexed"], found["skipped"]) == (FILES + 1, FILES, {"binary": 1})
    assert (found["killed"], found["recorded_rerun"]) == (True, 0)
    assert found["run_twice"] <= found["in_flight_at_kill"] <= 8
    assert 0 < found["seconds_to_resume"] < 30
    assert found["activities_per_second"] > 0
    # the same, counted here: of the journal, and of the log that the engine does not write
    entries, effects = entries_of(shell), effects_of(shell)
    assert len(entries) == found["activities"] == FILES + 3
    begins = [item for mark, *_, item in effects if mark == "begin"]
    assert len(begins) == found["runs"]
    assert len(begins) - len(set(begins)) == found["run_twice"]
    assert len({process for _, _, process, *_ in effects}) == 2
    # and the index answers
    hits = shell.json("demo", "--search", "durable42")
    assert [Path(hit["path"]).name for hit in hits["hits"]] == ["0042.txt"]
    assert "0042.txt:1" in shell("demo", "--search", "durable42")


def test_run_again_it_begins_anew_or_beside(shell: Shell) -> None:
    make_files(shell, 20)
    assert shell.json("demo", "files", "--no-kill")["killed"] is False
    assert shell.json("demo", "files", "--no-kill")["files"] == 21
    assert len(entries_of(shell)) == 23
    assert shell.json("demo", "files", "--keep", "--workers", "2")["broken"] == []
    url = f"sqlite:///{shell.folder / '.perdure-demo' / 'jobs.db'}"
    assert shell.json("--url", url, "list", "--count") == {"count": 2}


def test_interrupted_it_goes_on_when_run_again(shell: Shell) -> None:
    make_files(shell, 4000, words=50)
    effects = shell.folder / ".perdure-demo" / "effects.log"
    demo = shell.start("demo", "files", "--no-kill")
    until(lambda: effects.exists() and len(effects_of(shell)) > 200)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    before = len(effects_of(shell))
    (shell.folder / "other").mkdir()
    (shell.folder / "other" / "x.txt").touch()
    shell("demo", "other", code=3)
    demo = shell.start("demo", "files", "--no-kill")
    until(lambda: len(effects_of(shell)) > before + 100)
    demo.send_signal(signal.SIGKILL)  # its workers notice, and leave
    demo.wait()
    found = shell.json("demo", "files")
    assert found["resumed"] is True
    assert found["broken"] == []
    assert found["recorded_rerun"] == 0
    assert found["files"] == 4001
    assert found["run_twice"] <= found["in_flight_at_kill"] <= 3 * 8


def test_an_unfinished_one_may_be_forgotten(shell: Shell) -> None:
    make_files(shell, 2000, words=50)
    effects = shell.folder / ".perdure-demo" / "effects.log"
    demo = shell.start("demo", "files", "--no-kill")
    until(lambda: effects.exists() and len(effects_of(shell)) > 50)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    found = shell.json("demo", "files", "--fresh", "--no-kill")
    assert (found["resumed"], found["files"], found["runs"]) == (False, 2001, 2003)
