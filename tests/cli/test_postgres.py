"""The command line on a server: workers, their leaving, the schema and a check-up."""

from __future__ import annotations

import asyncio
import dataclasses
from urllib.parse import urlsplit

import psycopg
import pytest

from perdure import Perdure
from perdure.testing.postgres import Server
from tests.cli.conftest import APP, Cli, Settled
from tests.cli.shop import app as shop


@pytest.fixture
def cli(cli: Cli, empty_database: str) -> Cli:
    cli.url = empty_database
    return cli


def test_the_schema_is_examined_printed_and_made(cli: Cli, empty_database: str, postgres_server: Server) -> None:
    assert "schema version 0" in cli("migrate", "--status").output
    before = cli.json("migrate", "--check", code=3)
    assert before["pending"] == ["0001 initial"]
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert connection.execute("SELECT to_regnamespace('perdure')").fetchone() == (None,)
    by_hand = postgres_server.create()
    with psycopg.connect(by_hand, autocommit=True) as connection:
        connection.execute(cli("migrate", "--sql").output.encode())
        assert connection.execute("SELECT count(*) FROM perdure.executions").fetchone() == (0,)
    postgres_server.drop(by_hand)
    assert "applied" in cli("migrate").output
    assert "nothing to do" in cli("migrate").output
    assert cli.json("migrate", "--check")["pending"] == []


def test_another_schema(cli: Cli, empty_database: str) -> None:
    cli.url = f"{empty_database}?schema=jobs"
    assert "CREATE TABLE jobs.executions" in cli("migrate", "--sql").output
    cli("migrate")
    cli.enqueue("echo", "value=1")
    assert len(cli.json("list")["items"]) == 1
    cli.url = empty_database
    assert "schema version 0" in cli("migrate", "--status").output


def test_workers_are_listed_and_sent_home(cli: Cli) -> None:
    cli("migrate")
    assert "no worker is running" in cli("workers").output

    async def on_its_way(app: Perdure) -> None:
        (worker,) = await app.workers()
        (listed,) = (await asyncio.to_thread(cli.json, "workers"))["workers"]
        assert (listed["id"], listed["alive"], listed["draining"]) == (worker.id, True, False)
        (answer,) = await asyncio.to_thread(cli.json, "workers", "drain", worker.id[:8])
        assert answer == {"id": worker.id, "draining": True}
        assert "draining" in (await asyncio.to_thread(cli, "workers")).output

    cli.work(on_its_way)
    assert cli.json("workers") == {"workers": [], "unserved": []}
    assert "there is no worker nobody" in cli("workers", "drain", "nobody", code=4).stderr


def test_a_check_up_proves_that_hints_arrive(cli: Cli) -> None:
    cli("migrate")
    cli.enqueue("echo", "value=1")
    found = {each["name"]: each for each in cli.json("doctor", "--check-invariants")}
    assert {name: found[name]["level"] for name in ("store", "hints", "server clock", "schema", "invariants")} == {
        "store": "ok", "hints": "ok", "server clock": "ok", "schema": "ok", "invariants": "ok",
    }  # fmt: skip
    cli.url += "?hints=off"
    quiet = {each["name"]: each for each in cli.json("doctor")}
    assert quiet["hints"]["detail"] != found["hints"]["detail"]


def test_a_server_that_cannot_be_reached_has_no_green_tick(cli: Cli) -> None:
    cli.url = urlsplit(cli.url)._replace(path="/nowhere").geturl()
    said = cli("doctor", code=1).output
    assert said.startswith("✗ store")
    assert "there is no such database on this server: create it, or mend the URL" in said
    assert "✓" not in said
    assert "next:" not in cli("list", code=5).stderr


def test_what_to_type_next_hides_the_password_and_says_so(cli: Cli) -> None:
    parts = urlsplit(cli.url)
    cli.url = parts._replace(netloc=f"{parts.username}:geheim@{parts.hostname}:{parts.port}").geturl()
    shown = cli.url.replace("geheim", "***")
    again = f"perdure migrate --url '{shown}'   (*** stands for the password)"
    assert f"next: {again}" in cli("list", code=3).stderr
    assert f"→ {again}" in cli("doctor", code=1).output
    assert f"✓ store         {shown}" in cli("doctor", code=1).output


def test_a_copy_names_its_schema(cli: Cli) -> None:
    server, file = cli.url, f"sqlite:///{cli.folder / 'shop.db'}"
    cli.url = file
    cli.enqueue("echo", "value=1")
    there = f"{server}?schema=tenant_7"
    assert f"--url '{there}'" in cli("copy", file, server, "--schema", "tenant_7", url=False).output
    back = f"sqlite:///{cli.folder / 'back.db'}"
    assert f"{there} is sealed" in cli("copy", server, back, "--schema", "tenant_7", url=False).output
    cli.url = there
    assert f"perdure copy '{there}' --unseal" in cli("doctor", code=1).output
    assert "takes changes again" in cli("copy", there, "--unseal", url=False).output


def test_a_store_moves_to_a_server_and_back(cli: Cli, settled: Settled) -> None:
    server, file = cli.url, f"sqlite:///{cli.folder / 'shop.db'}"
    back = f"sqlite:///{cli.folder / 'back.db'}"
    cli.url = file
    first, second = cli.enqueue("echo", "value=1"), cli.enqueue("echo", "value=2")
    settled(first)
    assert "copied 2 executions" in cli("copy", file, server, url=False).output
    cli.url = server
    settled(second)
    assert "copied 2 executions" in cli("copy", server, back, url=False).output
    assert "takes no changes any more" in cli.app("enqueue", "echo", "value=3", code=5).stderr
    assert "✗ sealed" in cli("doctor", code=1).output
    cli.url = back
    assert {each["result"] for each in cli.json("list")["items"]} == {1, 2}


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"path": "/nowhere"}, "there is no such database", 5),
        ({"netloc": "postgres@127.0.0.1:1"}, "nothing listens there", 5),
        ({"query": "schema=a-b"}, "cannot be used", 3),
    ],
)
def test_wrong_urls(cli: Cli, change: dict[str, str], words: str, code: int) -> None:
    cli.url = urlsplit(cli.url)._replace(**change).geturl()
    assert words in cli("list", code=code).stderr


def test_an_app_that_names_a_server(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("migrate")
    monkeypatch.setattr(shop, "settings", dataclasses.replace(shop.settings, url=cli.url))
    assert cli("--app", APP, "enqueue", "echo", "value=1", url=False).stdout.strip()
    assert cli("--app", APP, "list", url=False).output
