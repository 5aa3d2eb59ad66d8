"""A prepared statement keeps the plan of an empty table when the table has grown: none may go through all of one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from perdure.storage.postgres.session import ANEW, SCANS, texts

KEPT = sorted(
    name
    for name, text in texts("perdure", None).of.items()
    if b"{terms}" not in text and b"perdure." in text and name not in ANEW
)
SCAN = re.compile(r"Scan.* on (executions|journal|signals|externals)\b")


@pytest.fixture
def planner(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(
        postgres_url, autocommit=True, cursor_factory=psycopg.RawCursor[tuple[object, ...]]
    ) as connection:
        connection.execute(SCANS, ["off"])
        connection.execute(b"SET plan_cache_mode = force_generic_plan")
        yield connection


@pytest.mark.parametrize("name", KEPT)
def test_a_plan_that_is_kept_goes_by_index(planner: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    text = texts("perdure", None).of[name]
    count = max((int(number) for number in re.findall(rb"\$(\d+)", text)), default=0)
    planner.execute(b"PREPARE kept AS " + text)
    given = f"({', '.join(['NULL'] * count)})" if count else ""
    lines = [str(line) for (line,) in planner.execute(f"EXPLAIN EXECUTE kept{given}".encode()).fetchall()]
    for place, line in enumerate(lines):
        assert not SCAN.search(line) or "Index Cond" in lines[place + 1], "\n".join(lines)
