"""A hand for trying a storage: short verbs with sensible defaults around the operations of the contract.

Everything happens at the moment that `now` says; tests set it, nothing sleeps. It must never hide an answer: each verb
returns what the storage returned.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final

import msgspec
import pytest

from perdure.model.query import Query, parse
from perdure.model.records import (
    MEMO,
    Beat,
    Claimed,
    ClaimRequest,
    Committed,
    Completed,
    Conflict,
    Enqueued,
    Entry,
    Heartbeat,
    JournalView,
    NewExecution,
    NewSignal,
    Outcome,
    Row,
    Settled,
    Suspended,
    Transition,
    Wait,
    WorkerRow,
)
from perdure.model.status import Status
from perdure.storage import Storage
from perdure.storage.check import check

START: Final = 1_700_000_000_000
"""Where `now` begins, in milliseconds UTC."""
LEASE: Final = 15_000
FAILURE: Final = '{"kind":"error","type":"ValueError","message":"it broke"}'
DONE: Final = Completed('"done"')
FAILED: Final = Settled("failed", FAILURE)


def activity(key: str, value: str | None = "1", *, scope: str = MEMO, position: int = 0, name: str = "act") -> Entry:
    """An entry of an activity: a result, or with a `scope` of an attempt its failure."""
    failure = None if scope == MEMO else FAILURE
    return Entry(
        key, scope, position, "activity", name, value if scope == MEMO else None, failure, None, START, START, 1
    )


def taken(key: str, name: str, position: int = 0) -> Entry:
    """An entry of a received signal."""
    return Entry(key, MEMO, position, "signal", name, '"taken"', None, None, START, None, 1)


def asleep(due_at: int) -> Suspended:
    """A suspension until a moment."""
    return Suspended((Wait("timer", "sleep", due_at),), due_at)


def listening(name: str, taken: int = 0) -> Suspended:
    """A suspension until a signal comes that is more than the `taken` ones."""
    return Suspended((Wait("signal", name),), None, (name,), (taken,))


def joining(
    *, all: int | None = None, any: int | None = None, failed: int | None = None, rest_until: int = 0
) -> Suspended:
    """A suspension until so many children have settled, or more than `failed` without success."""
    return Suspended((Wait("children"),), wake_all=all, wake_any=any, wake_failed=failed, rest_until=rest_until)


def kind(failure: str | None) -> str:
    """The kind of a stored failure; empty for none."""
    read: dict[str, Any] = msgspec.json.decode(failure or "{}")
    return str(read.get("kind", ""))


class Hand:
    """One storage and one moment."""

    def __init__(self, storage: Storage, now: int = START) -> None:
        self.storage, self.now = storage, now

    def new(self, id: str, **fields: Any) -> NewExecution:
        """A new execution of task `work` in queue `default`."""
        return msgspec.structs.replace(NewExecution(id, "work", "{}"), **fields)

    def add(self, *ids: str, **fields: Any) -> list[Enqueued | Conflict]:
        """Enqueues executions of the same fields."""
        return self.storage.enqueue([self.new(id, **fields) for id in ids], self.now)

    def child(self, id: str, parent: str, **fields: Any) -> NewExecution:
        """A new child, in a slot named as itself."""
        above = self.row(parent)
        place = {"parent_id": parent, "slot": id, "root_id": above.root_id, "depth": above.depth + 1}
        return self.new(id, **(place | fields))

    def children(self, parent: str, *ids: str, **fields: Any) -> tuple[NewExecution, ...]:
        """New children of one parent."""
        return tuple(self.child(id, parent, **fields) for id in ids)

    def wait(self, milliseconds: int) -> None:
        """Lets time pass."""
        self.now += milliseconds

    def claim(self, worker: str = "w1", limit: int = 100, **fields: Any) -> Claimed:
        """Claims tasks `work` and `other` in queue `default` for a worker that has heartbeaten."""
        request: dict[str, Any] = {"queues": ("default",), "tasks": ("work", "other")} | fields
        return self.storage.claim(ClaimRequest(worker_id=worker, limit=limit, **request), self.now)

    def claimed(self, worker: str = "w1", limit: int = 100, **fields: Any) -> list[str]:
        """Claims, and answers the ids in the order handed out."""
        return [claim.id for claim in self.claim(worker, limit, **fields).claims]

    def start(self, id: str, worker: str = "w1") -> int:
        """Claims just this execution, due or not, and answers its token."""
        (claim,) = self.claim(worker, ids=(id,)).claims
        return claim.token

    def commit(
        self,
        id: str,
        outcome: Outcome | None = None,
        *,
        token: int | None = None,
        entries: Sequence[Entry] = (),
        spawns: Sequence[NewExecution] = (),
        progress: str | None = None,
        anew: bool = False,
        drop: str | None = None,
    ) -> Committed:
        """One transition, under the token that the row has unless another is given."""
        token = self.row(id).token if token is None else token
        transition = Transition(id, token, tuple(entries), tuple(spawns), outcome, progress, anew, drop)
        return self.storage.commit([transition], self.now)[0]

    def run(self, id: str, outcome: Outcome | None = None, worker: str = "w1", **parts: Any) -> Committed:
        """Claims an execution and commits one transition of it."""
        return self.commit(id, outcome, token=self.start(id, worker), **parts)

    def parent(self, id: str, *children: str, outcome: Outcome | None = None) -> None:
        """An execution that runs, or has that outcome, with pending children."""
        self.add(id)
        self.start(id)
        self.commit(id, outcome, spawns=self.children(id, *children))

    def send(self, id: str, name: str, signal_id: str, value: str = "1") -> Status | None:
        """Signals one execution."""
        return self.storage.signal([NewSignal(signal_id, id, name, value)], self.now)[0]

    def cancel(self, *ids: str, reason: str = "asked to") -> list[Status | None]:
        """Cancels executions."""
        return self.storage.cancel([(id, reason) for id in ids], self.now)

    def beat(
        self,
        worker: str = "w1",
        running: Sequence[tuple[str, int]] = (),
        *,
        leaving: bool = False,
        holding: Sequence[str] | None = None,
    ) -> Beat:
        """Renews a worker's lease."""
        queues, tasks = ("default",), ("work", "other")
        row = WorkerRow(worker, "host", 1, "1.0", queues, tasks, 100, START, self.now + LEASE)
        known = None if holding is None else tuple(holding)
        return self.storage.heartbeat(Heartbeat(row, tuple(running), leaving, known), self.now)

    def lose(self, *workers: str) -> None:
        """Lets the leases of workers end, and reclaims."""
        for worker in workers:
            self.beat(worker)
        self.wait(LEASE)
        self.storage.reclaim(self.now)

    def row(self, id: str) -> Row:
        """An execution that exists."""
        (row,) = self.storage.get([id])
        assert row is not None, f"execution {id} does not exist"
        return row

    def status(self, *ids: str) -> list[Status | None]:
        """The statuses of executions, `None` where there is none."""
        return [None if row is None else row.status for row in self.storage.get(ids)]

    def journal(self, id: str) -> JournalView:
        """What is recorded about one execution."""
        return self.storage.journal([id])[0]

    def keys(self, id: str) -> list[str]:
        """The keys in a journal."""
        return [entry.key for entry in self.journal(id).entries]

    def find(self, query: str = "", limit: int = 100) -> list[str]:
        """The ids that a query finds, oldest first."""
        return [row.id for row in self.storage.search(parse(query), "oldest", limit, None, self.now).rows]

    def count(self, query: str = "") -> int:
        """How many executions a query finds."""
        return self.storage.count(parse(query) if query else Query(), self.now)


class Conformance:
    """Base of all topics. A subclass, or its module, supplies a fixture `storage`: an empty, migrated `Storage`.

    Each test ends with the checker: whatever a test did, no invariant may be broken after it.
    """

    @pytest.fixture
    def on(self, storage: Storage) -> Generator[Hand]:
        """The storage in hand, with worker `w1` known to it."""
        hand = Hand(storage)
        hand.beat("w1")
        yield hand
        assert check(storage) == []
