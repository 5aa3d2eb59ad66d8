"""The program as a whole: help, lazy loading, how an app is found, errors, completion, what is printed where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from rich.text import Text

import perdure
from perdure.cli import screen
from perdure.cli.main import COMMANDS, program
from perdure.cli.problems import TABLE, Problem, problem_of, told
from perdure.errors import StorageError
from perdure.extras import load
from tests.cli.conftest import APP, Cli

HEAVY = ("asyncio", "msgspec", "rich.console", "sqlite3", "perdure.app", "perdure.errors")


def test_every_public_name_is_found_where_the_table_says() -> None:
    for name in perdure.__all__:
        found = getattr(perdure, name)
        assert getattr(found, "__name__", name) in (name, "_")
    assert set(perdure.__all__) <= set(dir(perdure))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = perdure.nothing


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys; from perdure.cli.main import program\ntry: program.main(['--help'])\nexcept SystemExit: print([m for m in {HEAVY!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in answer.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(program, [name, "--help"], prog_name="perdure")
    assert result.exit_code == 0
    assert f"Usage: perdure {name}" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_knows_the_short_option_for_help(name: str) -> None:
    result = CliRunner().invoke(program, [name, "-h"], prog_name="perdure")
    assert result.exit_code == 0
    assert f"Usage: perdure {name}" in result.output


def test_the_version_as_an_option_too() -> None:
    result = CliRunner().invoke(program, ["--version"], prog_name="perdure")
    assert (result.exit_code, result.output.split()[0]) == (0, "perdure")


def test_an_unknown_command_names_the_nearest() -> None:
    result = CliRunner().invoke(program, ["lst\x1b"], prog_name="perdure")
    assert result.exit_code == 2
    assert "Did you mean 'list'?" in result.stderr
    assert "\x1b" not in result.stderr


def test_python_m_perdure_is_the_same_program() -> None:
    answer = subprocess.run([sys.executable, "-m", "perdure", "version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("perdure 0.")


# --- which app


def test_the_app_comes_from_option_variable_or_project(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "charge" in cli("tasks", "--app", APP).output
    Path("pyproject.toml").write_text(f'[tool.perdure]\napp = "{APP}"\n')
    assert "charge" in cli("tasks").output
    monkeypatch.setenv("PERDURE_APP", "tests.cli.older:app")
    assert "charge" not in cli("tasks").output
    assert "charge" in cli.app("tasks").output


def test_the_app_of_a_project_is_found_from_below_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("pyproject.toml").write_text('[tool.perdure]\napp = "at_the_top:app"\n')
    Path("at_the_top.py").write_text(
        "from perdure import Perdure\napp = Perdure()\n@app.task\nasync def hi() -> None: ...\n"
    )
    Path("sub/deeper").mkdir(parents=True)
    monkeypatch.chdir("sub/deeper")
    assert "hi()" in cli("tasks").output


def test_tasks_takes_an_app_as_worker_does(cli: Cli) -> None:
    assert "charge" in cli("tasks", APP).output


def test_an_app_in_the_working_directory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("here_only.py").write_text(
        "from perdure import Perdure\napp = Perdure()\n@app.task\nasync def hi() -> None: ...\n"
    )
    assert "hi()" in cli("--app", "here_only", "tasks").output


@pytest.mark.parametrize(
    ("source", "name", "code", "said"),
    [
        ("", None, 2, "no app is named"),
        ("", "not_there:app", 3, "there is no module not_there"),
        ("", "shop/tasks.py", 2, "next: shop.tasks:app"),
        ("", "./tasks.py:mine", 2, "next: tasks:mine"),
        ("import not_there_either", "broken_one:app", 3, "No module named 'not_there_either' ("),
        ("x = 1", "broken_two:app", 3, "module broken_two has no 'app'"),
        ("from perdure import Perdure\nmine = Perdure()", "broken_three:app", 3, "perdure --app broken_three:mine"),
        ("app = 1", "broken_four:app", 3, "it is int"),
        ("def :", "broken_five:app", 3, "broken_five.py:1"),
        ("raise ValueError('\\x1b[2J')", "broken_six:app", 3, "ValueError: \\x1b[2J ("),
    ],
)
def test_an_app_that_cannot_be_had(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, source: str, name: str | None, code: int, said: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    if name is not None and source:
        Path(f"{name.partition(':')[0]}.py").write_text(source)
    words = ["--app", name] if name else []
    stderr = cli(*words, "tasks", code=code).stderr
    assert said in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    "run",
    [
        "import asyncio\nasync def main():\n    async with app: ...\nasyncio.run(main())",
        "with app.connect(): ...",
    ],
)
def test_a_module_that_runs_its_program_when_it_is_imported(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"unguarded_{len(run)}"
    Path(f"{name}.py").write_text(f"from perdure import Perdure\napp = Perdure('sqlite:///own.db')\n{run}\n")
    stderr = cli("worker", f"{name}:app", code=3).stderr
    assert f"module {name} runs its program when it is imported" in stderr
    assert 'if __name__ == "__main__":' in stderr
    assert not Path("own.db").exists()


def test_settings_that_are_wrong(cli: Cli) -> None:
    Path("pyproject.toml").write_text("[tool.perdure]\nconcurrency = 0\n")
    assert "[tool.perdure] concurrency is 0" in cli("list", code=3).stderr


@pytest.mark.parametrize(
    ("url", "code"), [("memory://", 3), ("nonsense://x", 3), ("sqlite://x/y", 3), ("sqlite:///no/such/x.db", 5)]
)
def test_a_store_that_cannot_be_used(cli: Cli, url: str, code: int) -> None:
    assert cli("list", "--url", url, code=code, url=False).stderr.startswith("✗ ")


def test_a_server_that_does_not_answer_is_named(cli: Cli) -> None:
    said = cli("list", "--url", "postgresql://nobody@127.0.0.1:1/none", code=5, url=False).stderr
    assert "127.0.0.1" in said
    assert "nothing listens" in said


# --- errors


def test_every_error_of_ours_has_a_row() -> None:
    for kind, make in TABLE:
        problem = make(kind("said"))
        assert problem.code in (1, 2, 3, 4, 5)
        assert problem.message
    assert problem_of(StorageError("schema version 9")).code == 3  # type: ignore[union-attr]
    assert problem_of(ZeroDivisionError()) is None


def test_a_bug_of_ours_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(ZeroDivisionError("oh"), False) == 70
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in shown
    assert "please report it" in shown


def test_a_problem_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    Problem(4, "what", "why", "next").tell(True)
    assert json.loads(capsys.readouterr().err) == {"error": "what", "why": "why", "next": "next", "exit": 4}


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    for n in range(50):
        cli.enqueue("echo", f"value={n}")
    command = [sys.executable, "-m", "perdure", "--url", cli.url, "list", "--json", "--limit", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


# --- completion


def completed(words: list[str], begun: str) -> list[str]:
    return [item.value for item in ShellComplete(program, {}, "perdure", "_X").get_completions(words, begun)]


def test_names_and_ids_complete(cli: Cli) -> None:
    execution_id = cli.enqueue("echo", "value=1")
    cli("cancel", cli.enqueue("nap"))
    assert completed(["--app", APP, "enqueue"], "o") == ["order"]
    assert completed(["enqueue", "--app", APP], "fl") == ["flaky"]
    assert completed(["--url", cli.url, "enqueue"], "") == ["echo", "nap"]
    assert len(completed(["--url", cli.url, "show"], "")) == 2
    assert completed(["--url", cli.url, "cancel"], "") == [execution_id]
    assert completed(["--url", cli.url, "worker", "--queue"], "") == ["default"]
    assert completed(["list"], "sta") == ["status:", "state:"]
    assert completed(["list"], "status:failed,c") == ["status:failed,completed", "status:failed,cancelled"]
    assert completed([], "wor") == ["worker", "workers"]
    assert completed(["--url", "nonsense://", "show"], "") == []
    assert completed(["--app", "no.such:app", "enqueue"], "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script(shell: str) -> None:
    assert "_PERDURE_COMPLETE" in CliRunner().invoke(program, ["completion", shell], prog_name="perdure").output


# --- what is printed where


def test_a_pipe_gets_no_colours_and_no_cuts(cli: Cli) -> None:
    execution_id = cli.enqueue("broken", "why=" + "x" * 300)
    cli("cancel", execution_id, "--reason", "y" * 150)
    output = cli("list").output
    assert "\x1b" not in output
    assert "y" * 140 in output
    assert all(line == line.rstrip() for line in output.splitlines())


@pytest.mark.parametrize(("columns", "beside"), [("120", True), ("60", False)])
def test_a_narrow_window_puts_the_last_column_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, beside: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    screen.print_table(("id", "n", ""), [("a" * 40, Text("7"), "remark " * 30)], right=("n",))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (2 if beside else 3)
    assert max(map(len, lines)) <= int(columns)
    assert lines[-1].endswith("…")


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert screen.console().no_color


def test_the_loader_finds_modules_and_names() -> None:
    assert load("os.path:join") is os.path.join
    assert load("perdure.cli") is sys.modules["perdure.cli"]
