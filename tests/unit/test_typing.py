"""What users write infers its types: basedpyright agrees with every file of `tests/typing`, in strict mode."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "typing"
FILES = sorted(FOLDER.glob("*.py"))
STRICT = "# pyright: strict, reportUnnecessaryTypeIgnoreComment=true"

BROKEN = f"""{STRICT}
from typing import assert_type

from perdure import Perdure

app = Perdure("memory://")


@app.task
async def count(words: list[str]) -> int:
    return len(words)


async def main() -> None:
    assert_type(await count.run(["a"]), str)
    assert_type(await count.run(["a"]), int)  # pyright: ignore[reportArgumentType]
"""


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "basedpyright", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_users_write_infers_its_types() -> None:
    checked = check(FOLDER)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_error_and_an_error_that_is_missing_are_both_found(tmp_path: Path) -> None:
    """The check above can fail: it reports a wrong type, and a comment that ignores nothing."""
    file = tmp_path / "broken.py"
    file.write_text(BROKEN, "utf-8")
    said = check("--pythonpath", sys.executable, file).stdout
    assert "reportAssertTypeFailure" in said
    assert "reportUnnecessaryTypeIgnoreComment" in said


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_file_is_strict(file: Path) -> None:
    assert file.read_text("utf-8").startswith(STRICT + "\n")


def test_the_gate_checks_them_too() -> None:
    assert "tests/typing" in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pyright"]["include"]
