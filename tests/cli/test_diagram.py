"""`diagram`: a declared task, or an execution with its children, as Mermaid."""

from __future__ import annotations

import json

from perdure import Perdure, Spawn
from perdure.cli.below import read_tree
from perdure.testing import TestApp
from tests.cli.conftest import APP, Cli, Settled


def test_a_declared_task(cli: Cli) -> None:
    text = cli.app("diagram", "decision").stdout
    assert text == 'flowchart TD\n    n0[/"decision<br/>completed from outside"/]\n'
    assert cli("diagram", "tests.cli.shop:decision", url=False).stdout == text
    assert cli("diagram", "tests.cli.shop:decision", "--fenced", url=False).stdout == f"```mermaid\n{text}```\n"
    document = json.loads(cli.app("diagram", "say", "--json").stdout)
    assert document == {"kind": "task", "target": "say", "mermaid": 'flowchart TD\n    n0["echo"]\n'}


def test_an_execution_with_its_children(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("family")
    settled(execution_id)
    for words in (("--app", APP), ()):
        text = cli(*words, "diagram", execution_id).stdout
        assert text.startswith('flowchart TD\n    n0["family<br/>completed in ')
        assert text.count('["echo<br/>completed in ') == 2
        assert text.count("n0 --> ") == 2
    document = cli.json("diagram", execution_id, "--width", "1")
    assert document["kind"] == "execution"
    assert 'n2>"1 more"]' in document["mermaid"]


def test_what_is_neither(cli: Cli) -> None:
    cli.enqueue("nap")
    assert "neither a task nor an execution 'nope'" in cli.app("diagram", "nope", code=4).stderr
    assert "there is no execution 'nope'" in cli("diagram", "nope", code=4).stderr
    assert "tests.cli.shop:app is no task" in cli("diagram", "tests.cli.shop:app", code=3).stderr
    assert "has no 'nope'" in cli("diagram", "tests.cli.shop:nope", code=3).stderr
    assert "there is no module" in cli("diagram", "nowhere:nope", code=3).stderr


def test_a_store_that_is_not_there(cli: Cli) -> None:
    assert "neither a task nor an execution" in cli.app("diagram", "nope", code=4).stderr
    assert "there is no store" in cli("diagram", "nope", code=5).stderr


async def test_a_drawing_has_a_bound_as_a_whole() -> None:
    """However wide each level is, level by level; what is left out is counted where it stands."""
    app = Perdure("memory://")

    @app.task
    async def leaf(n: int) -> int:
        return n

    @app.parent_task
    async def branch(n: int) -> Spawn[None]:
        return Spawn(None, [leaf.call(each) for each in range(n)])

    @app.parent_task
    async def top(n: int) -> Spawn[None]:
        return Spawn(None, [branch.call(n) for _ in range(n)])

    async with TestApp(app):
        handle = await top.enqueue(6)
        await handle.result()
        execution = await handle.execution()
        whole = await read_tree(app, execution, 50, 50)
        some = await read_tree(app, execution, 50, 50, most=15)
        narrow = await read_tree(app, execution, 4, 50)
        flat = await read_tree(app, execution, 50, 1)
    assert [(len(each.below), each.more) for each in whole.below] == [(6, 0)] * 6
    assert [(len(each.below), each.more) for each in some.below] == [(6, 0), (3, 3)] + [(0, 6)] * 4
    assert [(len(each.below), each.more) for each in (narrow, *narrow.below)] == [(4, 2)] * 5
    assert [(len(each.below), each.more) for each in flat.below] == [(0, 6)] * 6
