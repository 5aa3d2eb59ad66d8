"""`enqueue`: arguments by type, options, refusals that store nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from perdure.cli import enqueue as cli_enqueue
from perdure.cli import why as cli_why
from perdure.cli.why import Why
from tests.cli.conftest import APP, Cli


def stored_input(cli: Cli, execution_id: str) -> object:
    return cli.json("show", execution_id)["input"]


def test_it_prints_the_id_and_stores_the_execution(cli: Cli) -> None:
    execution_id = cli.enqueue("echo", '{"value": [1, "two"]}')
    assert stored_input(cli, execution_id) == {"value": [1, "two"]}


def test_a_new_store_is_announced_by_its_whole_path(cli: Cli) -> None:
    first = cli.app("enqueue", "echo", "value=1", "--url", "sqlite:///sub.db")
    assert f"new store {cli.folder}/sub.db" in first.stderr
    assert len(first.stdout.split()) == 1
    assert cli.app("enqueue", "echo", "value=1", "--url", "sqlite:///sub.db").stderr == ""


def test_json_answers_the_id(cli: Cli) -> None:
    answer = json.loads(cli.app("enqueue", "echo", "value=1", "--json").stdout)
    assert answer["task"] == "echo"
    assert stored_input(cli, answer["id"]) == {"value": 1}


@pytest.mark.parametrize(
    ("words", "input"),
    [
        (["day=2026-01-02", "count=3", "on=true", "name=42"], None),
        (['["2026-01-02", 3, true, "42"]'], None),
        (['{"day": "2026-01-02", "count": 3, "on": true, "name": "42"}'], None),
        (["-"], '{"day": "2026-01-02", "count": 3, "on": true, "name": "42"}'),
    ],
)
def test_arguments_are_read_by_the_parameters_types(cli: Cli, words: list[str], input: str | None) -> None:
    execution_id = cli.app("enqueue", "typed", *words, input=input).stdout.strip()
    assert stored_input(cli, execution_id) == {"day": "2026-01-02", "count": 3, "on": True, "name": "42"}


def test_options_reach_the_execution(cli: Cli) -> None:
    words = ["--id", "mine", "--key", "k", "--tag", "a=b", "--tag", "c=d", "--queue", "slow", "--priority", "-2"]
    assert cli.enqueue("echo", "value=1", "--at", "2030-01-01T00:00:00Z", *words) == "mine"
    found = cli.json("show", "mine")
    assert (found["idempotency_key"], found["tags"]) == ("k", {"a": "b", "c": "d"})
    assert (found["queue"], found["priority"], found["due_at"]) == ("slow", -2, "2030-01-01T00:00:00.000Z")
    assert found["why"] == f"it starts at 2030-01-01 00:00:00Z ({found['why'].partition('(')[2]}"


def test_the_same_id_and_input_is_the_same_execution(cli: Cli) -> None:
    assert cli.enqueue("echo", "value=1", "--id", "x") == cli.enqueue("echo", "value=1", "--id", "x")
    refused = cli.app("enqueue", "echo", "value=2", "--id", "x", code=3)
    assert "perdure show x" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 4, "no task named 'nothing'"),
        (["ecko", "value=1"], 4, "did you mean 'echo'"),
        (["echo", "valu=1"], 2, "did you mean 'value'"),
        (["echo"], 2, "missing a required argument: 'value'"),
        (["echo", "value"], 2, "'value' is no argument"),
        (["echo", "{nonsense"], 2, "is no JSON"),
        (["echo", "value=1", "value=2"], 2, "argument 'value' is given twice"),
        (["echo", '{"value": NaN}'], 2, "NaN is no JSON"),
        (["typed", "day=soon", "count=1", "on=true", "name=x"], 2, "day"),
        (["many", "items=a"], 2, """perdure enqueue many items='["a", "b"]'"""),
        (["echo", "value=1", "--in", "soon"], 2, "is no duration"),
        (["echo", "value=1", "--at", "soon"], 2, "is no moment"),
        (["echo", "value=1", "--tag", "x"], 2, "is no tag"),
        (["echo", "value=1", "--in", "1h", "--at", "2030-01-01"], 2, "exclude each other"),
        (["echo", "value=1", "--in", "-5"], 2, "is no duration"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(cli: Cli, words: list[str], code: int, said: str) -> None:
    assert said in cli.app("enqueue", *words, code=code).stderr
    assert not Path("shop.db").exists() or cli.json("list", "--count") == {"count": 0}


def test_wait_prints_the_result(cli: Cli) -> None:
    run_beside_a_worker(cli, ["echo", '{"value": {"a": "é"}}', "--wait"], 0, '{\n  "a": "é"\n}')


def test_wait_answers_one_when_it_failed(cli: Cli) -> None:
    run_beside_a_worker(cli, ["broken", "why=\x1b[31mred", "--wait"], 1, "ValueError: \\x1b[31mred")


def test_wait_says_why_nothing_moves(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def why(*given: Any) -> Why:
        asked.set()
        return cli_why.why(*given)

    monkeypatch.setattr(cli_enqueue, "PATIENCE", 0.01)
    monkeypatch.setattr(cli_enqueue, "why", why)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(cli.app, "enqueue", "echo", "value=1", "--id", "mine", "--wait", code=1)
        assert asked.wait(30)
        cli("cancel", "mine")
        said = waiting.result(30).stderr
    assert f"waiting: no worker is running   (perdure worker {APP} --url {cli.url})" in said


def run_beside_a_worker(cli: Cli, words: list[str], code: int, said: str) -> None:
    async def command(_: object) -> None:
        result = await asyncio.to_thread(cli, "--app", "tests.cli.twin:app", "enqueue", *words, code=code)
        assert said in result.output

    cli.work(command)
