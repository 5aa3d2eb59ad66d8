"""`complete`: answering an external task from the terminal, and what `show` says of one that waits."""

from __future__ import annotations

import json
from typing import Any

from click.shell_completion import ShellComplete

from perdure.cli.main import program
from tests.cli.conftest import APP, Cli, Reaching, Settled

ORDER = {"customer": 7, "items": ["tea"]}


def completed(cli: Cli, *words: str, code: int = 0, input: str | None = None) -> Any:
    return json.loads(cli.app("complete", *words, "--json", code=code, input=input).stdout)


def test_show_says_what_completes_it_and_that_completes_it(cli: Cli, reaching: Reaching, settled: Settled) -> None:
    parent, execution_id = cli.enqueue("sale", "id=o 1"), cli.enqueue("decision", "key=o 1")
    reaching(execution_id, "status:waiting")
    document = cli.json("show", execution_id)
    assert document["why"].startswith("it waits to be completed from outside for key 'o 1' until ")
    assert document["next"] == f"perdure complete decision 'o 1' VALUE --url {cli.url}"
    assert "perdure complete decision 'o 1' VALUE" in cli("show", execution_id).output
    assert "decision for o 1" in cli.app("complete", "decision", "o 1", json.dumps(ORDER)).output
    settled(execution_id, parent)
    assert cli.json("show", execution_id)["result"] == ORDER
    assert cli.json("show", parent)["result"] == ORDER


def test_the_value_is_read_by_its_type(cli: Cli) -> None:
    assert completed(cli, "shipment", "a", "by train")["value"] == "by train"
    document = completed(cli, "shipment", "b", "-", input='"piped"')
    assert document["value"] == "piped"
    assert (document["task"], document["key"], document["first"], document["failure"]) == ("shipment", "b", True, None)


def test_a_key_that_was_answered_shows_what_stands(cli: Cli) -> None:
    cli.app("complete", "decision", "k", json.dumps(ORDER))
    said = cli.app("complete", "decision", "k", "--fail", "too late").output
    assert "left alone" in said
    assert '"customer": 7' in said
    document = completed(cli, "decision", "k", json.dumps({"customer": 8, "items": []}))
    assert (document["first"], document["value"], document["failure"]) == (False, ORDER, None)


def test_fail(cli: Cli, reaching: Reaching, settled: Settled) -> None:
    execution_id = cli.enqueue("decision", "key=k")
    reaching(execution_id, "status:waiting")
    assert "it fails, the customer left" in cli.app("complete", "decision", "k", "--fail", "the customer left").output
    settled(execution_id)
    document = cli.json("show", execution_id)
    assert (document["status"], document["failure"]["message"]) == ("failed", "the customer left")
    assert completed(cli, "decision", "k", "--fail", "again")["failure"]["message"] == "the customer left"


def test_what_is_refused(cli: Cli) -> None:
    assert "did you mean 'decision'" in cli.app("complete", "decison", "k", "1", code=4).stderr
    assert "task nap is not external" in cli.app("complete", "nap", "k", "1", code=2).stderr
    assert "the value of external task decision" in cli.app("complete", "decision", "k", "1", code=2).stderr
    assert (
        "the value '{\"customer\": 1' is no JSON"
        in cli.app("complete", "decision", "k", '{"customer": 1', code=2).stderr
    )
    assert completed(cli, "shipment", "brace", "{by train")["value"] == "{by train"
    assert "printable characters" in cli.app("complete", "shipment", "", "x", code=2).stderr
    assert "exclude each other" in cli.app("complete", "shipment", "k", "x", "--fail", "why", code=2).stderr
    assert "no app is named" in cli("complete", "shipment", "k", "x", code=2).stderr
    assert completed(cli, "shipment", "k", "x")["first"]


def test_tasks_lists_external_ones(cli: Cli) -> None:
    found = {each["name"]: each for each in json.loads(cli.app("tasks", "--json").stdout)}
    assert (found["shipment"]["kind"], found["shipment"]["signature"]) == ("external", "(key: str) -> str")
    assert "timeout" in found["decision"]["options"]
    assert "decision" in cli.app("tasks").output


def test_names_are_completed(cli: Cli) -> None:
    shell = ShellComplete(program, {}, "perdure", "_PERDURE_COMPLETE")
    offered = [item.value for item in shell.get_completions(["--app", APP, "complete"], "")]
    assert offered == ["decision", "shipment"]
