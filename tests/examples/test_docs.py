"""The documentation is true: every Python block runs, every link resolves, and what is drawn from the code is fresh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.engine.options import ActivitySettings, CallSettings, TaskSettings
from perdure.model.policy import Retry, Sizes
from perdure.model.query import FIELDS
from perdure.model.status import mermaid
from perdure.settings import READERS
from tests.examples.page import blocks, compiled
from tools.reference import stale

ROOT = Path(__file__).parents[2]
HERE = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
MOST_UNRUN = 2


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def python_blocks(page: Path) -> list[str]:
    return [block.info for block in blocks(page) if block.info.split()[:1] == ["python"]]


WITH_PYTHON = [page for page in PAGES if python_blocks(page)]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_every_python_block_runs(page: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.examples.page", str(page)],
        cwd=tmp_path, env=environment | {"PYTHONPATH": HERE}, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr


def test_hardly_a_block_is_only_compiled() -> None:
    unrun = [name_of(page) for page in PAGES for info in python_blocks(page) if "no-run" in info]
    assert len(unrun) <= MOST_UNRUN, unrun


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for match in LINK.finditer(re.sub(r"`[^`\n]*`", "", text)):
        yield match["target"]


def anchors(page: Path) -> set[str]:
    """The anchors that headings have, as the usual renderers make them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)} links to {target}: there is no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    reached, todo = set[Path](), [index]
    while todo:
        page = todo.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            todo += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
    assert {name_of(page) for page in PAGES if page.is_relative_to(ROOT / "docs")} <= {name_of(p) for p in reached}


def test_what_is_drawn_from_the_code_is_fresh() -> None:
    assert stale() == [], "run `python -m tools.reference`"


def test_the_state_diagram_is_drawn_from_the_table() -> None:
    page = ROOT / "docs" / "explanation" / "execution-model.md"
    assert mermaid() in [block.text.rstrip("\n") for block in blocks(page) if block.info == "mermaid"]


@pytest.mark.parametrize(
    "names",
    [READERS, TaskSettings.__annotations__, ActivitySettings.__annotations__, CallSettings.__annotations__,
     Retry.__slots__[:-1], Sizes.__slots__],
    ids=["app", "task", "activity", "call", "Retry", "Sizes"],
)  # fmt: skip
def test_every_option_stands_in_the_reference(names: object) -> None:
    page = (ROOT / "docs" / "reference" / "options.md").read_text("utf-8")
    assert [name for name in list(names) if f"| `{name}`" not in page] == []  # type: ignore[call-overload]


def test_every_field_of_a_query_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "query.md").read_text("utf-8")
    assert [name for name in FIELDS if f"| `{name}:" not in page] == []


def test_blocks_keep_their_line_numbers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nText.\n\n```python\nawait something\n```\n\n```text\nno code\n```\n")
    found = list(blocks(page))
    assert [(block.info, block.line) for block in found] == [("python", 5), ("text", 9)]
    assert compiled(found[0], page).co_firstlineno == 1
    assert max(line for *_, line in compiled(found[0], page).co_lines() if line) == 6
