"""The demo's parts: the index in both kinds, the effect log, and a report that catches every broken promise."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Execution
from perdure.cli.demo import index
from perdure.cli.demo.effects import VARIABLE, Line, Log, effect
from perdure.cli.demo.report import Report, report, tell
from perdure.cli.demo.run import Home, Kill, Story, first_file
from perdure.cli.demo.search import count_files, search, write_index
from perdure.model.records import Entry, JournalView
from tests.cli.conftest import Cli

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# --- the index


@pytest.fixture(params=[True, False], ids=["fts5", "inverted"])
def indexed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo durable words\nthree")
    (tmp_path / "b.txt").write_text("durable durable durable")
    (tmp_path / "c.txt").write_text('say "durable" and two_words\n')
    (tmp_path / "d.txt").write_text("Grüße\n")
    paths = [str(tmp_path / f"{name}.txt") for name in "abcd"] + [str(tmp_path / "gone.txt")]
    for _ in range(2):  # doing it twice makes the same one
        write_index(str(tmp_path / "index.db"), str(tmp_path), paths, fts=request.param)
    return tmp_path / "index.db"


def test_hits_are_ranked_with_line_and_snippet(indexed: Path) -> None:
    _, count, hits = search(str(indexed), "Durable", 10)
    assert count == 3
    assert Path(hits[0].path).name == "b.txt"
    assert {(Path(hit.path).name, hit.line) for hit in hits} == {("a.txt", 2), ("b.txt", 1), ("c.txt", 1)}
    assert {hit.snippet for hit in hits if hit.path.endswith("a.txt")} == {"two durable words"}


def test_all_words_must_be_there(indexed: Path) -> None:
    assert search(str(indexed), "durable two", 10)[1] == 1
    assert search(str(indexed), "two_words", 10)[1] == 1
    assert search(str(indexed), "grüße", 10)[1] == 1
    assert search(str(indexed), "nothing", 10)[1:] == (0, [])
    assert len(search(str(indexed), "durable", 1)[2]) == 1
    assert count_files(str(indexed))[1] == 4


@given(text=st.text(st.characters(codec="utf-8")))
def test_whatever_is_sought_is_no_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.txt").write_text("word")
    write_index(str(folder / "i.db"), str(folder), [str(folder / "a.txt")])
    search(str(folder / "i.db"), text, 5)


# --- the program's activities, which are plain functions here


def test_files_that_cannot_be_read_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.py").write_text("import os\nos = os\n")
    (tmp_path / "binary").write_bytes(b"a\0b")
    (tmp_path / "huge").write_bytes(b"x" * (index.LARGEST + 1))
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").touch()
    (tmp_path / "link").symlink_to("nowhere")
    monkeypatch.delenv(VARIABLE, raising=False)
    found = {Path(path).name: index.read_file(path) for path in index.list_files(str(tmp_path))}
    assert {name: file.skipped for name, file in found.items()} == {
        "text.py": "", "binary": "binary", "huge": "huge", "empty": "",
    }  # fmt: skip
    assert (found["text.py"].lines, found["text.py"].words, found["text.py"].common["os"]) == (2, 4, 3)
    assert index.read_file(str(tmp_path / "gone")).skipped == "unreadable"


def test_effects_survive_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "log"))
    log = Log(str(tmp_path / "log"), "-")
    assert log.more() == 0
    with effect("read_file", "tab\tnew\nline"):
        assert log.more() == 0
    assert log.more() == 1
    assert [(line.mark, line.item) for line in log.lines] == [("begin", "tab\tnew\nline"), ("end", "tab\tnew\nline")]
    with pytest.raises(ValueError), effect("read_file", "x"):
        raise ValueError
    with open(tmp_path / "log", "a") as file:
        file.write('["begin", 1, 1, "-", "re')  # half a line, as a reader may meet it
    assert log.more() == 1


def test_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    assert first_file(folder) is None
    (folder / "own.txt").write_text("own")
    assert index.list_files(str(folder)) == [str(folder / "own.txt")]


def test_the_index_is_for_its_user_alone(indexed: Path) -> None:
    assert stat.S_IMODE(indexed.stat().st_mode) == 0o600


# --- the report


def story(tmp_path: Path, lines: list[tuple[str, int, int, str]], recorded: dict[str, int], **changes: Any) -> Story:
    """Effects as (mark, at, process, file), and when each file's result was recorded."""
    home = Home(tmp_path)
    write_index(str(home.index), "f", [])
    log = Log(str(home.effects), "e")
    log.lines = [
        Line("begin" if mark == "begin" else "end", at, process, "e", "read_file", item)
        for mark, at, process, item in lines
    ]
    entries = [
        Entry(f"read_file:{item}", "", place, "activity", "read_file", json.dumps({"path": item}), recorded_at=at)
        for place, (item, at) in enumerate(recorded.items())
    ]
    summary = index.Summary(len(recorded), 0, 0, 0, {})
    execution: Execution[Any] = Execution(
        "e", "index_folder", "completed", False, None, (), 0, 0, {"folder": "f"}, summary, None, "default", 0, None,
        None, None, {}, None, None, "e", None, NOW, NOW, NOW, NOW,
    )  # fmt: skip
    return replace(Story(execution, log, JournalView(tuple(entries)), resumed=False), **changes)


KEPT = [("begin", 1, 7, "a"), ("end", 2, 7, "a"), ("begin", 3, 7, "b")]
AGAIN = [("begin", 1000, 8, "b"), ("end", 1010, 8, "b")]
KILL = Kill(process=7, asked_at=10, dead_at=12, finished=1, recorded={("read_file", "a"): 2})


def told(tmp_path: Path, found: Story) -> Report:
    return report(found, Home(tmp_path))


def test_an_honest_story(tmp_path: Path) -> None:
    found = told(tmp_path, story(tmp_path, KEPT + AGAIN, {"a": 2, "b": 1011}, kills=[KILL]))
    assert found.broken == ()
    assert (found.runs, found.run_twice, found.in_flight_at_kill, found.recorded_rerun) == (3, 1, 1, 0)
    assert found.seconds_to_resume == 1.0
    assert found.seconds == 0.01


def test_what_flew_when_an_earlier_run_was_interrupted_counts_too(tmp_path: Path) -> None:
    third = [("begin", 2000, 9, "c"), ("end", 2010, 9, "c")]
    lines = [*KEPT, *AGAIN, ("begin", 1011, 8, "c"), *third]
    kill = replace(KILL, process=8, recorded={("read_file", "a"): 2, ("read_file", "b"): 1011})
    found = told(tmp_path, story(tmp_path, lines, {"a": 2, "b": 1011, "c": 2011}, resumed=True, kills=[kill]))
    assert (found.run_twice, found.in_flight_at_kill, found.recorded_rerun) == (2, 2, 0)
    assert found.broken == ()
    again = [*lines, ("begin", 2011, 9, "a")]
    found = told(tmp_path, story(tmp_path, again, {"a": 3000, "b": 1011, "c": 2011}, resumed=True))
    assert found.broken == ()  # it was not recorded when its worker was stopped
    found = told(tmp_path, story(tmp_path, again, {"a": 2, "b": 1011, "c": 2011}, resumed=True))
    assert "1 activity ran twice without having been in flight" in found.broken


def test_a_recorded_result_that_ran_again_is_caught(tmp_path: Path) -> None:
    again = [*AGAIN, ("begin", 1001, 8, "a")]
    found = told(tmp_path, story(tmp_path, KEPT + again, {"a": 2, "b": 1011}, kills=[KILL]))
    assert found.recorded_rerun == 1
    assert found.broken[0] == "1 recorded result ran again, as a"
    # also where the engine lost the first record and wrote another one since
    found = told(tmp_path, story(tmp_path, KEPT + again, {"a": 1002, "b": 1011}, kills=[KILL]))
    assert found.recorded_rerun == 1


@pytest.mark.parametrize(
    ("lines", "recorded", "changes", "said"),
    [
        (KEPT + AGAIN, {"a": 2, "b": 1011, "c": 5}, {"kills": [KILL]}, "1 result recorded that no run gave"),
        (KEPT + AGAIN, {"a": 2, "b": 1011}, {}, "1 activity ran twice without having been in flight"),
        (KEPT, {"a": 2}, {"execution": {"status": "failed"}}, "the execution failed"),
    ],
)
def test_broken_promises_are_named(
    tmp_path: Path, lines: list[Any], recorded: dict[str, int], changes: dict[str, Any], said: str
) -> None:
    found = story(tmp_path, lines, recorded, **{name: value for name, value in changes.items() if name != "execution"})
    found.execution = replace(found.execution, **changes.get("execution", {}))
    assert any(said in promise for promise in told(tmp_path, found).broken)


def test_lost_files_are_named(tmp_path: Path) -> None:
    found = story(tmp_path, KEPT + AGAIN, {"a": 2, "b": 1011}, kills=[KILL])
    found.execution = replace(found.execution, result=index.Summary(3, 2, 0, 0, {}))
    assert told(tmp_path, found).broken == (
        "3 files were listed, 2 are recorded",
        "2 files were read, 0 are in the index",
    )


@pytest.mark.parametrize(("kill", "said"), [(True, "too few files"), (False, "--no-kill")])
def test_a_story_without_a_kill_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kill: bool, said: str
) -> None:
    tell(told(tmp_path, story(tmp_path, [*KEPT[:2]], {"a": 2})), Home(tmp_path), "index.py:1", kill=kill)
    assert f"! nothing was killed ({said}" in capsys.readouterr().out


@pytest.mark.parametrize("started", ["bin/perdure", "/somewhere/__main__.py"])
def test_the_last_hints_can_be_typed_where_the_shell_does_not_find_perdure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [started])
    tell(
        told(tmp_path, story(tmp_path, KEPT + AGAIN, {"a": 2, "b": 1011}, kills=[KILL])), Home(tmp_path), "", kill=True
    )
    hint = "bin/perdure demo" if started == "bin/perdure" else "-m perdure demo"
    assert f"{hint} --data " in capsys.readouterr().out


# --- the command


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere"], "there is no folder nowhere"), (["empty"], "there is no file in"), (["file"], "file is no folder")],
)
def test_folders_that_cannot_be_indexed(cli: Cli, words: list[str], said: str) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    assert said in cli("demo", *words, code=4).stderr
    assert not Path(".perdure-demo").exists()


def test_searching_before_there_is_an_index(cli: Cli) -> None:
    assert "there is no index yet" in cli("demo", "--search", "x", code=4).stderr


def test_searching(cli: Cli) -> None:
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("x\nthe \x1b word\n")
    Path(".perdure-demo").mkdir()
    write_index(".perdure-demo/index.db", str(Path("docs").absolute()), [str(Path("docs/a.txt").absolute())])
    output = cli("demo", "--search", "word").output
    assert "1 file of" in output
    assert "a.txt:2\n    the \\x1b word" in output
    assert cli.json("demo", "--search", "word")["hits"][0]["line"] == 2
    assert cli("demo", "--search", "sword").output.startswith("no file of ")
    assert "'' has no word to search for" in cli("demo", "--search", "", code=2).stderr


def test_a_second_demo_in_one_folder_is_refused(cli: Cli) -> None:
    Path("docs").mkdir()
    Path("docs/a.txt").touch()
    home = Home(Path(".perdure-demo").absolute())
    home.folder.mkdir()
    with home.alone():
        assert "a demo runs in" in cli("demo", "docs", code=3).stderr


def test_wiping_leaves_strangers_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("jobs.db", "index.db", "effects.log", "mine.txt"):
        (tmp_path / name).touch()
    home.wipe()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
