"""What an error of PostgreSQL means, and what to do about it: every one becomes a `StorageError`, or a `ValueError` where it
is the value that cannot be stored.

Three kinds are told apart: *overtaken* (others got in the way, nothing happened: begin again at once), *lost* (a new connection
is needed), and the rest, of which `retryable` are those that time or somebody else may mend. This module must never hide an
error.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg
from psycopg import errors

from perdure.errors import StorageError, StoreSealedError
from perdure.storage._sql.session import OvertakenError
from perdure.storage._sql.transfer import MOVED, SEALED
from perdure.storage.postgres.place import WRITE

OVERTAKEN: Final = (
    OvertakenError,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
    errors.UniqueViolation,
)
LOST: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "08000", "08001", "08003", "08004", "08006", "25P03"})
"""The server ended the session, or is about to."""
MIXED: Final = frozenset({"26000", "42P05", "0A000"})
"""What the driver takes for prepared is not in this session, or something else is (it is another one, or it has been confused),
or a column that it answers has another type by now."""
RETRYABLE: Final = frozenset(
    {
        "25006", "53000", "53100", "53200", "53300", "53400", "55P03", "57014", "57P04", "58000", "58030", "40001",
        "40P01", "40003", "0A000", "23505",
    }
)  # fmt: skip


class Hint(NamedTuple):
    """What the driver says when it cannot connect, as a pattern, for it has no code; and what to do. `lasting`: nobody mends it
    by waiting."""

    pattern: str
    advice: str
    lasting: bool = False


UNTOLD: Final = (None, "53300")
"""Codes that say less than the text beside them."""
ADVICE: Final = {
    "25006": "this server only reads: it is a standby, or its disk is protected; connect to the primary (with several hosts "
    "in the URL the primary is found: postgresql://one,two/database)",
    "28000": "the server does not let this user in: look at the user in the URL and at the server's pg_hba.conf",
    "28P01": "the password is wrong for this user: look at the URL",
    "3D000": "there is no such database on this server: create it, or mend the URL",
    "3F000": "its schema is missing: `perdure migrate` makes it",
    "42501": "this user may not do that: run `perdure migrate` as the owner",
    "42703": "a table there has not our columns: the schema was made by something else; choose another one with schema=…",
    "42P01": "its tables are missing: `perdure migrate` makes them",
    "42P07": "something else has a table of that name there: choose another schema with schema=…",
    "53100": "the server's disk is full: free some space; nothing is lost, it is tried again",
    "53200": "the server is out of memory; it is tried again",
    "53300": "the server takes no more connections: raise max_connections, or put a pooler in between",
    "55P03": "somebody holds a lock for long: look for a hanging transaction in pg_stat_activity",
    "57014": "the server cancelled a statement (a statement_timeout, or somebody): raise the limit for this role",
    "57P01": "the server ended the session; it is tried again",
    "57P03": "the server is starting or stopping; it is tried again",
    "0A000": "the pooler in between cannot do this; use one that gives whole transactions (pool_mode = transaction)",
    "26000": "a pooler in between mixes sessions up: say prepare=off in the URL",
    "42P05": "a pooler in between mixes sessions up: say prepare=off in the URL",
}
RAISE: Final = "ALTER {} … CONNECTION LIMIT …, or put a pooler in between"
GRANTS: Final = (
    ("for schema", "GRANT USAGE ON SCHEMA … TO its role"),
    (
        "for table",
        "GRANT SELECT ON ALL TABLES IN SCHEMA … TO its role; to one that works INSERT, UPDATE and DELETE, too",
    ),
    ("for sequence", "GRANT USAGE ON ALL SEQUENCES IN SCHEMA … TO its role"),
    ("for database", "run `perdure migrate` as the owner first, who needs GRANT CREATE ON DATABASE"),
)
"""Which right is missing, by what the server says."""

HINTS: Final = (
    Hint("password authentication failed", "the password is wrong for this user: look at the URL", lasting=True),
    Hint("no password supplied", f"the URL has no password: {WRITE}", lasting=True),
    Hint("database .* does not exist|no such database", ADVICE["3D000"], lasting=True),
    Hint("role .* does not exist|no such user", "there is no such user on this server: mend the URL", lasting=True),
    Hint(
        "no pg_hba.conf entry", "the server does not let this user in from here: look at its pg_hba.conf", lasting=True
    ),
    Hint("too many connections for role", f"this user's limit is reached: {RAISE.format('ROLE')}"),
    Hint("too many connections for database", f"this database's limit is reached: {RAISE.format('DATABASE')}"),
    Hint("too many connections|too many clients|remaining connection slots", ADVICE["53300"]),
    Hint("Connection refused", "nothing listens there: start the server, or mend host and port in the URL"),
    Hint("could not translate host name|failed to resolve host", "there is no such host: mend the URL"),
    Hint("timeout expired", "the host does not answer: look at the network, host and port"),
    Hint("read-only", ADVICE["25006"]),
    Hint("does not support SSL", "the server speaks no SSL: switch it on there, or say sslmode=prefer", lasting=True),
    Hint("certificate", "the connection is not trusted: look at sslmode and sslrootcert in the URL", lasting=True),
)


def is_overtaken(error: BaseException) -> bool:
    """Whether others got in the way: nothing happened, and the same may work at once."""
    return isinstance(error, OVERTAKEN)


def is_lost(error: BaseException) -> bool:
    """Whether a new connection is needed: this one is gone, or its session is not what it was taken for."""
    return is_cut(error) or (isinstance(error, psycopg.Error) and error.sqlstate in MIXED)


def is_cut(error: BaseException) -> bool:
    """Whether the connection is gone, and with it the answer to what was sent last."""
    if isinstance(error, psycopg.InterfaceError):
        return True
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate in LOST)


def explained(error: psycopg.Error, name: str) -> StorageError | ValueError:
    """What is raised for an error of the driver."""
    state, text = error.sqlstate, _said(error)
    if isinstance(error, psycopg.DataError) or state == "54000":
        return ValueError(f"PostgreSQL cannot store a value: {text}")
    if SEALED in text:
        return StoreSealedError(f"PostgreSQL database {name}: {MOVED}")
    if "during recovery" in text:  # a standby behind a pooler, which does not say what it is
        state = "25006"
    hint = next((each for each in HINTS if re.search(each.pattern, text)), None) if state in UNTOLD else None
    advice = hint.advice if hint is not None else ADVICE.get(state or "")
    if state == "42501" and (grant := next((grant for words, grant in GRANTS if words in text), None)):
        advice = f"this user may not do that: {grant}"
    retryable = state in RETRYABLE or (is_lost(error) and (hint is None or not hint.lasting))
    return StorageError(f"PostgreSQL database {name}: {f'{advice} ({text})' if advice else text}", retryable=retryable)


@contextmanager
def explaining(name: str) -> Generator[None]:
    """Errors of the driver inside the block become ours."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(error, name) from error


def _said(error: psycopg.Error) -> str:
    """The first line of what the server or the driver said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
