"""Several processes, several apps, one file: who may do what, who learns of it and how quickly, and what is left when one of
them is told to go, or is killed in the middle."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perdure import ExecutionCancelledError, ExecutionFailedError
from tests.system import faults_program as program
from tests.system.rig import Nursery, broken, counts, effects, environment, until

pytestmark = pytest.mark.timeout(100)
FAR = 30.0
"""A poll that no test waits for."""


# -- several on one file --------------------------------------------------------------------------------------------------


async def test_two_apps_on_one_file_in_one_process(tmp_path: Path) -> None:
    first, second = program.make_app(tmp_path), program.make_app(tmp_path)
    async with first, second:
        handles = [await app.enqueue(program.steps.call(3)) for _ in range(20) for app in (first, second)]
        assert [await second.handle(handle.id).result(timeout=30) for handle in handles] == [3] * 40
        assert counts(tmp_path) == {"step 0": 40, "step 1": 40, "step 2": 40}
        await first.close()
        assert await second.run(program.steps.call(2)) == 1
        async with first.connect():
            assert await first.count("status:completed") == 41
        assert len([worker for worker in await second.workers() if worker.alive]) == 1
        assert broken(second) == []


async def test_a_task_that_no_worker_has_stays_pending_and_says_so(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, rare=True)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn()
            handle = await app.enqueue(program.rare.call(5))
            common = await app.enqueue(program.hold.call("a", 0.0))
            assert await common.result(timeout=20) == "a"
            await asyncio.sleep(0.6)
            assert (await handle.status(), (await handle.execution()).attempt) == ("pending", 0)
            shown = subprocess.run(
                [sys.executable, "-m", "perdure", "show", handle.id, "--url", f"sqlite:///{tmp_path / 'jobs.db'}"],
                capture_output=True, text=True, timeout=50, check=True, cwd=tmp_path, env=environment(),
            )  # fmt: skip
            assert "no live worker has task rare" in shown.stdout, shown.stdout
            workers.spawn(rare=True)
            assert await handle.result(timeout=20) == 5
        assert broken(app) == []


MANY = """
import asyncio, sys
from pathlib import Path
from tests.system import faults_program as program
async def main():
    app = program.make_app(Path(sys.argv[1]))
    async with app:
        handles = [await app.enqueue(program.steps.call(3)) for _ in range(40)]
        handles += await app.enqueue_many([program.leaf.call(n) for n in range(40)])
        print(sum([await handle.result(timeout=60) for handle in handles]))
asyncio.run(main())
"""


async def test_eight_processes_open_a_new_file_at_once_and_all_work(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANY, str(tmp_path)]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(8)
    ]  # fmt: skip
    for process in processes:
        said, complained = await process.communicate()
        assert process.returncode == 0, complained.decode()
        assert int(said) == 40 * 3 + 780
        assert b"locked" not in complained
        assert complained == b""
    app = program.make_app(tmp_path)
    async with app.connect():
        assert await app.count() == await app.count("status:completed") == 640
        assert sum(counts(tmp_path).values()) == 8 * 160
        assert broken(app) == []


# -- fork -----------------------------------------------------------------------------------------------------------------


def forked(body: object) -> str:
    """What a function answers in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(body()).encode())  # type: ignore[operator]
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
            return "the child hangs"
        time.sleep(0.01)
    with os.fdopen(reading) as pipe:
        return pipe.read()


async def test_after_a_fork_the_childs_verbs_raise_and_the_parent_goes_on(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)

    def verb() -> object:
        call = app.enqueue(program.hold.call("child", 0.0))
        try:
            call.send(None)
        finally:
            call.close()
        return "went on"

    async with app:
        running = await app.enqueue(program.steps.call(5, 0.2))
        await until(lambda: counts(tmp_path)["step 1"])
        answer = forked(verb)
        assert answer.startswith("ConfigurationError: this app was opened before a fork"), answer
        assert await running.result(timeout=20) == 10
        assert await app.run(program.hold.call("parent", 0.0)) == "parent"
        assert counts(tmp_path)["begin child"] == 0
        assert (await running.execution()).crashes == 0
        assert broken(app) == []


def test_after_a_fork_the_blocking_client_raises_and_the_parent_goes_on(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    with app as client:
        handle = client.enqueue(program.hold.call("a", 0.0))
        for verb in (lambda: client.enqueue(program.hold.call("child", 0.0)), handle.result, client.stats):
            answer = forked(verb)
            assert answer.startswith("ConfigurationError: this app was opened before a fork"), answer
        assert forked(lambda: client.enqueue(program.hold.call("b", 0.0))).startswith("ConfigurationError")
        assert handle.result(timeout=20) == "a"
        assert client.run(program.hold.call("parent", 0.0)) == "parent"


def test_a_forked_child_closes_and_opens_anew(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)

    def anew() -> object:
        async def use() -> str:
            await app.close()
            async with app:
                return await app.run(program.hold.call("child", 0.0))

        return asyncio.run(use())

    async def parent() -> None:
        async with app:
            running = await app.enqueue(program.steps.call(5, 0.2))
            await until(lambda: counts(tmp_path)["step 1"])
            assert await asyncio.to_thread(forked, anew) == "child"
            assert await running.result(timeout=20) == 10
            assert (await running.execution()).crashes == 0
            assert broken(app) == []

    asyncio.run(parent())


def test_leaving_with_app_in_a_forked_child_does_not_hang(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)

    with app as client:
        assert client.run(program.hold.call("a", 0.0)) == "a"
        assert forked(lambda: app.__exit__(None, None, None)) == "None"
        assert client.run(program.hold.call("b", 0.0)) == "b"


# -- hints ----------------------------------------------------------------------------------------------------------------


async def test_another_process_picks_up_and_answers_long_before_its_poll(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, poll=FAR)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn(poll=FAR)
            await until(lambda: "started" in workers.log(workers.workers[0]))
            took: list[float] = []
            for number in range(10):
                began = time.monotonic()
                handle = await app.enqueue(program.hold.call(f"n{number}", 0.0))
                assert await handle.result(timeout=20) == f"n{number}"
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.02)
            assert max(took) < FAR / 6
            began = time.monotonic()
            handle = await app.enqueue(program.waiter.call("w"))
            await until(lambda: counts(tmp_path)["step 1"])
            await asyncio.sleep(1.5)
            await handle.signal("go", "!")
            assert await handle.result(timeout=20) == "w!"
            assert time.monotonic() - began < FAR / 3
        assert broken(app) == []


async def test_polling_alone_does_where_the_folder_of_sockets_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "jobs.db.workers").write_text("in the way")
    app = program.make_app(tmp_path, poll=0.3)
    async with app.connect():
        storage = app.opened.store.storage
        with Nursery(tmp_path) as workers:
            victim = workers.spawn(lease=1)
            handle = await app.enqueue(program.hold.call("a", 0.0))
            assert await handle.result(timeout=20) == "a"
            state = storage.status()  # type: ignore[attr-defined]
            assert (state["hints_work"], state["locks_work"]) == (False, False)
            held = await app.enqueue(program.steps.call(10, 0.2))
            await until(lambda: counts(tmp_path)["step 2"])
            workers.kill(victim)
            workers.spawn(lease=1)
            assert await held.result(timeout=30) == 45
        assert broken(app) == []
    assert (tmp_path / "jobs.db.workers").read_text() == "in the way"


# -- cancel ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hold", "hold_thread", "hold_verbs"])
async def test_a_cancel_reaches_a_running_body_in_another_process_quickly(tmp_path: Path, kind: str) -> None:
    app = program.make_app(tmp_path, poll=FAR)
    calls = {
        "hold": program.hold.call("x", 60.0),
        "hold_thread": program.hold_thread.call("x", 60.0),
        "hold_verbs": program.hold_verbs.call("x", 3000),
    }
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn(poll=FAR, lease=60)
            handle = await app.enqueue(calls[kind])
            await until(lambda: counts(tmp_path)["begin x"])
            began = time.monotonic()
            await handle.cancel("enough")
            with pytest.raises(ExecutionCancelledError, match="enough"):
                await handle.result(timeout=20)
            assert time.monotonic() - began < 5
            assert counts(tmp_path)["end x"] == 0
            assert counts(tmp_path)["cancelled x"] == (kind != "hold_verbs")
            after = await app.enqueue(program.hold.call("y", 0.0))
            assert await after.result(timeout=20) == "y"
        assert broken(app) == []


async def test_a_cancel_of_a_tree_reaches_all_of_it_over_two_workers(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, poll=FAR)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            both = [workers.spawn(poll=FAR, concurrency=8) for _ in range(2)]
            handle = await app.enqueue(program.tree.call("t", 3, 2, 60.0))
            await until(lambda: sum(each.what.startswith("begin") for each in effects(tmp_path)) == 8)
            await handle.cancel("all of it")
            with pytest.raises(ExecutionCancelledError):
                await handle.result(timeout=20)

            async def closed() -> bool:
                return await app.count("status:running,pending,waiting") == 0

            await until(closed, 10)
            assert await app.count("status:cancelled") == 15
            assert (await handle.execution()).closed_at is not None
            assert not any(each.what.startswith("end") for each in effects(tmp_path))
            assert all(not workers.left(worker) for worker in both)
        assert broken(app) == []


async def test_a_parent_sees_its_cancelled_child(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn()
            workers.spawn()
            handle = await app.enqueue(program.boss.call("b"))
            await until(lambda: counts(tmp_path)["begin b"])
            (child,) = await handle.children()
            await app.handle(child.id).cancel("child only")
            with pytest.raises(ExecutionCancelledError):
                await handle.result(timeout=20)
            assert counts(tmp_path)["saw b"] == 1
        assert broken(app) == []


async def test_a_body_that_swallows_the_cancel_is_settled_after_the_grace(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn(cancel_grace=0.7)
            handle = await app.enqueue(program.deaf.call("d", 6.0))
            await until(lambda: counts(tmp_path)["begin d"])
            await handle.cancel("stop")
            await until(lambda: counts(tmp_path)["swallowed d"])
            assert (await handle.execution()).cancelling
            with pytest.raises(ExecutionCancelledError):
                await handle.result(timeout=4)
            neighbour = await app.enqueue(program.hold.call("n", 0.0))
            assert await neighbour.result(timeout=20) == "n"
            await until(lambda: counts(tmp_path)["end d"])
            assert await handle.status() == "cancelled"
        assert broken(app) == []


# -- going ----------------------------------------------------------------------------------------------------------------


async def test_sigterm_lets_running_bodies_finish_and_leaves_waiting_ones(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            worker = workers.spawn(drain=20, concurrency=2)
            waiting = await app.enqueue(program.waiter.call("w"))
            await until(lambda: counts(tmp_path)["step 1"])
            running = await app.enqueue(program.hold.call("r", 2.0))
            thread = await app.enqueue(program.hold_thread.call("t", 2.0))
            await until(lambda: counts(tmp_path)["begin r"] and counts(tmp_path)["begin t"])
            queued = await app.enqueue(program.hold.call("q", 0.0))
            os.kill(worker, signal.SIGTERM)
            await until(lambda: workers.left(worker))
            assert (await running.status(), await thread.status()) == ("completed", "completed")
            assert (await waiting.status(), await queued.status()) == ("waiting", "pending")
            assert (await waiting.execution()).crashes == 0
            assert await app.workers() == []
            workers.spawn()
            await waiting.signal("go", "?")
            assert await waiting.result(timeout=20) == "w?"
            assert await queued.result(timeout=20) == "q"
            assert set(counts(tmp_path).values()) == {1}
        assert broken(app) == []


async def test_a_second_signal_interrupts_and_releases(tmp_path: Path) -> None:
    app = program.make_app(tmp_path, poll=FAR)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            worker = workers.spawn(drain=60, poll=FAR, lease=60)
            running = await app.enqueue(program.hold.call("r", 3.0))
            verbs = await app.enqueue(program.hold_verbs.call("v", 60))
            await until(lambda: counts(tmp_path)["begin r"] and counts(tmp_path)["begin v"])
            other = workers.spawn(poll=FAR, lease=60)
            await until(lambda: "started" in workers.log(other))
            os.kill(worker, signal.SIGTERM)
            await until(lambda: "drains" in workers.log(worker))
            assert await running.status() == "running"
            began = time.monotonic()
            os.kill(worker, signal.SIGTERM)
            await until(lambda: counts(tmp_path)["begin r"] == 2)
            assert time.monotonic() - began < 8
            await until(lambda: workers.left(worker))
            assert "left with 0" in workers.log(worker)
            row = await running.execution()
            assert row.attempt == 0
            assert row.crashes <= 1  # the claim under which it runs now
            assert await running.result(timeout=20) == "r"
            assert await verbs.result(timeout=20) == "v"
            assert counts(tmp_path)["end r"] == 1
        assert broken(app) == []


async def test_closing_without_drain_releases_at_once(tmp_path: Path) -> None:
    first, second = program.make_app(tmp_path, lease=60), program.make_app(tmp_path, lease=60)
    await first.start()
    handles = [await first.enqueue(program.hold.call(f"h{n}", 1.0)) for n in range(5)]
    await until(lambda: sum(counts(tmp_path).values()) == 5)
    burst = [await first.enqueue(program.hold.call(f"b{n}", 0.0)) for n in range(50)]
    began = time.monotonic()
    await first.close(drain=0)
    assert time.monotonic() - began < 4
    async with second.connect():  # nothing claims meanwhile: a claim counts as a crash until it is over
        rows = [await second.handle(handle.id).execution() for handle in handles]
        assert {(row.status, row.attempt, row.crashes) for row in rows} == {("pending", 0, 0)}
    async with second:
        assert [await second.handle(handle.id).result(timeout=20) for handle in handles] == [f"h{n}" for n in range(5)]
        assert [await second.handle(handle.id).result(timeout=20) for handle in burst] == [f"b{n}" for n in range(50)]
        found = counts(tmp_path)
        assert {found[f"end h{n}"] for n in range(5)} == {1}
        assert {found[f"end b{n}"] for n in range(50)} == {1}
        assert broken(second) == []


# -- killed in the middle ----------------------------------------------------------------------------------------------------


async def test_what_may_run_at_most_once_is_not_run_again_after_a_kill(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            worker = workers.spawn()
            handle = await app.enqueue(program.careful.call(3.0))
            await until(lambda: counts(tmp_path)["once 1"])
            workers.kill(worker)
            workers.spawn()
            with pytest.raises(ExecutionFailedError) as caught:
                await handle.result(timeout=30)
            assert caught.value.failure is not None
            assert "once" in caught.value.failure.message
            assert counts(tmp_path)["once 1"] == 1
        assert broken(app) == []


async def test_a_relaxed_tail_runs_again_after_a_kill_and_what_was_recorded_does_not(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            worker = workers.spawn()
            handle = await app.enqueue(program.easy.call(5))
            await until(lambda: counts(tmp_path)["tail"])
            workers.kill(worker)
            (tmp_path / "effects.calm").touch()
            recorded = {entry.key for entry in await handle.activities() if entry.kind == "activity"}
            workers.spawn()
            assert await handle.result(timeout=30) == 10 + 2000
            found = counts(tmp_path)
            assert [found[f"relaxed {n}"] for n in range(5)] == [1] * 5  # durable with the strict step after them
            assert found["step 1000"] == 1
            assert found["relaxed 2000"] == (1 if any("2000" in key for key in recorded) or len(recorded) == 7 else 2)
        assert broken(app) == []


async def test_an_activity_that_ends_its_process_each_time_is_failed(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            handle = await app.enqueue(program.poison.call())
            neighbour = await app.enqueue(program.steps.call(30, 0.02))
            for _ in range(6):
                worker = workers.spawn()
                settled = False
                for _ in range(60):
                    await asyncio.sleep(0.05)
                    settled = await handle.status() == "failed"
                    if settled or not os.path.exists(f"/proc/{worker}") or zombie(worker):
                        break
                if settled:
                    break
            with pytest.raises(ExecutionFailedError) as caught:
                await handle.result(timeout=20)
            assert caught.value.failure is not None
            assert caught.value.failure.kind == "worker_lost"
            assert counts(tmp_path)["deadly"] == 3
            workers.spawn()
            assert await neighbour.result(timeout=30) == 435
        assert broken(app) == []


def zombie(process: int) -> bool:
    """Whether a process has ended and only its parent does not know."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_an_activity_of_another_queue_runs_on_another_worker(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            here = workers.spawn()
            handle = await app.enqueue(program.afar.call(4))
            await until(lambda: "started" in workers.log(here))
            await asyncio.sleep(0.5)
            assert counts(tmp_path)["elsewhere 4"] == 0
            assert await handle.status() == "waiting"
            there = workers.spawn(queues=["elsewhere"])
            assert await handle.result(timeout=20) == 40
            (effect,) = effects(tmp_path)
            assert (effect.process, effect.what) == (there, "elsewhere 4")
            assert len(await handle.children()) == 1
        assert broken(app) == []


async def test_two_thousand_children_over_workers_that_are_killed(tmp_path: Path) -> None:
    chance = random.Random(11)
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            for _ in range(2):
                workers.spawn(concurrency=50)
            handle = await app.enqueue(program.fan.call(2000))
            for _ in range(6):
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                workers.kill(chance.choice(workers.workers))
                assert broken(app) == []
                workers.spawn(concurrency=50)
            assert await handle.result(timeout=80) == sum(range(2000))
            assert await app.count("task:leaf status:completed") == 2000
            assert await app.count() == 2001
        assert broken(app) == []
        rows = await handle.children()
        again = [each for each, count in counts(tmp_path).items() if count > 1]
        assert len(again) <= 6 * 50, len(again)
        assert len({row.id for row in rows}) == 2000


async def test_three_hundred_children_one_after_another(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn()
            workers.spawn()
            handle = await app.enqueue(program.line.call(300))
            assert await handle.result(timeout=80) == sum(range(300))
            assert set(counts(tmp_path).values()) == {1}
        assert broken(app) == []


async def test_a_lost_process_leaves_no_lock_file_behind_for_long(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            victims = [workers.spawn() for _ in range(3)]
            await until(lambda: all("started" in workers.log(victim) for victim in victims))
            for victim in victims:
                workers.kill(victim)
            workers.spawn()

            async def one() -> bool:
                return len(await app.workers()) == 1

            await until(one)
            locks = [each.name for each in (tmp_path / "jobs.db.workers").iterdir() if each.suffix == ".lock"]
            assert len(locks) == 1, locks
        assert broken(app) == []


async def test_an_app_that_was_left_open_by_a_dead_process_can_be_read_and_written(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: the log is recovered by whoever comes next."""
    app = program.make_app(tmp_path)
    with Nursery(tmp_path) as workers:
        async with app.connect():
            handles = [await app.enqueue(program.steps.call(50)) for _ in range(20)]
            worker = workers.spawn()
            await until(lambda: sum(counts(tmp_path).values()) > 50)
        workers.kill(worker)
    connection = sqlite3.connect(tmp_path / "jobs.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    async with app:
        assert [await app.handle(handle.id).result(timeout=40) for handle in handles] == [1225] * 20
        assert broken(app) == []
