"""A real standby: what only reads is answered there, as the reader and from the command line; what changes is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner, Result

from perdure import Perdure
from perdure.cli.main import program
from perdure.errors import StorageError
from perdure.storage.inspection import server_findings
from perdure.storage.postgres import PostgresStorage
from perdure.storage.postgres.failures import explained
from perdure.testing.conformance.hand import DONE, Hand
from perdure.testing.postgres import Server, server, standby

pytestmark = pytest.mark.timeout(120)
PATIENCE = 600


class Pair:
    """A database on two servers: where to change it, and where to read it as a role that may only read."""

    def __init__(self, primary: Server, copy: Server) -> None:
        self.url = primary.create()
        self.storage = PostgresStorage(f"{self.url}?hints=off")
        self.storage.migrate(0)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE reader LOGIN")
            connection.execute("GRANT USAGE ON SCHEMA perdure TO reader")
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA perdure TO reader")
        self.hand = Hand(self.storage)
        self.hand.beat("w1")
        self.hand.add("a-settled", "b-pending")
        assert self.hand.run("a-settled", DONE).status == "completed"
        address = urlsplit(copy.url)
        path = urlsplit(self.url).path
        self.reader = f"postgresql://reader@127.0.0.1:{address.port}{path}"
        self.copy = address._replace(path=path).geturl()
        self._copy = copy
        self._primary = primary

    def followed(self) -> None:
        """Waits until the standby has all that was changed."""
        ((place,),) = self._primary.execute("SELECT pg_current_wal_insert_lsn()::text")
        for _ in range(PATIENCE):
            if self._copy.execute(f"SELECT pg_last_wal_replay_lsn() >= '{place}'") == [(True,)]:
                return
            threading.Event().wait(0.05)
        raise AssertionError("the standby does not follow")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with server() as primary, standby(primary) as copy:
        found = Pair(primary, copy)
        found.followed()
        yield found
        found.storage.close()


def cli(url: str, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(program, ["--url", url, *words], prog_name="perdure", env={"COLUMNS": None})
    assert result.exit_code == code, (result.output, result.stderr)
    return result


def test_the_storage_reads_there(pair: Pair) -> None:
    storage = PostgresStorage(pair.reader)
    storage.listen(lambda: None)
    assert storage.migrate(0) == 1
    assert storage.get(["a-settled"]) == pair.storage.get(["a-settled"])
    assert Hand(storage).find("task:work status:pending") == ["b-pending"]
    assert storage.journal(["a-settled"]) == pair.storage.journal(["a-settled"])
    assert [row.id for row in storage.workers(0)] == ["w1"]
    storage.close()


async def test_the_interface_reads_there(pair: Pair) -> None:
    app = Perdure(pair.reader)
    async with app.connect():
        assert await app.count("status:completed") == 1
        assert [each.id for each in await app.search("task:work", order="oldest")] == ["a-settled", "b-pending"]
        assert (await app.stats()).counts["completed"] == 1
        assert await app.handle("a-settled").result() is not None
        with pytest.raises(StorageError, match="is a standby and only reads; connect to the primary"):
            await app.handle("b-pending").cancel("no")


async def test_a_worker_does_not_start_there(pair: Pair) -> None:
    app = Perdure(pair.copy)

    @app.task
    async def work(n: int) -> None: ...

    with pytest.raises(StorageError, match="is a standby and only reads; connect to the primary"):
        async with app:
            raise AssertionError


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["list"], "b-pending"),
        (["list", "status:completed"], "a-settled"),
        (["list", "status:completed", "--count"], "1"),
        (["show", "a-settled"], "completed"),
        (["workers"], "w1"),
        (["migrate", "--check"], "version 1"),
        (["migrate"], "nothing to do"),
    ],
    ids=" ".join,
)
def test_commands_that_read(pair: Pair, words: list[str], shown: str) -> None:
    assert shown in cli(pair.reader, *words).stdout


@pytest.mark.parametrize("words", [["cancel", "b-pending", "--yes"], ["prune", "--older", "1d", "--yes"]], ids=" ".join)
def test_commands_that_change(pair: Pair, words: list[str]) -> None:
    assert "connect to the primary" in cli(pair.copy, *words, code=5).stderr


def test_of_several_hosts_the_one_that_is_asked_for(pair: Pair) -> None:
    """The primary, unless the URL says otherwise."""
    first, second = (urlsplit(url).netloc.rpartition("@")[2] for url in (pair.copy, pair.url))
    both = f"postgresql://postgres@{first},{second}{urlsplit(pair.url).path}"
    for url, only_reads in ((both, False), (f"{both}?target_session_attrs=prefer-standby", True)):
        storage = PostgresStorage(url)
        assert storage.get(["a-settled"])[0] is not None
        assert (storage.status()["standby_behind"] is not None) is only_reads
        storage.close()


def test_a_check_up_knows_it(pair: Pair) -> None:
    assert "→ perdure migrate, on the primary" in cli(f"{pair.reader}?schema=elsewhere", "doctor", code=1).stdout
    found = cli(pair.reader, "doctor").stdout
    assert "standby" in found
    assert "workers and clients need the primary" in found
    assert "pooler" not in found


def test_a_standby_that_lags() -> None:
    known = {"server_version": "18", "hints": True, "hints_work": False, "clock_ahead": 0, "oldest_snapshot": 0}
    (found,) = (each for each in server_findings(known | {"standby_behind": 90_000}) if each.name == "standby")
    assert (found.level, "90 s ago" in found.detail) == ("warn", True)


def test_a_standby_behind_a_pooler() -> None:
    """The pooler may not pass on what the server says of itself; then its refusal says it."""
    said = psycopg.errors.FeatureNotSupported("cannot set transaction read-write mode during recovery")
    error = explained(said, "'db'")
    assert "connect to the primary" in str(error)
    assert isinstance(error, StorageError)


def test_it_is_followed(pair: Pair) -> None:
    pair.hand.add("c-later", task_name="other")
    pair.followed()
    assert "c-later" in cli(pair.reader, "list", "task:other").stdout
