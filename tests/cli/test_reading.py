"""`list`, `show`, `watch`: what is stored, on one screen and as documents."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Cli, Reaching, Settled

EVIL = "\x1b[2J\u202eevil[bold]"


def test_an_empty_store_says_so(cli: Cli) -> None:
    cli("migrate")
    assert "no executions yet" in cli("list").output
    assert cli.json("list") == {"items": [], "after": None}
    assert cli.json("list", "--count", "status:failed") == {"count": 0}


def test_list_pages_in_either_order(cli: Cli) -> None:
    ids = [cli.enqueue("echo", f"value={n}") for n in range(5)]
    first = cli.json("list", "--limit", "2", "--order", "oldest")
    second = cli.json("list", "--limit", "2", "--order", "oldest", "--after", first["after"])
    assert [each["id"] for each in first["items"] + second["items"]] == ids[:4]
    assert [each["id"] for each in cli.json("list")["items"]] == ids[::-1]
    assert "2 of 5 executions; more: --after" in cli("list", "--limit", "2").output


def test_a_query_may_begin_with_not(cli: Cli) -> None:
    cli.enqueue("echo", "value=1")
    cli.enqueue("nap")
    assert cli("list", "--count", "-task:nap").output == "1\n"
    assert [each["task_name"] for each in cli.json("list", "task:nap", "status:pending")["items"]] == ["nap"]


def test_list_shows_each_as_a_row(cli: Cli, settled: Settled) -> None:
    good, bad = cli.enqueue("echo", "value=1"), cli.enqueue("broken", f"why={EVIL}")
    settled(good, bad)
    lines = cli("list").output.splitlines()
    assert lines[0].split() == ["id", "task", "status", "created", "took"]
    assert "✗ failed" in lines[1]
    assert r"ValueError: \x1b[2J\u202eevil[bold]" in lines[1]
    assert lines[2].startswith(f"{good}  echo    ✓ completed")


def test_every_field_is_in_the_document(cli: Cli) -> None:
    cli.enqueue("echo", "value=1")
    item = cli.json("list")["items"][0]
    assert {
        "id",
        "task_name",
        "status",
        "waits",
        "attempt",
        "input",
        "result",
        "failure",
        "queue",
        "tags",
    } <= item.keys()
    assert item["created_at"].endswith("Z")


def test_show_tells_a_completed_one(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("family")
    settled(execution_id)
    screen = cli("show", execution_id, "--tree").output
    assert "it completed" in screen
    assert '"0 1"' in screen
    assert screen.count("── echo  ✓ completed  ") == 2
    assert re.search(r"── echo  ✓ completed  \d+(\.\d)? m?s  ", screen)
    document = cli.json("show", execution_id, "--tree")
    assert document["result"] == "0 1"
    assert [child["status"] for child in document["tree"]] == ["completed"] * 2
    assert all(child["seconds"] >= 0 for child in document["tree"])
    assert {entry["kind"] for entry in document["journal"]} == {"child"}


def test_show_counts_what_it_does_not_draw(cli: Cli, settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.cli.show.WIDE", 1)
    execution_id = cli.enqueue("family")
    settled(execution_id)
    screen = cli("show", execution_id, "--tree").output
    assert screen.count("── echo") == 1
    assert f"… 1 more: perdure list parent:{execution_id}" in screen


def test_show_with_the_tree_says_what_to_do_about_what_it_waits_for(cli: Cli, reaching: Reaching) -> None:
    execution_id = cli.enqueue("sale", "id=o-1")
    reaching(execution_id, "status:waiting")
    (child,) = cli.json("list", f"parent:{execution_id}")["items"]
    reaching(child["id"], "status:waiting")
    document = cli.json("show", execution_id)
    assert document["why"] == "it waits for children of task decision (1 of 1 open)"
    assert document["next"] == f"perdure show {execution_id} --tree --url {cli.url}"
    following = cli.json("show", execution_id, "--tree")["next"]
    assert following == f"perdure complete decision o-1 VALUE --url {cli.url}"


def test_show_says_what_it_waits_for_and_signal_ends_it(cli: Cli, reaching: Reaching, settled: Settled) -> None:
    execution_id = cli.enqueue("order", "customer=7")
    reaching(execution_id, "status:waiting")
    document = cli.json("show", execution_id)
    assert document["why"] == "it waits for signal approval without a time limit"
    assert document["next"] == f"perdure signal {execution_id} approval JSON --url {cli.url}"
    assert [entry["value"] for entry in document["journal"] if entry["name"] == "charge"] == ["receipt-7"]
    assert "waiting [bold]" in cli("show", execution_id).output
    assert cli.json("signal", execution_id, "approval", "true")["signal"] == "approval"
    settled(execution_id)
    assert cli.json("show", execution_id)["result"] == {"customer": 7, "items": ["tea", ""]}


def test_show_tells_a_failure(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("broken", f"why={EVIL}")
    settled(execution_id)
    screen = cli("show", execution_id).output
    assert r"it failed after 1 attempt: ValueError: \x1b[2J\u202eevil[bold]" in screen
    assert "in broken" in screen
    assert "\x1b" not in screen
    assert "\u202e" not in screen
    whole = cli("show", execution_id, "--traceback").output
    assert "Traceback (most recent call last)" in whole
    raw = cli("show", execution_id, "--json").stdout
    assert "\u202e" not in raw
    assert json.loads(raw)["failure"]["message"] == EVIL


def test_show_of_an_unknown_id(cli: Cli) -> None:
    cli("migrate")
    assert "there is no execution 'nope\\x1b'" in cli("show", "nope\x1b", code=4).stderr
    error = json.loads(cli("show", "nope", "--json", code=4).stderr)
    assert error["exit"] == 4


def test_watch_follows_one_to_its_end(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("family")
    settled(execution_id)
    lines = [json.loads(line) for line in cli("watch", execution_id, "--json").stdout.splitlines()]
    assert lines[-1]["execution"]["status"] == "completed"
    assert sum(len(line["entries"]) for line in lines) == 2
    assert "✓ completed" in cli("watch", execution_id).output


def test_watch_answers_one_for_a_failure(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("broken")
    settled(execution_id)
    assert "✗ failed" in cli("watch", execution_id, code=1).output


def test_watch_of_a_query_ends_when_told_to(cli: Cli, settled: Settled) -> None:
    ids = [cli.enqueue("echo", f"value={n}") for n in range(3)]
    settled(*ids)
    lines = cli("watch", "task:echo", "--until-settled", "--json").stdout.splitlines()
    assert [json.loads(line)["execution"]["id"] for line in lines] == ids


def test_watch_tells_a_bad_query_from_an_unknown_id(cli: Cli) -> None:
    cli("migrate")
    assert "there is no execution 'nope'" in cli("watch", "nope", code=4).stderr
    assert "unknown field 'stauts'" in cli("watch", "stauts:failed", code=2).stderr


def test_a_bad_query_names_the_position(cli: Cli) -> None:
    cli("migrate")
    assert "position 0" in cli("list", "colour:red", code=2).stderr
    assert "is no cursor" in cli("list", "--after", "x", code=2).stderr
