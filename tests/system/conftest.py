"""Real `perdure` processes in a folder of their own, and patience."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 45.0


class Shell:
    """Command lines in one folder; background processes are ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = [str(ROOT / "tests" / "system"), os.environ.get("PYTHONPATH", "")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE")}
        self.environment = kept | {"PERDURE_APP": "slow_app:app", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.running: list[subprocess.Popen[str]] = []

    def __call__(self, *words: str, code: int = 0) -> str:
        """Runs to the end, holds the exit code, answers the output."""
        command = [sys.executable, "-m", "perdure", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        """The document that a command answers."""
        return json.loads(self(*words, "--json"))

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Starts one beside the test; its output goes to `out.log`."""
        with open(self.folder / "out.log", "a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "perdure", *words], cwd=self.folder, env=self.environment | environment,
                stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        self.running.append(process)
        return process

    @property
    def log(self) -> str:
        """What background processes wrote."""
        path = self.folder / "out.log"
        return path.read_text() if path.exists() else ""

    def workers(self) -> list[dict[str, Any]]:
        """The live workers, as far as there is a store."""
        if not (self.folder / "jobs.db").exists():
            return []
        done = subprocess.run(
            [sys.executable, "-m", "perdure", "workers", "--json"], cwd=self.folder, env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        found = json.loads(done.stdout)["workers"] if done.returncode == 0 else []
        return [worker for worker in found if worker["alive"]]

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()


def until(holds: Callable[[], Any]) -> Any:
    """Waits, within reason, until something holds; answers it."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := holds()):
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.1)
    return answer


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    found = Shell(tmp_path)
    yield found
    found.close()
