"""URLs as texts: what in them nobody may read, and whether a password is written so that it can be read back.

Passwords with `@`, `#`, `/`, `?` or `[` that are not percent-encoded cut a URL in the wrong places, so nothing here takes it
apart as a well-formed one. This module must never show what may be a part of a password.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

HIDDEN: Final = "***"
DEFAULT_SCHEMA: Final = "perdure"
SECRET: Final = frozenset({"password", "sslpassword"})
"""Parameters that are passwords."""
ENCODE: Final = "in a password write @ as %40, # as %23, / as %2F, ? as %3F, & as %26, [ as %5B and % as %25"
_QUERY: Final = re.compile(r"\?(?=\w+=)")
_PORTS: Final = re.compile(r"\d*(,[^/]*)?(/[^@]*)?")


def without_password(url: str) -> str:
    """The URL with its passwords masked, for messages: that of the user, those in the query, and those of a URL therein."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return url
    head, question, query = _parted(rest)
    if not head.startswith("/"):  # a path has no password
        credentials, at, place = head.rpartition("@")
        user, _, password = credentials.partition(":")
        if not at and not _is_place(head):
            return f"{scheme}://{HIDDEN}"
        head = f"{user}:{HIDDEN}@{place}" if password else head
    return f"{scheme}://{head}{question}{'&'.join(_masked(part) for part in query.split('&'))}"


def in_schema(url: str, schema: str) -> str:
    """The URL of a schema in a PostgreSQL database, so that it says all by itself; others as they are."""
    given = re.search(r"[?&]schema=", url)
    if given or schema == DEFAULT_SCHEMA or not url.startswith(("postgres://", "postgresql")):
        return url
    return f"{url}{'&' if _parted(url)[1] else '?'}schema={schema}"


def is_torn(url: str) -> bool:
    """Whether a name or a password in it has a character that must be percent-encoded, so that it is cut elsewhere."""
    head, _, query = _parted(url.partition("://")[2])
    credentials, _, _ = head.rpartition("@")
    if head.startswith("/"):
        return False
    if "@" in credentials or (":" in credentials and re.search(r"[/?#\[\]]", credentials)):
        return True
    return "@" not in head and not _is_place(head) and "@" in query


def _parted(rest: str) -> tuple[str, str, str]:
    """What stands before the query, its sign, and the query: where a parameter follows the sign."""
    found = _QUERY.search(rest)
    return (rest, "", "") if found is None else (rest[: found.start()], "?", rest[found.end() :])


def _is_place(head: str) -> bool:
    """Whether it is hosts, ports and a database; else what follows the colon may be a password whose `@` is missing."""
    host, colon, port = head.partition(":")
    return not colon or "[" in host or "," in host or _PORTS.fullmatch(port) is not None


def _masked(part: str) -> str:
    name, sign, value = part.partition("=")
    if name.lower() in SECRET and value:
        return f"{name}{sign}{HIDDEN}"
    if name and not sign:  # what follows an & in a password
        return HIDDEN
    inner = unquote(value)
    masked = without_password(inner)
    return part if masked == inner else f"{name}{sign}{quote(masked, safe='/:@*,')}"
