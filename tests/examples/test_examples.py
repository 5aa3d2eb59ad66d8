"""Every file of examples/ runs with one command, and says what it promises. So does the README's first program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.page import blocks

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LINES = 80

SAYS = {
    "approval.py": [r"tea\? yes: Ada, Cleo", r"cake\? no quorum: 1 of 3 voted"],
    "blocking.py": [r"a\.txt [0-9a-f]{8}", r"b\.txt [0-9a-f]{8}", "prime 997", "1 completed"],
    "encrypted.py": [
        "result hello swordfish",
        r"stored in the clear: False \| which task: True",
        "read again hello swordfish",
    ],
    "external.py": [
        r"accepted \| known already",
        r"o-1 paid 9\.95 by card",
        "o-2 not paid: card expired",
        r"o-3 paid 1\.00 by card",
    ],
    "fan_out.py": [r"totals \{'north': 1200, 'south': 11000\}", r"prices \[300, None, 400\]"],
    "observed.py": [
        "parcel with a teapot",
        "POST /orders ",
        "  enqueue order ",
        "    run order retried",
        "      activity charge completed",
        "    run order completed",
        "        run ship completed",
        r"orders completed: 1\.0",
    ],
    "polling.py": [r"march\.pdf after 4 looks"],
    "signup.py": [
        "0 user completed 3",
        "1 mail completed to ada, user 3, with a token",
        "2 letter failed no postal address",
    ],
    "tree.py": ["milk: 7 words on 2 of 3 pages", "TEA: 8 WORDS ON 2 OF 2 PAGES"],
    "testing_example.py": [
        "passed test_a_month_passes_in_no_time",
        "passed test_no_answer_within_a_week",
        "passed test_it_survives_a_crash_anywhere",
    ],
}


class Program:
    """One program in a folder of its own, on a store of its own."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.command = [sys.executable, "-W", "error", str(path)]
        self.folder = folder
        self.environment = os.environ | {"PERDURE_URL": f"sqlite:///{folder}/jobs.db", "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *arguments], cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str) -> list[str]:
        """The lines that it wrote, once it has ended well."""
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, said
        return said.splitlines()

    def kill_after(self, line: str) -> list[str]:
        """Starts it, kills it once it has written a line that begins so, and answers what it wrote."""
        said: list[str] = []
        with self.start() as process:
            assert process.stdout is not None
            for written in process.stdout:
                said.append(written.rstrip("\n"))
                if written.startswith(line):
                    break
            process.kill()
        assert said, "it wrote nothing"
        assert said[-1].startswith(line), said
        return said


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAYS, "order.py"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= LINES


@pytest.mark.parametrize("name", SAYS)
def test_an_example_says_what_it_promises(name: str, tmp_path: Path) -> None:
    said = Program(EXAMPLES / name, tmp_path).run()
    told = [line for line in said if any(re.fullmatch(each, line) for each in SAYS[name])]
    assert len(told) == len(SAYS[name]), said


def test_the_diagram_says_what_it_promises(tmp_path: Path) -> None:
    said = Program(EXAMPLES / "checkout" / "main.py", tmp_path).run()
    told = [line for line in said if " checkout " not in line.lower() and "retry in" not in line]
    assert told == ["ship to 1 Main Street after 2 tries", "declined: too much", "stateDiagram-v2"]


@pytest.mark.parametrize("folder", ["examples/checkout", "tests/diagrams/flows", "bench"])
def test_what_is_generated_is_fresh(folder: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perdure", "generate", "--check", str(ROOT / folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_order_goes_on_after_a_kill_and_an_approval_sent_meanwhile(tmp_path: Path) -> None:
    program = Program(EXAMPLES / "order.py", tmp_path)
    assert program.kill_after("reserve") == ["charge 2450 cents for order-7", "reserve teapot"]
    assert program.run("approve") == []
    said = program.run()
    assert said[-2:] == ["ship from shelf-3/teapot", "the result is parcel-1"]
    assert not any(line.startswith("charge") for line in said)
    assert program.run() == ["the result is parcel-1"]  # nothing is left to do


def test_the_readmes_program_is_killed_and_goes_on(tmp_path: Path) -> None:
    source = next(block.text for block in blocks(ROOT / "README.md") if block.info == "python")
    assert source.count("\n") - source.count("\n\n") <= 16, "the first screen has room for few lines"
    path = tmp_path / "shop.py"
    path.write_text(source)
    program = Program(path, tmp_path)
    assert program.kill_after("reserve") == ["charge …", "reserve …"]
    said = [line for line in program.run() if "is dead" not in line]
    assert said == ["reserve …", "pack …", "ship …", "['charge done', 'reserve done', 'pack done', 'ship done']"]
