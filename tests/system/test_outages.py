"""A server that is away for a while: whoever works or watches waits, says so once, and goes on."""

from __future__ import annotations

import time

import pytest

from perdure.testing.postgres import server
from tests.system.conftest import Shell, until

AWAY = 4.0
"""Seconds: many tries of a worker."""


@pytest.mark.timeout(120)
def test_an_outage_is_told_once_and_so_is_its_end(shell: Shell) -> None:
    with server(durable=True) as own:
        assert own.process is not None
        url = own.create()
        worker = shell.start("worker", "--url", url)
        until(lambda: "started" in shell.log)
        execution_id = shell("enqueue", "steps", "count=60", "--url", url).strip()
        until(lambda: shell.json("show", execution_id, "--url", url)["status"] == "running")
        watching = [
            shell.start("watch", execution_id, "--url", url),
            shell.start("watch", "--until-settled", "task:steps", "--url", url),
        ]
        until(lambda: shell.log.count("running") >= 2)
        own.process.kill()
        time.sleep(AWAY)
        own.process.start()
        assert [process.wait(60) for process in watching] == [0, 0]
        until(lambda: shell.log.count("the storage works again") >= 3)
        assert shell.json("show", execution_id, "--url", url)["status"] == "completed"
        assert 2 <= shell.log.count("it is tried again: PostgreSQL") <= 4, shell.log
        assert 1 <= shell.log.count("warning") <= 8, shell.log
        worker.terminate()
        assert worker.wait(30) == 0
