"""What crosses the storage seam: rows, journal entries, transitions and their answers.

All are frozen. Payloads (`input`, `result`, `value`, `failure`, …) are JSON text here; only the codec looks inside.
Instants are integer milliseconds UTC. Field order is column order: a storage builds rows positionally.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from perdure.model.externals import Completion
from perdure.model.status import Status, WaitKind

EntryKind: TypeAlias = Literal["activity", "child", "timer", "signal", "value", "iteration", "item", "state"]

MEMO = ""
"""Scope of an entry that holds for ever: a result, a timer, a value, a received signal."""
FORGOTTEN = "forgotten "
"""How the scope of a received signal begins that an operator let forget: it answers nothing any more, and stays taken."""


class Wait(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing an execution waits for. `name` is the signal, activity or task name, `due_at` when a timer ends."""

    kind: WaitKind
    name: str = ""
    due_at: int | None = None


class Entry(msgspec.Struct, frozen=True):
    """One row of a journal; (execution, `key`, `scope`) is unique and the first write wins.

    `scope` is `MEMO` for what holds for ever; for a failure it is the attempt that saw it (`"generation.attempt"`), for
    the mark that an at-most-once activity began, `"started"`; for a forgotten signal `FORGOTTEN` and its position. `name` is the activity, task or signal name.
    `value` is the recorded result (JSON text), `failure` a failure record (JSON text); `due_at` belongs to timers.
    `position` orders the journal of one execution. `token` is the lease that recorded it, 0 for an entry copied from
    another execution (a fork): a signal in it was taken from that one's queue, not from this one's.
    """

    key: str
    scope: str
    position: int
    kind: EntryKind
    name: str
    value: str | None = None
    failure: str | None = None
    due_at: int | None = None
    recorded_at: int = 0
    started_at: int | None = None
    token: int = 0


class Child(msgspec.Struct, frozen=True):
    """A child as its parent's journal shows it. `stale`: settled without success before the current attempt began (or was
    being cancelled when an operator opened the parent again), or forgotten by an operator, so the attempt replaces it."""

    id: str
    slot: str
    generation: int
    task_name: str
    status: Status
    stale: bool
    result: str | None
    failure: str | None
    created_at: int


class Received(msgspec.Struct, frozen=True):
    """A signal that was accepted for an execution, in order of acceptance (`position` rises)."""

    id: str
    name: str
    value: str
    position: int
    accepted_at: int


class JournalView(msgspec.Struct, frozen=True):
    """All that is recorded about one execution, read in one snapshot. `children_settled` is the parent row's counter in
    that same snapshot (see `Suspended`). `external` is what its external key was completed with."""

    entries: tuple[Entry, ...] = ()
    children: tuple[Child, ...] = ()
    signals: tuple[Received, ...] = ()
    children_settled: int = 0
    external: Completion | None = None


class NewExecution(msgspec.Struct, frozen=True, omit_defaults=True):
    """An execution to be stored. `due_at` `None` means at once. With `worker_id` it is inserted already leased to that
    worker (token 1, status running). `entries` are copied in (a fork). `input_digest` is compared when an id or
    idempotency key is met again. `external_key` is what an execution of an external task waits for. `origin` is the
    first name of its task, where that is not `task_name`: ids, idempotency keys and external keys are compared by it."""

    id: str
    task_name: str
    input: str
    queue: str = "default"
    priority: int = 0
    due_at: int | None = None
    deadline_at: int | None = None
    input_digest: str | None = None
    idempotency_key: str | None = None
    options: str | None = None
    version: str | None = None
    tags: str | None = None
    trace: str | None = None
    parent_id: str | None = None
    slot: str | None = None
    slot_generation: int = 0
    root_id: str = ""
    depth: int = 0
    max_crashes: int = 5
    retention: int | None = None
    worker_id: str | None = None
    external_key: str | None = None
    origin: str | None = None
    entries: tuple[Entry, ...] = ()


class Enqueued(msgspec.Struct, frozen=True):
    """Answer to an enqueue: the execution that now stands for it. `created` is false where it stood already."""

    id: str
    created: bool
    status: Status
    leased: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """Answer to an enqueue whose id or idempotency key belongs to another task or input (`id` owns it)."""

    id: str
    reason: str


class Row(msgspec.Struct, frozen=True):
    """An execution as stored, whole."""

    id: str
    task_name: str
    queue: str
    priority: int
    status: Status
    token: int
    worker_id: str | None
    generation: int
    attempt: int
    crashes: int
    drifts: int
    due_at: int | None
    deadline_at: int | None
    input: str
    input_digest: str | None
    result: str | None
    failure: str | None
    waits: str | None
    cancel_reason: str | None
    progress: str | None
    idempotency_key: str | None
    external_key: str | None
    origin: str
    options: str | None
    version: str | None
    tags: str | None
    trace: str | None
    parent_id: str | None
    slot: str | None
    slot_generation: int
    root_id: str
    depth: int
    max_crashes: int
    retention: int | None
    children_total: int
    children_settled: int
    children_closed: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    closed_at: int | None


class Claim(msgspec.Struct, frozen=True):
    """An execution handed to a worker, with just what a pass needs. `journaled`: there is something to read first.
    `crashes` counts this claim already. `cancel_reason` is set where a cancel waits to be delivered."""

    id: str
    task_name: str
    token: int
    generation: int
    attempt: int
    crashes: int
    drifts: int
    journaled: bool
    input: str
    failure: str | None
    cancel_reason: str | None
    deadline_at: int | None
    queue: str
    priority: int
    options: str | None
    version: str | None
    tags: str | None
    trace: str | None
    parent_id: str | None
    root_id: str
    depth: int
    created_at: int
    started_at: int | None
    due_at: int | None
    origin: str


class ClaimRequest(msgspec.Struct, frozen=True):
    """What a worker asks for. `suspects`: may the answer hold one execution that crashed twice or more (R11)?
    With `ids` only these are claimed, if they wait or are pending, whether due or not (a body that goes on by itself).
    """

    worker_id: str
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    limit: int
    suspects: bool = True
    ids: tuple[str, ...] = ()


class Claimed(msgspec.Struct, frozen=True):
    """Answer to a claim. `short`: fewer came than asked, nothing else is due now. `next_due`: when something falls due
    next in these queues, as far as known."""

    claims: tuple[Claim, ...]
    short: bool
    next_due: int | None


class Completed(msgspec.Struct, frozen=True, tag=True):
    """The body returned."""

    result: str


class Settled(msgspec.Struct, frozen=True, tag=True):
    """The execution ends without success: `failed`, `timed_out` or `cancelled`."""

    status: Status
    failure: str


class Retried(msgspec.Struct, frozen=True, tag=True):
    """The attempt ended, another follows at `due_at`. Settled children without success become stale."""

    due_at: int
    failure: str


class Suspended(msgspec.Struct, frozen=True, tag=True):
    """A pass ended because every branch waits.

    The execution falls due at the earliest of: `due_at` (timers); a signal of one of the names in `signals`, of which it
    has taken `taken[i]` so far, standing ready; its counter of settled children reaching `wake_all` (at once) or
    `wake_any` (not before `rest_until`: the coalescing of rule R7); more than `wake_failed` children, stale ones aside,
    having settled without success (at once). Counters are absolute: what the pass knew, plus what it still waits for.
    `external` is the (origin, key) whose completion it waits for. The condition is checked again inside the commit (R8).
    """

    waits: tuple[Wait, ...]
    due_at: int | None = None
    signals: tuple[str, ...] = ()
    taken: tuple[int, ...] = ()
    wake_any: int | None = None
    wake_all: int | None = None
    wake_failed: int | None = None
    rest_until: int = 0
    external: tuple[str, str] | None = None


class Released(msgspec.Struct, frozen=True, tag=True):
    """The pass ended without a result and consumes nothing: shutdown, or drift (then `failure` is shown, `drifted` is
    true, and `due_at` says when to look again)."""

    due_at: int
    failure: str | None = None
    drifted: bool = False


Outcome: TypeAlias = Completed | Settled | Retried | Suspended | Released


class Transition(msgspec.Struct, frozen=True):
    """One step of one running execution: entries, new executions (children or independent) and perhaps an outcome, all
    under the lease `token`, all or nothing (R2, R3). `progress` is JSON text.

    `anew`: a chapter of the body (an iteration, an item of a list) succeeded and the next one begins: `attempt` counts from
    0 again and the last failure is cleared. `drop` is a prefix of keys: all that the journal holds under it, entries of
    this transition included, is removed, but for signals that were taken, which stay counted.
    """

    id: str
    token: int
    entries: tuple[Entry, ...] = ()
    spawns: tuple[NewExecution, ...] = ()
    outcome: Outcome | None = None
    progress: str | None = None
    anew: bool = False
    drop: str | None = None


class Committed(msgspec.Struct, frozen=True):
    """Answer to a transition. `lost`: the lease is another's now and nothing was changed. `status` is what the execution
    reads now; `cancelled`: a cancel was met (an outcome became `cancelled`, spawns were dropped). `spawned` matches
    `spawns` by position. `woken` names executions that fell due by it (parents)."""

    lost: bool = False
    status: Status = "running"
    cancelled: bool = False
    spawned: tuple[Enqueued | Conflict, ...] = ()
    woken: tuple[str, ...] = ()


class NewSignal(msgspec.Struct, frozen=True):
    """A value from outside for one execution; its own `id` deduplicates resending."""

    id: str
    execution_id: str
    name: str
    value: str


class WorkerRow(msgspec.Struct, frozen=True):
    """A worker as the others see it. `tasks` and `queues` are what it serves; `lease_until` renews with each heartbeat.
    `running` is how many executions it holds: the storage counts them when it is asked, whatever a heartbeat says."""

    id: str
    host: str
    process: int
    version: str
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    concurrency: int
    started_at: int
    lease_until: int
    draining: bool = False
    running: int = 0


class Heartbeat(msgspec.Struct, frozen=True):
    """Renews a worker's lease; `running` are (execution, token) it believes to hold. `leaving` removes the worker.
    `holding`, where given, is all that it knows of: what else runs under its name is due again, because the answer that
    handed it over was lost."""

    worker: WorkerRow
    running: tuple[tuple[str, int], ...] = ()
    leaving: bool = False
    holding: tuple[str, ...] | None = None


class Beat(msgspec.Struct, frozen=True):
    """Answer to a heartbeat: what it no longer holds, what is to be cancelled (with the reason), and whether an operator
    asked it to drain."""

    lost: tuple[str, ...] = ()
    cancelled: tuple[tuple[str, str], ...] = ()
    drain: bool = False


class Reclaimed(msgspec.Struct, frozen=True):
    """What maintenance took back: `released` executions of dead workers that are due again, `poisoned` ones that failed
    with `worker_lost`, `expired` ones past their deadline, and the `workers` found dead."""

    released: tuple[str, ...] = ()
    poisoned: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    woken: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """A page of a search; `after` is the cursor for the next page, `None` at the end."""

    rows: tuple[Row, ...]
    after: str | None


class Stat(msgspec.Struct, frozen=True):
    """How many executions of one task in one queue have one status; `oldest_due` among those that are due."""

    task_name: str
    queue: str
    status: Status
    count: int
    oldest_due: int | None
