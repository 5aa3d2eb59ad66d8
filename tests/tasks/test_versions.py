"""`version=` and `on_version=`: whether a later version goes on with what an earlier one began."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Context, Perdure
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed


def declare(app: Perdure, version: str | None, ran: list[str], **options: Any) -> Any:
    if version is not None:
        options["version"] = version

    @app.activity
    async def act() -> str:
        ran.append(f"act {version}")
        return f"{version}"

    @app.task(retries=0, **options)
    async def task(ctx: Context) -> str:
        ran.append(f"body {version}")
        found = await act()
        await ctx.sleep(10)
        return found

    return task


async def deploy(first: str | None, second: str | None, *, begun: bool = True, **options: Any) -> tuple[Any, list[str]]:
    """What becomes of an execution that the first version began (or only took in) under the second one."""
    one, two, ran = Perdure("memory://"), Perdure("memory://"), list[str]()
    task = declare(one, first, ran)
    async with TestApp(one) as t:
        handle = await task.options(start_delay=0 if begun else 1000).enqueue()
        await t.advance(5)
    ran.clear()
    declare(two, second, ran, **options)
    async with redeployed(t, two) as t:
        await t.advance(100 if begun else 2000)
        return await two.handle(handle.id).execution(), ran


@pytest.mark.parametrize(("first", "second"), [(None, "2"), ("1", "2"), ("1", None)])
async def test_by_default_the_new_version_goes_on(first: str | None, second: str | None) -> None:
    execution, ran = await deploy(first, second)
    assert (execution.status, execution.result, execution.version) == ("completed", str(first), first)
    assert ran == [f"body {second}"]


async def test_pinned_work_waits_for_its_own_version() -> None:
    execution, ran = await deploy("1", "2", on_version="pin")
    assert (execution.status, execution.attempt, ran) == ("pending", 0, [])
    assert execution.failure is not None
    assert "version '1' is pinned" in execution.failure.message


async def test_work_of_another_version_can_be_failed() -> None:
    execution, ran = await deploy("1", "2", on_version="fail")
    assert (execution.status, ran) == ("failed", [])
    assert execution.failure is not None
    assert "begun by version '1'; this is '2'" in execution.failure.message
    assert not execution.failure.retryable


@pytest.mark.parametrize("on_version", ["resume", "pin", "fail"])
async def test_the_same_version_goes_on(on_version: str) -> None:
    execution, _ = await deploy("1", "1", on_version=on_version)
    assert execution.status == "completed"


@pytest.mark.parametrize("on_version", ["resume", "pin", "fail"])
async def test_what_has_recorded_nothing_yet_belongs_to_whoever_runs_it(on_version: str) -> None:
    execution, _ = await deploy("1", "2", begun=False, on_version=on_version)
    assert (execution.status, execution.result) == ("completed", "2")
