"""The checker finds what it says it finds: each rule is shown a storage that breaks it, and one that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from perdure.model.records import (
    MEMO,
    Completed,
    Entry,
    Found,
    JournalView,
    Received,
    Released,
    Retried,
    Row,
    Suspended,
    Wait,
)
from perdure.model.trees import FINALIZE, planned
from perdure.storage.check import Effect, Observed, Violation, check, compare
from perdure.storage.memory import MemoryStorage
from perdure.testing.conformance.hand import (
    DONE,
    FAILED,
    FAILURE,
    LEASE,
    START,
    Hand,
    activity,
    asleep,
    joining,
    listening,
    taken,
)
from perdure.testing.growing import grown

replace = msgspec.structs.replace


class Doctored:
    """A storage that lies: rows, journals and the count go through the functions given."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self.rows: Callable[[list[Row]], list[Row]] = lambda rows: rows
        self.view: Callable[[str, JournalView], JournalView] = lambda _, view: view
        self.more = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def search(self, *arguments: Any) -> Found:
        found = self._storage.search(*arguments)
        return Found(tuple(self.rows(list(found.rows))), found.after)

    def journal(self, ids: Sequence[str]) -> list[JournalView]:
        return [self.view(id, view) for id, view in zip(ids, self._storage.journal(ids), strict=True)]

    def count(self, *arguments: Any) -> int:
        return self._storage.count(*arguments) + self.more

    def alter(self, id: str, **changes: Any) -> None:
        """One execution reads otherwise."""
        self.rows = lambda rows: [replace(row, **changes) if row.id == id else row for row in rows]

    def alter_view(self, id: str, **changes: Any) -> None:
        """One journal reads otherwise."""
        self.view = lambda each, view: replace(view, **changes) if each == id else view


@pytest.fixture
def on() -> Hand:
    """A storage with an execution in every state, and a tree of three generations."""
    hand = Hand(MemoryStorage())
    hand.beat("w1")
    hand.add("pending", "done", "failed", "cancelled", "sleeper", "listener", "running", idempotency_key=None)
    hand.add("keyed", idempotency_key="k")
    hand.run("done", DONE, entries=[activity("x")])
    hand.run("failed", FAILED)
    hand.cancel("cancelled")
    hand.run("sleeper", asleep(START + 10**6))
    hand.send("listener", "go", "s1")
    hand.send("listener", "go", "s2")
    entries = [taken("t1", "go"), taken("t2", "go", 1)]
    hand.run("listener", listening("go", taken=2), entries=entries)
    hand.start("running")
    hand.parent("p", "c1", "c2", outcome=joining(all=2))
    hand.run("c1", DONE, spawns=hand.children("c1", "g1"))
    hand.parent("over", "o1")
    hand.commit("over", FAILED)
    return hand


@pytest.fixture
def lie(on: Hand) -> Doctored:
    assert isinstance(on.storage, MemoryStorage)
    return Doctored(on.storage)


def found(lie: Doctored, rule: str, id: str) -> bool:
    """Whether exactly this is among what the checker finds."""
    return any((violation.rule, violation.execution_id) == (rule, id) for violation in check(lie))


def test_an_honest_storage_has_no_violation(on: Hand, lie: Doctored) -> None:
    assert check(on.storage) == check(lie) == []


ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("R9", "pending", {"status": "sleeping"}),
    ("R6", "running", {"worker_id": None}),
    ("R6", "pending", {"worker_id": "w1"}),
    ("R6", "done", {"worker_id": "w1"}),
    ("R2", "running", {"token": 0}),
    ("R5", "running", {"started_at": None}),
    ("R16", "pending", {"waits": '[{"kind":"timer"}]'}),
    ("R16", "sleeper", {"waits": None}),
    ("R16", "sleeper", {"waits": "[]"}),
    ("R10", "pending", {"cancel_reason": "why"}),
    ("R10", "done", {"cancel_reason": "why"}),
    ("R11", "running", {"crashes": 6}),
    ("R11", "running", {"crashes": -1}),
    ("R9", "done", {"finished_at": None}),
    ("R9", "running", {"finished_at": START}),
    ("R9", "done", {"result": None}),
    ("R9", "failed", {"result": "1"}),
    ("R9", "done", {"due_at": START}),
    ("R9", "failed", {"failure": None}),
    ("R9", "done", {"failure": FAILURE}),
    ("R16", "pending", {"due_at": None}),
    ("R16", "sleeper", {"due_at": None}),
    ("R7", "p", {"children_total": 3}),
    ("R7", "p", {"children_settled": 0}),
    ("R7", "p", {"children_settled": 2}),
    ("R7", "p", {"children_closed": 1}),
    ("R9", "done", {"closed_at": None}),
    ("R9", "c1", {"closed_at": START}),
    ("R9", "pending", {"closed_at": START}),
    ("R9", "o1", {"status": "pending", "due_at": START, "finished_at": None, "failure": None, "cancel_reason": None}),
    ("R4", "done", {"root_id": "p"}),
    ("R4", "g1", {"root_id": "g1"}),
    ("R4", "g1", {"depth": 1}),
    ("R15", "g1", {"parent_id": "nobody"}),
    ("R4", "c2", {"slot": "c1"}),
]


@pytest.mark.parametrize(("rule", "id", "changes"), ROWS)
def test_rows(lie: Doctored, rule: str, id: str, changes: dict[str, Any]) -> None:
    lie.alter(id, **changes)
    assert found(lie, rule, id)


def test_a_circle(lie: Doctored) -> None:
    def circle(rows: list[Row]) -> list[Row]:
        above = {"c1": "g1", "g1": "c1"}
        return [replace(row, parent_id=above[row.id]) if row.id in above else row for row in rows]

    lie.rows = circle
    assert Violation("R4", "g1", "is above itself") in check(lie)


def test_a_running_descendant_without_flag(on: Hand, lie: Doctored) -> None:
    on.add("q")
    on.start("q")
    on.commit("q", spawns=[on.child("q1", "q", worker_id="w1")])
    on.commit("q", FAILED)
    assert check(lie) == []
    lie.alter("q1", cancel_reason=None)
    assert found(lie, "R9", "q1")


def test_below_a_completed_child_of_what_failed(on: Hand, lie: Doctored) -> None:
    on.cancel("p")
    assert check(lie) == []
    lie.alter("g1", status="pending", due_at=START, finished_at=None, failure=None, cancel_reason=None)
    assert found(lie, "R9", "g1")


def test_what_an_operator_opened_below_a_failed_one_is_well(on: Hand) -> None:
    on.storage.retry(["o1"], on.now)
    on.run("o1", spawns=on.children("o1", "o2"))
    assert check(on.storage) == []


def test_a_lost_wake_up_of_a_join(on: Hand, lie: Doctored) -> None:
    on.run("c2", DONE)
    lie.alter("p", due_at=None)
    assert found(lie, "R8", "p")


def test_a_lost_wake_up_of_a_signal(on: Hand, lie: Doctored) -> None:
    on.send("listener", "go", "s3")
    assert check(lie) == []
    lie.alter("listener", due_at=None)
    assert found(lie, "R8", "listener")


def test_a_signal_that_came_too_late_takes_none(on: Hand) -> None:
    late = Entry("t3", MEMO, 2, "signal", "go", None, FAILURE)
    on.send("listener", "go", "s3")
    on.run("listener", listening("go", taken=3), entries=[late, taken("t4", "go", 3)])
    assert check(on.storage) == []


def test_doubled_rows(lie: Doctored) -> None:
    lie.rows = lambda rows: [*rows, rows[0]]
    assert {violation.rule for violation in check(lie)} == {"R1", "R4"}


def test_a_doubled_key(lie: Doctored) -> None:
    lie.alter("pending", idempotency_key="k")
    assert found(lie, "R4", "keyed")
    assert found(lie, "R4", "pending")


@pytest.mark.parametrize(
    ("rule", "id", "changes"),
    [
        ("R4", "done", {"entries": (activity("x", "1"), activity("x", "2", position=1))}),
        ("R4", "listener", {"signals": (Received("s1", "go", "1", 1, 0), Received("s1", "go", "1", 2, 0))}),
        ("R12", "listener", {"signals": (Received("s1", "go", "1", 2, 0), Received("s2", "go", "1", 1, 0))}),
        ("R12", "listener", {"signals": (Received("s1", "go", "1", 1, 0), Received("s2", "go", "1", 1, 0))}),
        ("R7", "p", {"children_settled": 0}),
        ("R3", "p", {"children": ()}),
    ],
)
def test_journals(lie: Doctored, rule: str, id: str, changes: dict[str, Any]) -> None:
    lie.alter_view(id, **changes)
    assert found(lie, rule, id)


def test_a_count_that_differs(lie: Doctored) -> None:
    lie.more = 1
    assert found(lie, "R1", "")


def test_many_pages() -> None:
    hand = Hand(MemoryStorage())
    hand.add(*(f"e{number:04}" for number in range(1100)))
    lie = Doctored(hand.storage)
    lie.alter("e1099", due_at=None)
    assert [violation.execution_id for violation in check(lie)] == ["e1099"]


def test_after_reclaim_nothing_is_left_alone(on: Hand) -> None:
    on.add("late", deadline_at=START + 5, due_at=START + 99)
    later = START + LEASE
    rules = {(violation.rule, violation.execution_id) for violation in check(on.storage, now=later)}
    assert rules == {("R6", "running"), ("R16", "late")}
    on.storage.reclaim(later)
    assert check(on.storage, now=later) == []


# -- trees


def grow(hand: Hand, id: str, count: int = 3) -> None:
    """One pass of a parent task."""
    if hand.row(id).status != "running":
        hand.start(id)
    hand.storage.commit([grown(hand.row(id), hand.journal(id), count, hand.now)], hand.now)


@pytest.fixture
def trees() -> Hand:
    """Trees of three children, two at once: one that completed, one that waits for its finalizer, one for two children
    of which one was replaced, one for its third child."""
    hand = Hand(MemoryStorage())
    hand.beat("w1")
    hand.add("done", "last", "half", "first")
    for id in ("done", "last", "half"):
        grow(hand, id)
        hand.run(f"{id}/#0~0", DONE)
        hand.run(f"{id}/#1~0", DONE if id == "done" else FAILED)
        if id == "half":
            hand.commit(id, Retried(hand.now, FAILURE))
        grow(hand, id)
    for id in ("done", "last"):
        hand.run(f"{id}/#2~0", DONE)
        grow(hand, id)
        grow(hand, id)
    hand.run("done/#finalize~0", Completed("1"))
    for id in ("done", "half", "first", "first"):
        grow(hand, id)
    return hand


@pytest.fixture
def tall(trees: Hand) -> Doctored:
    assert isinstance(trees.storage, MemoryStorage)
    return Doctored(trees.storage)


def test_honest_trees_have_no_violation(trees: Hand, tall: Doctored) -> None:
    assert check(trees.storage) == check(tall) == []
    assert trees.status("done", "last", "half", "first") == ["completed", "waiting", "waiting", "waiting"]
    assert trees.status("half/#1~0", "half/#1~1", "last/#finalize~0") == ["failed", "pending", "pending"]


def lose(lie: Doctored, *ids: str) -> None:
    """Children that no table and no journal shows; counters fit."""
    lie.rows = lambda rows: [row for row in rows if row.id not in ids]
    lie.view = lambda _, view: replace(view, children=tuple(child for child in view.children if child.id not in ids))


@pytest.mark.parametrize(
    ("rule", "tree", "lost"),
    [
        ("T1", "first", "first/#1~0"),
        ("T1", "done", "done/#1~0"),
        ("T1", "done", "done/#2~0"),
        ("T2", "last", "last/#2~0"),
        ("R4", "half", "half/#1~0"),
    ],
)
def test_a_lost_child(tall: Doctored, rule: str, tree: str, lost: str) -> None:
    lose(tall, lost)
    assert found(tall, rule, tree)


def test_a_child_that_waits_for_its_turn_is_not_lost(trees: Hand) -> None:
    plan = planned(trees.journal("first").entries)
    assert plan is not None
    assert trees.status("first/#2~0") == [None]
    assert check(trees.storage) == []


OPEN: dict[str, Any] = {"status": "pending", "due_at": START, "finished_at": None, "result": None, "closed_at": None}


@pytest.mark.parametrize(("rule", "tree"), [("T1", "done"), ("T2", "done"), ("T2", "last")])
def test_a_child_open_behind_its_tree(tall: Doctored, rule: str, tree: str) -> None:
    id = f"{tree}/#0~0"
    tall.alter(id, **OPEN)
    tall.view = lambda _, view: replace(
        view, children=tuple(replace(c, status="pending") if c.id == id else c for c in view.children)
    )
    assert found(tall, rule, tree)


def test_a_child_that_an_operator_opened_behind_its_tree_is_well(trees: Hand) -> None:
    trees.run("last/#finalize~0", Completed("1"))
    grow(trees, "last")
    assert trees.storage.retry(["last/#1~0"], trees.now) == ["pending"]
    assert trees.status("last") == ["completed"]
    assert check(trees.storage) == []


def test_another_result_than_the_finalizers(tall: Doctored) -> None:
    tall.alter("done", result="2")
    assert found(tall, "T2", "done")


def test_two_finalizers_that_completed(trees: Hand, tall: Doctored) -> None:
    def twice(id: str, view: JournalView) -> JournalView:
        again = [replace(child, id="first", generation=1) for child in view.children if child.slot == FINALIZE]
        return replace(view, children=(*view.children, *again)) if id == "done" else view

    tall.view = twice
    assert found(tall, "T2", "done")
    assert found(tall, "R4", "done/#finalize~0")


def test_a_stale_child_that_goes_on(tall: Doctored) -> None:
    tall.alter("half/#1~0", **OPEN, failure=None)
    assert found(tall, "R4", "half/#1~0")


def test_of_what_an_operator_forgot_nothing_is_claimed(trees: Hand) -> None:
    trees.storage.forget(["last"], "work", trees.now)
    assert check(trees.storage) == []
    grow(trees, "last")
    assert trees.status("last/#0~1", "last/#finalize~0") == ["pending", "cancelled"]
    assert check(trees.storage) == []
    trees.storage.forget(["last"], "spawn", trees.now)
    assert check(trees.storage) == []


def test_a_cancel_that_drops_the_children_of_a_spawn(trees: Hand) -> None:
    trees.add("flagged")
    trees.start("flagged")
    trees.cancel("flagged")
    trees.storage.commit([grown(trees.row("flagged"), trees.journal("flagged"), 3, trees.now)], trees.now)
    assert trees.keys("flagged") == ["spawn"]
    assert trees.journal("flagged").children == ()
    assert check(trees.storage) == []


def enqueued(id: str, **fields: Any) -> Observed:
    return Observed(verb="enqueue", execution_id=id, **fields)


HISTORIES: list[tuple[str, str, list[Observed]]] = [
    ("R4", "gone", [enqueued("gone")]),
    ("R4", "gone", [Observed(verb="signal", execution_id="gone", signal_id="s1")]),
    ("R12", "listener", [Observed(verb="signal", execution_id="listener", signal_id="lost")]),
    ("R10", "pending", [Observed(verb="cancel", execution_id="pending", status="cancelled")]),
    ("R10", "running", [Observed(verb="cancel", execution_id="running", status="running")]),
    ("R10", "done", [Observed(verb="cancel", execution_id="done", status="running")]),
    (
        "R4",
        "pending",
        [
            enqueued("keyed", task_name="work", idempotency_key="k"),
            enqueued("pending", task_name="work", idempotency_key="k"),
        ],
    ),
    ("R5", "running", [Observed(verb="claim", execution_id="running", token=token) for token in (1, 1)]),
    ("R5", "running", [Observed(verb="claim", execution_id="running", token=token) for token in (2, 1)]),
    ("R5", "running", [Observed(verb="claim", execution_id="running", token=7)]),
    ("R9", "done", [Observed(verb="settled", execution_id="done", status="failed", failure=FAILURE)]),
    ("R9", "done", [Observed(verb="settled", execution_id="done", status="completed", result='"else"')]),
    ("R9", "running", [Observed(verb="settled", execution_id="running", status="completed", result="1")]),
]


@pytest.mark.parametrize(("rule", "id", "history"), HISTORIES)
def test_history(on: Hand, rule: str, id: str, history: list[Observed]) -> None:
    violations = check(on.storage, history)
    assert {(violation.rule, violation.execution_id) for violation in violations} == {(rule, id)}


def test_a_true_history(on: Hand) -> None:
    on.cancel("running", "sleeper")
    on.storage.retry(["failed", "cancelled"], on.now)
    history = [
        enqueued("done"),
        enqueued("keyed", task_name="work", idempotency_key="k"),
        enqueued("keyed", task_name="work", idempotency_key="k"),
        enqueued("pruned", removable=True),
        Observed(verb="signal", execution_id="listener", signal_id="s1"),
        Observed(verb="cancel", execution_id="running", status="running"),
        Observed(verb="cancel", execution_id="sleeper", status="cancelled"),
        Observed(verb="cancel", execution_id="done", status="completed"),
        Observed(verb="cancel", execution_id="cancelled", status="cancelled"),
        Observed(verb="claim", execution_id="running", token=1),
        Observed(verb="settled", execution_id="done", status="completed", result='"done"'),
        Observed(verb="settled", execution_id="failed", status="failed", failure=FAILURE),
    ]
    assert check(on.storage, history) == []


def ran(token: int = 1, value: str | None = "1") -> Effect:
    return Effect(execution_id="done", key="x", attempt="0.0", token=token, value=value)


@pytest.mark.parametrize(
    ("rule", "effects"),
    [("R3", []), ("R3", [ran(value="2")]), ("R4", [ran(), ran(token=2)])],
)
def test_effects(on: Hand, rule: str, effects: list[Effect]) -> None:
    violations = check(on.storage, effects=effects)
    assert {(violation.rule, violation.execution_id) for violation in violations} == {(rule, "done")}


@pytest.mark.parametrize("effects", [[ran()], [ran(0), ran(0, None), ran()], [ran(value=None)]])
def test_true_effects(on: Hand, effects: list[Effect]) -> None:
    assert check(on.storage, effects=effects) == []


def test_entries_of_a_fork_need_no_run(on: Hand) -> None:
    on.wait(5)
    on.add("fork", entries=(activity("y"),))
    assert check(on.storage, effects=[ran()]) == []


@pytest.mark.parametrize(
    ("rule", "id", "changes"),
    [
        ("R5", "running", {"token": 0}),
        ("R9", "running", {"generation": -1}),
        ("R9", "done", {"status": "pending"}),
        ("R9", "done", {"result": '"else"'}),
        ("R9", "failed", {"status": "cancelled"}),
        ("R9", "done", {"finished_at": START + 1}),
    ],
)
def test_two_readings(on: Hand, rule: str, id: str, changes: dict[str, Any]) -> None:
    before = on.row(id)
    assert [violation.rule for violation in compare([before], [replace(before, **changes)])] == [rule]


def test_two_readings_of_what_may_happen(on: Hand) -> None:
    ids = ["pending", "running", "failed", "done"]
    before = [on.row(id) for id in ids]
    on.commit("running", Released(START))
    on.storage.retry(["failed"], on.now)
    on.run("pending", Suspended((Wait("timer", "", START),), START))
    assert compare(before, [on.row(id) for id in ids]) == []
    assert compare(before, []) == compare([], before) == []


def test_a_violation_reads_well() -> None:
    assert str(Violation("R9", "e1", "is odd")) == "R9: execution e1: is odd"
    assert str(Violation("R1", "", "is odd")) == "R1: execution -: is odd"


def test_a_dead_worker_is_named() -> None:
    hand = Hand(MemoryStorage())
    hand.beat("w1")
    hand.add("a")
    hand.start("a")
    (violation,) = check(hand.storage, now=START + LEASE)
    assert "w1" in violation.detail
