"""What a random operation wishes for, before it is known what there is: hypothesis strategies of small plain records.

A wish names things by number; the state machine (`perdure.testing.stateful`) turns it into an operation on what exists
at that moment. So hypothesis can shrink a failing sequence without breaking its references. Nothing here touches a
storage.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from hypothesis import strategies as st

TASKS: Final = ("work", "other")
QUEUES: Final = ("default", "mail")
WORKERS: Final = ("w1", "w2", "w3")
SIGNALS: Final = ("go", "stop")
NAMES: Final[tuple[frozenset[str], ...]] = (frozenset(), frozenset({"go"}), frozenset({"go"}), frozenset(SIGNALS))
EXTERNALS: Final = ("k1", "k2")
SLOTS: Final = ("s0", "s1", "s2")
LEASE: Final = 100

Ending: TypeAlias = Literal[
    "completed", "failed", "timed_out", "cancelled", "retried", "suspended", "released", "drifted"
]
ENDINGS: Final[tuple[Ending, ...]] = (
    "completed", "failed", "timed_out", "cancelled", "retried", "released", "drifted",
    "suspended", "suspended", "suspended", "suspended", "suspended",
)  # fmt: skip


class ExecutionWish(msgspec.Struct, frozen=True):
    """An execution to enqueue: a new one, or with `known` the id of one that was there. Times count from now."""

    known: int | None
    task: str
    queue: str
    key: str | None
    digest: str | None
    priority: int
    delay: int | None
    deadline: int | None
    retention: int | None
    worker: str | None
    max_crashes: int
    forked: bool
    external: str | None
    renamed: bool = False


class SpawnWish(msgspec.Struct, frozen=True):
    """An execution that another one starts: a child in a slot, or an independent one. With `renamed` the child comes
    under another id than the slot would give it."""

    slot: str | None
    renamed: bool
    key: str | None
    delay: int | None
    deadline: int | None
    worker: str | None
    external: str | None


class EntryWish(msgspec.Struct, frozen=True):
    """An entry: an activity's result or failure, or a signal that was taken."""

    key: str
    what: Literal["result", "failure", "signal"]


class OutcomeWish(msgspec.Struct, frozen=True):
    """How the pass ends; the other fields are for those endings that have them."""

    ending: Ending
    delay: int
    timer: bool
    signals: frozenset[str]
    join: Literal["", "any", "all", "both", "failed"]
    rest: int
    external: bool


class CompletionWish(msgspec.Struct, frozen=True):
    """An external task completed for one of few keys, `aimed` at one that somebody waits for; with `resent` once more the
    last one that was sent."""

    task: str
    key: str
    failed: bool
    retention: int | None
    resent: bool
    aimed: bool


class TransitionWish(msgspec.Struct, frozen=True):
    """One transition of one of the running executions; `other` picks any execution instead, `token_shift` is mostly 0."""

    pick: int
    other: bool
    token_shift: int
    entries: tuple[EntryWish, ...]
    spawns: tuple[SpawnWish, ...]
    outcome: OutcomeWish | None
    progress: str | None
    anew: bool = False
    drop: str | None = None


picks = st.integers(0, 63)
waits = st.integers(0, 60)
some_workers = st.sampled_from((None, None, None, *WORKERS))
some_externals = st.sampled_from((None, *EXTERNALS))
some_keys = st.sampled_from((None, None, None, "k1", "k2"))

executions = st.builds(
    ExecutionWish,
    known=st.none() | st.none() | picks,
    task=st.sampled_from(TASKS),
    queue=st.sampled_from((QUEUES[0], *QUEUES)),
    key=some_keys,
    digest=st.sampled_from((None, None, "d1")),
    priority=st.integers(-1, 1),
    delay=st.none() | waits,
    deadline=st.none() | st.none() | st.none() | st.integers(1, 4 * LEASE),
    retention=st.none() | st.integers(0, LEASE),
    worker=some_workers,
    max_crashes=st.integers(1, 4),
    forked=st.sampled_from((False, False, True)),
    external=some_externals,
    renamed=st.sampled_from((False, False, True)),
)
spawns = st.builds(
    SpawnWish,
    slot=st.sampled_from((*SLOTS, None)),
    renamed=st.sampled_from((False, False, False, True)),
    key=some_keys,
    delay=st.none() | waits,
    deadline=st.none() | st.none() | st.none() | st.integers(1, 4 * LEASE),
    worker=some_workers,
    external=some_externals,
)
entries = st.builds(
    EntryWish, key=st.sampled_from(("x", "y", "z")), what=st.sampled_from(("result", "failure", "signal", "signal"))
)
outcomes = st.builds(
    OutcomeWish,
    ending=st.sampled_from(ENDINGS),
    delay=waits,
    timer=st.sampled_from((False, False, True)),
    signals=st.sampled_from(NAMES),
    join=st.sampled_from(("any", "all", "both", "failed", "")),
    rest=waits,
    external=st.sampled_from((True, True, False)),
)
transitions = st.builds(
    TransitionWish,
    pick=picks,
    other=st.sampled_from((False, False, False, False, True)),
    token_shift=st.sampled_from((0, 0, 0, 0, 0, 0, -1, 1)),
    entries=st.lists(entries, max_size=3).map(tuple),
    spawns=st.lists(spawns, max_size=3).map(tuple),
    outcome=st.none() | outcomes | outcomes | outcomes,
    progress=st.sampled_from((None, None, '{"state":"paid"}')),
    anew=st.sampled_from((False, False, True)),
    drop=st.sampled_from((None, None, None, "x", "go")),
)
completions = st.lists(
    st.builds(
        CompletionWish,
        task=st.sampled_from(TASKS),
        key=st.sampled_from(EXTERNALS),
        failed=st.booleans(),
        retention=st.none() | st.integers(0, LEASE),
        resent=st.booleans(),
        aimed=st.booleans(),
    ),
    min_size=1,
    max_size=2,
)
batches = st.lists(transitions, min_size=1, max_size=3)
families = st.builds(
    TransitionWish,
    pick=picks,
    other=st.just(False),
    token_shift=st.just(0),
    entries=st.just(()),
    spawns=st.lists(spawns, min_size=1, max_size=3).map(tuple),
    outcome=outcomes,
    progress=st.none(),
)
some_executions = st.lists(executions, min_size=2, max_size=5)
many_executions = st.lists(executions, min_size=1, max_size=3)
ends = st.lists(st.booleans(), min_size=1, max_size=3)
many_picks = st.lists(picks, min_size=1, max_size=3)
queries = st.lists(
    st.sampled_from(
        (
            "status:pending", "status:running,waiting", "-status:completed", "task:work", "-task:other", "queue:mail",
            "tag:color=red", "-tag:color=red", "tag:color=blue,color=red", "error:broke", "-error:BROKE", "error:cancel",
            "waiting:timer", "-waiting:signal", "waiting:children", "waiting:external", "state:paid", "-state:paid", "since:50ms",
            "-since:50ms", "parent:e1", "-parent:e1", "root:e1", "-root:e2", "id:e1,e2", "-id:e1", "id:e1*",
        )
    ),
    max_size=3,
).map(" ".join)  # fmt: skip
