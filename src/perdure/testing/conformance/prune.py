"""Prune: whole closed trees, oldest first, in bounded bites, and nothing else (R15)."""

from __future__ import annotations

import pytest

from perdure.model.records import Enqueued, JournalView
from perdure.testing.conformance.hand import DONE, FAILED, START, Conformance, Hand, activity, asleep


class PruneConformance(Conformance):
    """Removing what is over."""

    def prune(self, on: Hand, before: int | None = None, limit: int = 1000) -> int:
        """Prunes now."""
        return on.storage.prune(on.now, before, limit)

    def closed(self, on: Hand, *ids: str, **fields: object) -> None:
        """Executions that are closed, a millisecond apart."""
        for id in ids:
            on.add(id, **fields)
            on.run(id, DONE)
            on.wait(1)

    def test_closed_before(self, on: Hand) -> None:
        """R15: what closed before the moment goes; at the moment itself it stays."""
        self.closed(on, "a", "b", "c")
        assert self.prune(on, START + 2) == 2
        assert on.status("a", "b", "c") == [None, None, "completed"]

    def test_own_retention(self, on: Hand) -> None:
        """R15: a task's own retention counts from closing; without one nothing goes by itself."""
        self.closed(on, "short", retention=100)
        self.closed(on, "long", retention=1000)
        self.closed(on, "kept")
        on.now = START + 99
        assert self.prune(on) == 0
        on.now = START + 100
        assert self.prune(on) == 1
        on.now = START + 10**9
        assert self.prune(on) == 1
        assert on.status("short", "long", "kept") == [None, None, "completed"]

    def test_own_retention_first(self, on: Hand) -> None:
        """R15: what has a retention of its own is spared where that is asked for, and only until it is over."""
        self.closed(on, "long", "longer", retention=1000)
        self.closed(on, "plain")
        on.now = START + 500
        assert on.storage.prune(on.now, on.now, 1000, spare_own=True) == 1
        assert on.status("long", "longer", "plain") == ["completed", "completed", None]
        on.now = START + 1000
        assert on.storage.prune(on.now, on.now, 1000, spare_own=True) == 1
        assert on.status("long", "longer") == [None, "completed"]
        assert self.prune(on, on.now) == 1

    def test_open_ones_stay(self, on: Hand) -> None:
        """R15: whatever their age and retention."""
        on.add("pending", "running", "waiting", retention=0)
        on.start("running")
        on.run("waiting", asleep(START + 5))
        on.wait(1000)
        assert self.prune(on, on.now) == 0
        assert on.count() == 3

    def test_settled_but_not_closed(self, on: Hand) -> None:
        """R15: a tree goes whole or not at all."""
        on.parent("p", "a", "b")
        on.run("a", DONE)
        on.commit("p", DONE)
        on.wait(1000)
        assert self.prune(on, on.now) == 0
        on.run("b", DONE)
        on.wait(1)
        assert self.prune(on, on.now) == 3
        assert on.count() == 0

    def test_children_go_with_their_root(self, on: Hand) -> None:
        """R15: a child's own retention removes no part of a tree that is not closed."""
        on.add("p")
        on.start("p")
        on.commit("p", spawns=on.children("p", "a", retention=0))
        on.run("a", DONE)
        on.wait(1000)
        assert self.prune(on, on.now) == 0
        assert on.status("a") == ["completed"]

    def test_oldest_first_and_bounded(self, on: Hand) -> None:
        """R15: by closing, not by id; no more than asked."""
        self.closed(on, "e", "d", "c", "b", "a")
        assert self.prune(on, on.now, 2) == 2
        assert on.find() == ["c", "b", "a"]
        assert self.prune(on, on.now, 2) == 2
        assert self.prune(on, on.now, 2) == 1
        assert self.prune(on, on.now, 2) == 0

    def test_a_large_tree_is_not_split(self, on: Hand) -> None:
        """R15: at least one tree goes, however large."""
        on.parent("p", *(f"c{number}" for number in range(50)))
        on.commit("p", FAILED)
        on.wait(1)
        self.closed(on, "later")
        assert self.prune(on, on.now, 3) == 51
        assert on.find() == ["later"]

    def test_nothing_of_it_is_left(self, on: Hand) -> None:
        """R4, R15: journal and signals go with it; id, key, slots and signal ids are free again."""
        on.add("p", idempotency_key="k", input_digest="d")
        on.send("p", "go", "s1")
        on.run("p", spawns=on.children("p", "a"), entries=[activity("x")])
        on.run("a", DONE, entries=[activity("y")])
        on.commit("p", DONE)
        on.wait(1)
        assert self.prune(on, on.now) == 2
        assert on.storage.journal(["p", "a"]) == [JournalView(), JournalView()]
        assert on.send("p", "go", "s2") is None
        assert on.add("q", idempotency_key="k", input_digest="else") == [Enqueued("q", True, "pending")]
        assert on.add("p", task_name="other") == [Enqueued("p", True, "pending")]
        assert on.send("p", "go", "s1") == "pending"
        assert (on.keys("p"), len(on.journal("p").signals), on.row("p").children_total) == ([], 1, 0)

    def test_neighbours_stay_whole(self, on: Hand) -> None:
        """R15: other trees keep their journals and keys."""
        self.closed(on, "old")
        on.add("new", idempotency_key="k")
        on.run("new", DONE, entries=[activity("x")])
        assert self.prune(on, on.now) == 1
        assert on.keys("new") == ["x"]
        assert on.add("again", idempotency_key="k") == [Enqueued("new", False, "completed")]

    @pytest.mark.parametrize("generation", [1, 2])
    def test_opened_again(self, on: Hand, generation: int) -> None:
        """R9, R15: what an operator opened again is not over."""
        on.add("a", retention=0)
        for _ in range(generation):
            on.run("a", FAILED)
            on.storage.retry(["a"], on.now)
        on.wait(1000)
        assert self.prune(on, on.now) == 0
        on.run("a", DONE)
        assert self.prune(on) == 1

    def test_nothing_to_prune(self, on: Hand) -> None:
        """R15: an empty storage answers 0."""
        assert self.prune(on, on.now) == 0
