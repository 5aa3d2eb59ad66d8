"""Enqueue: what is stored, what answers a call that is sent again, and what a conflict leaves alone (R1, R3, R4)."""

from __future__ import annotations

import pytest

from perdure.model.records import Conflict, Enqueued
from perdure.testing.conformance.hand import DONE, START, Conformance, Hand, activity


class EnqueueConformance(Conformance):
    """New executions."""

    def test_answers_match_items_by_position(self, on: Hand) -> None:
        """R1: one answer per item, in the order of the items."""
        answers = on.add("c", "a", "b")
        assert answers == [Enqueued(id, True, "pending") for id in ("c", "a", "b")]

    def test_no_items_no_answers(self, on: Hand) -> None:
        """R1: an empty set is no error."""
        assert on.storage.enqueue([], on.now) == []

    def test_a_conflict_fails_alone(self, on: Hand) -> None:
        """R1: bad items stand beside good neighbours, which are stored."""
        on.add("taken")
        items = [on.new("a"), on.new("taken", task_name="other"), on.new("b")]
        first, conflict, last = on.storage.enqueue(items, on.now)
        assert (first, last) == (Enqueued("a", True, "pending"), Enqueued("b", True, "pending"))
        assert isinstance(conflict, Conflict)
        assert on.count() == 3

    def test_every_field_is_stored(self, on: Hand) -> None:
        """R3: an execution reads as it was enqueued."""
        fields: dict[str, object] = {
            "input": '{"n":1}', "queue": "mail", "priority": -3, "due_at": START + 5, "deadline_at": START + 9,
            "input_digest": "d", "idempotency_key": "k", "options": '{"a":1}', "version": "2", "tags": '{"t":"v"}',
            "trace": "00-trace", "max_crashes": 2, "retention": 77,
        }  # fmt: skip
        on.add("a", **fields)
        row = on.row("a")
        assert {name: getattr(row, name) for name in fields} == fields
        assert (row.status, row.token, row.worker_id, row.crashes, row.attempt, row.generation) == (
            "pending",
            0,
            None,
            0,
            0,
            0,
        )
        assert (row.root_id, row.depth, row.parent_id, row.slot, row.children_total) == ("a", 0, None, None, 0)
        assert (row.created_at, row.started_at, row.finished_at, row.closed_at) == (on.now, None, None, None)
        assert (row.result, row.failure, row.waits, row.cancel_reason, row.progress) == (None, None, None, None, None)

    @pytest.mark.parametrize("text", ["", "null", '"äöü \\u0000 𝄞"', "x" * 100_000, "'; DROP TABLE execution; --"])
    def test_texts_are_kept_as_they_are(self, on: Hand, text: str) -> None:
        """R3: payloads are opaque."""
        on.add("a", input=text)
        assert on.row("a").input == text

    def test_without_due_time_it_is_due_at_once(self, on: Hand) -> None:
        """R16: nothing that is pending is never due."""
        on.add("a")
        assert on.row("a").due_at == on.now
        assert on.claimed() == ["a"]

    def test_an_id_sent_again_answers_the_same_execution(self, on: Hand) -> None:
        """R4: after a lost acknowledgement the same call is sent again, and nothing is doubled."""
        on.add("a", "b", input_digest="d")
        assert on.add("a", "b", input_digest="d") == [Enqueued("a", False, "pending"), Enqueued("b", False, "pending")]
        assert on.count() == 2

    def test_an_id_sent_again_answers_its_status_now(self, on: Hand) -> None:
        """R4: a settled execution still answers for its id; it is not started again."""
        on.add("a")
        on.run("a", DONE)
        assert on.add("a") == [Enqueued("a", False, "completed")]
        assert on.claimed() == []

    def test_an_id_sent_again_changes_nothing(self, on: Hand) -> None:
        """R4: the first write wins, in every field."""
        on.add("a", priority=1)
        before = on.row("a")
        on.wait(10)
        on.add("a", priority=9, input="other", due_at=START + 99)
        assert on.row("a") == before

    def test_an_id_twice_in_one_batch(self, on: Hand) -> None:
        """R4: the second of two equal items answers the first."""
        assert on.add("a", "a") == [Enqueued("a", True, "pending"), Enqueued("a", False, "pending")]

    @pytest.mark.parametrize("other", [{"task_name": "other"}, {"input_digest": "else"}, {"input_digest": None}])
    def test_an_id_of_other_work_conflicts(self, on: Hand, other: dict[str, object]) -> None:
        """R4: an id means one task and one input."""
        on.add("a", input_digest="d")
        before = on.row("a")
        (answer,) = on.add("a", **({"input_digest": "d"} | other))
        assert isinstance(answer, Conflict)
        assert answer.id == "a"
        assert answer.reason
        assert on.row("a") == before

    def test_a_key_answers_its_owner(self, on: Hand) -> None:
        """R4: one execution per (task, idempotency key)."""
        on.add("a", idempotency_key="k", input_digest="d")
        assert on.add("b", idempotency_key="k", input_digest="d") == [Enqueued("a", False, "pending")]
        assert on.status("b") == [None]

    def test_a_key_with_other_input_conflicts(self, on: Hand) -> None:
        """R4: the conflict names who owns the key."""
        on.add("a", idempotency_key="k", input_digest="d")
        (answer,) = on.add("b", idempotency_key="k", input_digest="else")
        assert isinstance(answer, Conflict)
        assert answer.id == "a"
        assert on.status("b") == [None]

    def test_a_key_belongs_to_one_task(self, on: Hand) -> None:
        """R4: two tasks may use the same key."""
        on.add("a", idempotency_key="k")
        assert on.add("b", idempotency_key="k", task_name="other") == [Enqueued("b", True, "pending")]

    def test_a_renamed_task_keeps_its_ids_and_keys(self, on: Hand) -> None:
        """R4: the same origin is the same task; a name that another one has as its origin is another."""
        on.add("a", idempotency_key="k", input_digest="d")
        renamed = {"task_name": "other", "origin": "work", "input_digest": "d"}
        answers = on.storage.enqueue([on.new("a", **renamed), on.new("b", idempotency_key="k", **renamed)], on.now)
        assert answers == [Enqueued("a", False, "pending"), Enqueued("a", False, "pending")]
        assert on.status("b") == [None]
        on.add("c", idempotency_key="l", **renamed)
        assert on.row("c").origin == "work"
        assert on.add("d", idempotency_key="l", input_digest="d") == [Enqueued("c", False, "pending")]
        assert isinstance(on.add("c", task_name="other", input_digest="d")[0], Conflict)

    def test_a_key_twice_in_one_batch(self, on: Hand) -> None:
        """R4: also within a batch the first one owns the key."""
        answers = on.add("a", "b", idempotency_key="k")
        assert answers == [Enqueued("a", True, "pending"), Enqueued("a", False, "pending")]

    def test_a_key_outlives_its_execution_settling(self, on: Hand) -> None:
        """R4: a key is taken as long as its execution is kept."""
        on.add("a", idempotency_key="k")
        on.run("a", DONE)
        assert on.add("b", idempotency_key="k") == [Enqueued("a", False, "completed")]

    def test_no_children_by_enqueue(self, on: Hand) -> None:
        """A program that enqueues a child errs: children come with a transition of their parent."""
        on.parent("p")
        with pytest.raises(ValueError, match="parent"):
            on.storage.enqueue([on.new("a"), on.child("c", "p")], on.now)
        assert on.status("a", "c") == [None, None]

    def test_leased_at_once(self, on: Hand) -> None:
        """R5, R6: what a worker enqueues for itself is inserted running, under token 1, this claim counted."""
        (answer,) = on.add("a", worker_id="w1")
        assert answer == Enqueued("a", True, "running", leased=True)
        row = on.row("a")
        assert (row.status, row.token, row.crashes, row.worker_id, row.started_at) == ("running", 1, 1, "w1", on.now)
        assert on.claimed("w2") == []
        assert on.commit("a", DONE, token=1).status == "completed"

    def test_leased_and_sent_again(self, on: Hand) -> None:
        """R4, R6: a resent call leases nothing a second time."""
        on.add("a", worker_id="w1")
        assert on.add("a", worker_id="w1") == [Enqueued("a", False, "running")]
        assert on.row("a").token == 1

    def test_entries_are_copied_in(self, on: Hand) -> None:
        """R3: a fork starts with a journal; first write wins within it too."""
        entries = (activity("x", "1"), activity("x", "2"), activity("y", "3", position=1))
        on.add("a", entries=entries)
        assert [(entry.key, entry.value) for entry in on.journal("a").entries] == [("x", "1"), ("y", "3")]
        assert on.claim().claims[0].journaled

    def test_a_transaction_is_one(self, on: Hand) -> None:
        """R3: operations in one transaction are all kept."""
        with on.storage.transaction():
            on.add("a")
            token = on.start("a")
            on.commit("a", DONE, token=token)
        assert on.status("a") == ["completed"]

    def test_a_transaction_that_fails_leaves_nothing(self, on: Hand) -> None:
        """R3: all of a transaction or nothing, changes of what stood before included."""
        on.add("a", idempotency_key="k")
        before = on.row("a")
        with pytest.raises(RuntimeError, match="stop"):
            self._change_and_raise(on)
        assert on.row("a") == before
        assert on.journal("a").entries == on.journal("a").signals == ()
        assert on.status("b", "c") == [None, None]
        assert on.add("d", idempotency_key="k2") == [Enqueued("d", True, "pending")]
        assert on.claimed() == ["a", "d"]

    def test_many_at_once(self, on: Hand) -> None:
        """R1: a batch may be large."""
        ids = [f"e{number:05}" for number in range(3000)]
        assert [answer.id for answer in on.add(*ids)] == ids
        assert on.count() == 3000
        assert on.claimed(limit=5000) == ids

    def _change_and_raise(self, on: Hand) -> None:
        with on.storage.transaction():
            on.add("b", idempotency_key="k2")
            on.run("a", DONE, entries=[activity("x")], spawns=[on.child("c", "a")])
            on.send("a", "go", "s1")
            raise RuntimeError("stop")
