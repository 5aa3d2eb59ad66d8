"""Finding a storage by its URL: the one place that knows which databases there are.

`sqlite:///file.db` (or an absolute `sqlite:////path/file.db`), `postgresql://user:password@host/database` (also `postgres://`),
`memory://`; others by the entry point group
`perdure.storage`, whose name is the URL's scheme.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

from perdure.errors import ConfigurationError
from perdure.extras import load
from perdure.storage.protocol import Storage
from perdure.storage.urls import ENCODE, without_password

GROUP: Final = "perdure.storage"
MEMORY, SQLITE = "perdure.storage.memory:MemoryStorage", "perdure.storage.sqlite:SQLiteStorage"
POSTGRES = "perdure.storage.postgres:PostgresStorage"
"""Loaded when one is opened: an app that is only declared, or runs on the other one, need not have it."""


class RefusedError(ConfigurationError):
    """A storage was to be opened while that is forbidden."""


class _Gate:
    """Whether storages may be opened in this process, in whichever thread."""

    shut = False


@contextmanager
def forbidden() -> Generator[None]:
    """While it lasts, `open_storage` raises `RefusedError`: a module that is imported for its app must not run it."""
    before, _Gate.shut = _Gate.shut, True
    try:
        yield
    finally:
        _Gate.shut = before


def open_storage(url: str, schema: str = "perdure") -> Storage:
    """The storage that a URL names, not yet migrated. Raises `ConfigurationError` for a URL that names none, and
    `StorageError` when it cannot be opened."""
    if _Gate.shut:
        raise RefusedError("an app is not opened while its module is imported for it")
    parts = _split(url)
    scheme = parts.scheme.partition("+")[0]
    if scheme in ("memory", "sqlite") and ("?" in url or "#" in url):
        raise ConfigurationError(
            f"url {url!r} has a '?' or '#', which says nothing here; in a file's name write %3F or %23"
        )
    if scheme == "memory":
        return cast("Storage", load(MEMORY)())
    if scheme == "sqlite":
        return cast("Storage", load(SQLITE)(_path(url, parts.netloc, parts.path)))
    if scheme in ("postgres", "postgresql"):
        return _postgres(url, schema)
    from importlib.metadata import entry_points  # slow to import, and rarely asked

    for point in entry_points(group=GROUP):
        if point.name == scheme:
            return cast("Storage", point.load()(url, schema))
    raise ConfigurationError(
        f"url {without_password(url)!r} names no storage; write sqlite:///file.db, postgresql://user@host/database or memory://"
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"url {without_password(url)!r} cannot be read: {ENCODE}") from error


def _postgres(url: str, schema: str) -> Storage:
    try:
        storage = load(POSTGRES)
    except ImportError as error:
        raise ConfigurationError(
            f"url {without_password(url)!r} needs `pip install 'perdure[postgres]'` ({error})"
        ) from error
    return cast("Storage", storage(url, schema))


def _path(url: str, host: str, path: str) -> str:
    if host:
        raise ConfigurationError(f"url {url!r}: write sqlite:/// with three slashes before a relative path")
    if len(path) < 2 or path.endswith("/"):
        raise ConfigurationError(f"url {url!r} names no file; write sqlite:///file.db")
    return unquote(path[1:])
