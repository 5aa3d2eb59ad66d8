"""`diagram`: a declared task, or an execution with its children, as Mermaid."""

from __future__ import annotations

import json

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
    assert "2 more<br/>2 completed" in document["mermaid"]


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
