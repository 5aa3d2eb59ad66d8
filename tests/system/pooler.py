"""PgBouncer before a server, pooling by transaction: no session of a client lasts longer than one.

Debian has it (`tools/setup_tests` installs it for root). It reads its configuration from a folder of its own, listens
on a free port and dies with the test.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 20.0


@contextmanager
def pooler(target: str, connections: int = 4) -> Generator[str]:
    """The URL by way of a pooler that has so many connections to the database, whatever its clients ask for."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    assert program, "this test needs PgBouncer: apt-get install pgbouncer"
    parts = urlsplit(target)
    folder = Path(tempfile.mkdtemp(prefix="pgb"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = parts.path.lstrip("/")
    (folder / "users").write_text(f'"{parts.username}" ""\n')
    (folder / "it.ini").write_text(
        f"[databases]\n{name} = host={parts.hostname} port={parts.port} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = {connections}\n"
        f"max_client_conn = 200\nserver_reset_query =\nlogfile = {folder}/log\npidfile = {folder}/pid\n"
    )
    words = [program, "-q", str(folder / "it.ini")]
    if os.geteuid() == 0:
        who = pwd.getpwnam("nobody")
        for path in (folder, *folder.iterdir()):
            os.chown(path, who.pw_uid, who.pw_gid)
        words[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process, folder)
        yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(
                (folder / "log").read_text() if (folder / "log").exists() else "pgbouncer does not start"
            )
        time.sleep(0.02)
