"""Chapters: a body that does one thing after another in one execution counts attempts anew for each, and lets go of what the
ones before recorded (R2, R3, R4, R8)."""

from __future__ import annotations

import msgspec
import pytest

from perdure.model.records import MEMO, Entry, NewSignal, Retried, Suspended, Transition, Wait
from perdure.testing.conformance.hand import DONE, FAILURE, START, Conformance, Hand, activity, asleep


def taken(key: str, value: str | None = "1") -> Entry:
    """A signal that was taken, or with no value one that did not come in time."""
    return Entry(key, MEMO, 0, "signal", "go", value, None if value else FAILURE, None, START, None, 1)


class ChapterConformance(Conformance):
    """`anew` and `drop` of a transition."""

    def test_attempts_count_anew(self, on: Hand) -> None:
        """R3: with the end of a chapter the count of attempts is 0 and the last failure is gone; the lease goes on."""
        on.add("a")
        on.run("a", Retried(START, FAILURE))
        token = on.start("a")
        answer = on.commit("a", entries=[activity("1/")], anew=True)
        row = on.row("a")
        assert (answer.status, row.status, row.token, row.attempt, row.failure) == (
            "running",
            "running",
            token,
            0,
            None,
        )

    def test_a_retry_after_it_counts_from_there(self, on: Hand) -> None:
        """R3: the next attempt after a new chapter is number 1, and claims say so."""
        on.add("a")
        on.run("a", Retried(START, FAILURE))
        on.run("a", Retried(START, FAILURE))
        on.run("a", anew=True, entries=[activity("1/")])
        on.commit("a", Retried(START, FAILURE))
        (claim,) = on.claim(ids=("a",)).claims
        assert (claim.attempt, claim.failure) == (1, FAILURE)

    @pytest.mark.parametrize("outcome", [DONE, asleep(START + 50), Retried(START + 50, FAILURE)])
    def test_with_an_outcome(self, on: Hand, outcome: Suspended) -> None:
        """R3: an outcome in the same transition comes after it."""
        on.add("a")
        on.run("a", Retried(START, FAILURE))
        on.run("a", outcome, anew=True, drop="0/", entries=[activity("0/x"), activity("1/")])
        retried = isinstance(outcome, Retried)
        assert (on.row("a").attempt, on.row("a").failure, on.keys("a")) == (
            int(retried), FAILURE if retried else None, ["1/"]
        )  # fmt: skip

    def test_a_prefix_is_dropped(self, on: Hand) -> None:
        """R3: all that stands under it goes, whatever its scope; what does not begin with it stays."""
        on.add("a")
        on.run("a", entries=[activity("5/x"), activity("5/x", scope="0.0"), activity("5", name="5")])
        on.commit("a", entries=[activity("50/x"), activity("5/y"), activity("6/")], drop="5/")
        assert sorted(on.keys("a")) == ["5", "50/x", "6/"]

    def test_an_entry_of_the_next_transition_stays(self, on: Hand) -> None:
        """R1: within a batch what follows is recorded anew, what came before is gone."""
        on.add("a", "other")
        on.run("other", entries=[activity("5/x")])
        token = on.start("a")
        batch = [
            Transition("a", token, (activity("5/x", "1"), activity("5/y", "1"))),
            Transition("a", token, (activity("6/"),), drop="5/", anew=True),
            Transition("a", token, (activity("5/x", "2"),)),
        ]
        on.storage.commit(batch, on.now)
        assert sorted((entry.key, entry.value) for entry in on.journal("a").entries) == [("5/x", "2"), ("6/", "1")]
        assert on.keys("other") == ["5/x"]

    def test_taken_signals_stay_counted(self, on: Hand) -> None:
        """R8: the n-th wait takes the n-th signal, also after what is recorded around it is gone."""
        on.add("a")
        on.storage.signal([NewSignal("s1", "a", "go", "1")], on.now)
        on.run("a", entries=[taken("0/wait"), taken("0/late", None), activity("0/x")])
        on.commit("a", entries=[taken("0/more")], drop="0/")
        assert sorted(on.keys("a")) == ["0/more", "0/wait"]
        on.storage.signal([NewSignal("s2", "a", "go", "1")], on.now)
        on.commit("a", Suspended((Wait("signal", "go"),), signals=("go",), taken=(2,)))
        assert on.row("a").due_at is None

    def test_a_stale_token_drops_nothing(self, on: Hand) -> None:
        """R2: whoever lost the lease neither drops nor counts anew."""
        on.add("a")
        on.run("a", Retried(START, FAILURE), entries=[activity("0/x")])
        old = on.start("a")
        on.lose("w1")
        on.start("a", "w2")
        assert on.commit("a", token=old, anew=True, drop="0/").lost
        assert (on.row("a").attempt, on.keys("a")) == (1, ["0/x"])

    def test_sent_again(self, on: Hand) -> None:
        """R4: a lost acknowledgement changes nothing."""
        on.add("a")
        token = on.start("a")
        batch = [Transition("a", token, (activity("0/x"), activity("1/")), drop="0/", anew=True)]
        on.storage.commit(batch, on.now)
        before = on.row("a")
        on.storage.commit(batch, on.now)
        assert (on.row("a"), on.keys("a")) == (msgspec.structs.replace(before), ["1/"])

    def test_all_of_a_journal_is_no_prefix(self, on: Hand) -> None:
        """An empty prefix is an error of the program."""
        on.add("a")
        with pytest.raises(ValueError, match="no prefix"):
            on.run("a", drop="")
