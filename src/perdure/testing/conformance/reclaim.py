"""Workers that renew, leave and die; poison; deadlines (R2, R6, R11, R16)."""

from __future__ import annotations

import msgspec

from perdure.model.records import Heartbeat, Reclaimed, WorkerRow
from perdure.testing.conformance.hand import (
    DONE,
    LEASE,
    START,
    Conformance,
    Hand,
    activity,
    asleep,
    joining,
    kind,
    listening,
)


class ReclaimConformance(Conformance):
    """Leases, and what happens when they end."""

    def test_a_worker_is_registered(self, on: Hand) -> None:
        """R6: one row per worker, as it describes itself; renewing changes it."""
        row = WorkerRow("w9", "höst", 7, "2.1", ("q", "r"), ("t",), 5, START, START + 10)
        on.storage.heartbeat(Heartbeat(row), on.now)
        assert [each for each in on.storage.workers(on.now) if each.id == "w9"] == [row]
        renewed = msgspec.structs.replace(row, concurrency=3, lease_until=START + 20)
        on.storage.heartbeat(Heartbeat(renewed), on.now)
        assert [each for each in on.storage.workers(on.now) if each.id == "w9"] == [renewed]

    def test_what_a_worker_runs_is_counted_when_asked(self, on: Hand) -> None:
        """R6: not what a heartbeat last said of it."""
        on.add("a", "b", "c")
        on.start("a")
        on.start("b")
        assert {each.id: each.running for each in on.storage.workers(on.now)}["w1"] == 2
        on.commit("a", DONE)
        on.beat()
        assert {each.id: each.running for each in on.storage.workers(on.now)}["w1"] == 1

    def test_a_heartbeat_names_what_is_lost(self, on: Hand) -> None:
        """R6: what another runs, what is settled, what is unknown; what is held is not named."""
        on.add("mine", "other", "done")
        tokens = {claim.id: claim.token for claim in on.claim().claims}
        on.lose("w1")
        on.start("other", "w2")
        mine = on.start("mine")
        running = [("mine", mine), ("other", tokens["other"]), ("done", tokens["done"]), ("nobody", 1)]
        assert sorted(on.beat(running=running).lost) == ["done", "nobody", "other"]

    def test_an_old_token_is_lost(self, on: Hand) -> None:
        """R2: the same worker under a newer token has lost the older one."""
        on.add("a")
        old = on.start("a")
        on.lose("w1")
        new = on.start("a")
        assert on.beat(running=[("a", old)]).lost == ("a",)
        assert on.beat(running=[("a", new)]).lost == ()

    def test_leases_are_judged_by_an_earlier_moment_where_one_is_given(self, on: Hand) -> None:
        """R6: who does not trust the clock. Deadlines do not wait for that."""
        on.add("a")
        on.start("a")
        on.beat()
        until = on.now + LEASE
        on.add("late", deadline_at=on.now + 1)
        on.wait(100 * LEASE)
        assert on.storage.reclaim(on.now, until - 1) == Reclaimed(expired=("late",))
        assert on.storage.reclaim(on.now, 0) == Reclaimed()
        assert on.row("a").status == "running"
        assert on.storage.reclaim(on.now, until).workers == ("w1",)
        assert on.row("a").status == "pending"

    def test_a_live_worker_keeps_its_work(self, on: Hand) -> None:
        """R6: as long as it renews."""
        on.add("a")
        token = on.start("a")
        for _ in range(5):
            on.wait(LEASE - 1)
            assert on.storage.reclaim(on.now) == Reclaimed()
            on.beat(running=[("a", token)])
        assert on.commit("a", DONE, token=token).status == "completed"

    def test_a_dead_worker_loses_it(self, on: Hand) -> None:
        """R2, R6: due again at once, the old token dead, the worker gone; the crash stays counted."""
        on.add("a")
        old = on.start("a")
        on.wait(LEASE)
        answer = on.storage.reclaim(on.now)
        assert (answer.released, answer.workers, answer.poisoned, answer.expired) == (("a",), ("w1",), (), ())
        row = on.row("a")
        assert (row.status, row.worker_id, row.due_at, row.crashes, row.attempt) == ("pending", None, on.now, 1, 0)
        assert row.token > old
        assert on.commit("a", DONE, token=old, entries=[activity("x")]).lost
        assert on.storage.workers(on.now) == []
        assert on.claimed("w2") == ["a"]

    def test_a_late_writer_without_taker(self, on: Hand) -> None:
        """R2: safety never rests on expiry: until somebody reclaims, the lease holder may still write."""
        on.add("a")
        token = on.start("a")
        on.wait(10 * LEASE)
        assert on.commit("a", DONE, token=token).status == "completed"

    def test_reclaim_twice(self, on: Hand) -> None:
        """R4: the second finds nothing."""
        on.add("a")
        on.start("a")
        on.lose("w1")
        before = on.row("a")
        on.wait(1)
        assert on.storage.reclaim(on.now) == Reclaimed()
        assert on.row("a") == before

    def test_only_what_the_dead_held(self, on: Hand) -> None:
        """R6: others keep theirs; what waits or is pending is nobody's."""
        on.add("a", "b", "c", "d")
        on.start("a")
        on.run("c", asleep(START + 10 * LEASE))
        on.wait(1)
        on.beat("w2")
        on.start("b", "w2")
        others = on.storage.get(["b", "c", "d"])
        on.now = START + LEASE
        assert on.storage.reclaim(on.now).released == ("a",)
        assert on.storage.get(["b", "c", "d"]) == others

    def test_an_unknown_worker_is_dead(self, on: Hand) -> None:
        """R6, R16: a worker heartbeats before its first claim, so nothing can hang on one that never did."""
        on.add("a")
        on.start("a", "ghost")
        assert on.storage.reclaim(on.now).released == ("a",)
        assert on.claimed() == ["a"]

    def test_leaving(self, on: Hand) -> None:
        """R5, R6: what it holds is due again, without blame; its row is gone, its tokens are dead."""
        on.add("a", "b")
        old = on.start("a")
        on.wait(5)
        on.beat(leaving=True)
        row = on.row("a")
        assert (row.status, row.worker_id, row.due_at, row.crashes) == ("pending", None, on.now, 0)
        assert on.commit("a", DONE, token=old).lost
        assert on.storage.workers(on.now) == []
        assert on.claimed("w2") == ["b", "a"]

    def test_leaving_keeps_earlier_blame(self, on: Hand) -> None:
        """R11: only the claim itself is taken back."""
        on.add("a")
        on.start("a")
        on.lose("w1")
        on.start("a", "w2")
        on.beat("w2", leaving=True)
        assert on.row("a").crashes == 1

    def test_leaving_twice(self, on: Hand) -> None:
        """R4: sent again it changes nothing."""
        on.add("a")
        on.start("a")
        on.beat(leaving=True)
        before = on.row("a")
        on.beat(leaving=True)
        assert (on.row("a"), on.storage.workers(on.now)) == (before, [])

    def test_what_a_worker_never_heard_of(self, on: Hand) -> None:
        """R6, R16: the answer that handed it over was lost: it is due again, without blame, and its token is dead."""
        on.add("heard", "lost")
        tokens = {claim.id: claim.token for claim in on.claim().claims}
        on.wait(5)
        assert on.beat(running=[("heard", tokens["heard"])], holding=["heard"]).lost == ()
        assert (on.row("heard").status, on.row("heard").token) == ("running", tokens["heard"])
        row = on.row("lost")
        assert (row.status, row.worker_id, row.due_at, row.crashes) == ("pending", None, on.now, 0)
        assert on.commit("lost", DONE, token=tokens["lost"]).lost
        assert on.claimed() == ["lost"]

    def test_a_worker_that_holds_nothing(self, on: Hand) -> None:
        """R6: an empty list is a list; without one nothing is concluded."""
        on.add("a")
        on.start("a")
        on.beat()
        assert on.status("a") == ["running"]
        on.beat(holding=[])
        assert on.status("a") == ["pending"]
        assert [worker.id for worker in on.storage.workers(on.now)] == ["w1"]

    def test_what_others_hold(self, on: Hand) -> None:
        """R6: a worker speaks for itself; what it names besides is no claim."""
        on.add("a", "b")
        on.beat("w2")
        on.start("a", "w2")
        on.beat("w1", holding=["b", "nobody"])
        assert on.status("a", "b") == ["running", "pending"]
        assert on.row("a").worker_id == "w2"

    def test_what_a_worker_never_heard_of_and_was_cancelled(self, on: Hand) -> None:
        """R6, R10: nobody is left to hear of the cancel: it is settled."""
        on.parent("p", "a", outcome=joining(all=1))
        on.start("a")
        on.cancel("a")
        on.beat(holding=[])
        assert on.status("a") == ["cancelled"]
        assert on.claimed() == ["p"]

    def test_drain(self, on: Hand) -> None:
        """R1: asked workers hear of it with each heartbeat from then on; unknown ones answer false."""
        on.beat("w2")
        assert not on.beat("w1").drain
        assert on.storage.drain(["nobody", "w1"], on.now) == [False, True]
        assert [on.beat("w1").drain, on.beat("w1").drain, on.beat("w2").drain] == [True, True, False]
        assert {worker.id: worker.draining for worker in on.storage.workers(on.now)} == {"w1": True, "w2": False}

    def test_poison(self, on: Hand) -> None:
        """R11: failed when its worker died `max_crashes` times in a row without progress, not before."""
        on.add("a", max_crashes=3)
        for crashes in (1, 2):
            on.start("a")
            on.lose("w1")
            assert (on.row("a").status, on.row("a").crashes) == ("pending", crashes)
        on.start("a")
        on.beat("w1")
        on.wait(LEASE)
        answer = on.storage.reclaim(on.now)
        assert (answer.poisoned, answer.released) == (("a",), ())
        row = on.row("a")
        assert (row.status, kind(row.failure), row.finished_at) == ("failed", "worker_lost", on.now)
        assert "3" in (row.failure or "")

    def test_poison_in_one_crash(self, on: Hand) -> None:
        """R11: `max_crashes` of 1 forgives nothing."""
        on.add("a", max_crashes=1)
        on.start("a")
        on.lose("w1")
        assert on.status("a") == ["failed"]

    def test_progress_is_no_poison(self, on: Hand) -> None:
        """R11: with one new entry between the crashes it goes on for ever."""
        on.add("a", max_crashes=2)
        for number in range(6):
            on.start("a")
            on.commit("a", entries=[activity(f"x{number}")])
            on.lose("w1")
        assert on.status("a") == ["pending"]

    def test_poison_ends_its_tree(self, on: Hand) -> None:
        """R9, R11: what is open below is cancelled, what waits above is woken."""
        on.parent("p", "a", outcome=joining(all=1))
        on.run("a", spawns=on.children("a", "deep"))
        on.beat("w2")
        on.commit("a", asleep(on.now))
        for _ in range(5):
            on.start("a")
            on.lose("w1")
        assert on.status("a", "deep") == ["failed", "cancelled"]
        assert on.claimed() == ["p"]

    def test_parent_and_child_of_one_dead_worker(self, on: Hand) -> None:
        """R6, R9: the child of a poisoned parent is cancelled, in whichever order they are taken back."""
        for parent, child in (("a", "b"), ("d", "c")):
            on.add(parent, max_crashes=1)
            on.start(parent)
            spawns = on.children(parent, child, worker_id="w1")
            on.commit(parent, spawns=spawns)
            on.commit(parent, joining(all=1))
            on.start(parent)
        on.lose("w1")
        assert on.status("a", "b", "c", "d") == ["failed", "cancelled", "cancelled", "failed"]

    def test_deadline_of_what_nobody_runs(self, on: Hand) -> None:
        """R16: pending and waiting ones time out, at the very millisecond."""
        on.add("pending", "timer", "signal", deadline_at=START + 10, due_at=START)
        on.run("timer", asleep(START + 99))
        on.run("signal", listening("go"))
        on.now = START + 9
        assert on.storage.reclaim(on.now).expired == ()
        on.now = START + 10
        assert sorted(on.storage.reclaim(on.now).expired) == ["pending", "signal", "timer"]
        row = on.row("signal")
        assert (row.status, kind(row.failure), row.finished_at) == ("timed_out", "timed_out", on.now)
        assert (row.due_at, row.waits, on.claimed()) == (None, None, [])

    def test_deadline_of_what_runs(self, on: Hand) -> None:
        """R10: its worker sees to that."""
        on.add("a", deadline_at=START + 10)
        on.start("a")
        on.now = START + 10
        on.beat()
        assert on.storage.reclaim(on.now).expired == ()
        assert on.status("a") == ["running"]

    def test_deadline_of_what_is_settled(self, on: Hand) -> None:
        """R9: settled is final."""
        on.add("a", deadline_at=START + 10)
        on.run("a", DONE)
        on.now = START + 10
        assert on.storage.reclaim(on.now).expired == ()

    def test_deadline_of_what_a_dead_worker_held(self, on: Hand) -> None:
        """R16: taken back and past its deadline: it is not started again."""
        on.add("a", deadline_at=START + 10)
        on.start("a")
        on.lose("w1")
        on.storage.reclaim(on.now)
        assert on.status("a") == ["timed_out"]

    def test_deadline_ends_its_tree(self, on: Hand) -> None:
        """R9: what is open below is cancelled, what waits above is woken."""
        on.add("p")
        on.start("p")
        on.commit("p", joining(all=1), spawns=on.children("p", "a", deadline_at=START + 10))
        on.run("a", joining(all=1), spawns=on.children("a", "deep"))
        on.now = START + 10
        answer = on.storage.reclaim(on.now)
        assert (answer.expired, answer.woken) == (("a",), ("p",))
        assert on.status("a", "deep") == ["timed_out", "cancelled"]
        assert on.claimed() == ["p"]

    def test_deadlines_up_and_down_a_tree(self, on: Hand) -> None:
        """R16: both parent and child past theirs time out, whichever id comes first."""
        for parent, child in (("a", "b"), ("d", "c")):
            on.add(parent, deadline_at=START + 10)
            on.start(parent)
            on.commit(
                parent, joining(all=1), spawns=on.children(parent, child, deadline_at=START + 5, due_at=START + 99)
            )
        on.now = START + 10
        on.storage.reclaim(on.now)
        assert on.status("a", "b", "c", "d") == ["timed_out"] * 4
        assert [on.row(id).closed_at for id in "ad"] == [on.now] * 2
