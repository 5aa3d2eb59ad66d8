"""Telling other processes on this file that something changed, and hearing it from them (rule R14).

Each listener binds a unix datagram socket in the folder beside the database; whoever committed something that others
may want to look at sends one byte to every socket there but its own. Sending never blocks and never fails: a full
queue means that its owner is about to look anyway, and a socket that nobody holds is removed. Where such sockets cannot
be had, the listening thread asks SQLite every 50 ms whether the file changed.

Nothing may depend on a hint. This module must never raise into its caller.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from perdure.ids import random_bytes
from perdure.storage.forks import in_child

SUFFIX: Final = ".sock"
LONGEST: Final = 100
"""Bytes of a socket's address; systems take about 104."""
PAUSE: Final = 0.002
"""Seconds between two calls of the callbacks: hints that come meanwhile are one."""
POLL: Final = 0.05
REFRESH: Final = 500
"""Milliseconds after which the folder is listed again, even where it looks unchanged."""


class Hints:
    """The hints of one database (none at all where the folder's name is empty), as this storage gives and hears them.
    `connect` opens a connection for polling."""

    def __init__(self, folder: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self.folder, self._connect = folder, connect
        self._callbacks: list[Callable[[], None]] = []
        self._ears: socket.socket | None = None
        self._mouth: socket.socket | None = None
        self._name = ""
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._prefix: str | None = None
        self._descriptor: int | None = None
        self._others: list[str] = []
        self._listed = self._changed = -REFRESH
        in_child(self._drop)

    @property
    def works(self) -> bool:
        """Whether this storage hears others by a socket."""
        return self._ears is not None

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls back from a thread of its own when others changed something."""
        self._callbacks.append(callback)
        if self._thread is None and self.folder:
            self._closed.clear()
            self._ears = self._bind()
            hear = self._hear if self._ears is not None else self._poll
            self._thread = threading.Thread(target=hear, name="perdure-hints", daemon=True)
            self._thread.start()

    def give(self, now: int) -> None:
        """Tells the others."""
        try:
            changed = os.stat(self.folder).st_mtime_ns
        except OSError:
            return
        if changed != self._changed or abs(now - self._listed) >= REFRESH:
            self._changed, self._listed = changed, now
            self._others = self._list()
        if not self._others or (prefix := self._address()) is None:
            return
        mouth = self._mouth = self._mouth or _socket()
        for name in self._others:
            self._send(mouth, prefix, name)

    def close(self) -> None:
        """Stops listening and removes the socket."""
        self._closed.set()
        thread, self._thread = self._thread, None
        if self._ears is not None:
            with suppress(OSError):
                os.unlink(os.path.join(self.folder, self._name))
            with suppress(OSError):
                self._ears.shutdown(socket.SHUT_RDWR)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._drop()
        self._callbacks.clear()

    def _send(self, mouth: socket.socket, prefix: str, name: str) -> None:
        try:
            mouth.sendto(b".", prefix + name)
        except ConnectionRefusedError:  # its process is gone
            with suppress(OSError):
                os.unlink(os.path.join(self.folder, name))
        except OSError:
            return

    def _list(self) -> list[str]:
        with suppress(OSError):
            return [name for name in os.listdir(self.folder) if name.endswith(SUFFIX) and name != self._name]
        return []

    def _bind(self) -> socket.socket | None:
        if not hasattr(socket, "AF_UNIX"):
            return None
        name = random_bytes(8).hex() + SUFFIX
        ears: socket.socket | None = None
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            if (prefix := self._address()) is None:
                return None
            ears = _socket()
            ears.setblocking(True)
            ears.bind(prefix + name)
        except OSError:
            if ears is not None:
                ears.close()
            return None
        self._name = name
        return ears

    def _address(self) -> str | None:
        """What stands before a socket's name in its address: the folder, or where that is too long, a way around it."""
        if self._prefix is None:
            direct = os.path.join(self.folder, "")
            if len(os.fsencode(direct)) + 32 <= LONGEST:
                self._prefix = direct
            elif os.path.isdir("/proc/self/fd"):
                with suppress(OSError):
                    self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    self._prefix = f"/proc/self/fd/{self._descriptor}/"
        return self._prefix

    def _hear(self) -> None:
        ears = self._ears
        assert ears is not None
        while not self._closed.is_set():
            try:
                ears.recv(16)
                with suppress(BlockingIOError):
                    while not self._closed.is_set():
                        ears.recv(16, socket.MSG_DONTWAIT)
            except OSError:
                return
            self._tell()
            self._closed.wait(PAUSE)

    def _poll(self) -> None:
        with suppress(sqlite3.Error):
            connection = self._connect()
            try:
                before = None
                while not self._closed.wait(POLL):
                    version = connection.execute("PRAGMA data_version").fetchone()[0]
                    if before is not None and version != before:
                        self._tell()
                    before = version
            finally:
                connection.close()

    def _tell(self) -> None:
        if self._closed.is_set():
            return
        for callback in tuple(self._callbacks):
            with suppress(Exception):
                callback()

    def _drop(self) -> None:
        """Closes what is open; in a forked child too, where nothing may be removed."""
        for each in (self._ears, self._mouth):
            if each is not None:
                each.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._ears = self._mouth = self._descriptor = self._prefix = None
        self._name, self._others, self._listed = "", [], -REFRESH


def _socket() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    return found
