"""The command line on a PostgreSQL server: what each role may do, and what is said where something is wrong."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import psycopg
import pytest

from perdure import Perdure
from perdure.clock import SystemClock
from perdure.storage.postgres import clocks, link
from perdure.testing.postgres import Server
from tests.cli.conftest import Cli, Settled
from tests.conftest import Roles


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def test_three_roles_and_what_to_grant(cli: Cli, roles: Roles, postgres_server: Server, settled: Settled) -> None:
    """Each right that is missing is named, in the order in which one comes upon them."""
    urls = {role: roles(role) for role in ("owner", "app", "reader")}
    user = {role: urlsplit(url).username for role, url in urls.items()}
    name = urlsplit(urls["app"]).path[1:]

    def refused(role: str, *words: str) -> str:
        cli.url = urls[role]
        return cli.app(*words, code=5).stderr

    assert "run `perdure migrate` as the owner first" in refused("app", "enqueue", "echo", "value=1")
    assert "GRANT CREATE ON DATABASE" in refused("owner", "migrate")
    postgres_server.execute(f'GRANT CREATE ON DATABASE "{name}" TO {user["owner"]}')
    cli.url = urls["owner"]
    assert "applied" in cli("migrate").output
    assert "GRANT USAGE ON SCHEMA" in refused("reader", "list")
    run(urls["owner"], f"GRANT USAGE ON SCHEMA perdure TO {user['app']}, {user['reader']}")
    assert "GRANT SELECT ON ALL TABLES" in refused("reader", "list")
    run(urls["owner"], f"GRANT SELECT ON ALL TABLES IN SCHEMA perdure TO {user['app']}, {user['reader']}")
    assert "INSERT, UPDATE and DELETE" in refused("app", "enqueue", "echo", "value=1")
    run(urls["owner"], f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA perdure TO {user['app']}")

    cli.url = urls["app"]
    first = cli.enqueue("echo", "value=1")
    settled(first)
    assert "nothing to do" in cli("migrate").output

    cli.url = urls["reader"]
    assert cli.json("list")["items"][0]["id"] == first
    assert cli.json("show", first)["result"] == 1
    assert "completed" in cli("list", "status:completed").output
    assert {each["level"] for each in cli.json("doctor")} == {"ok"}
    for words in (["enqueue", "echo", "value=2"], ["prune", "--older", "0s", "--yes"]):
        assert "INSERT, UPDATE and DELETE" in refused("reader", *words)


def test_a_reader_reads_by_the_interface(cli: Cli, roles: Roles, empty_database: str, settled: Settled) -> None:
    cli.url = empty_database
    first = cli.enqueue("echo", "value=1")
    settled(first)
    reader = roles("reader")
    name = urlsplit(reader).username
    run(
        empty_database,
        f"GRANT USAGE ON SCHEMA perdure TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA perdure TO {name}",
    )
    cli.url = reader

    app = Perdure(reader)

    async def look() -> object:
        async with app.connect():
            return await app.handle(first).result(), await app.count(), (await app.stats()).counts["completed"]

    assert asyncio.run(look()) == (1, 1, 1)


@pytest.mark.parametrize("words", [["list"], ["doctor"], ["worker", "tests.cli.shop:app"], ["migrate"]], ids=" ".join)
def test_what_is_wrong_with_a_url(cli: Cli, postgres_url: str, words: list[str]) -> None:
    def told(url: str, code: int) -> str:
        cli.url = url
        if words == ["doctor"] and code == 5:
            return cli(*words, code=1).output
        return cli(*words, code=code).stderr

    parts = urlsplit(postgres_url)
    assert "write postgresql://user:password@host:5432/database" in told("postgresql://host:many/db", 3)
    torn = told("postgresql://ann:geh#eim@127.0.0.1:1/db", 3)
    assert "in a password write @ as %40, # as %23" in torn
    assert "geh" not in torn
    assert "eim" not in torn
    assert "start the server, or mend host and port" in " ".join(
        told("postgresql://ann:secret@127.0.0.1:1/db", 5).split()
    )
    missing = " ".join(told(parts._replace(path="/nowhere").geturl(), 5).split())
    assert "create it, or mend the URL" in missing


def test_a_wrong_password(cli: Cli, guarded: str) -> None:
    cli.url = guarded.replace("postgres@", "ann:wrong@")
    for words in (["list"], ["migrate"], ["workers"]):
        said = cli(*words, code=5).stderr
        assert "the password is wrong for this user: look at the URL" in said
        assert "ann:wrong" not in said


def test_schemas_that_are_not_ours(cli: Cli, empty_database: str) -> None:
    cli.url = empty_database
    assert "must be migrated first" in cli("list", code=3).stderr
    assert cli.json("migrate", "--check", code=3)["version"] == 0
    run(empty_database, "CREATE SCHEMA perdure", "CREATE TABLE perdure.journal (mine text)")
    for words in (["list"], ["migrate"]):
        said = cli(*words, code=3).stderr
        assert "tables of something else (journal): choose another one with schema=" in said
        assert "next:" not in said
    cli.url = f"{empty_database}?schema=jobs"
    assert "applied" in cli("migrate").output
    run(empty_database, "INSERT INTO jobs.schema_version VALUES (2, 'next', 'x', 0)")
    assert "newer than this perdure by one" in cli("migrate", "--status").output
    assert {each["level"] for each in cli.json("doctor") if each["name"] == "schema"} == {"warn"}
    run(empty_database, "INSERT INTO jobs.schema_version VALUES (3, 'after', 'x', 0)")
    for words in (["list"], ["migrate"], ["migrate", "--status"]):
        assert "upgrade perdure" in cli(*words, code=3).stderr


def test_a_server_that_is_too_old(cli: Cli, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "OLDEST", 990000)
    cli.url = postgres_url
    assert "perdure needs 14 or newer" in cli("list", code=5).stderr
    assert "perdure needs 14 or newer" in " ".join(cli("doctor", code=1).output.split())


def test_a_clock_that_differs(
    cli: Cli, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(SystemClock):
        def now(self) -> int:
            return super().now() - 3_600_000

    monkeypatch.setattr(clocks, "SystemClock", Late)
    cli.url = postgres_url
    said = " ".join(cli("doctor").output.split())
    assert "server's clock is 3,600.0 s ahead of this host's" in said
    assert "by NTP" in said
    cli.enqueue("echo", "value=1")
    assert "+3600.0 s off this host's: set the clocks of all hosts by NTP" in caplog.text
