"""Sealing a schema: triggers that refuse every change, for this program, older ones and people with a shell alike.

They cost nothing while they are not there, and no statement of ours has to ask. A sealed store is about to be read page by
page, so it also gets the index for that. See `perdure.storage.moving`.
"""

from __future__ import annotations

from typing import Any, Final, LiteralString, cast

import psycopg

from perdure.storage._sql.transfer import GUARDED, SEALED

_REFUSE: Final = f"""
CREATE OR REPLACE FUNCTION {{schema}}.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION '{SEALED}' USING ERRCODE = 'object_not_in_prerequisite_state'; END$$
"""
_SEALED: Final = """
SELECT count(*) FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND t.tgname = 'sealed'
"""


def seal(connection: psycopg.Connection[Any], schema: str) -> None:
    """Inside a transaction; does nothing where it is done."""
    if is_sealed(connection, schema):
        return
    _run(connection, _REFUSE.format(schema=schema))
    for table in GUARDED:
        _run(
            connection,
            f"CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {schema}.{table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse()",
        )
    _run(connection, f"CREATE INDEX IF NOT EXISTS executions_seq ON {schema}.executions (seq)")


def unseal(connection: psycopg.Connection[Any], schema: str) -> None:
    """Inside a transaction; does nothing where it is done."""
    for table in GUARDED:
        _run(connection, f"DROP TRIGGER IF EXISTS sealed ON {schema}.{table}")
    _run(connection, f"DROP INDEX IF EXISTS {schema}.executions_seq")


def is_sealed(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether all triggers stand."""
    found = connection.execute(_SEALED.encode(), [schema]).fetchone()
    return found is not None and found[0] == len(GUARDED)


def _run(connection: psycopg.Connection[Any], statement: str) -> None:
    """Runs a statement made of our own words and a checked name."""
    connection.execute(cast("LiteralString", statement))
