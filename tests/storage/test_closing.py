"""What a closing store leaves behind: nothing. A storage that is used after its end opens again, and nobody would close it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from perdure import AppClosedError
from perdure.clock import SystemClock
from perdure.model.query import parse
from perdure.storage import Storage
from perdure.storage.memory import MemoryStorage
from perdure.storage.opening import open_storage
from perdure.storage.postgres import database
from perdure.storage.postgres.link import Link
from perdure.storage.store import READERS, Store


async def test_a_cancel_is_not_kept_waiting_by_what_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes only once: nothing would cut that short."""
    begun, end = threading.Event(), threading.Event()

    class Slow(MemoryStorage):
        inline = False

        def migrate(self, now: int) -> int:
            begun.set()
            assert end.wait(30)
            return super().migrate(now)

    opening = asyncio.ensure_future(Store(Slow(), SystemClock()).open())
    assert await asyncio.to_thread(begun.wait, 30)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    end.set()


async def test_reads_under_way_are_waited_for_and_those_behind_them_refused(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[Link] = []

    def opened(*given: Any) -> Link:
        links.append(Link(*given))
        return links[-1]

    monkeypatch.setattr(database, "Link", opened)
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
    assert [link.connection.closed for link in links] == [True] * len(links)
