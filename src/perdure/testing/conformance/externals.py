"""External tasks: one completion per task and key, kept before, while and after somebody waits (R4, R8, R12, R15)."""

from __future__ import annotations

from perdure.model.externals import Answered, Completion, NewCompletion
from perdure.model.records import Suspended, Wait
from perdure.testing.conformance.hand import DONE, FAILURE, START, Conformance, Hand, asleep

KEY = "k"


def awaiting(key: str = KEY, task: str = "work", due_at: int | None = None) -> Suspended:
    """A suspension until the external task is completed for a key."""
    return Suspended((Wait("external", key, due_at),), due_at, external=(task, key))


class ExternalConformance(Conformance):
    """Completing from outside."""

    def complete(self, on: Hand, id: str, key: str = KEY, **fields: object) -> Answered:
        """Completes task `work` for a key."""
        given = {"origin": "work", "value": "1"} | fields
        return on.storage.complete_external([NewCompletion(id=id, key=key, **given)], on.now)[0]  # type: ignore[arg-type]

    def prune(self, on: Hand, before: int | None = None, limit: int = 1000, spare_own: bool = False) -> int:
        """Prunes now."""
        return on.storage.prune(on.now, before, limit, spare_own)

    def test_wakes_who_waits(self, on: Hand) -> None:
        """R8, R12: all executions that wait for the key fall due, and no other."""
        on.add("a", "b", external_key=KEY)
        on.add("other", external_key="other")
        on.add("none")
        for id, key in (("a", KEY), ("b", KEY), ("other", "other")):
            on.run(id, awaiting(key))
        on.run("none", asleep(START + 5))
        assert self.complete(on, "c1").woken == ("a", "b")
        assert on.claimed() == ["a", "b"]

    def test_shown_in_the_journal(self, on: Hand) -> None:
        """R12: who waits reads the value and when it came; who has no key, or another, reads nothing."""
        on.add("a", external_key=KEY)
        on.add("b", external_key="other")
        on.add("c")
        assert on.journal("a").external is None
        on.wait(3)
        self.complete(on, "c1", value='"yes"')
        assert [view.external for view in on.storage.journal(["a", "b", "c", "nobody"])] == [
            Completion('"yes"', None, START + 3), None, None, None
        ]  # fmt: skip
        self.complete(on, "c2", "other", value=None, failure=FAILURE)
        assert on.journal("b").external == Completion(None, FAILURE, START + 3)

    def test_the_key_is_shown(self, on: Hand) -> None:
        """R12: a row has its external key."""
        on.add("a", external_key="näme 1")
        on.run("a", spawns=[on.child("child", "a", external_key="two")])
        assert [on.row(id).external_key for id in ("a", "child")] == ["näme 1", "two"]

    def test_completed_before(self, on: Hand) -> None:
        """R8: a suspension on a key that is completed is due at once, wherever the completion came in between."""
        self.complete(on, "c1")
        on.add("a", "b", external_key=KEY)
        assert on.run("a", awaiting()).status == "waiting"
        assert on.row("a").due_at == on.now
        assert on.claimed() == ["a", "b"]

    def test_completed_while_it_runs(self, on: Hand) -> None:
        """R8: the completion came between the pass's reading and its suspension."""
        on.add("a", external_key=KEY)
        on.start("a")
        assert self.complete(on, "c1").woken == ()
        on.commit("a", awaiting())
        assert on.row("a").due_at == on.now

    def test_of_another_task(self, on: Hand) -> None:
        """R8, R12: a key belongs to its task."""
        on.add("a", external_key=KEY)
        self.complete(on, "c1", origin="other")
        on.run("a", awaiting())
        assert on.row("a").due_at is None
        assert on.journal("a").external is None

    def test_first_write_wins(self, on: Hand) -> None:
        """R4, R12: a later completion changes nothing, and answers the one that stands, in one call too."""
        first = Completion("1", None, START)
        assert self.complete(on, "c1") == Answered(first, True)
        on.wait(5)
        assert self.complete(on, "c2", value=None, failure=FAILURE) == Answered(first, False)
        on.add("a", external_key=KEY)
        assert on.journal("a").external == first
        items = [NewCompletion("c3", "work", "x", "3"), NewCompletion("c4", "work", "x", "4")]
        third = Completion("3", None, START + 5)
        assert on.storage.complete_external(items, on.now) == [Answered(third, True), Answered(third, False)]

    def test_sent_again(self, on: Hand) -> None:
        """R4: the same completion again answers as it did, but for whom it wakes."""
        on.add("a", external_key=KEY)
        on.run("a", awaiting())
        assert self.complete(on, "c1").woken == ("a",)
        on.wait(5)
        assert self.complete(on, "c1") == Answered(Completion("1", None, START), True)

    def test_a_later_one_wakes_nobody(self, on: Hand) -> None:
        """R12: who was answered and waits for something else is left alone by what changes nothing."""
        self.complete(on, "c1")
        on.add("a", external_key=KEY)
        on.run("a", asleep(START + 50))
        assert self.complete(on, "c2").woken == ()
        assert on.row("a").due_at == START + 50

    def test_earlier_than_its_timer(self, on: Hand) -> None:
        """R8: a wait with a time limit is due at the earlier of both."""
        on.add("a", external_key=KEY)
        on.run("a", awaiting(due_at=START + 50))
        assert self.complete(on, "c1").woken == ("a",)
        assert on.row("a").due_at == START
        on.run("a", awaiting(due_at=START + 50))
        assert on.row("a").due_at == START

    def test_of_a_renamed_task(self, on: Hand) -> None:
        """R8, R12: a completion is for all executions of its origin, whatever the name of their task."""
        on.add("old", external_key=KEY)
        on.add("new", task_name="other", origin="work", external_key=KEY)
        on.run("old", awaiting())
        (claim,) = on.claim(ids=("new",)).claims
        assert claim.origin == "work"
        on.commit("new", awaiting())
        assert self.complete(on, "c1").woken == ("new", "old")
        assert on.journal("old").external == on.journal("new").external == Completion("1", None, START)
        on.run("new", DONE)
        on.wait(10)
        assert self.prune(on, on.now) == 1
        assert self.prune(on, on.now) == 0
        assert not self.complete(on, "c2").first

    def test_before_it_was_renamed(self, on: Hand) -> None:
        """R8, R12: what stands under the origin is found by an execution that is enqueued under a later name."""
        self.complete(on, "c1")
        on.add("new", task_name="other", origin="work", external_key=KEY)
        assert on.journal("new").external == Completion("1", None, START)
        on.run("new", awaiting())
        assert on.row("new").due_at == on.now

    def test_settled_ones_stay(self, on: Hand) -> None:
        """R9: a completion changes nothing of what is settled, and stays for an operator's retry."""
        on.add("a", external_key=KEY)
        on.run("a", awaiting())
        on.cancel("a")
        assert self.complete(on, "c1").woken == ()
        assert on.status("a") == ["cancelled"]
        on.storage.retry(["a"], on.now)
        on.run("a", awaiting())
        assert on.row("a").due_at == on.now

    def test_prune_frees_keys(self, on: Hand) -> None:
        """R15: a completion goes with the last execution of its key, when it is as old."""
        on.add("a", external_key=KEY)
        self.complete(on, "c1")
        on.run("a", DONE)
        on.wait(10)
        assert self.prune(on, on.now) == 1
        assert self.complete(on, "c2", value="2") == Answered(Completion("2", None, on.now), True)

    def test_prune_spares_what_is_referred_to(self, on: Hand) -> None:
        """R15: while an execution has the key, open or settled, its completion stays."""
        self.complete(on, "c1")
        on.wait(10)
        on.add("open", external_key=KEY)
        assert self.prune(on, on.now) == 0
        assert on.journal("open").external is not None
        on.run("open", DONE)
        assert self.prune(on, on.now) == 0
        assert on.journal("open").external is not None

    def test_prune_looks_at_age(self, on: Hand) -> None:
        """R15: a completion that nobody waited for is kept as long as an execution would be."""
        self.complete(on, "c1", "plain")
        self.complete(on, "c2", "own", retention=100)
        on.wait(50)
        assert self.prune(on) == 0
        assert self.prune(on, START) == 0
        assert [self.complete(on, "again", key).first for key in ("plain", "own")] == [False, False]
        assert self.prune(on, on.now, spare_own=True) == 0
        assert [self.complete(on, "new", key).first for key in ("plain", "own")] == [True, False]
        on.wait(50)
        assert self.prune(on) == 0
        assert self.complete(on, "newer", "own").first

    def test_prune_in_bites(self, on: Hand) -> None:
        """R15: at most so many, the oldest first."""
        for number in range(4):
            self.complete(on, f"c{number}", str(number))
            on.wait(1)
        assert self.prune(on, on.now, limit=3) == 0
        assert [self.complete(on, "new", str(number)).first for number in range(4)] == [True, True, True, False]
