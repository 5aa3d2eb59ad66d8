"""Telling other processes that something changed, hearing it from them (rule R14), and the session by which they see that
this process lives.

One thread owns one connection that listens. Whoever committed something that others may want to look at wakes the thread,
which sends one NOTIFY for all that came meanwhile, outside every transaction of the store: inside, it would hold a lock of
the whole server until the commit is on disk. It hears others while it is not to speak yet, for whoever enqueued something waits
for the answer. That the connection truly hears is proven by notifying it from another one:
behind a pooler LISTEN is accepted, and then nothing is ever heard. Only a session that is proven so stands for its process.

Nothing may depend on a hint. This module must never raise into its caller.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

import psycopg

from perdure.clock import SystemClock
from perdure.ids import random_bytes
from perdure.storage.forks import in_child
from perdure.storage.postgres.link import PREPARED_AFTER, connect
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.session import Connection, located

PAUSE: Final = 0.005
"""Seconds between two NOTIFYs of this process, and between two times that it looks at what others changed."""
RETRY: Final = 0.5
"""Seconds until a connection that was lost is made anew; each time twice as long, up to the next, until one stands longer."""
LONGEST_RETRY: Final = 5.0
PROOF: Final = 2.0
"""Seconds in which a proof must be heard."""
AGAIN: Final = 30.0
"""Seconds until it is tried again: the server may only have been slow."""
DECISION: Final = 1.0
"""Seconds for which a new worker waits for the session that is to stand for it."""

LONGEST_NAME: Final = 57
"""Letters of a schema's name in a channel's, which has 63 at most."""

Witness = tuple[str, int]
NOBODY: Final[Witness] = ("", 0)
logger = logging.getLogger("perdure")


class Paced:
    """Something that is done at once when it is owed, but only so often."""

    def __init__(self) -> None:
        self.owed = False
        self._earliest = 0.0

    def pause(self, now: float) -> float | None:
        """For how many seconds it has to wait; `None` where nothing is owed."""
        return max(self._earliest - now, 0.0) if self.owed else None

    def taken(self, now: float) -> bool:
        """Whether it is to be done now; then it is owed no more."""
        if not self.owed or now < self._earliest:
            return False
        self.owed, self._earliest = False, now + PAUSE
        return True


class Hints:
    """The hints of one schema. `prove(channel, text)` notifies from another connection; `vouch(witness)` is told of each new
    session."""

    def __init__(
        self, place: Place, session: str, prove: Callable[[str, str], None], vouch: Callable[[Witness], None]
    ) -> None:
        self._place, self._prove, self._vouch = place, prove, vouch
        self._session = located(session, place.schema).encode()
        self._clock = SystemClock()
        self._callbacks: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._closed, self._proven, self._decided = threading.Event(), threading.Event(), threading.Event()
        self._ears: socket.socket | None = None
        self._mouth: socket.socket | None = None
        """A line to the thread."""
        self._word, self._news = Paced(), Paced()
        """To be said to others; heard of them."""
        self._since = 0.0
        self.witness: Witness = NOBODY
        """The session that stands for this process, as its workers' rows have it."""
        in_child(self._drop)

    @property
    def channel(self) -> str:
        """The channel of the schema. Names longer than the server takes are cut: who shares one hears too much, no more."""
        return f"{self._place.schema[:LONGEST_NAME]}_hints"

    def works(self, patience: float = 0.0) -> bool:
        """Whether this process hears others; waits up to `patience` seconds for the proof."""
        return self._proven.wait(patience)

    def decided(self) -> Witness:
        """As `witness`, once it is known whether there is to be one: a worker whose row names no session is missed by nobody
        before its lease ends, though its process may be killed in its first moments."""
        if self._thread is not None:
            self._decided.wait(DECISION)
        return self.witness

    def age(self) -> float:
        """For how many seconds the session has stood; 0 where there is none."""
        return self._clock.monotonic() - self._since if self._proven.is_set() else 0.0

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls back from a thread of its own when others changed something."""
        self._callbacks.append(callback)
        if self._thread is None and self._place.direct is not None:
            self._closed.clear()
            self._ears, self._mouth = socket.socketpair()
            self._ears.setblocking(False)
            self._mouth.setblocking(False)
            self._thread = threading.Thread(target=self._run, name="perdure-hints", daemon=True)
            self._thread.start()

    def give(self) -> None:
        """Tells the others, soon; what is given between two sessions, by the next one."""
        if not self._word.owed:
            self._word.owed = True
            if self._proven.is_set():
                self._wake()

    def close(self) -> None:
        """Stops listening."""
        self._closed.set()
        self._wake()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._drop()

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        retry = RETRY
        while not self._closed.is_set():
            try:
                with closing(connect(self._place.direct or {})) as connection:
                    self._serve(connection)
            except Exception as error:
                logger.debug("hints of others cannot be heard, they are looked for instead: %s", error)
            finally:
                self._decided.set()
                if self.age() > LONGEST_RETRY:
                    retry = RETRY
                self._proven.clear()
                self._disown()
            self._closed.wait(retry)
            retry = min(2 * retry, LONGEST_RETRY)

    def _serve(self, connection: Connection) -> None:
        connection.execute(f'LISTEN "{self.channel}"'.encode())
        if not self._is_heard(connection):
            logger.info(
                "no notification arrives here (a pooler?): changes of others are found by looking; see listen_url"
            )
            self._decided.set()
            self._closed.wait(AGAIN)
            return
        connection.prepare_threshold = PREPARED_AFTER
        row = connection.execute(self._session).fetchone()
        if row is not None and row[0] is not None:  # a role that was put on may not see who began its own session
            self.witness = (str(row[0]), int(row[1]))
        self._since = self._clock.monotonic()
        self._proven.set()
        self._decided.set()
        self._vouch(self.witness)
        self._tell()
        self._wake()  # what is owed since the session before must not wait for a word from others
        assert self._ears is not None
        with selectors.DefaultSelector() as either:
            either.register(connection, selectors.EVENT_READ)
            either.register(self._ears, selectors.EVENT_READ)
            while not self._closed.is_set():
                either.select(self._pause())
                self._step(connection)

    def _pause(self) -> float | None:
        """For how many seconds there is nothing to do, unless something comes."""
        now = self._clock.monotonic()
        pauses = (self._word.pause(now), self._news.pause(now))
        return min((pause for pause in pauses if pause is not None), default=None)

    def _disown(self) -> None:
        """A session that ended while this process lives must not speak for its workers, however long the next one takes."""
        had, self.witness = self.witness, NOBODY
        if had != NOBODY and not self._closed.is_set():
            with suppress(Exception):
                self._vouch(NOBODY)

    def _is_heard(self, connection: Connection) -> bool:
        """Whether what another connection says arrives."""
        proof = random_bytes(8).hex()
        self._prove(self.channel, proof)
        return any(notify.payload == proof for notify in connection.notifies(timeout=PROOF, stop_after=1)) or any(
            notify.payload == proof for notify in connection.notifies(timeout=0.0)
        )

    def _step(self, connection: Connection) -> None:
        assert self._ears is not None
        with suppress(BlockingIOError):
            while self._ears.recv(64):
                pass
        if [notify for notify in connection.notifies(timeout=0.0) if notify.pid != connection.info.backend_pid]:
            self._news.owed = True
        now = self._clock.monotonic()
        if self._news.taken(now):
            self._tell()
        if not self._closed.is_set() and self._word.taken(now):
            try:
                notify(connection, self.channel, "")
            except BaseException:
                self._word.owed = True
                raise

    def _tell(self) -> None:
        if self._closed.is_set():
            return
        for callback in tuple(self._callbacks):
            with suppress(Exception):
                callback()

    def _wake(self) -> None:
        mouth = self._mouth
        if mouth is not None:
            with suppress(OSError):
                mouth.send(b".")

    def _drop(self) -> None:
        """Also in a forked child: the thread and its connection are the parent's alone."""
        for each in (self._ears, self._mouth):
            if each is not None:
                each.close()
        self._ears = self._mouth = self._thread = None
        self._word, self._news, self.witness = Paced(), Paced(), NOBODY
        self._closed, self._proven, self._decided = threading.Event(), threading.Event(), threading.Event()
        self._callbacks.clear()


def notify(connection: psycopg.Connection[tuple[object, ...]], channel: str, text: str) -> None:
    """Sends a notification."""
    connection.execute(b"SELECT pg_catalog.pg_notify($1, $2)", [channel, text])
