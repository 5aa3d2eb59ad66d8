"""What runs outlives the code that began it: tasks go, activities are renamed, processes come and go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure import Context, Perdure
from tests.system import faults_program as program
from tests.system.rig import Nursery, broken, counts, environment, until

pytestmark = pytest.mark.timeout(80)

VERSION = """
import asyncio, os, sys, time
from perdure import Context, Perdure
app = Perdure(f"sqlite:///{sys.argv[1]}", poll=0.1)

def note(what):
    with open(sys.argv[1] + ".effects", "a") as file:
        file.write(what + "\\n")

HEAD

@app.task
async def order(ctx: Context, item: str) -> str:
    first = await FIRST(item)
    await ctx.wait_for("go", str)
    return first + await second(item)

@app.activity
async def second(item: str) -> str:
    note("second")
    return "!" + item

async def main():
    service = app.worker()
    async with app.connect():
        if sys.argv[2] == "start":
            await app.enqueue(order.options(id="o1").call("hat"))
        running = asyncio.ensure_future(service.run())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            row = await app.handle("o1").execution()
            if row.status in sys.argv[3].split(",") and (sys.argv[4] == "-" or (row.failure and sys.argv[4] in row.failure.message)):
                break
            await asyncio.sleep(0.05)
        print(row.status, row.attempt, row.crashes, row.failure.type if row.failure else "-", row.failure.message if row.failure else "-", row.result)
        service.stop()
        await running
asyncio.run(main())
"""


def deploy(folder: Path, head: str, first: str, start: str, status: str, failure: str = "-") -> str:
    """Runs one version of the program until the execution stands as it should; answers how it stands."""
    text = VERSION.replace("HEAD", head).replace("FIRST", first)
    done = subprocess.run(
        [sys.executable, "-c", text, str(folder / "jobs.db"), start, status, failure],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def activity(name: str, options: str = "") -> str:
    return f'@app.activity{options}\nasync def {name}(item: str) -> str:\n    note("{name}")\n    return item.upper()\n'


async def test_an_activity_renamed_under_a_running_execution(tmp_path: Path) -> None:
    assert deploy(tmp_path, activity("reserve"), "reserve", "start", "waiting").startswith("waiting 0")
    app = program.make_app(tmp_path)
    async with app.connect():
        await app.handle("o1").signal("go", "now")
    renamed = deploy(tmp_path, activity("take"), "take", "go on", "pending", "reserve")
    assert renamed.startswith("pending 0"), renamed
    assert "JournalDriftError" in renamed
    assert "aliases=['reserve']" in renamed
    assert (tmp_path / "jobs.db.effects").read_text().split() == ["reserve"]
    cured = deploy(tmp_path, activity("take", '(aliases=["reserve"])'), "take", "go on", "completed")
    assert cured.startswith("completed 0"), cured
    assert cured.endswith("HAT!hat")
    assert (tmp_path / "jobs.db.effects").read_text().split() == ["reserve", "second"]
    async with app.connect():
        assert broken(app) == []


async def test_a_task_removed_between_deploys_waits_for_the_one_that_has_it(tmp_path: Path) -> None:
    with_it, without = program.make_app(tmp_path, rare=True), program.make_app(tmp_path)
    async with with_it.connect():
        handle = await with_it.enqueue(program.rare.call(3))
    async with without:
        await asyncio.sleep(0.5)
        row = await without.handle(handle.id).execution()
        assert (row.status, row.attempt, row.crashes) == ("pending", 0, 0)
        await without.handle(handle.id).cancel("no longer")
        assert (await without.handle(handle.id).wait(timeout=10)).status == "cancelled"
        assert broken(without) == []


async def test_a_child_task_removed_between_deploys_is_drift_of_its_parent(tmp_path: Path) -> None:
    def version(has_child: bool) -> Perdure:
        app = Perdure(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.1)
        if has_child:

            @app.task
            async def child(ctx: Context) -> int:
                return await ctx.wait_for("number", int)

        @app.task
        async def parent(ctx: Context) -> object:
            spawned = await ctx.spawn(app.call("child"))
            return await spawned.result()

        return app

    before, after = version(True), version(False)
    async with before:
        handle = await before.enqueue(before.call("parent"))

        async def waits() -> bool:
            return await before.count("status:waiting") == 2

        await until(waits)
        (child,) = await handle.children()
    async with after:
        await after.handle(child.id).signal("number", 5)
        await asyncio.sleep(0.6)
        for id in (child.id, handle.id):
            row = await after.handle(id).execution()
            assert (row.status, row.attempt, row.crashes, row.worker) == ("waiting", 0, 0, None)
    async with before:
        assert await before.handle(handle.id).result(timeout=20) == 5
        assert broken(before) == []


async def test_many_restarts_in_a_row_consume_no_attempt(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            handle = await app.enqueue(program.steps.call(12, 0.15))
            for number in range(6):
                worker = workers.spawn(drain=0.0)
                await until(lambda number=number: counts(tmp_path)[f"step {number + 1}"])
                os.kill(worker, 15)
                await until(lambda worker=worker: workers.left(worker))
            workers.spawn()
            assert await handle.result(timeout=30) == 66
            row = await handle.execution()
            assert (row.attempt, row.crashes) == (0, 0)
        assert broken(app) == []


EXIT = """
import asyncio, sys
from perdure import ExecutionFailedError, Perdure
app = Perdure(f"sqlite:///{sys.argv[1]}", retries=0)

@app.task
async def body() -> None:
    async def branch() -> None:
        await asyncio.sleep(0)
        sys.exit(9)
    await asyncio.gather(branch(), asyncio.sleep(0.2))

async def main():
    async with app:
        try:
            await app.run(body.call())
        except ExecutionFailedError as error:
            print("failed", error)
asyncio.run(main())
"""


async def test_an_exit_in_a_branch_ends_only_its_execution(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXIT, str(tmp_path / "jobs.db")],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done
    assert "exit(9)" in done.stdout
