"""The program that the fault tests run in processes of their own: bodies that hold, block, die, swallow and wait, each of
which leaves a trace that the engine does not write, and a nursery that forks workers quickly.

`python -m tests.system.faults_program FOLDER` reads orders, one JSON document a line, and answers the process id of the
worker that it forked for each. A worker works on `FOLDER/jobs.db`, and logs to `FOLDER/worker-PID.log`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from perdure import BlockingContext, Context, ExecutionCancelledError, Perdure, Registry, Retry, current_context

registry = Registry()
only_here = Registry()
STURDY = 1_000_000
FOLDER = Path()


def note(what: str) -> None:
    """One line in the effect log, in one write: execution, process, when, what."""
    line = f"{current_context().execution_id} {os.getpid()} {time.time_ns() // 1_000_000} {what}\n"
    descriptor = os.open(os.environ["FAULT_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@registry.activity
async def step(number: int, pause: float = 0.0) -> int:
    """A moment in which a fault may strike."""
    note(f"step {number}")
    await asyncio.sleep(pause)
    return number


@registry.activity
async def large(number: int, size: int) -> str:
    """A result that needs room."""
    note(f"large {number}")
    return "x" * size


@registry.activity(on_interrupt="fail")
async def once(number: int, pause: float) -> int:
    """At most once."""
    note(f"once {number}")
    await asyncio.sleep(pause)
    return number


@registry.activity(durability="relaxed")
async def relaxed(number: int) -> int:
    """The next step does not wait for its commit."""
    note(f"relaxed {number}")
    return number


@registry.activity(retries=0)
async def deadly() -> int:
    """Ends its process."""
    note("deadly")
    os._exit(7)


@registry.activity(queue="elsewhere")
async def elsewhere(number: int) -> int:
    """Runs where somebody serves that queue."""
    note(f"elsewhere {number}")
    return number * 10


@registry.task(max_crashes=STURDY)
async def steps(count: int, pause: float = 0.0) -> int:
    """Activities one after another."""
    return sum([await step(number, pause) for number in range(count)])


decision = registry.external_task("decision", str)


@registry.task(max_crashes=STURDY)
async def decided(key: str) -> str:
    """A step, and what somebody outside decides, and a step."""
    await step(1)
    made = await decision(key)
    await step(2)
    return made


@registry.task(max_crashes=STURDY)
async def hoard(count: int, size: int, pause: float = 0.0) -> int:
    """Large results one after another, and a step after each."""
    total = 0
    for number in range(count):
        total += len(await large(number, size))
        await step(number, pause)
    return total


@registry.task(max_crashes=STURDY)
async def hold(name: str, pause: float) -> str:
    """Runs for a while."""
    note(f"begin {name}")
    try:
        await asyncio.sleep(pause)
    except asyncio.CancelledError:
        note(f"cancelled {name}")
        raise
    note(f"end {name}")
    return name


@registry.task(max_crashes=STURDY)
def hold_thread(ctx: BlockingContext, name: str, pause: float) -> str:
    """Runs for a while in a thread, and looks whether it should stop."""
    note(f"begin {name}")
    until = time.monotonic() + pause
    while time.monotonic() < until:
        if ctx.cancelled:
            note(f"cancelled {name}")
            return "cancelled"
        time.sleep(0.01)
    note(f"end {name}")
    return name


@registry.task(max_crashes=STURDY)
def hold_verbs(ctx: BlockingContext, name: str, count: int) -> str:
    """Runs for a while in a thread by verbs alone; never looks."""
    note(f"begin {name}")
    for number in range(count):
        ctx.record(time.sleep, 0.02, key=f"nap-{number}")
    note(f"end {name}")
    return name


@registry.task(max_crashes=STURDY)
async def deaf(name: str, pause: float) -> str:
    """Swallows a cancel and goes on."""
    note(f"begin {name}")
    until = time.monotonic() + pause
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            note(f"swallowed {name}")
    note(f"end {name}")
    return name


@registry.task(max_crashes=STURDY)
async def block(name: str, pause: float) -> str:
    """Blocks the event loop."""
    note(f"begin {name}")
    time.sleep(pause)
    note(f"end {name}")
    return name


@registry.task(max_crashes=STURDY)
async def tree(name: str, depth: int, width: int, pause: float) -> int:
    """Children of children, the leaves of which run for a while."""
    if depth == 0:
        await hold_leaf(name, pause)
        return 1
    handles = [await current().spawn(tree.call(f"{name}.{n}", depth - 1, width, pause)) for n in range(width)]
    return sum([await handle.result() for handle in handles])


@registry.activity
async def hold_leaf(name: str, pause: float) -> None:
    """Runs for a while."""
    note(f"begin {name}")
    await asyncio.sleep(pause)
    note(f"end {name}")


@registry.task(max_crashes=STURDY)
async def block_first(name: str, pause: float) -> str:
    """Blocks the event loop, the first time."""
    note(f"begin {name}")
    if Path(os.environ["FAULT_EFFECTS"]).read_text().count(f"begin {name}") == 1:
        time.sleep(pause)
        note(f"woke {name}")
    await step(7)
    return f"{name} {os.getpid()}"


def current() -> Context:
    """The context of the body that runs."""
    found = current_context()
    assert isinstance(found, Context)
    return found


@registry.task(max_crashes=STURDY)
async def waiter(ctx: Context, name: str) -> str:
    """Waits for a signal between two activities."""
    await step(1)
    said = await ctx.wait_for("go", str)
    await step(2)
    return name + said


@registry.task(max_crashes=STURDY)
async def leaf(number: int) -> int:
    """A child."""
    return await step(number)


@registry.task(max_crashes=STURDY)
async def fan(ctx: Context, width: int, concurrency: int | None = None) -> int:
    """Children in parallel."""
    return sum(await ctx.map(leaf, list(range(width)), concurrency=concurrency))


@registry.task(max_crashes=STURDY)
async def line(count: int) -> int:
    """Children one after another."""
    return sum([await leaf(number) for number in range(count)])


@registry.task(max_crashes=STURDY, retries=0)
async def careful(pause: float) -> int:
    """One activity that may run at most once."""
    return await once(1, pause)


@registry.task(max_crashes=STURDY)
async def easy(count: int) -> int:
    """Relaxed steps, then a strict one, then a tail that stays relaxed for a while."""
    total = sum([await relaxed(number) for number in range(count)])
    await step(1000)
    total += await relaxed(2000)
    note("tail")
    await asyncio.sleep(0.5 if not os.path.exists(os.environ["FAULT_EFFECTS"] + ".calm") else 0)
    return total


@registry.task(max_crashes=3, retries=0)
async def poison() -> int:
    """Takes its worker with it each time."""
    return await deadly()


@registry.task(max_crashes=STURDY)
async def afar(number: int) -> int:
    """Lets another worker do it."""
    return await elsewhere(number)


@only_here.task
async def rare(number: int) -> int:
    """Not every worker has it."""
    note(f"rare {number}")
    return number


@registry.task(max_crashes=STURDY)
async def boss(name: str) -> str:
    """Waits for a child that is cancelled."""
    try:
        return await hold(name, 60.0)
    except ExecutionCancelledError:
        note(f"saw {name}")
        raise


def make_app(folder: Path, **options: Any) -> Perdure:
    """The app of one process. `rare` gives it a task that others lack, `cancel_grace` shortens that."""
    global FOLDER
    FOLDER = folder
    os.environ["FAULT_EFFECTS"] = str(folder / "effects")
    rare_too, grace = options.pop("rare", False), options.pop("cancel_grace", 10.0)
    given = {"lease": 15, "poll": 0.2, "retries": Retry(20, delay=0.01), "drain": 5} | options
    app = Perdure(f"sqlite:///{folder / 'jobs.db'}", **given)
    app.include(registry)
    if rare_too:
        app.include(only_here)
    app.parts.cancel_grace = grace
    return app


def work(folder: Path, order: dict[str, Any]) -> None:
    """A worker, in a process of its own, until it is told to go."""
    os.setsid()
    log = os.open(folder / f"worker-{os.getpid()}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(levelname)s %(message)s", force=True)
    concurrency = order.pop("concurrency", 20)
    code = 1
    try:
        asyncio.run(make_app(folder, **order).worker(concurrency=concurrency).run())
        code = 0
    finally:
        logging.info("left with %d", code)
        os._exit(code)


def main() -> None:
    """Forks a worker for each line read."""
    folder = Path(sys.argv[1])
    for order in sys.stdin:
        child = os.fork()
        if child == 0:
            work(folder, json.loads(order))
        print(child, flush=True)


if __name__ == "__main__":
    main()
