"""What of the schema can be partitioned: journals and signals by ranges of ids, which are ranges of time. And what cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, cast

import psycopg
import pytest

from perdure.errors import StorageError
from perdure.ids import Ids
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.testing.conformance.hand import DONE, Hand, activity
from tests.examples.page import blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "grow.md"
NOVEMBER, DECEMBER = 1_793_500_000_000, 1_796_100_000_000
"""Milliseconds in these months of 2026."""


def scripts() -> list[str]:
    """The SQL of the page about partitions, in its order."""
    return [block.text for block in blocks(PAGE) if block.info == "sql" and "PARTITION" in block.text]


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres_url, autocommit=True) as found:
        yield found


@pytest.fixture
def hand(postgres_url: str) -> Iterator[Hand]:
    storage = PostgresStorage(f"{postgres_url}?hints=off")
    yield Hand(storage)
    storage.close()


def run(connection: psycopg.Connection[tuple[object, ...]], script: str) -> None:
    connection.execute(cast("LiteralString", script))


def rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> int:
    found = connection.execute(cast("LiteralString", f"SELECT count(*) FROM perdure.{table}")).fetchone()
    assert found is not None
    return cast("int", found[0])


def test_journals_by_month(connection: psycopg.Connection[tuple[object, ...]], hand: Hand) -> None:
    """As the page says: what stood before stays, what comes goes into its month, and a month is dropped with its rows."""
    partition, drop = scripts()[:2]
    ids = Ids(1)
    before, settled, kept = "own-id", ids.new(NOVEMBER), ids.new(DECEMBER)
    hand.beat("w1")
    hand.add(before)
    hand.start(before)
    hand.commit(before, entries=[activity("x")])
    run(connection, partition)
    hand.add(settled, kept)
    for id in (before, settled, kept):
        if id != before:
            hand.start(id)
            hand.commit(id, entries=[activity("x")])
        hand.commit(id, DONE, entries=[activity("y")])
    assert [rows(connection, f"journal_{part}") for part in ("before", "2026_11", "2026_12")] == [2, 2, 2]
    assert [entry.key for entry in hand.journal(settled).entries] == ["x", "y"]
    assert check(hand.storage) == []
    run(connection, drop)
    assert hand.journal(settled).entries == ()
    assert len(hand.journal(kept).entries) == len(hand.journal(before).entries) == 2
    assert hand.storage.prune(hand.now + 1, hand.now + 1, 100) == 3
    assert (rows(connection, "executions"), rows(connection, "journal")) == (0, 0)
    assert hand.storage.migrate(0) == 1


@pytest.mark.parametrize(
    ("column", "forbidden"),
    [
        ("created_at", {"executions_pkey", "executions_key", "executions_slot"}),
        ("id", {"executions_key", "executions_slot"}),
    ],
)
def test_what_executions_cannot_be_partitioned_by(
    connection: psycopg.Connection[tuple[object, ...]], column: str, forbidden: set[str]
) -> None:
    """A unique key of a partitioned table must hold the column by which it is divided; ours are unique over all time."""
    run(connection, "CREATE SCHEMA copied")
    run(
        connection,
        f"CREATE TABLE copied.executions (LIKE perdure.executions INCLUDING DEFAULTS) PARTITION BY RANGE ({column})",
    )
    indexes = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'executions'").fetchall()
    refused = set[str]()
    for name, text in indexes:
        try:
            run(connection, str(text).replace(" perdure.executions", " copied.executions"))
        except psycopg.errors.FeatureNotSupported:
            refused.add(str(name))
    assert refused == forbidden
    assert len(indexes) > 15


def test_a_missing_partition_is_told(connection: psycopg.Connection[tuple[object, ...]], hand: Hand) -> None:
    run(connection, scripts()[0])
    run(connection, "ALTER TABLE perdure.journal DETACH PARTITION perdure.journal_before")
    run(connection, "DROP TABLE perdure.journal_2026_12")
    id = Ids(1).new(DECEMBER)
    hand.beat("w1")
    hand.add(id)
    hand.start(id)
    with pytest.raises(StorageError, match="no partition"):
        hand.commit(id, entries=[activity("x")])
