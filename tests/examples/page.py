"""Runs the Python blocks of one Markdown page, in order, as one program: `python -m tests.examples.page docs/tutorial.md`.

The blocks share a namespace, `await` may stand at the top, and `test_*` functions are run like tests once their block is
done. Each page is a process of its own, so that it can neither disturb another one nor hang the tests. A block marked
```` ```python no-run ```` is compiled only, one with `title="FILE"` becomes that file, and of ```` ```console run ```` the `perdure`
commands are run.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from perdure import Perdure

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)``` *$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'\btitle="([\w.]+)"')


class Block(NamedTuple):
    """A fenced block: what stands after the fence, its text, and the line where the text begins."""

    info: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("text"))
        yield Block(match["info"].strip(), textwrap.dedent(match["text"]), line)


def compiled(block: Block, page: Path) -> types.CodeType:
    """The block as code whose line numbers are the page's."""
    source = "\n" * block.line + block.text
    return compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def run(page: Path) -> int:
    """Runs a page and answers how many blocks ran."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    count = 0
    with asyncio.Runner() as runner:
        for block in blocks(page):
            if (title := TITLE.search(block.info)) is not None:
                Path(title[1]).write_text(block.text, "utf-8")
                continue
            if block.info == "console run":
                _run_commands(block)
            if block.info.split()[:1] != ["python"]:
                continue
            code = compiled(block, page)
            if "no-run" in block.info:
                continue
            before = dict(vars(module))
            answer = types.FunctionType(code, vars(module))()
            if inspect.iscoroutine(answer):
                runner.run(answer)
            _run_tests(runner, {name: each for name, each in vars(module).items() if before.get(name) is not each})
            count += 1
    return count


def _run_commands(block: Block) -> None:
    for line in block.text.splitlines():
        if line.startswith("$ perdure "):
            subprocess.run([sys.executable, "-m", "perdure", *shlex.split(line)[2:]], check=True)


def _run_tests(runner: asyncio.Runner, fresh: dict[str, object]) -> None:
    for name, test in fresh.items():
        if name.startswith("test_") and inspect.isfunction(test):
            names = inspect.signature(test).parameters
            answer = test(**({"perdure_app": Perdure("memory://")} if "perdure_app" in names else {}))
            if inspect.iscoroutine(answer):
                runner.run(answer)


if __name__ == "__main__":
    print(run(Path(sys.argv[1])), "blocks ran")
