"""`copy`: a store moves, its executions go on, and the old place says where they are."""

from __future__ import annotations

import dataclasses

import pytest

from perdure import Perdure
from tests.cli.conftest import APP, Cli, Settled
from tests.cli.shop import app as shop


def test_a_store_moves_and_its_executions_go_on(cli: Cli, settled: Settled) -> None:
    first, second = cli.enqueue("echo", "value=1"), cli.enqueue("echo", "value=2")
    settled(first)
    new = f"sqlite:///{cli.folder / 'new.db'}"
    screen = cli("copy", cli.url, new, url=False).output
    assert "copied 2 executions, " in screen
    assert f"next: perdure worker module:app --url {new}" in screen
    assert "in their code, or in $PERDURE_URL" in screen
    assert "takes no changes any more" in cli.app("enqueue", "echo", "value=3", code=5).stderr
    assert "✗ sealed" in cli("doctor", code=1).output
    assert cli.json("show", first)["result"] == 1
    cli.url = new
    settled(second)
    assert {each["result"] for each in cli.json("list")["items"]} == {1, 2}


def test_one_row_is_one_row(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.enqueue("echo", "value=1")
    monkeypatch.setenv("PERDURE_APP", APP)
    new = f"sqlite:///{cli.folder / 'new.db'}"
    screen = cli("copy", cli.url, new, url=False).output
    assert "copied 1 execution, 0 journal entries, 0 signals, 0 external answers" in screen
    assert f"next: perdure worker --url {new}" in screen


def test_what_a_live_worker_had_in_hand_goes_on_elsewhere(cli: Cli) -> None:
    sleeper = cli.enqueue("nap", "seconds=0")
    new = f"sqlite:///{cli.folder / 'new.db'}"

    async def moved(app: Perdure) -> None:
        answer = cli.json("copy", cli.url, new)
        (worker,) = await app.workers()
        assert answer["workers_left"] == [worker.id]
        assert answer["rows"]["executions"] == 1

    shop.settings = dataclasses.replace(shop.settings, url=cli.url)
    cli.work(moved)
    cli.url = new
    assert cli.json("show", sleeper)["status"] in ("pending", "running", "completed")


def test_a_seal_can_be_taken_back(cli: Cli) -> None:
    cli("migrate")
    cli("copy", cli.url, f"sqlite:///{cli.folder / 'new.db'}", url=False)
    assert "takes changes again" in cli("copy", cli.url, "--unseal", url=False).output
    assert "was not sealed" in cli("copy", cli.url, "--unseal", url=False).output
    cli.enqueue("echo", "value=1")


def test_what_fails_names_its_store_and_no_other(cli: Cli) -> None:
    other = f"sqlite:///{cli.folder / 'other.db'}"
    cli.enqueue("echo", "value=1")
    cli("--url", other, "migrate", url=False)
    cli("--app", APP, "--url", other, "enqueue", "nap", "seconds=0", url=False)
    cli("--app", APP, "--url", other, "enqueue", "nap", "seconds=0", url=False)
    refused = cli("copy", cli.url, other, url=False, code=5).stderr
    assert "the destination is not empty (2 executions)" in refused
    assert "next:" not in refused


def test_a_complete_copy_is_told_from_a_failed_one(cli: Cli, settled: Settled) -> None:
    first, old, new = cli.enqueue("echo", "value=1"), cli.url, f"sqlite:///{cli.folder / 'new.db'}"
    cli("copy", old, new, url=False)
    assert "complete, nothing to do" in cli("copy", old, new, url=False).output
    cli.url = new
    settled(first)
    cli.enqueue("echo", "value=2")
    answer = cli.json("copy", old, new)
    assert (answer["complete"], answer["rows"]["executions"]) == (True, 1)
    other = f"sqlite:///{cli.folder / 'other.db'}"
    cli.url = other
    cli.enqueue("echo", "value=3")
    cli.enqueue("echo", "value=4")
    assert "not empty (2 executions): copy into a new store" in cli("copy", old, other, url=False, code=5).stderr


def test_the_way_back_leads_to_a_new_file(cli: Cli) -> None:
    cli.enqueue("echo", "value=1")
    old, new = cli.url, f"sqlite:///{cli.folder / 'new.db'}"
    cli("copy", old, new, url=False)
    assert "choose a new file" in cli("copy", new, old, url=False, code=5).stderr
    cli("copy", new, f"sqlite:///{cli.folder / 'back.db'}", url=False)


def test_wrong_places(cli: Cli) -> None:
    new = f"sqlite:///{cli.folder / 'new.db'}"
    assert "there is no store" in cli("copy", new, cli.url, url=False, code=5).stderr
    assert "cannot be copied" in cli("copy", "memory://", cli.url, url=False, code=3).stderr
    assert "names no storage" in cli("copy", "mysql://here", cli.url, url=False, code=3).stderr
    assert "--unseal" in cli("copy", cli.url, url=False, code=2).stderr
    assert not (cli.folder / "new.db").exists()
