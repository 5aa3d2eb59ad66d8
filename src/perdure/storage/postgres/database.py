"""The connections of this process to one PostgreSQL database, and transactions that are repeated when others get in the way.

What changes something is handed in as a function, a *work*, that may be run again. Where a transaction was chosen as the
victim of a deadlock, lost its connection before its commit, or found its rows changed, it begins again. Several works in
one transaction are all run again, and must answer what they answered before; else the whole fails and may be tried again.
A connection that is lost *during* the commit leaves open what came of it: that is an error, for everything that changes can
be sent again (rule R4).

This module must never look into what the works do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from perdure.errors import StorageError
from perdure.ids import random_bytes
from perdure.storage._sql.session import OvertakenError, Session
from perdure.storage.forks import in_child
from perdure.storage.postgres.failures import explaining, is_cut, is_lost, is_overtaken
from perdure.storage.postgres.link import LOOK, Link, best_collation
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.session import Connection, Cursor, PostgresSession

T = TypeVar("T")
TRIES: Final = 6
"""For what was overtaken."""
RECONNECTS: Final = 2
"""For what lost its connection; a server that is away is waited for elsewhere."""
PAUSE: Final = 0.01
"""Seconds, at most, before the second try; then twice as long each time."""
IDLE: Final = 8
"""Connections that are kept."""
UNKNOWN: Final = ""

_inherited: list[object] = []
"""Connections that a fork copied into this process: to be left alone for ever."""


class Database:
    """See the module's docstring. `committed` is called after each transaction that a plan marked as notable."""

    def __init__(self, place: Place, committed: Callable[[], None]) -> None:
        self.place = place
        self.prepares = place.prepare is True
        """Whether statements are prepared; set from elsewhere once it is known that sessions are the server's own."""
        self._committed = committed
        self._local = threading.local()
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._lent: set[Link] = set()
        self._collation: str | None = UNKNOWN
        self._process = os.getpid()
        in_child(self._abandon)

    # -- transactions -------------------------------------------------------------------------------------------------

    def write(self, work: Callable[[Session], T], *, repeats: bool = True) -> T:
        """Does work in a transaction of its own; inside `group`, as a part of that, which cannot begin again any more unless the
        work `repeats`: it is not kept. Raises `StorageError`."""
        group = self._group
        with explaining(self.place.name):
            if group is not None:
                return group.run(work) if repeats else group.run_once(work)
            own = Group(self, strict=False)
            try:
                own.run(work)
                answers = own.finish()
            except BaseException:
                own.abandon()
                raise
            return cast("T", answers[0])

    @contextmanager
    def group(self) -> Generator[None]:
        """The works inside are one transaction; in one of the same thread, a part of it."""
        if self._group is not None:
            yield
            return
        group = self._local.group = Group(self, strict=True)
        try:
            yield
            with explaining(self.place.name):
                group.finish()
        except BaseException:
            group.abandon()
            raise
        finally:
            self._local.group = None

    def read(self, work: Callable[[Session], T], *, snapshot: bool) -> T:
        """Does work that only reads; inside `group`, what that has written is seen."""
        group = self._group
        with explaining(self.place.name):
            if group is not None:
                return group.run(work, reads=True)
            for remaining in reversed(range(RECONNECTS + 1)):
                link = self.take()
                try:
                    return _look(link, work) if snapshot else work(link.session)
                except Exception as error:
                    if is_lost(error):
                        link.close()
                    if not (is_lost(error) or is_overtaken(error)) or not remaining:
                        raise
                finally:
                    self.give(link)
        raise AssertionError

    @property
    def _group(self) -> Group | None:
        return getattr(self._local, "group", None)

    def tell(self) -> None:
        """Something notable was committed."""
        self._committed()

    # -- connections --------------------------------------------------------------------------------------------------

    def take(self) -> Link:
        """An idle connection, or a new one. Raises `psycopg.Error`, `StorageError`."""
        while True:
            with self._lock:
                link = self._idle.pop() if self._idle else None
            if link is None:
                with explaining(self.place.name):
                    link = Link(self.place, self._find_collation)
                break
            if link.stands():
                break
            link.close()
        if self.prepares:
            try:
                link.prepare()
            except BaseException:
                link.close()
                raise
        with self._lock:
            self._lent.add(link)
        return link

    def give(self, link: Link) -> None:
        """Takes a connection back. One that is lost takes the idle ones along: they are lost too, most likely. One that was
        lent before all were given back to the server follows them."""
        if not link.usable:
            link.roll_back()
        with self._lock:
            gone, ours = [link], link in self._lent
            self._lent.discard(link)
            if link.connection.closed:
                gone, self._idle = [link, *self._idle], []
            elif ours and link.usable and len(self._idle) < IDLE and self._process == os.getpid():
                gone, self._idle = [], [*self._idle, link]
        for each in gone:
            each.close()

    def close(self) -> None:
        """Gives all connections back; the next use opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._lent.clear()
        for link in idle:
            link.close()

    def _find_collation(self, connection: Connection) -> str | None:
        if self._collation == UNKNOWN:
            self._collation = best_collation(connection)
        return self._collation

    def _abandon(self) -> None:
        """In a forked child: never use, never close what belongs to the parent."""
        _inherited.extend((self._idle, self._lent, getattr(self._local, "group", None)))
        self._idle, self._lent, self._local, self._lock = [], set(), threading.local(), threading.Lock()
        self._process = os.getpid()


class Group:
    """One transaction, and the works in it so far. `strict`: somebody knows what they answered already."""

    def __init__(self, database: Database, strict: bool) -> None:
        self._database, self._strict = database, strict
        self._link: Link | None = None
        self._done: list[tuple[Callable[[Session], Any], Any]] = []
        self._broken = False
        self._tries, self._reconnects = TRIES, RECONNECTS

    def run(self, work: Callable[[Session], T], *, reads: bool = False) -> T:
        """Does one work. Raises what it raises; a work that fails after it changed something breaks the whole."""
        while True:
            session: PostgresSession | None = None
            before = 0
            try:
                session = self._begun().session
                before = session.changes
                answer = work(session)
            except BaseException as error:
                if session is not None and session.committing is not None and _is_open(error, session.committing):
                    raise self._unknown(error) from error
                if self._again(error):
                    continue
                link = self._link
                changed = link is None or session is None or session.changes != before
                self._broken = self._broken or changed or not _is_well(link)
                raise
            if not reads:
                self._done.append((work, answer))
            return answer

    def run_once(self, work: Callable[[Session], T]) -> T:
        """Does one work of which nothing is kept, for it may be large: from now on whatever breaks, breaks the whole."""
        answer = self.run(work, reads=True)
        self._done.append((_nothing, None))
        self._tries = self._reconnects = 0
        return answer

    def finish(self) -> list[Any]:
        """Makes it durable, and answers what the works answered."""
        if self._broken:
            raise StorageError("an operation of this transaction failed half-way: none of it is kept")
        while self._done:
            link = self._begun()
            try:
                link.commit()
                break
            except BaseException as error:
                if is_cut(error):
                    raise self._unknown(error) from error
                if not self._again(error):
                    raise
        self._end()
        return [answer for _, answer in self._done]

    def _unknown(self, error: BaseException) -> StorageError:
        return StorageError(
            f"PostgreSQL database {self._database.place.name}: a transaction broke off during its commit, nobody knows whether "
            f"it happened; it is sent again ({error})",
            retryable=True,
        )

    def abandon(self) -> None:
        """Nothing of it happened."""
        link, self._link = self._link, None
        if link is not None:
            link.roll_back()
            self._database.give(link)

    def _end(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        notable = link.session.notable
        if not self._done:
            link.roll_back()
        self._database.give(link)
        if notable and self._done:
            self._database.tell()

    def _begun(self) -> Link:
        """The connection, inside the transaction with all that was done in it."""
        if self._link is None:
            link = self._link = self._database.take()
            link.begin(alone=not self._strict)
            answers = [work(link.session) for work, _ in self._done]
            if self._strict and answers != [answer for _, answer in self._done]:
                raise StorageError(
                    "others changed meanwhile what this transaction had read: none of it is kept; try again",
                    retryable=True,
                )
            self._done = [(work, answer) for (work, _), answer in zip(self._done, answers, strict=True)]
        return self._link

    def _again(self, error: BaseException) -> bool:
        """Whether the transaction is to begin again after an error; then it is rolled back."""
        if is_overtaken(error) and self._tries > 0:
            self._tries -= 1
        elif is_lost(error) and self._reconnects > 0:
            self._reconnects -= 1
        else:
            return False
        had = self._link is not None
        self.abandon()
        if had:
            longest = PAUSE * 2 ** (TRIES - 1 - self._tries)
            threading.Event().wait(longest * random_bytes(1)[0] / 255)
        return True


def _nothing(_: Session) -> None:
    """In the place of a work that is not kept."""


def _look(link: Link, work: Callable[[Session], T]) -> T:
    """A work whose statements all see one moment."""
    link.begin(LOOK)
    try:
        return work(link.session)
    finally:
        link.roll_back()


def _is_open(error: BaseException, commit: Cursor) -> bool:
    """Whether a transaction whose commit was sent may have happened in spite of an error; it has where the error came later."""
    answered = commit.statusmessage is not None
    return is_cut(error) or isinstance(error, OvertakenError) or (answered and isinstance(error, psycopg.Error))


def _is_well(link: Link | None) -> bool:
    """Whether the transaction can go on."""
    if link is None or link.session.pipeline is None:
        return False
    with suppress(Exception):
        link.session.pipeline.sync()
        return link.connection.pgconn.transaction_status == TransactionStatus.INTRANS
    return False
