"""`Offload`: large payloads as files beside the database, the only input and output of the codec.

A file is named by the BLAKE2b digest of its content, so writing twice is harmless, a file never changes, and what is read
is verified. It is complete before it has its name: written under another one, synced, renamed, and the folder synced, so a
row never refers to less than the whole. The path is made of the folder and a checked digest: this module must never use
anything else from stored data in a path.

Files are not deleted here: rows of pruned executions leave theirs behind, and equal payloads share one. Delete files that
no row names and that are older than the longest transaction, or keep the folder on a volume with a life cycle.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Final

from perdure.errors import ConfigurationError

OFFLOADED: Final = b"\x00po1"
DIGEST: Final = re.compile(rb"[0-9a-f]{64}")


class Offload:
    """Payloads of more than `above` bytes (256 KiB) become files in `folder`, which every process must share. Files have
    mode 0600. Raises `ConfigurationError` for a wrong option, `OSError` when a file cannot be written, and `ValueError`
    when a file is missing or was changed."""

    def __init__(self, folder: str | os.PathLike[str], above: int = 256 * 1024) -> None:
        if above < 0:
            raise ConfigurationError(f"Offload above is {above!r}; it is a number of bytes")
        self._folder, self._above = Path(folder), above
        self._numbers = itertools.count()

    def encode(self, data: bytes) -> bytes:
        if len(data) <= self._above and not data.startswith(OFFLOADED):
            return data
        digest = _digest(data)
        path = self._path(digest)
        if not _has_size(path, len(data)):
            self._write(path, data)
        return OFFLOADED + digest.encode()

    def decode(self, data: bytes) -> bytes:
        if not data.startswith(OFFLOADED):
            return data
        name = data[len(OFFLOADED) :]
        if not DIGEST.fullmatch(name):
            raise ValueError("a reference to an offloaded payload is damaged")
        digest = name.decode()
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise ValueError(f"the offloaded payload {digest} is missing in {self._folder}") from error
        if _digest(content) != digest:
            raise ValueError(f"the offloaded payload {digest} in {self._folder} was changed")
        return content

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft, descriptor = self._draft(path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self._folder, self._folder.parent):
            _sync_folder(folder)

    def _draft(self, path: Path) -> tuple[Path, int]:
        """A new file beside the final one. Another writer's draft of the same name, on another host, is stepped over."""
        while True:
            mark = f"{os.getpid()}-{threading.get_ident()}-{next(self._numbers)}"
            draft = path.with_name(f".{path.name}.{mark}")
            try:
                return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            except FileExistsError:
                continue


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable. Windows cannot open a folder and needs no such step; a folder above ours that we may not
    read was made by somebody else."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
