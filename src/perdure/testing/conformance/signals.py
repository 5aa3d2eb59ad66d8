"""Signals: kept until asked for, in order, each once, and never missed by one who waits (R1, R8, R12)."""

from __future__ import annotations

from perdure.model.records import NewSignal, Suspended, Wait
from perdure.testing.conformance.hand import DONE, START, Conformance, Hand, listening, taken


class SignalConformance(Conformance):
    """Values from outside."""

    def test_kept_before_anyone_asks(self, on: Hand) -> None:
        """R12: a signal may come before its `wait_for`, in every status."""
        on.add("pending", "running", "done")
        on.start("running")
        on.run("done", DONE)
        assert on.send("pending", "go", "s1") == "pending"
        assert on.send("running", "go", "s2") == "running"
        assert on.send("done", "go", "s3") == "completed"
        for id, signal in (("pending", "s1"), ("running", "s2"), ("done", "s3")):
            assert [received.id for received in on.journal(id).signals] == [signal]

    def test_unknown_target(self, on: Hand) -> None:
        """R1, R12: nothing is kept for an execution that does not exist; neighbours are kept."""
        on.add("a")
        items = [NewSignal("s1", "a", "go", "1"), NewSignal("s2", "nobody", "go", "2"), NewSignal("s3", "a", "go", "3")]
        assert on.storage.signal(items, on.now) == ["pending", None, "pending"]
        assert [received.value for received in on.journal("a").signals] == ["1", "3"]

    def test_order_of_acceptance(self, on: Hand) -> None:
        """R12: signals of one execution stand in the order in which they were accepted, whatever their ids and times."""
        on.add("a")
        for number in range(50):
            on.now = START + (50 - number) % 7
            on.send("a", "go", f"s{99 - number}", str(number))
        received = on.journal("a").signals
        assert [signal.value for signal in received] == [str(number) for number in range(50)]
        assert [signal.position for signal in received] == sorted({signal.position for signal in received})

    def test_every_field_is_kept(self, on: Hand) -> None:
        """R12: name, value and time of acceptance."""
        on.add("a")
        on.wait(3)
        on.send("a", "näme", "s1", '{"ü":1}')
        (received,) = on.journal("a").signals
        assert (received.id, received.name, received.value, received.accepted_at) == (
            "s1",
            "näme",
            '{"ü":1}',
            START + 3,
        )

    def test_sent_again(self, on: Hand) -> None:
        """R4, R12: a signal's own id deduplicates; the first value stands."""
        on.add("a")
        on.send("a", "go", "s1", "1")
        assert on.send("a", "go", "s1", "2") == "pending"
        assert [received.value for received in on.journal("a").signals] == ["1"]

    def test_twice_in_one_batch(self, on: Hand) -> None:
        """R12: also within a batch."""
        on.add("a")
        on.storage.signal([NewSignal("s1", "a", "go", "1"), NewSignal("s1", "a", "go", "2")], on.now)
        assert [received.value for received in on.journal("a").signals] == ["1"]

    def test_wakes_who_waits(self, on: Hand) -> None:
        """R12, R16: one who waits for the name falls due at once."""
        on.add("a")
        on.run("a", listening("go"))
        on.wait(5)
        assert on.send("a", "go", "s1") == "waiting"
        assert on.row("a").due_at == on.now
        assert on.claimed() == ["a"]

    def test_wakes_before_its_timeout(self, on: Hand) -> None:
        """R8: the earliest of several conditions holds."""
        on.add("a")
        on.run("a", Suspended((Wait("signal", "go", START + 99),), START + 99, ("go",), (0,)))
        on.send("a", "go", "s1")
        assert on.row("a").due_at == START

    def test_other_names_wake_nobody(self, on: Hand) -> None:
        """R12: it is kept, and the sleeper sleeps."""
        on.add("a")
        on.run("a", listening("go"))
        on.send("a", "stop", "s1")
        assert on.row("a").due_at is None
        assert on.claimed() == []

    def test_other_executions_wake_nobody(self, on: Hand) -> None:
        """R12: a queue belongs to one execution."""
        on.add("a", "b")
        on.run("a", listening("go"))
        on.send("b", "go", "s1")
        assert on.row("a").due_at is None

    def test_several_names(self, on: Hand) -> None:
        """R12: any of the awaited names wakes."""
        on.add("a")
        on.run("a", Suspended((Wait("signal", "x"), Wait("signal", "y")), None, ("x", "y"), (0, 0)))
        on.send("a", "y", "s1")
        assert on.claimed() == ["a"]

    def test_there_already(self, on: Hand) -> None:
        """R8: a signal that came while the pass ran is seen by the suspension."""
        on.add("a")
        on.start("a")
        on.send("a", "go", "s1")
        on.commit("a", listening("go"))
        assert on.row("a").due_at == on.now
        assert on.claimed() == ["a"]

    def test_taken_ones_wake_nobody(self, on: Hand) -> None:
        """R8, R12: who took the first waits for the second."""
        on.add("a")
        on.send("a", "go", "s1")
        on.run("a", listening("go", taken=1), entries=[taken("t1", "go")])
        assert on.row("a").due_at is None
        on.send("a", "go", "s2")
        assert on.claimed() == ["a"]

    def test_more_than_taken(self, on: Hand) -> None:
        """R8: two came, one was taken: due at once."""
        on.add("a")
        on.send("a", "go", "s1")
        on.send("a", "go", "s2")
        on.run("a", listening("go", taken=1), entries=[taken("t1", "go")])
        assert on.row("a").due_at == on.now

    def test_taken_counts_by_name(self, on: Hand) -> None:
        """R8: signals of other names are not counted."""
        on.add("a")
        on.send("a", "stop", "s1")
        on.run("a", listening("go"))
        assert on.row("a").due_at is None

    def test_sent_again_wakes_nobody(self, on: Hand) -> None:
        """R12: a doubled signal is no second signal."""
        on.add("a")
        on.send("a", "go", "s1")
        on.run("a", listening("go", taken=1), entries=[taken("t1", "go")])
        assert on.send("a", "go", "s1") == "waiting"
        assert on.row("a").due_at is None

    def test_a_later_wait_for_another_name(self, on: Hand) -> None:
        """R8: conditions of an earlier suspension are gone."""
        on.add("a")
        on.run("a", listening("x"))
        on.send("a", "x", "s1")
        on.run("a", listening("y"), entries=[taken("t1", "x")])
        on.send("a", "x", "s2")
        assert on.row("a").due_at is None

    def test_kept_over_attempts(self, on: Hand) -> None:
        """R12: signals belong to the execution, not to an attempt or generation."""
        on.add("a")
        on.send("a", "go", "s1")
        on.cancel("a")
        on.storage.retry(["a"], on.now)
        assert [received.id for received in on.journal("a").signals] == ["s1"]
