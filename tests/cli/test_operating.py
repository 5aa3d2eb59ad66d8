"""`tasks`, `workers`, `migrate`, `prune`, `check`, `doctor`: for people who run it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import stat
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.conformance.hand import Hand
from tests.cli.conftest import APP, Cli, Reaching, Settled
from tests.cli.shop import app as shop


def test_tasks_lists_what_is_declared(cli: Cli) -> None:
    screen = cli.app("tasks").output
    assert "order(customer: int, note: str = '') -> tests.cli.shop.Order" in screen
    assert "Take an order from cart to door." in screen
    assert "Nobody reads the second line." not in screen
    found = {each["name"]: each for each in json.loads(cli.app("tasks", "--json").stdout)}
    assert found["charge"]["kind"] == "activity"
    assert found["charge"]["options"] == {"retries": "2", "timeout": "30 s"}
    assert found["charge"]["source"].rpartition(":")[0].endswith("tests/cli/shop.py")
    assert found["echo"]["aliases"] == ["say"]


def test_tasks_tells_styles_apart_and_says_what_they_come_to(cli: Cli) -> None:
    found = {each["name"]: each for each in json.loads(cli.app("tasks", "--json").stdout)}
    assert {
        name: (found[name]["kind"], found[name]["signature"]) for name in ("look", "fan", "chain", "fan.finalize")
    } == {
        "look": ("loop", "(page: int) -> LoopResult[str]"),
        "fan": ("parent", "(count: int) -> float"),
        "chain": ("sequence", "(items: list[str]) -> object"),
        "fan.finalize": ("task", "(joined: Joined[int, None]) -> float"),
    }


def test_one_task_by_name_or_alias(cli: Cli) -> None:
    assert "also say" in cli.app("tasks", "say").output
    assert "did you mean 'order'" in cli.app("tasks", "ordr", code=4).stderr


def test_workers_come_and_are_sent_home(cli: Cli) -> None:
    cli("migrate")
    assert "no worker is running" in cli("workers").output

    async def look(app: Perdure) -> None:
        (worker,) = await app.workers()
        assert worker.alive

    cli.work(look)
    assert cli.json("workers") == {"workers": [], "unserved": []}
    assert "there is no worker nobody" in cli("workers", "drain", "nobody", code=4).stderr


def test_a_worker_is_meant_by_the_beginning_of_its_id(cli: Cli) -> None:
    cli("migrate")
    storage = SQLiteStorage("shop.db")
    hand = Hand(storage)
    for worker in ("aaaaaaaa-1", "aaaaaaaa-2", "bbbbbbbb-1", "cccccccc", "cccccccc-2"):
        hand.beat(worker)
    storage.close()
    assert cli.json("workers", "drain", "bbbbbbbb", "cccccccc") == [
        {"id": "bbbbbbbb-1", "draining": True}, {"id": "cccccccc", "draining": True},
    ]  # fmt: skip
    ambiguous = cli("workers", "drain", "aaaaaaaa", code=2).stderr
    assert "several workers have an id that begins with 'aaaaaaaa'" in ambiguous
    assert "aaaaaaaa-1, aaaaaaaa-2" in ambiguous
    assert "there is no worker bbbb" in cli("workers", "drain", "bbbb", code=4).stderr


def test_workers_names_tasks_that_nobody_has(cli: Cli) -> None:
    cli.enqueue("echo", "value=1")
    assert "task echo has open executions and no live worker" in cli("workers").output
    assert cli.json("workers")["unserved"] == ["echo"]


def test_migrate_status_check_and_script(cli: Cli) -> None:
    assert "schema version 0" in cli("migrate", "--status").output
    assert not Path("shop.db").exists()
    before = cli.json("migrate", "--check", code=3)
    assert before["version"] == 0
    assert before["pending"]
    script = cli("migrate", "--sql").output
    sqlite3.connect(":memory:").executescript(script)
    assert "applied" in cli("migrate").output
    assert "nothing to do" in cli("migrate").output
    assert cli.json("migrate", "--check")["pending"] == []


def test_a_store_of_a_newer_release_is_refused(cli: Cli) -> None:
    cli("migrate")
    with sqlite3.connect("shop.db") as connection:
        connection.executemany(
            "INSERT INTO schema_version VALUES (?, 'later', 'x', 0)", [(version,) for version in (98, 99)]
        )
    connection.close()
    for words in (["list"], ["migrate"], ["migrate", "--status"]):
        assert "upgrade perdure" in cli(*words, code=3).stderr


def test_an_old_schema_is_not_migrated_by_reading(cli: Cli) -> None:
    sqlite3.connect("shop.db").close()
    Path("shop.db").touch()
    assert "must be migrated first" in cli("list", code=3).stderr
    assert cli.json("migrate", "--status")["version"] == 0


def test_prune_counts_first(cli: Cli, settled: Settled) -> None:
    ids = [cli.enqueue("echo", "value=1"), cli.enqueue("family")]
    waiting = cli.enqueue("nap", "seconds=3600")
    settled(*ids)
    assert cli("prune", "--older", "0s", "--dry-run").output == "would remove 4 executions\n"
    assert cli.json("prune", "--older", "1h", "--yes") == {"count": 0, "done": False}
    cli("prune", "--older", "0s", input="n\n", code=130)
    assert cli.json("prune", "--older", "0s", "--yes") == {"count": 4, "done": True}
    assert [each["id"] for each in cli.json("list")["items"]] == [waiting]
    assert "Missing option '--older'" in cli("prune", code=2).stderr
    assert "'30' has no unit" in cli("prune", "--older", "30", code=2).stderr


def test_check_finds_what_would_drift(cli: Cli, reaching: Reaching) -> None:
    order, echo = cli.enqueue("order", "customer=1"), None
    reaching(order, "status:waiting")
    echo, nap = cli.enqueue("echo", "value=1"), cli.enqueue("nap")
    assert "3 open executions fit this code" in cli("check", APP).output
    document = cli.json("check", "tests.cli.older:app", code=1)
    problems = {each["id"]: " ".join(each["problems"]) for each in document["drift"]}
    assert "activity charge is recorded but not declared" in problems[order]
    assert "input does not fit" in problems[echo]
    assert "task nap is not declared" in problems[nap]
    screen = cli("check", "tests.cli.older:app", code=1).output
    assert "✗ 3 of 3 open executions would drift" in screen
    assert "retry ID --forget charge" in screen


def test_doctor_finds_nothing_wrong(cli: Cli) -> None:
    cli("migrate")
    found = {each["name"]: each for each in cli.json("doctor", "--check-invariants")}
    assert {each["level"] for each in found.values()} == {"ok"}
    assert {
        "SQLite",
        "journal mode",
        "file mode",
        "folder",
        "locks",
        "hints",
        "schema",
        "leases",
        "clock",
    } <= found.keys()
    assert found["invariants"]["detail"] == "all hold"


def test_doctor_says_what_to_do(cli: Cli) -> None:
    assert "there is no file" in cli("doctor", code=1).output
    cli.enqueue("echo", "value=1")
    Path("shop.db").chmod(0o644)
    lines = cli("doctor").output.splitlines()
    assert any(line.startswith("! file mode") for line in lines)
    assert any("→ chmod 600" in line for line in lines)
    assert any("task echo has open executions and no live worker" in line for line in lines)


def test_hints_name_the_app_that_is_known(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("migrate")
    assert f"(perdure worker module:app --url {cli.url})" in cli("workers").output
    monkeypatch.setenv("PERDURE_APP", APP)
    monkeypatch.setenv("PERDURE_URL", cli.url)
    assert "(perdure worker)" in cli("workers", url=False).output


def test_what_to_type_next_names_the_same_store(cli: Cli) -> None:
    Path("shop.db").touch()
    again = f"perdure migrate --url {cli.url}"
    assert f"next: {again}\n" in cli("list", code=3).stderr
    assert f"next: perdure migrate --app {APP} --url {cli.url}\n" in cli.app("list", code=3).stderr
    assert json.loads(cli("list", "--json", code=3).stderr)["next"] == again
    assert f"next: {again}\n" in cli("migrate", "--status").output
    assert f"→ {again}\n" in cli("doctor", code=1).output
    cli("migrate")
    assert f"next: perdure list --url {cli.url}\n" in cli("show", "nobody", code=4).stderr
    assert f"next: perdure list --url {cli.url}\n" in cli("cancel", "nobody", code=4).stderr


def test_an_app_that_names_another_store_than_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"sqlite:///{cli.folder / 'other.db'}"
    cli("migrate")
    monkeypatch.setattr(shop, "settings", dataclasses.replace(shop.settings, url=cli.url))
    monkeypatch.setenv("PERDURE_URL", other)
    said = cli("--app", APP, "list", url=False).stderr
    assert said.count(f"$PERDURE_URL is {other}, and the app's code names {cli.url}, which is used") == 1
    assert cli.app("list").stderr == ""
    monkeypatch.setenv("PERDURE_URL", cli.url)
    assert cli("--app", APP, "list", url=False).stderr == cli("list", url=False).stderr == ""


def test_an_empty_url_is_no_url(cli: Cli) -> None:
    assert "--url is empty" in cli("--url", "", "list", url=False, code=2).stderr
    assert "--url is empty" in cli("list", "--url", "", url=False, code=2).stderr


def test_doctor_on_a_file_that_is_no_database(cli: Cli) -> None:
    Path("shop.db").write_text("hello" * 1000)
    examined = cli("doctor", code=1)
    assert "no SQLite database" in examined.stdout
    assert examined.stderr == ""
    assert "next:" not in cli("list", code=5).stderr


def test_doctor_finds_a_broken_promise(cli: Cli) -> None:
    execution_id = cli.enqueue("echo", "value=1")
    with sqlite3.connect("shop.db") as connection:
        connection.execute("UPDATE executions SET due_at = NULL")
    connection.close()
    found = [each for each in cli.json("doctor", "--check-invariants", code=1) if each["level"] == "bad"]
    assert found
    assert execution_id in found[0]["detail"]


@pytest.mark.parametrize("words", [["list"], ["show", "x"], ["cancel", "x"], ["workers"], ["prune", "--older", "1d"]])
def test_what_reads_makes_no_store(cli: Cli, words: list[str]) -> None:
    assert "there is no store at" in cli(*words, code=5).stderr
    assert not Path("shop.db").exists()


def test_a_new_store_is_for_its_user_alone(cli: Cli) -> None:
    cli("migrate")
    assert stat.S_IMODE(Path("shop.db").stat().st_mode) == 0o600


def test_a_file_that_is_no_database(cli: Cli) -> None:
    Path("shop.db").write_text("hello" * 1000)
    assert "no SQLite database" in cli("list", code=5).stderr


def test_check_tells_of_what_only_a_pass_can_tell(cli: Cli, reaching: Reaching) -> None:
    order = cli.enqueue("order", "customer=1")
    reaching(order, "status:waiting")
    cli("signal", order, "approval", '{"by": 3}')
    reaching(order, "status:pending")
    screen = cli("check", APP).output
    assert "! 1 of them does not fit the code that last tried" in screen
    assert f"perdure retry {order} --forget approval" in " ".join(screen.split())
    document = cli.json("check", APP)
    assert ([], [order]) == (document["drift"], [each["id"] for each in document["tried"]])
    assert "forgot" in cli("retry", order, "--forget", "approval", "--yes").output
    cli("signal", order, "approval", "true")
    reaching(order, "status:completed")
    assert [e["outcome"] for e in cli.json("show", order)["journal"] if e["kind"] == "signal"] == [
        "forgotten",
        "recorded",
    ]
