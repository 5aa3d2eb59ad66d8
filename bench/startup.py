"""W11: how long a program takes to load it, and the command line to say something."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.model import Cell, Gate, Workload

LOAD = "import time; began = time.perf_counter(); {}; print((time.perf_counter() - began) * 1000)"


def loading(where: Path, statement: str) -> dict[str, float]:
    """An import in a fresh interpreter, files warm, without the interpreter's own start."""
    times = [float(_output(sys.executable, "-c", LOAD.format(statement))) for _ in range(4)]
    return {"ms": min(times[1:])}


def command(where: Path, words: list[str]) -> dict[str, float]:
    """A whole process; a command's name stands for the script of this environment."""
    program = str(Path(sys.executable).parent / words[0])
    times: list[float] = []
    for _ in range(4):
        began = time.perf_counter()
        _output(program, *words[1:])
        times.append((time.perf_counter() - began) * 1000)
    return {"ms": min(times[1:])}


def _output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def workload(quick: bool) -> Workload:
    """W11."""
    return Workload(
        "W11",
        "start",
        (
            Cell("import", "import perdure", "startup:loading", {"statement": "import perdure"}),
            Cell("app", "from perdure import Perdure, Context", "startup:loading",
                 {"statement": "from perdure import Perdure, Context"}),
            Cell("dbos.import", "import dbos", "startup:loading", {"statement": "import dbos"}),
            Cell("help", "perdure --help", "startup:command", {"words": ["perdure", "--help"]}),
            Cell("dbos.help", "dbos --help", "startup:command", {"words": ["dbos", "--help"]}),
            Cell("bare", "python -c pass, the whole process", "startup:command", {"words": ["python", "-c", "pass"]}),
        ),
        (
            Gate("import perdure, ms", lambda of: of("import", "ms"), most=120),
            Gate("import Perdure, ms", lambda of: of("app", "ms"), most=120),
            Gate("perdure --help, ms", lambda of: of("help", "ms"), most=250),
        ),
    )  # fmt: skip
