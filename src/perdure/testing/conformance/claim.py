"""Claim: who gets what, in which order, under which token (R5, R6, R11, R13)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from perdure.model.records import ClaimRequest
from perdure.testing.conformance.hand import DONE, START, Conformance, Hand, activity, asleep, listening


class ClaimConformance(Conformance):
    """Handing out work."""

    def test_order(self, on: Hand) -> None:
        """R5: by priority (lower first), then due time, then id."""
        on.wait(100)
        for id, priority, due in [("e", 0, 50), ("d", 0, 50), ("c", 0, 70), ("b", 5, 1), ("a", -5, 90)]:
            on.add(id, priority=priority, due_at=START + due)
        assert on.claimed() == ["a", "d", "e", "c", "b"]

    def test_limit_takes_the_first_by_order(self, on: Hand) -> None:
        """R5: a small answer holds what comes first; the next one goes on."""
        for number in range(6):
            on.add(f"e{number}", priority=-number)
        assert on.claimed(limit=2) == ["e5", "e4"]
        assert on.claimed(limit=3) == ["e3", "e2", "e1"]
        assert on.claimed(limit=3) == ["e0"]

    def test_short(self, on: Hand) -> None:
        """R5: `short` says that fewer came than asked."""
        on.add("a", "b", "c")
        assert not on.claim(limit=2).short
        assert on.claim(limit=2).short
        assert on.claim(limit=2).short

    def test_exactly_as_many_as_asked_is_not_short(self, on: Hand) -> None:
        """R5: there may be more."""
        on.add("a", "b")
        assert not on.claim(limit=2).short

    def test_not_before_it_is_due(self, on: Hand) -> None:
        """R5, P7: nothing due runs early, and it runs at the very millisecond."""
        on.add("a", due_at=START + 10)
        on.now = START + 9
        assert on.claimed() == []
        on.now = START + 10
        assert on.claimed() == ["a"]

    def test_only_demanded_queues_and_tasks(self, on: Hand) -> None:
        """R5: work of other queues and tasks stays where it is."""
        on.add("a", queue="mail")
        on.add("b", task_name="alien")
        on.add("c")
        assert on.claimed() == ["c"]
        assert on.claimed(queues=("mail",)) == ["a"]
        assert on.claimed(tasks=("alien",)) == ["b"]

    def test_several_queues_share_one_order(self, on: Hand) -> None:
        """R5: priority goes before the queue."""
        on.add("a", queue="mail", priority=1)
        on.add("b", priority=2)
        on.add("c", queue="mail", priority=3, task_name="other")
        assert on.claimed(queues=("default", "mail")) == ["a", "b", "c"]

    def test_nothing_demanded_nothing_given(self, on: Hand) -> None:
        """R5: no queue or no task is no wildcard."""
        on.add("a")
        assert on.claimed(queues=()) == []
        assert on.claimed(tasks=()) == []

    def test_a_claim_says_all_a_pass_needs(self, on: Hand) -> None:
        """R5: what is handed out matches the row."""
        on.add(
            "a", input="[1]", priority=2, options="{}", version="v", tags='{"t":"1"}', trace="tr",
            deadline_at=START + 99,
        )  # fmt: skip
        (claim,) = on.claim().claims
        row = on.row("a")
        for name in claim.__struct_fields__:
            if name != "journaled":
                assert getattr(claim, name) == getattr(row, name), name
        assert (row.status, row.worker_id, row.token, row.crashes, row.started_at) == ("running", "w1", 1, 1, on.now)
        assert not claim.journaled

    def test_the_token_always_rises(self, on: Hand) -> None:
        """R5: each claim has a higher token than any before."""
        on.add("a")
        tokens: list[int] = []
        for _ in range(5):
            tokens.append(on.start("a"))
            on.commit("a", asleep(on.now))
        on.lose("w1")
        tokens.append(on.start("a", "w2"))
        assert tokens == sorted(set(tokens))

    def test_nobody_gets_what_another_has(self, on: Hand) -> None:
        """R6: at most one live lease per execution."""
        on.add("a", "b")
        assert on.claimed("w1", 1) == ["a"]
        assert on.claimed("w2", 9) == ["b"]
        assert on.claimed("w3", 9) == []

    def test_settled_is_not_claimed(self, on: Hand) -> None:
        """R9: what is over is over."""
        on.add("a", "b")
        on.run("a", DONE)
        on.cancel("b")
        assert on.claimed() == []
        assert on.claimed(ids=("a", "b")) == []

    def test_waiting_is_claimed_when_due(self, on: Hand) -> None:
        """R5: a sleeper wakes when its time has come, and no longer waits when it runs."""
        on.add("a")
        on.run("a", asleep(START + 10))
        assert on.claimed() == []
        on.now = START + 10
        assert on.claimed() == ["a"]
        assert on.row("a").waits is None

    def test_waiting_for_ever_is_not_claimed(self, on: Hand) -> None:
        """R5: without a due time nothing falls due."""
        on.add("a")
        on.run("a", listening("go"))
        on.wait(10**9)
        assert on.claimed() == []

    def test_the_start_is_the_first_claim(self, on: Hand) -> None:
        """R5: `started_at` is kept over passes."""
        on.add("a")
        on.run("a", asleep(START))
        on.wait(7)
        on.start("a")
        assert on.row("a").started_at == START

    @pytest.mark.parametrize("what", ["entry", "child", "signal", "pass"])
    def test_journaled(self, on: Hand, what: str) -> None:
        """R5: `journaled` says that there is something to read before the first step."""
        on.add("a")
        if what == "signal":
            on.send("a", "go", "s1")
        elif what == "pass":
            on.run("a", asleep(START))
        else:
            entries = [activity("x")] if what == "entry" else []
            on.run("a", entries=entries, spawns=[on.child("c", "a", due_at=START + 9)] if what == "child" else [])
            on.lose("w1")
        (claim,) = on.claim(ids=("a",)).claims
        assert claim.journaled

    def test_next_due(self, on: Hand) -> None:
        """R16: a worker learns when it has to look again, whatever the task."""
        assert on.claim().next_due is None
        on.add("a", due_at=START + 30)
        on.add("b", due_at=START + 20, task_name="alien")
        on.add("c", due_at=START + 10, queue="mail")
        assert on.claim().next_due == START + 20
        assert on.claim(queues=("mail",)).next_due == START + 10
        assert on.claim(queues=("mail", "default")).next_due == START + 10

    def test_next_due_sees_waiting_ones_and_deadlines(self, on: Hand) -> None:
        """R16: timers and deadlines are looked at when they pass."""
        on.add("a")
        on.run("a", asleep(START + 30))
        assert on.claim().next_due == START + 30
        on.add("b", deadline_at=START + 15, due_at=START + 99)
        assert on.claim().next_due == START + 15
        on.now = START + 15
        assert on.claim().next_due == START + 30

    def test_by_name(self, on: Hand) -> None:
        """R5: with `ids` only these are claimed, due or not, if nobody runs them and they are not settled."""
        on.add("later", due_at=START + 99)
        on.add("due", "running")
        on.start("running", "w2")
        on.add("listens")
        on.run("listens", listening("go"))
        claims = on.claim(ids=("listens", "running", "unknown", "later")).claims
        assert sorted(claim.id for claim in claims) == ["later", "listens"]
        assert on.row("running").worker_id == "w2"
        assert on.status("due") == ["pending"]

    def test_by_name_only_what_is_due(self, on: Hand) -> None:
        """R5: with `only_due` none of them whose time has not come."""
        on.add("later", due_at=START + 99)
        on.add("due")
        on.add("listens")
        on.run("listens", listening("go"))
        assert on.claimed(ids=("later", "listens", "due"), only_due=True) == ["due"]
        assert (on.status("later"), on.status("listens")) == (["pending"], ["waiting"])
        on.now = START + 99
        assert on.claimed(ids=("later",), only_due=True) == ["later"]

    def test_by_name_twice_is_once(self, on: Hand) -> None:
        """R6: an id named twice is leased once."""
        on.add("a")
        assert on.claimed(ids=("a", "a")) == ["a"]
        assert on.row("a").token == 1

    def test_one_suspect_at_a_time(self, on: Hand) -> None:
        """R11: at most one execution that crashed twice or more is in an answer; its neighbours come all the same."""
        on.add("a", "b", "c")
        for _ in range(2):
            on.start("b")
            on.start("c")
            on.lose("w1")
        assert sorted(on.claimed("w2")) == ["a", "b"]
        assert on.claimed("w3") == ["c"]

    def test_no_suspects_wanted(self, on: Hand) -> None:
        """R11: a worker that has a suspect gets none; one crash makes no suspect."""
        on.add("once", "twice")
        on.start("once")
        on.start("twice")
        on.lose("w1")
        on.start("twice")
        on.lose("w1")
        assert (on.row("once").crashes, on.row("twice").crashes) == (1, 2)
        assert on.claimed("w2", suspects=False) == ["once"]
        assert on.claimed("w2", suspects=True) == ["twice"]

    def test_a_suspect_that_is_left_out_makes_room(self, on: Hand) -> None:
        """R11: the limit counts what is handed out, not what is passed over."""
        on.add("a", "b", "c", "d")
        for _ in range(2):
            on.start("a")
            on.start("b")
            on.lose("w1")
        assert on.claimed("w2", 2, suspects=False) == ["c", "d"]

    def test_threads_share_no_execution(self, on: Hand) -> None:
        """R6, R13: claims from several threads at once hand out each execution once."""
        ids = [f"e{number:03}" for number in range(200)]
        on.add(*ids)

        def work(worker: str) -> list[str]:
            got: list[str] = []
            while claims := on.storage.claim(ClaimRequest(worker, ("default",), ("work",), 7), on.now).claims:
                got += [claim.id for claim in claims]
            return got

        with ThreadPoolExecutor(4) as pool:
            shares = list(pool.map(work, ["w1", "w2", "w3", "w4"]))
        assert sorted(id for share in shares for id in share) == ids
