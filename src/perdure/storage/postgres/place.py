"""Where a PostgreSQL store is: its URL taken apart, checked, and what is ours in it kept from the driver.

    postgresql://user:password@host:5432/database?sslmode=require&listen_url=postgresql://…&schema=jobs&hints=off

`schema`, `listen_url` (a direct connection, where the URL leads to a pooler), `hints` (on, off) and `prepare` (on, off, and
auto where nothing is said) are ours; all else is the driver's. This module opens nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from perdure.errors import ConfigurationError
from perdure.storage.urls import ENCODE, is_torn

IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
WORDS: Final = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right
select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using
variadic verbose when where window with
"""
RESERVED: Final = frozenset({"information_schema", *WORDS.split()})
"""What no schema of ours is called: words of SQL that need quotes in some version of the server, and what is the server's own."""
OURS: Final = ("schema", "listen_url", "hints", "prepare")
SWITCH: Final = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}
WRITE: Final = "write postgresql://user:password@host:5432/database"
DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "perdure",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""For the driver, where the URL says nothing: a peer that is gone without a word is noticed within a minute."""


class Place(msgspec.Struct, frozen=True):
    """`name` is for messages and has no password; `direct` are the driver's parameters for a session of its own, `None` where
    there are to be no hints; `prepare`: whether the server may keep prepared statements, which most poolers cannot; `None`:
    once it is proven that the URL leads to sessions of the server."""

    name: str
    schema: str
    parameters: dict[str, Any]
    direct: dict[str, Any] | None
    prepare: bool | None


def place(url: str, schema: str) -> Place:
    """The place that a URL names; `schema` where the URL has none. Raises `ConfigurationError`."""
    parts = urlsplit(_whole(url))
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    ours = {name: given.pop(name) for name in OURS if name in given}
    plain = _plain(url, given)
    parameters = _parameters(plain)
    direct = _parameters(_plain(_whole(listen), {})) if (listen := ours.get("listen_url")) else parameters
    hints = _switch("hints", ours.get("hints", "on"))
    return Place(
        _name(parameters),
        checked_schema(ours.get("schema", schema)),
        parameters,
        direct if hints else None,
        _prepare(ours.get("prepare", "auto"), "listen_url" in ours),
    )


def checked_schema(schema: str) -> str:
    """The name of a schema that needs no quotes anywhere. Raises `ConfigurationError`."""
    if not IDENTIFIER.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigurationError(
            f"schema {schema!r} cannot be used: write up to 63 of a-z, 0-9 and _, not beginning with a digit or pg_"
        )
    if schema in RESERVED:
        raise ConfigurationError(f"schema {schema!r} cannot be used: the name is the server's own; choose another one")
    return schema


def _whole(url: str) -> str:
    """A URL that is cut where it was meant to be. Raises `ConfigurationError`."""
    if is_torn(url):
        raise ConfigurationError(f"the database URL cannot be read: {ENCODE}; {WRITE}")
    return url


def _plain(url: str, query: dict[str, str]) -> str:
    """A URL as the driver knows it."""
    parts = urlsplit(url)
    text = (
        parts._replace(scheme="postgresql", query=urlencode(query, quote_via=quote), fragment="").geturl()
        if query
        else url
    )
    rest = text.partition("://")[2].partition("#")[0]
    return f"postgresql://{rest if query else rest.partition('?')[0]}"


def _parameters(url: str) -> dict[str, Any]:
    try:
        found = conninfo_to_dict(url)
        if not all(port.isdecimal() for port in str(found.get("port", "")).split(",") if port):
            raise ProgrammingError(f"the port is no number; {ENCODE}")
    except ProgrammingError as error:
        raise ConfigurationError(f"the database URL cannot be read: {_said(error)}; {WRITE}") from None
    if "," in str(found.get("host", "")):
        found.setdefault("target_session_attrs", "read-write")
    return DEFAULTS | found


def _said(error: ProgrammingError) -> str:
    """What the driver said, unless it repeats a part of the password."""
    said = str(error).strip()
    return ENCODE if "percent-encoded" in said else said


def _switch(name: str, value: str) -> bool:
    found = SWITCH.get(value.lower())
    if found is None:
        raise ConfigurationError(f"the database URL says {name}={value!r}; it must be on or off")
    return found


def _prepare(value: str, has_pooler: bool) -> bool | None:
    if value.lower() == "auto":
        return False if has_pooler else None
    return _switch("prepare", value)


def _name(parameters: dict[str, Any]) -> str:
    host, port = parameters.get("host", "the local socket"), parameters.get("port")
    return f"{parameters.get('dbname', 'default')!r} at {host}{f':{port}' if port else ''}"
