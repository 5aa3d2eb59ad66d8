"""A TCP proxy between a program and its database, that cuts, delays and goes silent when it is told to.

It runs in a thread of its own, so that it serves other processes while a test waits. What it must never do: change or
reorder a byte.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

BITE = 65_536
T = TypeVar("T")


class Proxy:
    """`url` is where to go instead of `target`. All switches may be used from any thread."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self.port = self.cuts = 0

    @property
    def url(self) -> str:
        """The target's URL, by way of here."""
        return self._target._replace(netloc=f"{self._target.username}@127.0.0.1:{self.port}").geturl()

    def cut(self) -> None:
        """Ends all connections in the middle of whatever they say; new ones are taken."""
        self._do(self._cut())

    def delay(self, seconds: float) -> None:
        """Holds each piece back for so long, in both directions."""
        self._delay = seconds

    def silence(self) -> None:
        """Nothing passes any more, and no connection is closed: as when a cable is pulled."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def speak(self) -> None:
        """What was held back by `silence` passes."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def refuse(self) -> None:
        """Takes no new connections."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Takes new connections again, at the same port."""
        self._do(self._accept())

    def run(self) -> None:
        """The thread's work."""
        self._loop.run_forever()
        self._loop.run_until_complete(self._ended())
        self._loop.close()

    def stop(self) -> None:
        """Ends everything."""
        self._do(self._refuse())
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _cut(self) -> None:
        for pair in tuple(self._pairs):
            self.cuts += 1
            for writer in pair:
                writer.transport.abort()
        for pump in tuple(self._pumps):
            pump.cancel()

    async def _ended(self) -> None:
        """Returns when nobody is served any more and all sockets are closed."""
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, back)
        self._pairs.add(pair)
        pumps = [asyncio.ensure_future(self._pump(reader, back)), asyncio.ensure_future(self._pump(there, writer))]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps)
        finally:
            self._pumps.difference_update(pumps)
            self._pairs.discard(pair)
            for each in pair:
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(BITE):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
            writer.close()


@contextmanager
def proxy(target: str) -> Generator[Proxy]:
    """A proxy before a database's URL."""
    made = Proxy(target)
    thread = threading.Thread(target=made.run, name="proxy", daemon=True)
    thread.start()
    made.accept()
    try:
        yield made
    finally:
        made.stop()
        thread.join(10)
