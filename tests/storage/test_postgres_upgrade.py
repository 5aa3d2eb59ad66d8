"""A rolling upgrade: the schema of the next release beside workers of this one, and many schemas in one database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, cast
from urllib.parse import urlsplit

import psycopg
import pytest

from perdure import Call, Context, Perdure
from perdure.errors import StorageError
from perdure.storage import inspection
from perdure.storage._sql import migrations
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.storage import MIGRATIONS
from perdure.testing.conformance.hand import DONE, Hand, activity, joining
from perdure.testing.postgres import Server
from tests.examples.page import blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "grow.md"

NEXT = """
-- What a migration may do: add what its predecessor can overlook.
ALTER TABLE perdure.executions ADD COLUMN novelty TEXT;
ALTER TABLE perdure.journal ADD COLUMN novelty INTEGER NOT NULL DEFAULT 0;
ALTER TABLE perdure.workers ADD COLUMN novelty TEXT NOT NULL DEFAULT '';
CREATE TABLE perdure.novelties (id TEXT NOT NULL PRIMARY KEY);
CREATE INDEX executions_novelty ON perdure.executions (novelty) WHERE novelty IS NOT NULL;
"""


class NextStorage(PostgresStorage):
    """That of the next release."""

    migrations_package = "next_migrations"


@pytest.fixture(autouse=True)
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "next_migrations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for each in migrations.load(MIGRATIONS):
        (folder / f"{each.version:04}_{each.name}.sql").write_text(each.text, "utf-8")
    (folder / f"{len(migrations.load(MIGRATIONS)) + 1:04}_next.sql").write_text(NEXT, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("next_migrations", None)


def test_old_and_new_work_side_by_side(postgres_url: str) -> None:
    """Each takes up what the other began, in both directions; whoever starts anew in the old release may, too."""
    old, new = (Hand(made(f"{postgres_url}?hints=off")) for made in (PostgresStorage, NextStorage))
    old.beat("w1")
    old.add("a", "b", "c")
    old.start("a")
    old.commit("a", joining(all=2), entries=[activity("x")], spawns=old.children("a", "a1", "a2"))
    old.start("b")
    assert new.storage.migrate(0) == 2
    new.beat("w2")
    assert old.commit("b", DONE, entries=[activity("x")]).status == "completed"
    assert new.run("a1", DONE, worker="w2").status == "completed"
    assert old.run("a2", DONE).status == "completed"
    assert new.run("a", DONE, worker="w2").status == "completed"
    old.cancel("c")
    new.add("d")
    old.storage.close()
    fresh = Hand(PostgresStorage(f"{postgres_url}?hints=off"))
    assert fresh.storage.migrate(0) == 2
    fresh.beat("w3")
    assert fresh.run("d", DONE, worker="w3").status == "completed"
    assert [row.id for row in fresh.storage.workers(fresh.now)] == ["w1", "w2", "w3"]
    assert inspection.schema(fresh.storage) == inspection.Schema(2, 1, ())
    assert check(fresh.storage) == check(new.storage) == []
    assert fresh.storage.prune(fresh.now + 1, fresh.now + 1, 100) == 6
    for each in (fresh, new):
        each.storage.close()


def test_two_releases_apart_is_too_far(postgres_url: str) -> None:
    new = NextStorage(f"{postgres_url}?hints=off")
    new.migrate(0)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO perdure.schema_version VALUES (3, 'after', 'x', 0)")
    assert new.migrate(0) == 3
    old = PostgresStorage(f"{postgres_url}?hints=off")
    with pytest.raises(StorageError, match="has schema version 3, this perdure knows 1.*upgrade perdure here"):
        old.migrate(0)
    for each in (old, new):
        each.close()


async def test_a_worker_goes_on_while_the_schema_changes_under_it(postgres_url: str) -> None:
    """An ALTER TABLE waits for those who write and keeps the next ones waiting: a moment, and nobody fails."""
    app = Perdure(postgres_url, poll=0.05)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.activity
    async def part(number: int) -> int:
        begun.set()
        if number == 1:
            await go_on.wait()
        return number

    @app.task
    async def whole(ctx: Context, name: str) -> int:
        return await part(0) + await part(1) + await part(2)

    async with app:
        handles = await app.enqueue_many([whole.call(str(number)) for number in range(20)])
        await begun.wait()
        new = NextStorage(postgres_url)
        assert await asyncio.to_thread(new.migrate, 0) == 2
        go_on.set()
        assert [await handle.result() for handle in handles] == [3] * 20
        assert await (await app.enqueue(whole.call("after"))).result() == 3
        rows = await app.search("status:completed", limit=50)
        assert {(row.attempt, row.crashes) for row in rows} == {(0, 0)}
    assert check(new) == []
    new.close()


async def test_a_schema_for_each_tenant(postgres_server: Server, empty_database: str) -> None:
    """Twenty in one database: none sees another one's work, and each takes the connections of one app."""
    apps, calls = list[Perdure](), list[Call[str]]()

    def tenant(number: int) -> None:
        app = Perdure(empty_database, schema=f"tenant_{number}")

        @app.task
        async def whose(n: int) -> str:
            return f"{number}: {n}"

        apps.append(app)
        calls.append(whose.options(id="same").call(number))

    for number in range(20):
        tenant(number)
        await apps[-1].start()
    handles = [await app.enqueue(call) for app, call in zip(apps, calls, strict=True)]
    assert [await handle.result() for handle in handles] == [f"{n}: {n}" for n in range(20)]
    assert [await app.count() for app in apps] == [1] * 20
    assert {len(await app.workers()) for app in apps} == {1}
    name = urlsplit(empty_database).path[1:]
    ((sessions,),) = postgres_server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    assert 20 <= sessions <= 20 * 8
    for app in apps:
        await app.close()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        (listing,) = (block.text for block in blocks(PAGE) if block.info == "sql" and "pg_namespace" in block.text)
        found = connection.execute(cast("LiteralString", listing)).fetchall()
        assert sorted(found) == sorted((f"tenant_{number}",) for number in range(20))
