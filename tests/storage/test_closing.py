"""What a closing store leaves behind: nothing. A storage that is used after its end opens again, and nobody would close it."""

from __future__ import annotations

import asyncio
import threading

from perdure import AppClosedError
from perdure.clock import SystemClock
from perdure.model.query import parse
from perdure.storage import Storage
from perdure.storage.opening import open_storage
from perdure.storage.store import READERS, Store
from perdure.testing.postgres import Server, database


async def test_reads_under_way_are_waited_for_and_those_behind_them_refused(
    postgres_server: Server, postgres_url: str
) -> None:
    store = Store(open_storage(postgres_url), SystemClock())
    await store.open()
    begun, closing = threading.Semaphore(0), threading.Event()

    def slow(storage: Storage) -> int:
        begun.release()
        assert closing.wait(30)
        return storage.count(parse(""), 0)

    reads = [asyncio.ensure_future(store.read(slow)) for _ in range(READERS + 1)]
    for _ in range(READERS):
        assert await asyncio.to_thread(begun.acquire, timeout=30)
    end = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    closing.set()
    await end
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert answers[:READERS] == [0] * READERS
    assert isinstance(answers[READERS], AppClosedError)
    statement = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database(postgres_url)}'"
    assert any(postgres_server.execute(statement) == [(0,)] for _ in range(1000))  # the server may need a moment
