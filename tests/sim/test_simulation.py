"""The deterministic simulation: many seeds with nothing wrong, the same run from the same seed, and planted bugs found.

About a minute of processor time in all. `SEEDS=20000 pytest tests/sim` runs more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from perdure.storage import Storage
from perdure.storage.sqlite import SQLiteStorage
from perdure.testing.simulation import Report, shortest, simulate
from perdure.testing.simulation.__main__ import main
from perdure.testing.simulation.loop import DeadlockError, Process, SimLoop, StalledError, current_process
from perdure.testing.simulation.profile import Profile
from perdure.testing.simulation.programs import (
    FINAL_RETRIES,
    KINDS,
    RETRIES,
    STYLES,
    Maker,
    Node,
    Step,
    mismatch,
    nodes,
    tree_succeeds,
)
from perdure.testing.simulation.tape import Log, Tape, shrink, weight
from perdure.testing.simulation.world import PATIENCE
from tests.sim.planted import PLANTED

SEEDS = int(os.environ.get("SEEDS", "80"))
BLOCK = 20
WORTH_KEEPING = (1766, 2219, 2241, 5982, 6059, 6314, 7330)
"""Seeds that once failed."""


def sqlite() -> Storage:
    storage = SQLiteStorage(":memory:")
    storage.migrate(0)
    return storage


def failure_of(report: Report) -> str:
    return "" if report.failure is None else shortest(report, tries=100).story()


# -- the engine as it is


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nothing_is_wrong(first: int):
    for seed in range(first, first + BLOCK):
        report = simulate(seed)
        assert report.failure is None, failure_of(report)


@pytest.mark.parametrize("seed", WORTH_KEEPING)
def test_what_was_wrong_once_is_right(seed: int):
    report = simulate(seed)
    assert report.failure is None, failure_of(report)


@pytest.mark.parametrize("first", [0, 500])
def test_sqlite_goes_the_same_way_as_memory(first: int):
    for seed in range(first, first + 8):
        stored, remembered = simulate(seed, make_storage=sqlite), simulate(seed)
        assert stored.failure is None
        assert stored.trace == remembered.trace


@pytest.mark.parametrize("seed", [3, 12, 58])
def test_a_seed_decides_everything(seed: int):
    first, second = simulate(seed), simulate(seed)
    assert first == second
    assert first.trace == second.trace
    assert first.trace != simulate(seed + 1).trace


def test_a_tape_repeats_its_run():
    first = simulate(12)
    assert simulate(12, log=first.log).trace == first.trace


def test_the_storms_are_storms():
    """What the runs above survive: without this, nothing wrong would mean nothing tried."""
    told = "\n".join(line for seed in range(40) for line in simulate(seed).trace)
    for blow in (
        "** crash",
        "** pause",
        "** partition",
        "** stop",
        "!! before",
        "!! after",
        "!! twice",
        "dies of its own",
    ):
        assert told.count(blow) >= 3, blow


def roots(seed: int) -> list[Node]:
    maker = Maker(Tape(seed))
    return [maker.root(f"root-{index}") for index in range(Profile(seed).roots)]


def below(node: Node) -> Iterator[Step]:
    """The steps of a program and those within them."""
    left = list(node.steps)
    while left:
        step = left.pop()
        left += step.steps
        yield step


def test_every_kind_of_program_is_drawn():
    steps = [step for seed in range(100) for root in roots(seed) for node in nodes(root) for step in below(node)]
    assert {step.kind for step in steps} == {*KINDS, "external"}
    trees = [step for step in steps if step.kind == "tree"]
    assert {step.style for step in trees} == set(range(len(STYLES)))
    for wanted in (
        [each for each in trees if each.steps],
        [each for each in trees if not STYLES[each.style].collects and not tree_succeeds(each)],
        [each for each in trees if each.tries > FINAL_RETRIES],
        [node for step in steps if step.kind == "list" for node in step.nodes if node.abort == "item"],
        [node for step in steps if step.kind == "list" for node in step.nodes if node.abort == "list"],
    ):
        assert len(wanted) >= 3


# -- planted bugs

FIRST_SEEN = {
    "cancel_stays_on_top": 21,
    "child_left_out_of_the_join": 8,
    "child_lost_with_its_spawn": 3,
    "children_counted_twice": 1,
    "claimed_before_due": 6,
    "crashes_not_counted": 12,
    "dead_workers_keep_their_work": 9,
    "early_timer": 1,
    "finalizer_again": 6,
    "finalizer_before_its_time": 3,
    "key_not_looked_up": 2,
    "lost_answer_of_a_claim": 2,
    "lost_enqueue": 2,
    "lost_wake_up": 3,
    "memo_overwritten": 20,
    "resumed_with_old_news": 7,
    "signals_taken_twice": 6,
    "stale_children_kept": 1,
    "unfenced_write": 6,
}
"""Where to look first: seeds at which a bug was found before. Any of `BOUND` seeds may find it."""
BOUND = 150


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str):
    first = FIRST_SEEN.get(name, 0)
    for seed in [first, *range(BOUND)]:
        with PLANTED[name]():
            report = simulate(seed)
        if report.failure is not None:
            assert report.trace
            return
    pytest.fail(f"{name} was not found within {BOUND} seeds")


def test_a_failing_tape_becomes_a_short_story():
    with PLANTED["children_counted_twice"]():
        report = next(report for report in map(simulate, range(BOUND)) if report.failure is not None)
        small = shortest(report, tries=120)
    assert small.failure is not None
    assert weight(small.log) < weight(report.log) / 4
    assert "R7" in small.story()


def test_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert main(["--seed", "3", "--count", "2"]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    with PLANTED["children_counted_twice"]():
        assert main(["--seed", "1", "--tries", "5"]) == 1
    assert "seed 1: WrongError: R7" in capsys.readouterr().out


# -- the parts


def test_shrinking_finds_the_one_choice_that_matters():
    log = {"chaos": [1] * 100, "order": [3] * 50}

    def fails(candidate: Log) -> bool:
        return candidate["chaos"][37] != 0

    assert weight(shrink(log, fails)) == 1


def test_a_tape_keeps_its_streams_apart():
    tape = Tape(5)
    drawn = [tape.choose("program", 100) for _ in range(10)]
    other = Tape(5)
    for _ in range(7):
        other.choose("chaos", 9)
    assert [other.choose("program", 100) for _ in range(10)] == drawn
    repeated = Tape(5, {"program": [150, 7]})
    assert [repeated.choose("program", 100) for _ in range(3)] == [50, 7, 0]


def loop_of(seed: int = 0, shuffle: float = 0.0) -> SimLoop:
    return SimLoop(Tape(seed), shuffle, horizon=100.0)


def test_a_month_takes_no_time():
    assert loop_of().run_until_complete(nap_of(99)) == 99


async def nap_of(seconds: float) -> float:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, future.set_result, None)
    await future
    return loop.time()


def test_a_deadlock_is_no_hang():
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        loop_of().run_until_complete(never())


def test_beyond_the_horizon_something_is_stuck():
    with pytest.raises(StalledError):
        loop_of().run_until_complete(nap_of(101))


def test_a_circle_is_no_hang():
    loop = loop_of()

    def again() -> None:
        loop.call_soon(again)

    async def spin() -> None:
        again()
        await asyncio.Event().wait()

    with pytest.raises(StalledError):
        loop.run_until_complete(spin())


def test_threads_are_refused():
    async def threaded() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="no threads"):
        loop_of().run_until_complete(threaded())


def test_the_seed_decides_who_runs_next():
    def order(seed: int, shuffle: float) -> list[int]:
        seen: list[int] = []

        async def note(number: int) -> None:
            await asyncio.sleep(0)
            seen.append(number)

        async def all_of_them() -> None:
            await asyncio.gather(*(note(number) for number in range(8)))

        loop_of(seed, shuffle).run_until_complete(all_of_them())
        return seen

    assert order(1, 0.0) == list(range(8))
    assert order(1, 1.0) != list(range(8))
    assert order(1, 1.0) == order(1, 1.0)
    assert order(1, 1.0) != order(2, 1.0)


@pytest.mark.parametrize("dead", [True, False])
def test_a_dead_process_stops_and_a_paused_one_waits(dead: bool):
    loop, seen = loop_of(), list[tuple[str, float]]()
    process = Process("p")

    async def life() -> None:
        for _ in range(3):
            await nap_of(1)
            seen.append((str(current_process.get()), loop.time()))

    async def world() -> None:
        loop.create_task(life(), context=process.context.copy())
        await nap_of(1.5)
        if dead:
            loop.kill(process)
        else:
            process.paused = 10.0
        await nap_of(50)

    loop.run_until_complete(world())
    assert seen == ([("p", 1.0)] if dead else [("p", 1.0), ("p", 10.0), ("p", 11.0)])
    loop.bury()
    assert not asyncio.all_tasks(loop)


def seconds(node: Node) -> float:
    """How long a program takes at worst: every attempt of everything, one after another, long activities."""
    return (1 + min(node.fails, RETRIES)) * sum(map(step_seconds, node.steps))


def step_seconds(step: Step) -> float:
    own = (1 + step.tries) * 6.0 if step.kind in ("act", "again") else step.span
    return own + sum(map(seconds, step.nodes)) + sum(map(step_seconds, step.steps))


def test_programs_are_bounded_and_checked():
    for seed in range(1000):
        root = Maker(Tape(seed)).root("root")
        assert 1 <= len(list(nodes(root))) <= 40
        assert seconds(root) < PATIENCE, "left alone, it would not be over when the run gives up"
    assert mismatch(root, [], {}) is not None
    assert mismatch(root, "broken", {}) is not None


def test_a_wrong_result_is_told() -> None:
    root: Any = Maker(Tape(4)).root("root")
    assert "root" in str(mismatch(root, [None] * len(root.steps), {}))
