"""The storage seam. The contract is this docstring; `perdure.testing.conformance` tests each rule.

Operations are named after intentions, take and return *sets*, are **synchronous and atomic**, and are pure of time: the
caller passes `now` (integer milliseconds UTC). They run on store threads behind the small async adapter in `store`.
Several operations inside one `with storage.transaction():` are one transaction.

R1   Results match inputs by position. One bad item fails alone, never its neighbours.
R2   A transition applies only while the execution runs under exactly that lease token; otherwise it answers
     `lost` and changes nothing. The token is checked inside the writing statement.
R3   Entries, spawned executions and outcome of a transition become visible together or not at all; so do a new count of
     attempts (`anew`) and the removal of what an earlier chapter recorded (`drop`, signals taken excepted).
R4   Ids are made by the caller: every mutating call can be sent again. Unique: id; (origin, idempotency key); (parent, slot,
     generation); (execution, journal key, scope). First write wins; a resent item answers as if it were new work that
     stood already. The origin of a task is its first name: a renamed one is the same here.
R5   Claim: due, in a demanded queue, of a demanded task; by priority, then due time, then id. The token rises with
     each claim; `crashes` rises in the claim and falls to 0 by progress (an entry, a spawn, an outcome), an orderly
     release included.
R6   At most one live lease per execution. One renewed row per worker. A dead worker is reclaimed at once where its
     death can be seen, else when its lease ends. What a live worker was given by an answer that never reached it is
     due again once it says what it holds.
R7   A settling child counts up its parent's `children_settled` in the same transaction, grouped per parent per batch. A
     waiting parent falls due when its `wake_all` is reached, or at `rest_until` when its `wake_any` is; one with a
     `wake_failed` also when a child that is not stale settles without success, and then since the millisecond before
     its own creation: it is claimed before the siblings that it is to cancel.
R8   Suspending checks its condition again inside the same commit.
R9   Settled is final (`retry` opens a new generation). An execution that settles without success cancels what is open
     below it in the same transaction. `closed_at` is set when it and all descendants are settled.
R10  Cancel settles pending and waiting subtrees at once and flags running ones; the flag arrives by heartbeat and by
     claim; a commit under the flag settles `cancelled` whatever its outcome, and drops its spawns.
R11  An execution whose worker dies `max_crashes` times in a row without progress fails with kind `worker_lost`. A claim
     hands out at most one execution with two or more crashes, and only if `suspects`.
R12  Signals are kept until asked for, in order of acceptance per (execution, name); their own id deduplicates. Of an
     external task there is one completion per (origin, key), kept before, while and after somebody waits; first write wins.
R13  Rows are taken in ascending id order. Retryable database errors are retried inside the storage.
R14  Hints may be lost or doubled.
R15  Prune removes whole closed trees, oldest first, in bounded bites; and completions that are as old when no
     execution has their key any more.
R16  Every execution that is not settled has a reason to wait and a moment at which somebody looks at it again.

Errors: `StorageError` (a whole call failed: nothing of it happened, or the acknowledgement was lost) and, for programs
that err, `ValueError`. Nothing else leaves a storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from perdure.model.externals import Answered, NewCompletion
from perdure.model.query import Query
from perdure.model.records import (
    Beat,
    Claimed,
    ClaimRequest,
    Committed,
    Conflict,
    Enqueued,
    Found,
    Heartbeat,
    JournalView,
    NewExecution,
    NewSignal,
    Reclaimed,
    Row,
    Stat,
    Transition,
    WorkerRow,
)
from perdure.model.status import Status

Order = Literal["newest", "oldest"]


class Storage(Protocol):
    """One store of executions. See the module's docstring for the rules."""

    inline: bool
    """True where calls are quick enough to be made on the event loop's own thread (memory)."""
    solo: bool
    """True where one operation by itself costs less than a `transaction` of one (PostgreSQL: its commit rides
    along, or the statement is its own)."""

    def migrate(self, now: int) -> int:
        """Brings the schema up to date, and answers its version. Safe to call from several processes at once."""
        ...

    def close(self) -> None:
        """Gives back connections, files and locks. Closing twice is no error."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Makes the operations inside the block one transaction: all of them are durable after it, or none is."""
        ...

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls back, from any thread, when another process may have changed something (R14)."""
        ...

    def enqueue(self, items: Sequence[NewExecution], now: int) -> list[Enqueued | Conflict]:
        """Stores new executions. An id or idempotency key met again answers the existing execution when task and
        `input_digest` agree (whatever its status), else `Conflict`."""
        ...

    def signal(self, items: Sequence[NewSignal], now: int) -> list[Status | None]:
        """Keeps signals. Answers the status of the target after it, `None` where there is no such execution. A waiting
        target that waits for the name falls due (R8, R12)."""
        ...

    def complete_external(self, items: Sequence[NewCompletion], now: int) -> list[Answered]:
        """Keeps what external tasks are completed with, and answers what stands for their keys (R12). A waiting execution
        of the task with that key falls due, whatever else it waits for (R8)."""
        ...

    def cancel(self, items: Sequence[tuple[str, str]], now: int) -> list[Status | None]:
        """Cancels (id, reason) and everything open below (R9, R10). Answers the status each reads now: a running one
        still reads `running`; a settled one is left alone; `None` for an unknown id."""
        ...

    def retry(self, ids: Sequence[str], now: int) -> list[Status | None]:
        """Opens a new generation of executions that failed, timed out or were cancelled: pending, attempt 0, memoised
        entries kept, failures of the old generation no longer seen, children without success stale, and those that run
        under a flag to cancel. Others are left alone. Answers the status each reads now, `None` for an unknown id. A
        parent that is still open is woken; one that runs is due at once when it suspends (R8)."""
        ...

    def forget(self, ids: Sequence[str], name: str, now: int) -> list[int]:
        """Drops the journal entries named `name` of executions that did not complete, and makes open ones due (R4).
        A signal that was taken stays taken: its entry goes aside (`FORGOTTEN`), and the next wait takes the next signal.
        Children of the task `name` become stale, however they stand; what is open of them and below is cancelled (R9,
        R10). Answers how many entries and children it were, each."""
        ...

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        """Leases due work to a worker (R5, R6, R11)."""
        ...

    def commit(self, transitions: Sequence[Transition], now: int) -> list[Committed]:
        """Applies transitions (R2, R3, R7-R10). Two of one execution apply in their order."""
        ...

    def heartbeat(self, beat: Heartbeat, now: int) -> Beat:
        """Registers or renews a worker, and tells it what it lost and what is to be cancelled. `leaving` removes it and
        makes what it still holds due again; `holding` does so with what runs under its name and is not named there."""
        ...

    def drain(self, worker_ids: Sequence[str], now: int) -> list[bool]:
        """Asks workers to take no more work and leave; false for an unknown worker."""
        ...

    def reclaim(self, now: int, judged: int | None = None) -> Reclaimed:
        """Takes back what dead workers held, and settles what is past its deadline and not running (R6, R11). A lease is
        over that ended by `judged`, else by `now`: who cannot trust the clock gives an earlier moment, 0 to judge none."""
        ...

    def prune(self, now: int, closed_before: int | None, limit: int, spare_own: bool = False) -> int:
        """Removes whole closed trees: past their own retention, or closed before the given moment; with `spare_own` the
        latter only where they have no retention of their own. At most about `limit` executions (a tree is never split);
        answers how many. After them, up to `limit` completions of external tasks that are as old, by their own retention
        and moment, those whose key an execution still has excepted."""
        ...

    def get(self, ids: Sequence[str]) -> list[Row | None]:
        """Executions by id."""
        ...

    def settled(self, ids: Sequence[str]) -> list[Row | None]:
        """The settled ones among executions, whole; `None` for those that are open or unknown."""
        ...

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        """What is recorded about each execution, each in one snapshot, children in the order of their start; empty for an
        unknown id."""
        ...

    def search(self, query: Query, order: Order, limit: int, after: str | None, now: int) -> Found:
        """Executions that fit, by creation time then id. `after` is the cursor of an earlier answer; `ValueError` for
        a cursor that is none."""
        ...

    def count(self, query: Query, now: int) -> int:
        """How many executions fit."""
        ...

    def stats(self, now: int) -> list[Stat]:
        """Counts by task, queue and status."""
        ...

    def workers(self, now: int) -> list[WorkerRow]:
        """Workers that are registered, the dead ones not yet reclaimed included. The lease of one whose death the storage
        can see has ended, as `reclaim` would find it (R6)."""
        ...
