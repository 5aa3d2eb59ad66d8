"""Seeing at once that a worker on this host is dead: each worker holds a lock on a file of its own (rule R6).

The files stand in a folder beside the database, never in the database itself. A worker's row carries the host's boot id
and the file's inode; whoever can take the lock of exactly that file on exactly that host knows that its holder is gone.
No process ids: they mean nothing across containers. Locks belong to open files, so a descriptor is closed in children
after a fork, and a file system on which a second descriptor is let in is found out first; there only leases decide.

This module must never touch the database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Final, TypeAlias
from urllib.parse import quote

from perdure.ids import random_bytes
from perdure.storage.forks import in_child

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
MOST_NAME: Final = 120
SUFFIX: Final = ".lock"

Witness: TypeAlias = tuple[str, str, int]
"""A worker's id, boot id and inode, as its row has them."""

if sys.platform != "win32":
    import fcntl

    def lock(descriptor: int) -> bool:
        """Takes the lock of an open file, if it is free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

else:

    def lock(descriptor: int) -> bool:  # noqa: ARG001 - it stands in for the one above
        """There are no such locks here."""
        return False


class Liveness:
    """The lock files in one folder (none at all where its name is empty), as this process sees them. Nothing here raises:
    without locks, leases decide."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._mine: dict[str, int] = {}
        self._works: bool | None = None
        self._boot_id = _boot_id() if folder else ""
        in_child(self._drop)

    @property
    def works(self) -> bool:
        """Whether locks exclude here; tried out once."""
        if self._works is None:
            self._works = bool(self._boot_id) and self._excludes()
        return self._works

    def hold(self, worker_id: str) -> tuple[str, int]:
        """Takes the worker's lock, or keeps it: the boot id and inode for its row."""
        if not self.works:
            return "", 0
        held = self._mine.get(worker_id)
        path = self._path(worker_id)
        if held is not None and _inode(path) == os.fstat(held).st_ino:
            return self._boot_id, os.fstat(held).st_ino
        self._close(worker_id)
        descriptor = _open(path, os.O_CREAT)
        if descriptor is None:
            return "", 0
        if not lock(descriptor) or _inode(path) != os.fstat(descriptor).st_ino:
            os.close(descriptor)
            return "", 0
        self._mine[worker_id] = descriptor
        return self._boot_id, os.fstat(descriptor).st_ino

    def release(self, worker_id: str) -> None:
        """Gives a worker's lock back and removes the file, also one that another left behind."""
        if self.folder:
            with suppress(OSError):
                os.unlink(self._path(worker_id))
        self._close(worker_id)

    def bury(self, dead: Iterable[str], alive: Iterable[str]) -> None:
        """Removes the files of dead workers, and free ones that belong to no worker any more."""
        for worker_id in dead:
            self.release(worker_id)
        known = {self._path(worker_id) for worker_id in (*alive, *self._mine)}
        for path in self._files() - known:
            if self._can_lock(path, _inode(path)):
                with suppress(OSError):
                    os.unlink(path)

    def dead(self, workers: Iterable[Witness]) -> list[str]:
        """Those of other workers whose death can be seen."""
        return [id for id, boot_id, inode in workers if boot_id == self._boot_id and inode and self._is_free(id, inode)]

    def close(self) -> None:
        """Gives all locks back and removes their files: to close a storage is not to die, so then the lease decides."""
        for worker_id in list(self._mine):
            self.release(worker_id)

    def _is_free(self, worker_id: str, inode: int) -> bool:
        return worker_id not in self._mine and self.works and self._can_lock(self._path(worker_id), inode)

    def _can_lock(self, path: str, inode: int) -> bool:
        descriptor = _open(path, 0)
        if descriptor is None:
            return False
        try:
            return os.fstat(descriptor).st_ino == inode and lock(descriptor)
        finally:
            os.close(descriptor)

    def _excludes(self) -> bool:
        """Whether a lock keeps a second descriptor out."""
        with suppress(OSError):
            os.makedirs(self.folder, 0o700, exist_ok=True)
        path = os.path.join(self.folder, f"probe-{random_bytes(8).hex()}")
        first, second = _open(path, os.O_CREAT), _open(path, 0)
        try:
            return first is not None and second is not None and lock(first) and not lock(second)
        finally:
            for descriptor in (first, second):
                if descriptor is not None:
                    os.close(descriptor)
            with suppress(OSError):
                os.unlink(path)

    def _files(self) -> set[str]:
        try:
            return {os.path.join(self.folder, name) for name in os.listdir(self.folder) if name.endswith(SUFFIX)}
        except OSError:
            return set()

    def _path(self, worker_id: str) -> str:
        name = quote(worker_id, safe="")
        if len(name) > MOST_NAME:
            name = blake2b(worker_id.encode(), digest_size=20).hexdigest()
        return os.path.join(self.folder, f"{name}{SUFFIX}")

    def _close(self, worker_id: str) -> None:
        descriptor = self._mine.pop(worker_id, None)
        if descriptor is not None:
            os.close(descriptor)

    def _drop(self) -> None:
        """In a forked child: the locks are the parent's alone."""
        for worker_id in list(self._mine):
            self._close(worker_id)


def _open(path: str, flags: int) -> int | None:
    try:
        return os.open(path, os.O_RDWR | flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        return None


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _boot_id() -> str:
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
