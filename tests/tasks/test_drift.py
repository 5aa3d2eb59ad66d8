"""Changed code under running work: what is fine, what is drift, and what cures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure import Context, Execution, Perdure, Retry
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

Declare = Callable[[Perdure], Any]


@pytest.fixture
def ran() -> list[Any]:
    return []


async def deploy(first: Declare, second: Declare, *, wait: float = 100) -> Execution[Any]:
    """Runs the first version until it waits, then the second one, for `wait` seconds; answers the last snapshot."""
    one, two = Perdure("memory://"), Perdure("memory://")
    task = first(one)
    async with TestApp(one) as t:
        handle = await task.enqueue()
        await t.advance(5)
        assert await handle.status() == "waiting"
    second(two)
    async with redeployed(t, two) as t:
        await t.advance(wait)
        return await two.handle(handle.id).execution()


def version_one(ran: list[Any]) -> Declare:
    """Calls `act` once, then sleeps for ten seconds."""

    def declare(app: Perdure) -> Any:
        @app.activity
        async def act(number: int) -> str:
            ran.append(("one", number))
            return f"first {number}"

        @app.task(retries=0)
        async def task(ctx: Context) -> Any:
            found = await act(1)
            await ctx.sleep(10)
            return found

        return task

    return declare


async def test_new_reordered_and_removed_calls_are_no_drift(ran: list[Any]) -> None:
    def second(app: Perdure) -> None:
        @app.activity
        async def act(number: int) -> str:
            ran.append(("two", number))
            return f"second {number}"

        @app.activity
        async def added() -> str:
            ran.append("added")
            return "added"

        @app.task
        async def task(ctx: Context) -> list[str]:
            found = [await added(), await act(2)]
            await ctx.sleep(10)
            return [*found, await act(1)]

    execution = await deploy(version_one(ran), second)
    assert execution.result == ["added", "second 2", "first 1"]
    assert ran == [("one", 1), "added", ("two", 2)]


async def test_what_the_new_code_does_not_ask_for_is_no_drift(ran: list[Any]) -> None:
    def second(app: Perdure) -> None:
        @app.activity
        async def act(number: int) -> str:
            return ""

        @app.task
        async def task(ctx: Context) -> str:
            return "nothing asked"

    assert (await deploy(version_one(ran), second)).result == "nothing asked"


def renamed(ran: list[Any], **options: Any) -> Declare:
    """The activity under another name."""

    def declare(app: Perdure) -> Any:
        @app.activity(**options)
        async def act_renamed(number: int) -> str:
            ran.append(("two", number))
            return f"second {number}"

        @app.task(retries=0)
        async def task(ctx: Context) -> Any:
            ran.append("body")
            found = await act_renamed(1)
            await ctx.sleep(10)
            return found

        return task

    return declare


async def test_a_renamed_activity_is_drift_and_nothing_runs_or_is_settled(ran: list[Any]) -> None:
    execution = await deploy(version_one(ran), renamed(ran))
    assert (execution.status, execution.attempt, execution.crashes) == ("pending", 0, 0)
    assert execution.failure is not None
    assert execution.failure.type == "JournalDriftError"
    assert "activity act is recorded but not declared" in execution.failure.message
    assert "aliases=['act']" in execution.failure.message
    assert "--forget act" in execution.failure.message
    assert ran == [("one", 1)]


async def test_an_alias_cures_it_and_what_was_recorded_stands(ran: list[Any]) -> None:
    execution = await deploy(version_one(ran), renamed(ran, aliases=["act"]))
    assert execution.result == "first 1"
    assert ran == [("one", 1), "body"]


async def test_an_alias_is_met_by_a_call_numbered_and_keyed_too(ran: list[Any]) -> None:
    def version(name: str, **options: Any) -> Declare:
        def declare(app: Perdure) -> Any:
            @app.activity(name=name, memo="call", **options)
            async def act() -> str:
                ran.append(name)
                return name

            @app.task
            async def task(ctx: Context) -> list[str]:
                found = [await act(), await act(), await act.options(key="k")()]
                await ctx.sleep(10)
                return found

            return task

        return declare

    execution = await deploy(version("old"), version("new", aliases=["old"]))
    assert execution.result == ["old"] * 3
    assert ran == ["old"] * 3


async def test_forgetting_cures_it_and_runs_it_again(ran: list[Any]) -> None:
    one, two = Perdure("memory://"), Perdure("memory://")
    task = version_one(ran)(one)
    async with TestApp(one) as t:
        handle = await task.enqueue()
        await t.advance(5)
    renamed(ran)(two)
    async with redeployed(t, two) as t:
        await t.advance(30)
        assert await two.handle(handle.id).status() == "pending"
        assert await two.client.forget(handle.id, "act") == 1
        assert await two.handle(handle.id).result() == "second 1"
    assert ran[0] == ("one", 1)
    assert ("two", 1) in ran


async def test_the_next_deploy_cures_it(ran: list[Any]) -> None:
    one, two, three = Perdure("memory://"), Perdure("memory://"), Perdure("memory://")
    task = version_one(ran)(one)
    async with TestApp(one) as t:
        handle = await task.enqueue()
        await t.advance(5)
    renamed(ran)(two)
    async with redeployed(t, two) as t:
        await t.advance(1000)
    version_one(ran)(three)
    async with redeployed(t, three) as t:
        execution = await three.handle(handle.id).wait()
    assert (execution.result, execution.attempt, execution.failure) == ("first 1", 0, None)
    assert ran == [("one", 1)]


async def test_drift_is_tried_again_less_and_less_often(ran: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    await deploy(version_one(ran), renamed(ran), wait=1000)
    looks = [record for record in caplog.records if "does not fit this code" in record.getMessage()]
    assert 15 <= len(looks) <= 40


def with_child(ran: list[Any], name: str, **options: Any) -> Declare:
    """A task with a child, an independent execution, and a wait."""

    def declare(app: Perdure) -> Any:
        @app.task(name=name, **options)
        async def other(number: int) -> str:
            ran.append((name, number))
            return f"{name} {number}"

        @app.task(retries=0)
        async def task(ctx: Context) -> list[str]:
            found = [await other(1), await other(1), await other.options(key="k")(2)]
            found.append((await other.enqueue(3)).id)
            await ctx.sleep(10)
            return found

        return task

    return declare


async def test_a_renamed_child_task_is_drift(ran: list[Any]) -> None:
    execution = await deploy(with_child(ran, "old"), with_child(ran, "new"))
    assert execution.status == "pending"
    assert execution.failure is not None
    assert "child task old is recorded but not declared" in execution.failure.message


async def test_an_alias_of_a_task_cures_it_and_its_children_stand(ran: list[Any]) -> None:
    execution = await deploy(with_child(ran, "old"), with_child(ran, "new", aliases=["old"]))
    assert execution.status == "completed"
    assert execution.result[:3] == ["old 1", "old 1", "old 2"]
    assert sorted(ran) == [("old", 1), ("old", 1), ("old", 2), ("old", 3)]


async def test_forgetting_a_child_task_cures_it(ran: list[Any]) -> None:
    one, two = Perdure("memory://"), Perdure("memory://")
    task = with_child(ran, "old")(one)
    async with TestApp(one) as t:
        handle = await task.enqueue()
        await t.advance(5)
    with_child(ran, "new")(two)
    async with redeployed(t, two) as t:
        await t.advance(30)
        assert await two.client.forget(handle.id, "old") >= 1
        found = await two.handle(handle.id).result()
    assert found[:3] == ["new 1", "new 1", "new 2"]


async def test_a_recorded_value_that_no_longer_decodes_is_drift_before_the_body_runs(ran: list[Any]) -> None:
    def second(app: Perdure) -> None:
        @app.activity
        async def act(number: int) -> int:
            return 0

        @app.activity
        async def before() -> None:
            ran.append("before")

        @app.task
        async def task(ctx: Context) -> int:
            ran.append("body")
            await before()
            return await act(1)

    execution = await deploy(version_one(ran), second)
    assert (execution.status, execution.attempt) == ("pending", 0)
    assert execution.failure is not None
    assert execution.failure.type == "JournalDriftError"
    assert "act" in execution.failure.message
    assert ran == [("one", 1)]


async def test_an_input_that_no_longer_decodes_is_drift(ran: list[Any]) -> None:
    def version(kind: Any) -> Declare:
        def declare(app: Perdure) -> Any:
            async def task(ctx: Context, value: Any = "text") -> Any:
                ran.append("body")
                await ctx.sleep(10)
                return value

            task.__annotations__["value"] = kind
            return app.task(task)

        return declare

    execution = await deploy(version(str), version(int))
    assert (execution.status, execution.attempt) == ("pending", 0)
    assert execution.failure is not None
    assert "stored input" in execution.failure.message
    assert ran == ["body"]


@pytest.mark.parametrize("verb", ["sleep", "wait_for", "now", "activity", "child", "record"])
async def test_a_key_met_by_another_kind_of_verb_is_drift(ran: list[Any], verb: str) -> None:
    def version(verb: str) -> Declare:
        def declare(app: Perdure) -> Any:
            @app.activity
            async def act() -> None: ...

            @app.task
            async def other() -> None: ...

            @app.task
            async def task(ctx: Context) -> None:
                if verb == "sleep":
                    await ctx.sleep(0.5, key="k")
                elif verb == "now":
                    ctx.now(key="k")
                elif verb == "wait_for":
                    await ctx.wait_for("x", key="k", timeout=1)
                await ctx.sleep(10)

            return task

        return declare

    first = "now" if verb != "now" else "sleep"
    execution = await deploy(version(first), version(verb))
    if verb in ("activity", "child", "record"):
        assert execution.status == "completed"
    else:
        assert (execution.status, execution.attempt) == ("pending", 0)
        assert execution.failure is not None
        assert "key '=k'" in execution.failure.message


async def test_a_task_removed_between_deploys_stays_pending_and_says_so(ran: list[Any]) -> None:
    def second(app: Perdure) -> None:
        @app.task
        async def unrelated() -> None: ...

    execution = await deploy(version_one(ran), second)
    assert execution.status in ("pending", "waiting")
    assert ran == [("one", 1)]


async def test_stats_name_tasks_that_no_worker_has() -> None:
    one, two = Perdure("memory://"), Perdure("memory://")

    @one.task(start_delay=5)
    async def gone() -> None: ...

    @two.task
    async def other() -> None: ...

    async with TestApp(one) as t:
        await gone.enqueue()
    async with redeployed(t, two) as t:
        await t.advance(10)
        stats = await two.stats()
        assert stats.unserved == ("gone",)
        assert stats.counts == {"pending": 1}


async def test_an_ad_hoc_record_is_not_checked_by_name(ran: list[Any]) -> None:
    def version(function: Callable[[], str]) -> Declare:
        def declare(app: Perdure) -> Any:
            @app.task
            async def task(ctx: Context) -> str:
                found = await ctx.record(function, key="k")
                await ctx.sleep(10)
                return found

            return task

        return declare

    def old() -> str:
        return "old"

    def new() -> str:
        return "new"

    execution = await deploy(version(old), version(new))
    assert execution.result in ("old", "new")
    assert execution.status == "completed"


async def test_drift_is_not_taken_for_the_failure_of_an_attempt(ran: list[Any]) -> None:
    def declare(app: Perdure, *, known: bool) -> Any:
        @app.activity(name="act" if known else "other")
        async def act() -> None: ...

        @app.task(retries=Retry(5, delay=10, max_delay=10, jitter=False))
        async def task(ctx: Context) -> None:
            await act()
            ran.append(ctx.previous_failure.type if ctx.previous_failure else None)
            raise ValueError("no")

        return task

    apps = [Perdure("memory://") for _ in range(3)]
    first, _, _ = [declare(app, known=app is not apps[1]) for app in apps]
    async with TestApp(apps[0]) as t:
        handle = await first.enqueue()
        await t.advance(15)
        assert ran == [None, "ValueError"]
    async with redeployed(t, apps[1]) as t:
        await t.advance(10)
        failure = (await apps[1].handle(handle.id).execution()).failure
        assert failure is not None
        assert failure.type == "JournalDriftError"
    async with redeployed(t, apps[2]) as t:
        await t.advance(30)
        assert ran[2:4] == [None, "ValueError"]


async def test_a_signal_of_the_wrong_type_is_drift_until_it_is_forgotten(app: Perdure) -> None:
    @app.task
    async def task(ctx: Context) -> list[int]:
        return [await ctx.wait_for("number", int) for _ in range(3)]

    async with TestApp(app) as t:
        handle = await task.enqueue()
        for value in (1, "two", 3, 4):
            await handle.signal("number", value)
        await t.advance(1)
        shown = await handle.execution()
        assert (shown.status, shown.attempt) == ("pending", 0)
        assert shown.failure is not None
        assert f"`perdure retry {handle.id} --forget number`" in shown.failure.message
        assert await app.client.forget(handle.id, "number") == 2
        await t.advance(1)
        assert [entry.outcome for entry in await handle.activities()] == [
            "forgotten",
            "forgotten",
            "recorded",
            "recorded",
        ]
        await handle.signal("number", 5)
        assert await handle.result() == [3, 4, 5]
