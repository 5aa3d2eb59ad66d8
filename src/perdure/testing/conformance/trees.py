"""Trees: children and their slots, joins that wake once, closing, deep and wide (R4, R7, R8, R9)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from perdure.model.records import Enqueued, Retried, Suspended, Transition, Wait
from perdure.testing.conformance.hand import DONE, FAILED, FAILURE, START, Conformance, Hand, asleep, joining


class TreeConformance(Conformance):
    """Parents and children."""

    def test_children_are_counted(self, on: Hand) -> None:
        """R7: the parent knows how many there are, how many settled and how many closed."""
        on.parent("p", "a", "b", "c")
        on.run("a", DONE)
        on.run("b", FAILED)
        row = on.row("p")
        assert (row.children_total, row.children_settled, row.children_closed) == (3, 2, 2)
        assert on.journal("p").children_settled == 2

    def test_the_journal_shows_children(self, on: Hand) -> None:
        """R3: a parent's journal has its children with how they ended."""
        on.parent("p", "a", "b", "c")
        on.run("a", DONE)
        on.run("b", FAILED)
        children = {child.id: child for child in on.journal("p").children}
        shown = {id: (child.status, child.result, child.failure, child.stale) for id, child in children.items()}
        assert shown == {
            "a": ("completed", '"done"', None, False),
            "b": ("failed", None, FAILURE, False),
            "c": ("pending", None, None, False),
        }
        assert (children["a"].slot, children["a"].generation, children["a"].task_name) == ("a", 0, "work")

    def test_children_come_in_the_order_of_their_start(self, on: Hand) -> None:
        """R3: whatever their ids, tasks and fields, and however many start in one moment."""
        on.add("p")
        on.start("p")
        mixed = [
            on.child(f"{99 - number}", "p", task_name=("work", "other", "third")[number % 3], priority=number % 7)
            for number in range(40)
        ]  # fmt: skip
        alternating = [on.child(f"b{9 - number}", "p", priority=number % 2) for number in range(4)]
        on.commit("p", spawns=[*mixed, on.new("free")])
        on.commit("p", spawns=alternating)
        expected = [child.id for child in (*mixed, *alternating)]
        assert [child.id for child in on.journal("p").children] == expected

    def test_all(self, on: Hand) -> None:
        """R7: a join of all wakes with the last child, at once."""
        on.parent("p", "a", "b", outcome=joining(all=2))
        assert on.run("a", DONE).woken == ()
        assert on.row("p").due_at is None
        on.wait(5)
        assert on.run("b", FAILED).woken == ("p",)
        assert on.row("p").due_at == on.now
        assert on.claimed() == ["p"]

    def test_any(self, on: Hand) -> None:
        """R7: a join of any wakes with the first."""
        on.parent("p", "a", "b", outcome=joining(any=1))
        on.wait(5)
        assert on.run("b", DONE).woken == ("p",)
        assert on.claimed(ids=("p",)) == ["p"]

    def test_any_is_coalesced(self, on: Hand) -> None:
        """R7: not before `rest_until`, so that n children do not cost n passes."""
        on.parent("p", "a", "b", "c", outcome=joining(any=1, all=3, rest_until=START + 50))
        on.wait(5)
        on.run("a", DONE)
        assert on.row("p").due_at == START + 50
        on.run("b", DONE)
        assert on.row("p").due_at == START + 50
        on.now = START + 49
        assert "p" not in on.claimed(tasks=("work",), limit=1) + on.claimed()
        on.now = START + 50
        assert on.claimed() == ["p"]

    def test_all_does_not_rest(self, on: Hand) -> None:
        """R7: when everything awaited is there, there is nothing to wait for."""
        on.parent("p", "a", "b", outcome=joining(any=1, all=2, rest_until=START + 50))
        on.run("a", DONE)
        on.run("b", DONE)
        assert on.row("p").due_at == on.now

    def test_rest_that_has_passed(self, on: Hand) -> None:
        """R7: later than `rest_until` it is due at once."""
        on.parent("p", "a", "b", outcome=joining(any=1, rest_until=START + 50))
        on.now = START + 70
        on.run("a", DONE)
        assert on.row("p").due_at == START + 70

    def test_an_earlier_timer_stays(self, on: Hand) -> None:
        """R8: a wake-up never makes anything later."""
        on.add("p")
        on.start("p")
        outcome = Suspended(
            (Wait("timer", "", START + 20), Wait("children")), START + 20, wake_any=1, rest_until=START + 50
        )
        on.commit("p", outcome, spawns=on.children("p", "a", "b"))
        on.run("a", DONE)
        assert on.row("p").due_at == START + 20

    def test_settled_before_the_parent_waits(self, on: Hand) -> None:
        """R8: children that settled during the pass are seen by the suspension: no lost wake-up."""
        on.parent("p", "a", "b")
        on.run("a", DONE)
        on.run("b", DONE)
        on.commit("p", joining(all=2))
        assert on.row("p").due_at == on.now

    def test_settled_before_the_parent_rests(self, on: Hand) -> None:
        """R7, R8: one of them is enough for a join of any, not before its rest is over."""
        on.parent("p", "a", "b")
        on.run("a", DONE)
        on.commit("p", joining(any=1, all=2, rest_until=START + 50))
        assert on.row("p").due_at == START + 50

    def test_settling_and_waiting_in_one_batch(self, on: Hand) -> None:
        """R7, R8: in whichever order they stand in the batch, the parent is woken."""
        for name, first in (("p", True), ("q", False)):
            on.parent(name, f"{name}c")
            child = Transition(f"{name}c", on.start(f"{name}c"), outcome=DONE)
            parent = Transition(name, on.row(name).token, outcome=joining(all=1))
            on.storage.commit([child, parent] if first else [parent, child], on.now)
            assert on.row(name).due_at == on.now

    def test_the_first_failure(self, on: Hand) -> None:
        """R7: a join that wakes at a failure does so at the first child without success, whatever its rest, and comes
        before the siblings that have not begun."""
        on.parent("p", "a", "b", "c", outcome=joining(all=3, failed=0, rest_until=START + 50))
        assert on.run("a", DONE).woken == ()
        on.wait(5)
        assert on.run("b", FAILED).woken == ("p",)
        assert on.row("p").due_at == on.row("p").created_at - 1
        assert on.claimed(limit=1) == ["p"]

    def test_a_cancelled_child_is_a_failure(self, on: Hand) -> None:
        """R7: whoever settles it, and however, it did not succeed."""
        on.parent("p", "a", "b", outcome=joining(all=2, failed=0))
        on.storage.cancel([("a", "enough")], on.now)
        assert on.row("p").due_at == on.row("p").created_at - 1

    def test_failed_before_the_parent_waits(self, on: Hand) -> None:
        """R8: a child that failed during the pass is seen by the suspension; those that the pass knew do not count."""
        for name, known in (("p", 0), ("q", 1)):
            on.parent(name, f"{name}a", f"{name}b")
            on.run(f"{name}a", FAILED)
            on.commit(name, joining(all=2, failed=known))
            assert on.row(name).due_at == (None if known else on.row(name).created_at - 1)
        on.run("qb", FAILED)
        assert on.row("q").due_at == on.row("q").created_at - 1

    def test_failing_and_waiting_in_one_batch(self, on: Hand) -> None:
        """R7, R8: in whichever order they stand in the batch, the parent is woken."""
        for name, first in (("p", True), ("q", False)):
            on.parent(name, f"{name}c", f"{name}d")
            child = Transition(f"{name}c", on.start(f"{name}c"), outcome=FAILED)
            parent = Transition(name, on.row(name).token, outcome=joining(all=2, failed=0))
            on.storage.commit([child, parent] if first else [parent, child], on.now)
            assert on.row(name).due_at == on.row(name).created_at - 1

    def test_failures_of_the_past_do_not_wake(self, on: Hand) -> None:
        """R7: a stale child counts neither as known nor as news."""
        on.parent("p", "a", "b")
        on.run("a", FAILED)
        on.commit("p", Retried(on.now, FAILURE))
        on.start("p")
        again = on.child("a2", "p", slot="a", slot_generation=1)
        on.commit("p", joining(all=3, failed=0), spawns=[again])
        assert on.row("p").due_at is None
        on.run("a2", FAILED)
        assert on.row("p").due_at == on.row("p").created_at - 1

    def test_a_wake_at_failure_is_of_one_wait(self, on: Hand) -> None:
        """R7: the next suspension has conditions of its own."""
        on.parent("p", "a", "b", "c", outcome=joining(all=3, failed=0))
        on.run("a", FAILED)
        on.start("p")
        on.commit("p", joining(all=3))
        on.run("b", FAILED)
        assert on.row("p").due_at is None

    def test_many_children_in_one_batch(self, on: Hand) -> None:
        """R7: one wake-up for a batch of settling children; counters are exact."""
        ids = [f"c{number:04}" for number in range(1000)]
        on.parent("p", *ids, outcome=joining(any=1, all=1000, rest_until=START + 50))
        claims = on.claim(limit=2000).claims
        assert len(claims) == 1000
        answers = on.storage.commit([Transition(claim.id, claim.token, outcome=DONE) for claim in claims], on.now)
        assert {id for answer in answers for id in answer.woken} == {"p"}
        row = on.row("p")
        assert (row.children_settled, row.children_closed, row.due_at) == (1000, 1000, on.now)
        assert on.claimed() == ["p"]

    def test_a_slot_is_filled_once(self, on: Hand) -> None:
        """R4: (parent, slot, generation) met again answers the child that stands there."""
        on.parent("p", "a")
        answer = on.commit("p", spawns=[on.child("again", "p", slot="a")])
        assert answer.spawned == (Enqueued("a", False, "pending"),)
        assert (on.status("again"), on.row("p").children_total) == ([None], 1)

    def test_slots_of_other_parents(self, on: Hand) -> None:
        """R4: a slot belongs to its parent."""
        on.parent("p", "a")
        on.parent("q")
        answer = on.commit("q", spawns=[on.child("b", "q", slot="a")])
        assert answer.spawned == (Enqueued("b", True, "pending"),)

    def test_the_next_generation_of_a_slot(self, on: Hand) -> None:
        """R4: a later attempt replaces a child that settled without success."""
        on.parent("p", "a")
        on.run("a", FAILED)
        on.commit("p", Retried(START, FAILURE))
        answer = on.run("p", joining(all=2), spawns=[on.child("a2", "p", slot="a", slot_generation=1)])
        assert answer.spawned == (Enqueued("a2", True, "pending"),)
        assert (on.row("p").children_total, on.row("p").children_settled) == (2, 1)

    def test_failed_children_become_stale(self, on: Hand) -> None:
        """R4: stale is what settled without success before the attempt began, nothing else."""
        on.parent("p", "good", "bad", "open")
        on.run("good", DONE)
        on.run("bad", FAILED)
        on.commit("p", Retried(START + 50, FAILURE))
        assert {child.id: child.stale for child in on.journal("p").children} == {
            "good": False,
            "bad": True,
            "open": False,
        }
        on.now = START + 50
        on.run("open", FAILED)
        assert {child.id for child in on.journal("p").children if child.stale} == {"bad"}

    def test_a_suspension_makes_nothing_stale(self, on: Hand) -> None:
        """R4: only the end of an attempt does."""
        on.parent("p", "bad")
        on.run("bad", FAILED)
        on.commit("p", asleep(START + 5))
        assert not on.journal("p").children[0].stale

    def test_a_completed_parent_leaves_children_running(self, on: Hand) -> None:
        """R9: it is closed when they have settled."""
        on.parent("p", "a", "b")
        on.start("b")
        on.commit("p", DONE)
        assert on.status("p", "a", "b") == ["completed", "pending", "running"]
        assert on.row("p").closed_at is None
        on.commit("b", DONE)
        on.wait(7)
        assert on.row("p").closed_at is None
        on.run("a", FAILED)
        row = on.row("p")
        assert (row.finished_at, row.closed_at) == (START, START + 7)

    def test_closing_goes_up(self, on: Hand) -> None:
        """R9: whatever is above closes with the last one below."""
        on.parent("p", "a")
        on.start("a")
        on.commit("a", spawns=on.children("a", "b"))
        on.commit("p", DONE)
        on.commit("a", DONE)
        assert (on.row("p").closed_at, on.row("a").closed_at) == (None, None)
        on.wait(3)
        on.run("b", DONE)
        assert [on.row(id).closed_at for id in "pab"] == [START + 3] * 3

    def test_an_open_parent_is_not_closed(self, on: Hand) -> None:
        """R9: all children settled is not enough."""
        on.parent("p", "a")
        on.run("a", DONE)
        row = on.row("p")
        assert (row.closed_at, row.children_closed) == (None, 1)

    def test_a_chain_closes(self, on: Hand) -> None:
        """R9: depth is no problem."""
        depth = 150
        self._chain(on, depth)
        for number in range(depth):
            on.commit(f"c{number}", DONE)
        assert on.row("c0").closed_at is None
        on.commit(f"c{depth}", DONE)
        assert on.count() == depth + 1
        assert {on.row(f"c{number}").closed_at for number in range(depth + 1)} == {on.now}

    def test_failing_cancels_below(self, on: Hand) -> None:
        """R9: in the same transaction, through all generations, below completed ones too."""
        on.parent("p", "pending", "waiting", "running", "done")
        on.run("waiting", asleep(START + 99))
        on.start("running")
        on.run("done", DONE, spawns=on.children("done", "grandchild"))
        on.commit("p", FAILED)
        assert on.status("p", "pending", "waiting", "done", "grandchild") == [
            "failed", "cancelled", "cancelled", "completed", "cancelled",
        ]  # fmt: skip
        row = on.row("running")
        assert (row.status, row.cancel_reason) == ("running", "parent failed")
        assert on.row("p").closed_at is None
        assert on.commit("running", DONE).status == "cancelled"
        assert on.row("p").closed_at == on.now

    def test_failing_cancels_a_chain(self, on: Hand) -> None:
        """R9: depth is no problem for cancelling either."""
        self._chain(on, 150)
        on.lose("w1")
        on.run("c0", FAILED)
        assert on.count("status:cancelled") == 150
        assert on.row("c0").closed_at == on.now

    def test_failing_cancels_a_crowd(self, on: Hand) -> None:
        """R9: nor is width."""
        on.parent("p", *(f"c{number}" for number in range(1000)))
        on.commit("p", FAILED)
        assert on.count("status:cancelled") == 1000
        assert on.row("p").children_closed == 1000

    def test_completing_cancels_nothing(self, on: Hand) -> None:
        """R9: only failing, timing out and being cancelled do."""
        on.parent("p", "a")
        on.commit("p", DONE)
        assert on.row("a").cancel_reason is None
        assert on.claimed() == ["a"]

    def test_threads_in_opposite_order(self, on: Hand) -> None:
        """R13: two threads that change the same trees in opposite order both come through."""
        families = [f"p{number}" for number in range(8)]
        for parent in families:
            on.parent(parent, f"{parent}a", f"{parent}b", outcome=joining(all=2))
        batches: list[list[Transition]] = [[], []]
        for parent in families:
            for child, batch in (("a", batches[0]), ("b", batches[1])):
                batch.append(Transition(f"{parent}{child}", on.start(f"{parent}{child}"), outcome=DONE))
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(on.storage.commit, batch, on.now) for batch in (batches[0], batches[1][::-1])]
            assert not any(answer.lost for done in both for answer in done.result(60))
        assert sorted(on.claimed()) == families

    def _chain(self, on: Hand, depth: int) -> None:
        """Running executions, each the parent of the next."""
        on.add("c0", worker_id="w1")
        for number in range(depth):
            child = on.child(f"c{number + 1}", f"c{number}", worker_id="w1")
            on.commit(f"c{number}", spawns=[child])
