"""Retry and forget: an operator opens a new generation, or drops what does not fit any more (R4, R9)."""

from __future__ import annotations

from perdure.model.records import MEMO, Entry, NewSignal, Released, Retried
from perdure.testing.conformance.hand import (
    DONE,
    FAILED,
    FAILURE,
    START,
    Conformance,
    Hand,
    activity,
    asleep,
    joining,
    listening,
)


class RetryConformance(Conformance):
    """What an operator may do about the past."""

    def again(self, on: Hand, *ids: str) -> list[str | None]:
        """Retries executions."""
        return list(on.storage.retry(ids, on.now))

    def test_a_new_generation(self, on: Hand) -> None:
        """R9: pending, attempt 0, nothing of the old end left."""
        on.add("a", max_crashes=3)
        on.run("a", Retried(START, FAILURE))
        on.run("a", FAILED)
        on.wait(9)
        assert self.again(on, "a") == ["pending"]
        row = on.row("a")
        assert (row.status, row.generation, row.attempt, row.crashes, row.due_at) == ("pending", 1, 0, 0, on.now)
        assert (row.result, row.failure, row.cancel_reason, row.finished_at, row.closed_at) == (None,) * 5
        (claim,) = on.claim().claims
        assert (claim.generation, claim.attempt, claim.failure) == (1, 0, None)

    def test_each_unsuccessful_status(self, on: Hand) -> None:
        """R9: failed, timed out and cancelled ones may be retried."""
        on.add("failed", "cancelled")
        on.add("late", deadline_at=START + 1)
        on.run("failed", FAILED)
        on.cancel("cancelled")
        on.wait(1)
        on.storage.reclaim(on.now)
        assert on.status("failed", "cancelled", "late") == ["failed", "cancelled", "timed_out"]
        assert self.again(on, "failed", "cancelled", "late") == ["pending"] * 3
        assert sorted(on.claimed()) == ["cancelled", "failed", "late"]

    def test_others_are_left_alone(self, on: Hand) -> None:
        """R1, R9: open, completed and unknown ones; their neighbours are retried."""
        on.add("pending", "running", "waiting", "done", "failed")
        on.start("running")
        on.run("waiting", asleep(START + 5))
        on.run("done", DONE)
        on.run("failed", FAILED)
        ids = ["pending", "running", "waiting", "done", "nobody"]
        before = on.storage.get(ids)
        assert self.again(on, *ids, "failed") == ["pending", "running", "waiting", "completed", None, "pending"]
        assert on.storage.get(ids) == before

    def test_sent_again(self, on: Hand) -> None:
        """R4: what is open again is not opened twice."""
        on.add("a")
        on.run("a", FAILED)
        self.again(on, "a", "a")
        self.again(on, "a")
        assert on.row("a").generation == 1

    def test_the_journal_stays(self, on: Hand) -> None:
        """R4: what was recorded is not done again; failures stay under the attempt that saw them."""
        on.add("a")
        on.run("a", FAILED, entries=[activity("x"), activity("y", scope="0.0", position=1)])
        self.again(on, "a")
        memos = [(entry.key, entry.scope) for entry in on.journal("a").entries]
        assert ("x", "") in memos
        assert on.claim().claims[0].journaled

    def test_an_old_token_stays_dead(self, on: Hand) -> None:
        """R2: the worker of the old generation has no say in the new one."""
        on.add("a")
        old = on.start("a")
        on.commit("a", FAILED)
        self.again(on, "a")
        assert on.commit("a", DONE, token=old).lost
        assert on.start("a", "w2") > old
        assert on.commit("a", DONE, token=old).lost

    def test_children_without_success_become_stale(self, on: Hand) -> None:
        """R4, R9: the new generation replaces them."""
        on.parent("p", "good", "bad", "cancelled")
        on.run("good", DONE)
        on.run("bad", FAILED)
        on.commit("p", FAILED)
        self.again(on, "p")
        stale = {child.id for child in on.journal("p").children if child.stale}
        assert stale == {"bad", "cancelled"}

    def test_a_child_below_a_waiting_parent(self, on: Hand) -> None:
        """R7, R9: it is open again, so it is not counted; the parent looks again."""
        on.parent("p", "a", "b", outcome=joining(all=2))
        on.run("a", FAILED)
        on.wait(4)
        self.again(on, "a")
        row = on.row("p")
        assert (row.children_settled, row.children_closed, row.due_at) == (0, 0, on.now)
        assert not on.journal("p").children[0].stale

    def test_a_child_below_a_running_parent(self, on: Hand) -> None:
        """R7: counters follow."""
        on.parent("p", "a")
        on.run("a", FAILED)
        self.again(on, "a")
        assert (on.row("p").status, on.row("p").children_settled) == ("running", 0)
        on.run("a", DONE)
        assert on.row("p").children_settled == 1

    def test_a_child_opened_again_during_a_pass(self, on: Hand) -> None:
        """R7, R8: the pass counts on a child that was settled when it looked; when it suspends, it looks again."""
        on.parent("p", "a", "b", "c")
        on.run("a", FAILED)
        known = on.journal("p").children_settled
        self.again(on, "a")
        assert on.commit("p", joining(any=known + 1, rest_until=START + 99)).status == "waiting"
        assert on.row("p").due_at == on.now
        assert on.run("p", joining(any=1)).status == "waiting"
        assert on.row("p").due_at is None

    def test_one_opened_again_and_another_settled_during_a_pass(self, on: Hand) -> None:
        """R7, R8: the number of settled children is the same again, what settled is not."""
        on.parent("p", "a", "b")
        on.run("a", FAILED)
        known = on.journal("p").children_settled
        self.again(on, "a")
        on.run("b", DONE)
        on.commit("p", joining(all=known + 1))
        assert on.claimed() == ["a", "p"]

    def test_a_child_opened_again_during_an_earlier_pass(self, on: Hand) -> None:
        """R8: what a later pass reads is right, however the earlier one ended."""
        ends = {"retried": Retried(START, FAILURE), "released": Released(START), "failed": FAILED}
        for id, end in ends.items():
            on.parent(id, f"child of {id}")
            on.run(f"child of {id}", FAILED)
            self.again(on, f"child of {id}")
            on.commit(id, end)
            self.again(on, id)
            on.run(id, asleep(START + 50))
            assert on.row(id).due_at == START + 50

    def test_children_that_are_being_cancelled_become_stale(self, on: Hand) -> None:
        """R9, R10: whatever they come to, they settle cancelled: the new generation replaces them, a new attempt does
        not."""
        on.parent("p", "held", "deep")
        token = on.start("held")
        on.cancel("held")
        on.commit("p", Retried(START, FAILURE))
        assert [child.stale for child in on.journal("p").children] == [False, False]
        on.run("p", FAILED)
        assert on.status("held", "deep") == ["running", "cancelled"]
        self.again(on, "p")
        assert [child.stale for child in on.journal("p").children] == [True, True]
        on.run("p", spawns=[on.child("new", "p", slot="held", slot_generation=1)])
        assert on.commit("held", DONE, token=token).status == "cancelled"
        assert [child.stale for child in on.journal("p").children] == [True, True, False]

    def test_a_stale_child(self, on: Hand) -> None:
        """R9: opened again it is not stale."""
        on.parent("p", "a")
        on.run("a", FAILED)
        on.commit("p", Retried(START, FAILURE))
        assert on.journal("p").children[0].stale
        self.again(on, "a")
        assert not on.journal("p").children[0].stale
        on.run("a", FAILED)
        assert not on.journal("p").children[0].stale

    def test_what_was_closed_above_is_open_again(self, on: Hand) -> None:
        """R9: closed means that all below is settled; now it is not."""
        on.parent("p", "a")
        on.run("a", DONE, spawns=on.children("a", "deep"))
        on.commit("p", DONE)
        on.run("deep", FAILED)
        assert on.row("p").closed_at is not None
        self.again(on, "deep")
        assert [on.row(id).closed_at for id in ("p", "a", "deep")] == [None] * 3
        assert on.status("p", "a") == ["completed", "completed"]
        on.wait(6)
        on.run("deep", DONE)
        assert [on.row(id).closed_at for id in ("p", "a", "deep")] == [on.now] * 3

    def test_below_a_failed_parent(self, on: Hand) -> None:
        """R9: an operator may retry a part of a tree that ended."""
        on.parent("p", "a")
        on.commit("p", FAILED)
        assert self.again(on, "a") == ["pending"]
        assert on.run("a", DONE).status == "completed"
        assert on.row("p").closed_at == on.now

    def test_parent_and_child(self, on: Hand) -> None:
        """R1: both in one call."""
        on.parent("p", "a")
        on.run("a", FAILED)
        on.commit("p", FAILED)
        assert self.again(on, "p", "a") == ["pending", "pending"]
        assert on.row("p").children_settled == 0

    def test_a_deadline_that_has_passed_is_gone(self, on: Hand) -> None:
        """R16: else it would end at once; one that is to come stays."""
        on.add("past", deadline_at=START + 5)
        on.add("coming", deadline_at=START + 500)
        on.run("past", FAILED)
        on.run("coming", FAILED)
        on.wait(5)
        self.again(on, "past", "coming")
        assert (on.row("past").deadline_at, on.row("coming").deadline_at) == (None, START + 500)

    def test_forget(self, on: Hand) -> None:
        """R4: entries of the name are dropped, of every key and scope; others stay; it is due at once."""
        on.add("a")
        entries = [
            activity("x", name="old"), activity("y", scope="0.0", position=1, name="old"),
            activity("z", position=2, name="new"),
        ]  # fmt: skip
        on.run("a", Released(START + 99, FAILURE, drifted=True), entries=entries)
        assert on.storage.forget(["a", "nobody"], "old", on.now) == [2, 0]
        assert on.keys("a") == ["z"]
        assert on.claimed() == ["a"]
        on.commit("a", entries=[activity("x", "9")])
        assert on.keys("a") == ["x", "z"]

    def test_forget_wakes_what_waits(self, on: Hand) -> None:
        """R16: a sleeper looks again."""
        on.add("a")
        on.run("a", asleep(START + 99), entries=[activity("x")])
        assert on.storage.forget(["a"], "act", on.now) == [1]
        assert on.claimed() == ["a"]

    def test_forget_makes_nothing_later(self, on: Hand) -> None:
        """R5: what is due already stays so; what runs goes on running."""
        on.add("due", due_at=START - 5)
        on.add("running")
        token = on.start("running")
        on.commit("running", entries=[activity("x")])
        assert on.storage.forget(["due", "running"], "act", on.now) == [0, 1]
        assert on.row("due").due_at == START - 5
        assert on.commit("running", DONE, token=token).status == "completed"

    def test_forgotten_children(self, on: Hand) -> None:
        """R4, R9: children of that task stand no more, however they ended; what is open of them is cancelled."""
        on.parent("p", "done", "open", "held")
        on.run("done", DONE)
        token = on.start("held")
        assert on.storage.forget(["p"], "other", on.now) == [0]
        assert on.storage.forget(["p"], "work", on.now) == [3]
        assert {child.id for child in on.journal("p").children if child.stale} == {"done", "open", "held"}
        assert (on.row("open").status, on.row("held").status) == ("cancelled", "running")
        assert on.row("held").cancel_reason is not None
        assert on.row("p").due_at == on.now
        assert on.commit("held", DONE, token=token).status == "cancelled"
        assert on.row("p").children_settled == 3
        assert on.storage.forget(["p"], "work", on.now) == [0]

    def test_a_forgotten_signal_stays_taken(self, on: Hand) -> None:
        """R12: the next wait of its name takes the next signal; what a late wait or a fork left is simply dropped."""
        on.add("a", "b")
        on.storage.signal([NewSignal("s1", "a", "go", "1")], on.now)
        own = [
            Entry("w", MEMO, 0, "signal", "go", "1", token=1), Entry("late", MEMO, 1, "signal", "go", failure="{}", token=1),
        ]  # fmt: skip
        on.run("a", asleep(START + 99), entries=own)
        on.run("b", asleep(START + 99), entries=[Entry("w", MEMO, 0, "signal", "go", "1")])
        assert on.storage.forget(["a", "b"], "go", on.now) == [2, 1]
        (aside,) = on.journal("a").entries
        assert (aside.key, aside.scope, aside.value) == ("w", "forgotten 0", "1")
        assert on.storage.forget(["a"], "go", on.now) == [0]
        assert on.commit("a", listening("go", taken=1), token=on.start("a")).status == "waiting"
        assert on.row("a").due_at is None

    def test_what_completed_forgets_nothing(self, on: Hand) -> None:
        """R9: its record is final."""
        on.add("a")
        on.run("a", DONE, entries=[activity("x")])
        assert on.storage.forget(["a"], "act", on.now) == [0]
        assert on.keys("a") == ["x"]

    def test_what_did_not_complete_forgets_and_stays_as_it_is(self, on: Hand) -> None:
        """R4, R9: so that an operator may forget first and retry then, and no worker comes in between."""
        on.parent("p", "done", "bad")
        on.run("done", DONE)
        on.run("bad", FAILED)
        on.commit("p", FAILED, entries=[activity("x"), activity("y", position=1, name="other")])
        before = on.row("p")
        assert on.storage.forget(["p"], "act", on.now) == [1]
        assert on.storage.forget(["p"], "work", on.now) == [2]
        assert on.row("p") == before
        assert on.claimed() == []
        self.again(on, "p")
        assert on.keys("p") == ["y"]
        assert [child.stale for child in on.journal("p").children] == [True, True]
