"""Commit: the fence, what becomes visible together, and each outcome of a pass (R1, R2, R3, R4, R8, R9, R11)."""

from __future__ import annotations

import pytest

from perdure.model.records import (
    Completed,
    Conflict,
    Enqueued,
    Outcome,
    Released,
    Retried,
    Settled,
    Suspended,
    Transition,
    Wait,
)
from perdure.storage.settling import load_waits
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
)

RETRIED = Retried(START + 50, FAILURE)
OUTCOMES = [DONE, FAILED, RETRIED, asleep(START + 50), Released(START)]


class CommitConformance(Conformance):
    """Transitions of running executions."""

    @pytest.mark.parametrize("outcome", [None, *OUTCOMES])
    def test_a_stale_token_changes_nothing(self, on: Hand, outcome: Outcome | None) -> None:
        """R2: a worker that lost its lease is told so, and leaves no trace."""
        on.add("a")
        old = on.start("a")
        on.lose("w1")
        on.start("a", "w2")
        before = on.row("a")
        spawns = [on.child("c", "a"), on.new("free")]
        answer = on.commit("a", outcome, token=old, entries=[activity("x")], spawns=spawns, progress="{}")
        assert answer.lost
        assert on.row("a") == before
        assert on.keys("a") == []
        assert on.status("c", "free") == [None, None]

    def test_no_lease_no_commit(self, on: Hand) -> None:
        """R2: pending, waiting, settled and unknown executions answer `lost`, whatever the token."""
        on.add("pending", "waiting", "settled")
        on.run("waiting", asleep(START + 50))
        on.run("settled", DONE)
        for id in ("pending", "waiting", "settled"):
            before = on.row(id)
            for token in range(3):
                assert on.commit(id, FAILED, token=token, entries=[activity("x")]).lost
            assert (on.row(id), on.keys(id)) == (before, [])
        assert on.commit("unknown", DONE, token=1).lost

    def test_a_token_of_the_future_is_no_lease(self, on: Hand) -> None:
        """R2: exactly that token, not one at least as high."""
        on.add("a")
        assert on.commit("a", DONE, token=on.start("a") + 1).lost

    def test_a_lost_one_fails_alone(self, on: Hand) -> None:
        """R1: answers match by position; neighbours of a lost transition apply."""
        on.add("a", "b", "c")
        tokens = {claim.id: claim.token for claim in on.claim().claims}
        batch = [Transition(id, tokens[id] + (id == "b"), outcome=DONE) for id in ("c", "b", "a")]
        answers = on.storage.commit(batch, on.now)
        assert [answer.lost for answer in answers] == [False, True, False]
        assert [answer.status for answer in answers if not answer.lost] == ["completed", "completed"]
        assert on.status("a", "b", "c") == ["completed", "running", "completed"]

    def test_all_parts_together(self, on: Hand) -> None:
        """R3: entries, children and outcome are there at once."""
        on.add("a")
        answer = on.run(
            "a", joining(all=1), entries=[activity("x")], spawns=[on.child("c", "a")], progress='{"done":1}'
        )
        assert answer.spawned == (Enqueued("c", True, "pending"),)
        assert (answer.status, answer.lost, answer.cancelled) == ("waiting", False, False)
        assert (on.keys("a"), on.status("c"), on.row("a").progress) == (["x"], ["pending"], '{"done":1}')

    def test_without_outcome_it_runs_on(self, on: Hand) -> None:
        """R2: entries alone leave status, worker and token as they are."""
        on.add("a")
        token = on.start("a")
        assert on.commit("a", token=token, entries=[activity("x")]).status == "running"
        row = on.row("a")
        assert (row.status, row.worker_id, row.token) == ("running", "w1", token)

    def test_two_of_one_execution_apply_in_order(self, on: Hand) -> None:
        """R1: within a batch the second one sees what the first one did."""
        on.add("a")
        token = on.start("a")
        batch = [
            Transition("a", token, (activity("x", "1"),)),
            Transition("a", token, (activity("x", "2"), activity("y", "3", position=1)), outcome=DONE),
            Transition("a", token, (activity("z", "4", position=2),), outcome=FAILED),
        ]
        answers = on.storage.commit(batch, on.now)
        assert [answer.lost for answer in answers] == [False, False, True]
        assert on.status("a") == ["completed"]
        assert [(entry.key, entry.value) for entry in on.journal("a").entries] == [("x", "1"), ("y", "3")]

    def test_the_first_write_of_an_entry_wins(self, on: Hand) -> None:
        """R4: a recorded result never changes; another scope is another entry."""
        on.add("a")
        on.run("a", entries=[activity("x", "1")])
        on.commit("a", entries=[activity("x", "2"), activity("x", scope="0.0", position=1)])
        assert [(entry.scope, entry.value) for entry in on.journal("a").entries] == [("", "1"), ("0.0", None)]

    def test_entries_read_as_they_were_written(self, on: Hand) -> None:
        """R3: every field of an entry, in order of position."""
        entries = [activity("b", '"äö"', position=2), activity("a", scope="0.1", position=0), activity("c", position=1)]
        on.add("a")
        on.run("a", entries=entries)
        assert list(on.journal("a").entries) == sorted(entries, key=lambda entry: entry.position)

    def test_entries_sent_again(self, on: Hand) -> None:
        """R4: after a lost acknowledgement entries and spawns are sent again; nothing is doubled."""
        on.add("a")
        token = on.start("a")
        for created in (True, False):
            answer = on.commit("a", token=token, entries=[activity("x")], spawns=[on.child("c", "a")])
            assert answer.spawned == (Enqueued("c", created, "pending"),)
        assert (on.keys("a"), on.row("a").children_total) == (["x"], 1)

    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_an_outcome_sent_again(self, on: Hand, outcome: Outcome) -> None:
        """R2, R4: an outcome that stands already cannot be applied a second time."""
        on.add("a")
        token = on.start("a")
        on.commit("a", outcome, token=token)
        before = on.row("a")
        on.wait(1)
        assert on.commit("a", outcome, token=token).lost
        assert on.row("a") == before

    def test_completed(self, on: Hand) -> None:
        """R9: settled with its result; nothing of the work is left but the record."""
        on.add("a")
        on.run("a", RETRIED)
        on.wait(60)
        assert on.run("a", Completed("[1]")).status == "completed"
        row = on.row("a")
        assert (row.status, row.result, row.failure, row.attempt) == ("completed", "[1]", None, 1)
        assert (row.worker_id, row.due_at, row.waits) == (None, None, None)
        assert (row.finished_at, row.closed_at) == (on.now, on.now)

    @pytest.mark.parametrize("status", ["failed", "timed_out", "cancelled"])
    def test_settled_without_success(self, on: Hand, status: str) -> None:
        """R9: settled with its failure."""
        on.add("a")
        assert on.run("a", Settled(status, FAILURE)).status == status  # type: ignore[arg-type]
        row = on.row("a")
        assert (row.status, row.result, row.failure) == (status, None, FAILURE)
        assert (row.finished_at, row.closed_at, row.worker_id, row.due_at) == (on.now, on.now, None, None)

    def test_a_success_is_no_failure(self, on: Hand) -> None:
        """A program that settles as `completed` without a result errs; nothing of the call happens."""
        on.add("a")
        token = on.start("a")
        batch = [
            Transition("a", token, (activity("x"),)),
            Transition("a", token, outcome=Settled("completed", FAILURE)),
        ]
        with pytest.raises(ValueError, match="completed"):
            on.storage.commit(batch, on.now)
        assert (on.status("a"), on.keys("a")) == (["running"], [])

    @pytest.mark.parametrize("parent", ["b", "nobody"])
    def test_a_child_of_another(self, on: Hand, parent: str) -> None:
        """A program that spawns children of others errs; nothing of the call happens."""
        on.add("a", "b")
        on.start("a")
        spawns = [on.child("c", "a"), on.new("d", parent_id=parent, slot="s", root_id=parent, depth=1)]
        with pytest.raises(ValueError, match=parent):
            on.commit("a", DONE, entries=[activity("x")], spawns=spawns)
        assert (on.status("a", "c", "d"), on.keys("a")) == (["running", None, None], [])

    def test_signals_without_counts(self, on: Hand) -> None:
        """A program that does not say how many signals it took errs; nothing of the call happens."""
        on.add("a")
        on.start("a")
        with pytest.raises(ValueError, match="signals"):
            on.commit("a", Suspended((Wait("signal", "go"),), None, ("go",), ()))
        assert on.status("a") == ["running"]

    def test_retried(self, on: Hand) -> None:
        """R5: the next attempt comes when it is due, with the failure of the last one shown."""
        on.add("a")
        assert on.run("a", RETRIED).status == "pending"
        row = on.row("a")
        assert (row.status, row.attempt, row.failure, row.due_at) == ("pending", 1, FAILURE, START + 50)
        assert (row.worker_id, row.finished_at) == (None, None)
        on.now = START + 49
        assert on.claimed() == []
        on.now = START + 50
        (claim,) = on.claim().claims
        assert (claim.attempt, claim.failure) == (1, FAILURE)

    def test_suspended(self, on: Hand) -> None:
        """R16: what it waits for can be read, and it is due when its timer ends."""
        on.add("a")
        assert on.run("a", asleep(START + 50)).status == "waiting"
        row = on.row("a")
        assert load_waits(row.waits) == (Wait("timer", "sleep", START + 50),)
        assert (row.worker_id, row.due_at, row.attempt) == (None, START + 50, 0)

    def test_suspended_until_a_moment_that_has_passed(self, on: Hand) -> None:
        """R8: it is due at once."""
        on.add("a")
        on.run("a", asleep(START - 1))
        assert on.row("a").due_at == on.now
        assert on.claimed() == ["a"]

    def test_released(self, on: Hand) -> None:
        """R5: an orderly end of a pass consumes nothing and clears the blame of the claim."""
        on.add("a")
        on.run("a", RETRIED)
        on.wait(60)
        assert on.run("a", Released(on.now + 5)).status == "pending"
        row = on.row("a")
        assert (row.attempt, row.crashes, row.drifts, row.due_at, row.failure) == (1, 0, 0, on.now + 5, FAILURE)

    def test_drift(self, on: Hand) -> None:
        """R16: recorded work that does not fit is tried again later, with the failure shown and no attempt consumed."""
        on.add("a")
        for drifts in (1, 2):
            on.run("a", Released(START + 50 * drifts, FAILURE, drifted=True))
            row = on.row("a")
            assert (row.status, row.drifts, row.attempt, row.failure) == ("pending", drifts, 0, FAILURE)
            assert row.due_at == START + 50 * drifts
        on.run("a", Released(START))
        assert on.row("a").drifts == 2

    @pytest.mark.parametrize("outcome", [DONE, FAILED, RETRIED, asleep(START + 50)])
    def test_a_pass_that_fits_ends_the_drift(self, on: Hand, outcome: Outcome) -> None:
        """R16: any other outcome sets the count of drifts to 0."""
        on.add("a")
        on.run("a", Released(START, FAILURE, drifted=True))
        (claim,) = on.claim().claims
        assert (claim.drifts, claim.failure) == (1, FAILURE)
        on.commit("a", outcome)
        assert on.row("a").drifts == 0

    @pytest.mark.parametrize("part", ["entries", "spawns", *OUTCOMES])
    def test_progress_clears_crashes(self, on: Hand, part: str | Outcome) -> None:
        """R11: entries, spawns and outcomes are progress."""
        on.add("a")
        on.start("a")
        on.lose("w1")
        on.start("a")
        assert on.row("a").crashes == 2
        if part == "entries":
            on.commit("a", entries=[activity("x")])
        elif part == "spawns":
            on.commit("a", spawns=[on.child("c", "a")])
        elif not isinstance(part, str):
            on.commit("a", part)
        assert on.row("a").crashes == 0

    def test_a_note_is_no_progress(self, on: Hand) -> None:
        """R11: text for people proves nothing."""
        on.add("a")
        on.run("a", progress='{"done":1}')
        assert (on.row("a").crashes, on.row("a").progress) == (1, '{"done":1}')
        on.commit("a", entries=[activity("x")])
        assert on.row("a").progress == '{"done":1}'

    def test_spawned_but_no_child(self, on: Hand) -> None:
        """R3: an independent execution comes with the transition and has no parent."""
        on.add("a")
        answer = on.run("a", DONE, spawns=[on.new("free")])
        assert answer.spawned == (Enqueued("free", True, "pending"),)
        assert (on.row("a").children_total, on.row("free").parent_id, on.row("free").root_id) == (0, None, "free")

    def test_spawned_and_leased(self, on: Hand) -> None:
        """R5: a worker may take what it spawns at once."""
        on.add("a")
        answer = on.run("a", spawns=[on.child("c", "a", worker_id="w1")])
        assert answer.spawned == (Enqueued("c", True, "running", leased=True),)
        assert (on.row("c").token, on.row("c").worker_id) == (1, "w1")

    def test_a_bad_spawn_fails_alone(self, on: Hand) -> None:
        """R1: a conflict among the spawns is answered; the rest of the transition applies."""
        on.add("a", "taken")
        spawns = [on.child("c", "a"), on.new("taken", task_name="other"), on.child("d", "a")]
        answer = on.run("a", joining(all=2), spawns=spawns)
        assert [type(each) for each in answer.spawned] == [Enqueued, Conflict, Enqueued]
        assert (answer.status, on.row("a").children_total) == ("waiting", 2)

    def test_a_spawn_may_meet_a_key(self, on: Hand) -> None:
        """R4: idempotency keys hold for spawned work too."""
        on.add("a", "b", idempotency_key=None)
        on.add("owner", idempotency_key="k")
        answer = on.run("a", spawns=[on.new("new", idempotency_key="k")])
        assert answer.spawned == (Enqueued("owner", False, "pending"),)
        assert on.status("new") == [None]

    def test_settled_is_final(self, on: Hand) -> None:
        """R9: neither its worker nor a cancel nor a claim changes it."""
        on.add("a")
        token = on.start("a")
        on.commit("a", DONE)
        before = on.row("a")
        on.wait(5)
        on.commit("a", FAILED, token=token)
        on.cancel("a")
        on.lose("w1")
        assert (on.row("a"), on.claimed(ids=("a",))) == (before, [])
