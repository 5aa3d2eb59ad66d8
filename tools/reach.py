"""How far each statement of the PostgreSQL storage reaches: within one tree, or into an index over many.

The planner is asked, not us: every statement is prepared on a schema of some size where reading a whole table is the last resort, and each
table it reads is put down under the leading column of the index by which it is found. `python -m tools.reach` writes the table of
`docs/how-to/grow.md` anew, from a server of its own; a test holds it true. Nothing is run but EXPLAIN.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, LiteralString, cast

import psycopg

from perdure.storage._sql import statements
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.session import PACKAGE
from perdure.testing.postgres import server

PAGE: Final = Path(__file__).parents[1] / "docs" / "how-to" / "grow.md"
BEGIN, END = "<!-- reach -->\n", "<!-- /reach -->\n"
PARAMETER: Final = re.compile(r"\$(\d+)")
INSERTED: Final = re.compile(r"INSERT INTO perdure\.(\w+)")
KEY: Final = {"journal": "execution_id", "signals": "execution_id", "externals": "origin"}
"""The column by which what is put into a table is found again, where it is not `id`."""
OF_TREE: Final = {
    ("executions", "id"),
    ("executions", "parent_id"),
    ("journal", "execution_id"),
    ("signals", "execution_id"),
}
"""Columns that hold the id of an execution of the tree."""
SMALL: Final = "workers"
"""The one table that is as large as there are workers."""
TREE, BY_KEY, WORKERS, MANY, NOTHING = "one tree", "one key", "workers", "an index over many", "no table of ours"
KINDS: Final = (TREE, BY_KEY, WORKERS, MANY, NOTHING)
SETTINGS: Final = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan
"""
FILLING: Final = """
INSERT INTO perdure.executions (id, task_name, origin, queue, status, place, token, priority, created_at, due_at, crashes,
    max_crashes, root_id, parent_id, slot, idempotency_key, external_key, worker_id, deadline_at, input)
SELECT n::text, 'work' || n % 9, 'work' || n % 9, 'queue' || n % 9,
    (ARRAY['pending', 'pending', 'pending', 'waiting', 'running', 'completed', 'failed'])[n % 7 + 1], n % 7, 0, 0, n, n, 0,
    5, n::text, CASE WHEN n > 999 THEN (n % 999)::text END, n::text, n::text, n::text,
    CASE WHEN n % 7 = 4 THEN 'worker' || n % 50 END, n, '{}'
FROM generate_series(1, 10000) AS n;
INSERT INTO perdure.journal SELECT id, 'a', '', 0, 'activity', 'a', '1', NULL, NULL, 0, 0, 0 FROM perdure.executions;
INSERT INTO perdure.signals SELECT id, 'a', 1, 'x', '1', 1, 0 FROM perdure.executions;
INSERT INTO perdure.externals SELECT origin, id, id, '1', NULL, 0, NULL FROM perdure.executions;
ANALYZE
"""
"""So many rows that nobody who can find a few by a key reads all of them."""
COLUMNS: Final = """
SELECT c.relname::text, a.attname::text
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'perdure'
"""
Found = tuple[str, str]
"""A table, and the column by which its rows are found; `*` where all are read."""


def found_by(connection: psycopg.Connection[Any]) -> dict[str, set[Found]]:
    """By which columns each statement finds what it reads or writes. The connection is to a database with our schema and
    nothing in it, which is filled."""
    connection.execute(FILLING)
    connection.execute(SETTINGS)
    leading = dict(connection.execute(COLUMNS).fetchall())
    texts = statements.texts(f"{PACKAGE}.sql") | statements.texts(f"{PACKAGE}.sql.own")
    return {name: _found(connection, leading, text) for name, text in sorted(texts.items())}


def kind(found: set[Found]) -> str:
    """How far a statement reaches that finds rows so: the farthest of them."""
    kinds = {_kind_of(each) for each in found}
    return next((each for each in (MANY, BY_KEY, TREE, WORKERS) if each in kinds), NOTHING)


def table(found: dict[str, set[Found]]) -> str:
    """The table of the page."""
    kinds = {name: kind(each) for name, each in found.items()}
    lines = ["| reaches into | statements |", "|---|---|"]
    for each in KINDS:
        names = [f"`{name}`" for name, its in kinds.items() if its == each]
        if names:
            lines.append(f"| {each} ({len(names)}) | {' '.join(names)} |")
    return "\n".join(lines) + "\n"


def _kind_of(found: Found) -> str:
    if found[0] == SMALL:
        return WORKERS
    if found in OF_TREE:
        return TREE
    return BY_KEY if found in {("executions", "origin"), ("externals", "origin")} else MANY


def _found(connection: psycopg.Connection[Any], leading: dict[str, str], text: str) -> set[Found]:
    text = text.replace("{terms}", "TRUE")
    given = ", ".join(["NULL"] * max((int(number) for number in PARAMETER.findall(text)), default=0))
    connection.execute(cast("LiteralString", f"PREPARE asked AS {text}"))
    asked = f"EXPLAIN (FORMAT JSON) EXECUTE asked{f'({given})' if given else ''}"
    row = connection.execute(cast("LiteralString", asked)).fetchone()
    connection.execute("DEALLOCATE asked")
    assert row is not None
    (plan,) = row[0]
    inserted = {(name, KEY.get(name, "id")) for name in INSERTED.findall(text)}
    return set(_scans(plan["Plan"], leading, "")) | inserted


def _scans(node: dict[str, Any], leading: dict[str, str], over: str) -> Iterator[Found]:
    relation = node.get("Relation Name", over)
    index = node.get("Index Name")
    if (index or relation).startswith("pg_"):
        pass  # the server's own tables are no executions
    elif index is not None and node["Node Type"] != "ModifyTable":
        column = leading[index]
        is_one = re.search(rf"\b{column} = ", node.get("Index Cond", ""))
        yield (index.partition("_")[0], column if is_one else "*")
    elif node["Node Type"] == "Seq Scan":
        yield (relation, "*")
    for below in node.get("Plans", ()):
        yield from _scans(below, leading, relation)


def main() -> None:
    """Writes the page anew."""
    with server() as own:
        url = own.create()
        storage = PostgresStorage(f"{url}?hints=off")
        storage.migrate(0)
        storage.close()
        with psycopg.connect(url, autocommit=True) as connection:
            found = found_by(connection)
    if "-v" in sys.argv:
        for name, its in found.items():
            sys.stdout.write(f"{name:20} {kind(its):20} {sorted(its)}\n")
    page = PAGE.read_text("utf-8")
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
