"""Cancel: at once where nobody runs, by a flag where somebody does, and all the way down (R9, R10)."""

from __future__ import annotations

import pytest

from perdure.model.records import Outcome, Released, Retried
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
    kind,
    listening,
)

OUTCOMES = [DONE, FAILED, Retried(START, FAILURE), asleep(START + 50), Released(START)]


class CancelConformance(Conformance):
    """Stopping from outside."""

    def test_pending(self, on: Hand) -> None:
        """R10: settled at once, with the reason."""
        on.add("a", due_at=START + 99)
        assert on.cancel("a", reason="not needed") == ["cancelled"]
        row = on.row("a")
        assert (row.status, row.finished_at, row.closed_at, row.due_at) == ("cancelled", on.now, on.now, None)
        assert kind(row.failure) == "cancelled"
        assert "not needed" in (row.failure or "")

    @pytest.mark.parametrize("outcome", [asleep(START + 99), listening("go")])
    def test_waiting(self, on: Hand, outcome: Outcome) -> None:
        """R10: settled at once, whatever it waits for; nothing wakes it later."""
        on.add("a")
        on.run("a", outcome)
        assert on.cancel("a") == ["cancelled"]
        on.send("a", "go", "s1")
        on.wait(100)
        row = on.row("a")
        assert (row.waits, row.due_at, on.claimed()) == (None, None, [])

    def test_running(self, on: Hand) -> None:
        """R10: flagged, not settled; its worker keeps the lease and hears of it with its heartbeat."""
        on.add("a", "b")
        token, other = on.start("a"), on.start("b")
        assert on.cancel("a", reason="not needed") == ["running"]
        row = on.row("a")
        assert (row.status, row.token, row.cancel_reason) == ("running", token, "not needed")
        beat = on.beat(running=[("a", token), ("b", other)])
        assert (beat.cancelled, beat.lost) == ((("a", "not needed"),), ())

    def test_settled(self, on: Hand) -> None:
        """R9, R10: what is settled is left alone."""
        on.add("a", "b")
        on.run("a", DONE)
        on.run("b", FAILED)
        before = on.row("a"), on.row("b")
        assert on.cancel("a", "b") == ["completed", "failed"]
        assert (on.row("a"), on.row("b")) == before

    def test_unknown(self, on: Hand) -> None:
        """R1: an unknown id answers `None`, its neighbours are cancelled."""
        on.add("a", "b")
        assert on.cancel("a", "nobody", "b") == ["cancelled", None, "cancelled"]

    def test_sent_again(self, on: Hand) -> None:
        """R4: a second cancel changes nothing; the first reason stands."""
        on.add("a", "b")
        on.start("b")
        on.cancel("a", "b", reason="first")
        before = on.row("a"), on.row("b")
        on.wait(5)
        assert on.cancel("a", "b", reason="second") == ["cancelled", "running"]
        assert (on.row("a"), on.row("b")) == before

    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_any_outcome_under_the_flag(self, on: Hand, outcome: Outcome) -> None:
        """R10: settles `cancelled`, whatever the pass came to."""
        on.add("a")
        on.start("a")
        on.cancel("a", reason="not needed")
        answer = on.commit("a", outcome)
        assert (answer.status, answer.cancelled, answer.lost) == ("cancelled", True, False)
        row = on.row("a")
        assert (row.status, row.result, row.due_at, row.worker_id, row.waits) == ("cancelled", None, None, None, None)
        assert kind(row.failure) == "cancelled"
        assert "not needed" in (row.failure or "")

    def test_entries_under_the_flag(self, on: Hand) -> None:
        """R10: what was done is recorded, nothing new is started, and the pass hears of the cancel."""
        on.add("a")
        on.start("a")
        on.cancel("a")
        answer = on.commit("a", entries=[activity("x")], spawns=[on.child("c", "a"), on.new("free")])
        assert (answer.status, answer.cancelled, answer.spawned) == ("running", True, ())
        assert (on.keys("a"), on.status("c", "free"), on.row("a").children_total) == (["x"], [None, None], 0)

    def test_the_tree_below_what_waits(self, on: Hand) -> None:
        """R10: pending and waiting ones settle in the same step, running ones are flagged."""
        on.parent("p", "a", "b", "c", outcome=joining(all=3))
        on.run("a", spawns=on.children("a", "deep", "deeper"))
        on.run("deep", asleep(START + 9))
        on.run("b", listening("go"))
        assert on.cancel("p") == ["cancelled"]
        assert on.status("p", "b", "c", "deep", "deeper") == ["cancelled"] * 5
        assert (on.row("a").status, on.row("a").cancel_reason is None) == ("running", False)
        assert on.row("p").closed_at is None
        on.commit("a", DONE)
        assert (on.row("a").status, on.row("p").closed_at) == ("cancelled", on.now)

    def test_the_tree_below_what_runs(self, on: Hand) -> None:
        """R10: below a flagged one the open is cancelled at once too."""
        on.parent("p", "a", "b")
        on.start("b")
        assert on.cancel("p") == ["running"]
        assert on.status("a", "b") == ["cancelled", "running"]
        assert on.row("b").cancel_reason is not None
        on.commit("b", DONE)
        on.commit("p", DONE)
        assert on.status("p", "b") == ["cancelled", "cancelled"]

    def test_below_completed_ones(self, on: Hand) -> None:
        """R10: a completed child in between stops nothing."""
        on.parent("p", "a")
        on.run("a", DONE, spawns=on.children("a", "deep"))
        on.cancel("p")
        assert on.status("a", "deep") == ["completed", "cancelled"]

    def test_beside_is_left_alone(self, on: Hand) -> None:
        """R10: siblings and what stands above go on."""
        on.parent("p", "a", "b", outcome=joining(all=2))
        on.cancel("a")
        assert on.status("p", "a", "b") == ["waiting", "cancelled", "pending"]

    def test_wakes_the_parent(self, on: Hand) -> None:
        """R7: a cancelled child has settled."""
        on.parent("p", "a", outcome=joining(all=1))
        on.wait(4)
        on.cancel("a")
        assert on.row("p").due_at == on.now
        assert on.claimed() == ["p"]

    def test_parent_and_child_in_one_call(self, on: Hand) -> None:
        """R1: whichever comes first, both are cancelled, each is counted once."""
        on.parent("p", "a", outcome=joining(all=1))
        on.parent("q", "b", outcome=joining(all=1))
        assert on.cancel("p", "a") == ["cancelled", "cancelled"]
        assert on.cancel("b", "q") == ["cancelled", "cancelled"]
        assert [on.row(id).children_settled for id in "pq"] == [1, 1]

    def test_flagged_and_its_worker_dies(self, on: Hand) -> None:
        """R6, R10: nobody is left to hear of it: it is settled."""
        on.add("a")
        on.start("a")
        on.cancel("a", reason="not needed")
        on.lose("w1")
        row = on.row("a")
        assert (row.status, kind(row.failure)) == ("cancelled", "cancelled")

    def test_flagged_and_its_worker_leaves(self, on: Hand) -> None:
        """R10: the same when it goes in order."""
        on.add("a")
        on.start("a")
        on.cancel("a")
        on.beat(leaving=True)
        assert on.status("a") == ["cancelled"]

    def test_flagged_is_not_handed_out(self, on: Hand) -> None:
        """R10: a flagged one is running, so no other worker gets it."""
        on.add("a")
        on.start("a")
        on.cancel("a")
        assert on.claimed("w2") == []
        assert on.claimed("w2", ids=("a",)) == []

    def test_many(self, on: Hand) -> None:
        """R10: a subtree of a thousand is one step."""
        on.parent("p", *(f"c{number}" for number in range(1000)), outcome=joining(all=1000))
        on.cancel("p")
        assert (on.count("status:cancelled"), on.row("p").closed_at) == (1001, on.now)
