"""Behind PgBouncer, which lends a session for one transaction: the contract holds, and a worker finds its work by hints over a
direct line, and by looking alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from perdure import Perdure
from perdure.storage import inspection
from perdure.storage.check import check
from perdure.storage.postgres import PostgresStorage
from perdure.testing.conformance import (
    ClaimConformance,
    CommitConformance,
    EnqueueConformance,
    ReclaimConformance,
    SignalConformance,
    TreeConformance,
)
from tests.system import postgres_program as program
from tests.system.pooler import pooler
from tests.system.rig import worker

pytestmark = pytest.mark.timeout(120)
TABLES = ", ".join(f"perdure.{table}" for table in ("executions", "journal", "signals", "externals", "workers"))


@pytest.fixture(scope="module")
def direct(module_url: str) -> str:
    """The URL of the server itself."""
    return module_url


@pytest.fixture(scope="module")
def pooled(direct: str) -> Iterator[str]:
    """The URL by way of a pooler with two connections."""
    with pooler(direct, 2) as url:
        yield url


@pytest.fixture(scope="module")
def kept(pooled: str) -> Iterator[PostgresStorage]:
    """One storage for all of the contract."""
    storage = PostgresStorage(f"{pooled}?hints=off")
    yield storage
    storage.close()


class TestBehindAPooler(
    EnqueueConformance, ClaimConformance, CommitConformance, ReclaimConformance, SignalConformance, TreeConformance
):
    """The contract, where it is about more than one statement."""

    @pytest.fixture
    def storage(self, kept: PostgresStorage, direct: str) -> PostgresStorage:
        with psycopg.connect(direct, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {TABLES}")  # type: ignore[arg-type]
        return kept


def works(url: str, poll: float, folder: Path) -> float:
    """Work of some width by a worker in another process; answers how long one more task takes when all is quiet."""
    process = worker(folder, url, poll=poll)
    try:
        return asyncio.run(asked(url, poll))
    finally:
        process.kill()
        process.wait()


async def asked(url: str, poll: float) -> float:
    app = Perdure(url, poll=poll)
    app.include(program.app)
    async with app.connect():
        handles = [await app.enqueue(program.family.call(f"f{number}", 4)) for number in range(10)]
        assert [await handle.result(timeout=60) for handle in handles] == [12] * 10
        assert {(await handle.execution()).attempt for handle in handles} == {0}
        assert check(app.opened.store.storage) == []
        await asyncio.sleep(1)  # all is quiet
        began = time.monotonic()
        assert await (await app.enqueue(program.steps.call("last", 1))).result(timeout=60) == 1
        return time.monotonic() - began


def test_hints_come_over_a_direct_line(direct: str, pooled: str, tmp_path: Path) -> None:
    url = f"{pooled}?listen_url={quote(direct, safe='')}"
    assert works(url, 30, tmp_path) < 10  # no look comes to its help


def test_looking_alone_does_it(pooled: str, tmp_path: Path) -> None:
    """LISTEN by way of the pooler is accepted, and nothing is ever heard."""
    works(pooled, 0.25, tmp_path)


def test_a_check_up_tells_them_apart(direct: str, pooled: str) -> None:
    levels: dict[str, str] = {}
    for name, url in {"direct": f"{pooled}?listen_url={quote(direct, safe='')}", "pooled": pooled}.items():
        storage = PostgresStorage(url)
        found = {each.name: each for each in inspection.findings(storage)}
        levels[name] = found["hints"].level
        storage.close()
    assert levels == {"direct": "ok", "pooled": "warn"}
