"""External tasks: completed from outside by key, before, while and after somebody waits; the first answer stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from perdure import (
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    InvalidInputError,
    NotInExecutionError,
    NotSerializableError,
    PayloadTooLargeError,
    Perdure,
    Registry,
    Sizes,
    Spawn,
    TaskNotFoundError,
)
from perdure.engine.compatibility import problems
from perdure.registry import Names
from perdure.styles.external import ExternalTask
from perdure.testing import TestApp, crash_everywhere
from tests.tasks.redeploy import redeployed

DAY = 86_400
REPLAY = pytest.mark.parametrize("always_replay", [False, True])


@dataclass
class Decision:
    approved: bool
    by: str = ""


@pytest.fixture
def approval(app: Perdure) -> ExternalTask[Decision]:
    return app.external_task("approval", Decision)


@REPLAY
@pytest.mark.parametrize("when", ["before", "while", "later"])
async def test_a_body_waits_for_a_key(
    app: Perdure, approval: ExternalTask[Decision], always_replay: bool, when: str
) -> None:
    @app.task
    async def order(ctx: Context, id: str) -> str:
        await ctx.sleep(10)
        decision = await approval(id)
        return f"{id} {decision.approved} {decision.by}"

    async with TestApp(app, always_replay=always_replay) as t:
        if when == "before":
            await approval.complete("o-1", Decision(True, "me"))
        handle = await order.enqueue("o-1")
        await t.advance({"before": 20, "while": 5, "later": 20}[when])
        answer = await approval.complete("o-1", Decision(True, "me"))
        assert answer.first == (when != "before")
        assert await handle.result() == "o-1 True me"
        (child,) = await handle.children()
        assert (child.task_name, child.status, child.result) == ("approval", "completed", Decision(True, "me"))


async def test_what_waits_says_so_and_holds_no_slot(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app) as t:
        handle = await approval.options(id="a").enqueue("k")
        await t.advance(days=400)
        execution = await handle.execution()
        assert (execution.status, execution.waiting_on, execution.due_at) == ("waiting", "external", None)
        assert [(wait.kind, wait.name, wait.due_at) for wait in execution.waits] == [("external", "k", None)]
        assert (execution.input, execution.worker) == ({"key": "k"}, None)
        assert len(await app.search("waiting:external")) == 1
        await approval.complete("k", Decision(True))
        assert await handle.result() == Decision(True)


async def test_all_who_wait_for_one_key_get_the_answer(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    async def order(id: str) -> bool:
        return (await approval(id)).approved

    async with TestApp(app) as t:
        handles = [await order.enqueue("k") for _ in range(3)]
        alone = await approval.enqueue("k")
        other = await order.enqueue("other")
        await t.idle()
        await approval.complete("k", Decision(True))
        assert [await handle.result() for handle in handles] == [True] * 3
        assert await alone.result() == Decision(True)
        assert await approval.run("k") == Decision(True)
        await t.idle()
        assert await other.status() == "waiting"


async def test_one_key_awaited_twice_in_a_body_is_one_wait(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    async def order(ctx: Context) -> list[str]:
        pair = await asyncio.gather(approval("k"), approval("k"))
        await ctx.sleep(10)
        return [decision.by for decision in (*pair, await approval("k"), await approval("k2"))]

    async with TestApp(app) as t:
        handle = await order.enqueue()
        await t.idle()
        await approval.complete("k2", Decision(True, "second"))
        await approval.complete("k", Decision(True, "first"))
        await t.advance(20)
        assert await handle.result() == ["first", "first", "first", "second"]
        assert len(await handle.children()) == 2


async def test_one_after_the_other_each_answer_being_the_next_key(app: Perdure) -> None:
    wait = app.external_task("wait", str)

    @app.task
    async def sequence(key: str) -> str:
        for _ in range(3):
            key = await wait(key)
        return key

    async with TestApp(app) as t:
        handle = await sequence.enqueue("unique_id_1")
        for key, value in (("1", "unique_id_2"), ("2", "unique_id_3"), ("3", "final_output")):
            await t.idle()
            await wait.complete(f"unique_id_{key}", value)
        assert await handle.result() == "final_output"


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_the_first_answer_stands(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app, start=datetime(2026, 1, 1, tzinfo=UTC)) as t:
        handle = await approval.enqueue("k")
        first = await approval.complete("k", Decision(True, "a"))
        assert (first.task_name, first.key, first.first) == ("approval", "k", True)
        await t.advance(10)
        for again in (await approval.complete("k", Decision(False, "b")), await approval.fail("k", "too late")):
            assert (again.value, again.failure, again.first) == (Decision(True, "a"), None, False)
            assert again.completed_at == first.completed_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert await handle.result() == Decision(True, "a")
        await t.advance(days=10)
        assert (await approval.complete("k", Decision(False))).value == Decision(True, "a")


async def test_a_failure_from_outside_is_final(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task(retries=0)
    async def order(id: str) -> str:
        try:
            await approval(id)
        except ExecutionFailedError as error:
            assert error.failure is not None
            return f"{error.failure.type} {error.failure.message}"
        return "approved"

    async with TestApp(app) as t:
        handle, parent = await approval.enqueue("k"), await order.enqueue("k")
        await t.idle()
        answer = await approval.fail("k", "test_error")
        assert answer.failure is not None
        assert (answer.value, answer.failure.message, answer.first) == (None, "test_error", True)
        with pytest.raises(ExecutionFailedError, match="test_error") as caught:
            await handle.result()
        assert caught.value.failure is not None
        assert (caught.value.failure.kind, caught.value.failure.retryable) == ("error", False)
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("failed", 0)
        assert await parent.result() == "ExternalFailure test_error"
        assert (await approval.complete("k", Decision(True))).failure == answer.failure


async def test_a_failed_answer_fails_the_parents_next_attempts_too(
    app: Perdure, approval: ExternalTask[Decision]
) -> None:
    @app.task(retries=1)
    async def order(id: str) -> None:
        await approval(id)

    async with TestApp(app) as t:
        handle = await order.enqueue("k")
        await approval.fail("k", "no")
        await t.advance(100)
        assert await handle.status() == "failed"
        assert len(await handle.children()) == 2


async def test_by_name(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app):
        handle = await app.enqueue(app.call("approval", "k"))
        answer = await app.complete("approval", "k", {"approved": True, "by": "a dict"})
        assert answer.value == Decision(True, "a dict")
        assert await handle.result() == Decision(True, "a dict")
        failed = await app.fail("approval", "k2", "no")
        assert failed.failure is not None
        assert failed.failure.message == "no"


@pytest.mark.parametrize("value", ["yes", 5, None, {"approved": "maybe"}, {}])
async def test_a_value_of_another_type_is_refused_and_nothing_is_stored(
    app: Perdure, approval: ExternalTask[Decision], value: Any
) -> None:
    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="external task approval"):
            await approval.complete("k", value)
        with pytest.raises(InvalidInputError, match="external task approval"):
            await app.complete("approval", "k", value)
        assert (await approval.complete("k", Decision(True))).first


async def test_wrong_names_and_keys_are_refused(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    async def plain(key: str) -> None: ...

    async with TestApp(app):
        with pytest.raises(TaskNotFoundError, match=r"aproval.*did you mean 'approval'"):
            await app.complete("aproval", "k", Decision(True))
        with pytest.raises(InvalidInputError, match="task plain is not external"):
            await app.complete("plain", "k")
        with pytest.raises(InvalidInputError, match="task plain is not external"):
            await app.fail("plain", "k", "why")
        with pytest.raises(InvalidInputError, match="says why"):
            await approval.fail("k", cast("Any", None))
        for key in (None, 10, "", "x" * 300, "a\nb"):
            with pytest.raises(InvalidInputError, match=r"task approval: key is .*1 to 255 printable"):
                await approval.complete(cast("Any", key), Decision(True))


@pytest.mark.parametrize("key", [None, 10, "", "x" * 256, "a\x00b"])
async def test_what_is_no_key_is_refused_and_nothing_is_stored(
    app: Perdure, approval: ExternalTask[Decision], key: Any
) -> None:
    @app.task(retries=0)
    async def order() -> None:
        await approval(key)

    async with TestApp(app):
        for verb in (approval.call, approval.enqueue, approval.run):
            with pytest.raises(InvalidInputError, match=r"task approval: key is .*1 to 255 printable"):
                answer: Any = verb(key)
                await answer
        with pytest.raises(InvalidInputError, match="missing"):
            cast("Any", approval).call()
        assert await app.count() == 0
        with pytest.raises(ExecutionFailedError, match="key is"):
            await order.run()
        assert await app.count("task:approval") == 0
        assert await approval.options(start_delay=1).enqueue("x" * 255)


async def test_sizes() -> None:
    app = Perdure("memory://", sizes=Sizes(result=1000, name=10))
    text = app.external_task("text", str)
    async with TestApp(app):
        with pytest.raises(PayloadTooLargeError, match="external task text"):
            await text.complete("k", "x" * 1000)
        with pytest.raises(InvalidInputError, match="1 to 10 printable"):
            await text.enqueue("x" * 11)
        assert (await text.complete("k", "x" * 900)).first


async def test_values_of_any_type(app: Perdure) -> None:
    maybe: ExternalTask[int | None] = app.external_task("maybe", int | None)
    nothing: ExternalTask[None] = app.external_task("nothing", None)
    anything: ExternalTask[object] = app.external_task("anything", object)
    days = app.external_task("days", timedelta)
    async with TestApp(app):
        await maybe.complete("k", None)
        await app.complete("nothing", "k")
        await anything.complete("k", {"a": [1, None]})
        await days.complete("k", timedelta(days=3))
        assert (await maybe.run("k"), await nothing.run("k")) == (None, None)
        assert await anything.run("k") == {"a": [1, None]}
        assert await days.run("k") == timedelta(days=3)


# -- time, cancel, retry ----------------------------------------------------------------------------------------------


@REPLAY
async def test_the_timeout_is_how_long_it_waits(app: Perdure, always_replay: bool) -> None:
    approval = app.external_task("approval", Decision, timeout=timedelta(days=2))

    @app.task
    async def order(id: str) -> str:
        try:
            return str(await approval(id))
        except ExecutionTimedOutError:
            return "late"

    async with TestApp(app, always_replay=always_replay) as t:
        handle, parent = await approval.enqueue("k"), await order.enqueue("k")
        await t.advance(days=1, hours=23)
        assert (await handle.execution()).waits[0].due_at == datetime(2026, 1, 3, tzinfo=UTC)
        await t.restart()
        assert await handle.status() == "waiting"
        await t.advance(hours=1)
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("timed_out", 0)
        assert execution.failure is not None
        assert (execution.failure.kind, execution.failure.type) == ("timed_out", "TimeoutError")
        assert "approval was not completed for key 'k' within 172800 s" in execution.failure.message
        assert await parent.result() == "late"
        assert (await approval.complete("k", Decision(True))).first
        assert await handle.status() == "timed_out"
        assert await approval.run("k") == Decision(True)


async def test_the_timeout_of_one_call(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app) as t:
        short, long = await approval.options(timeout=10).enqueue("a"), await approval.enqueue("a")
        await t.advance(10)
        assert (await short.status(), await long.status()) == ("timed_out", "waiting")


async def test_a_timeout_counts_from_when_it_begins_to_wait(app: Perdure) -> None:
    approval = app.external_task("approval", Decision, timeout=lambda attempt: 10 + attempt, start_delay=100)
    async with TestApp(app) as t:
        handle = await approval.enqueue("a")
        await t.advance(109)
        assert await handle.status() == "waiting"
        await t.advance(2)
        assert await handle.status() == "timed_out"


async def test_an_answer_just_in_time_counts_though_no_worker_was_there(app: Perdure) -> None:
    approval = app.external_task("approval", Decision, timeout=10)
    early: list[Any] = []
    async with TestApp(app) as t:
        handles = [await approval.enqueue("a"), await approval.enqueue("b")]
        await t.idle()
        t.clock.call_later(9.5, lambda: early.append(asyncio.ensure_future(approval.complete("a", Decision(True)))))
        t.clock.call_later(10.5, lambda: early.append(asyncio.ensure_future(approval.complete("b", Decision(True)))))
        await t.advance(20)
        assert [await handle.status() for handle in handles] == ["completed", "timed_out"]


async def test_a_deadline(app: Perdure) -> None:
    approval = app.external_task("approval", Decision, deadline=10)
    async with TestApp(app) as t:
        handle = await approval.enqueue("a")
        await t.advance(20)
        assert await handle.status() == "timed_out"


async def test_cancel_while_waiting_and_a_late_answer(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app) as t:
        handle = await approval.enqueue("k")
        await t.idle()
        await handle.cancel("not wanted")
        answer = await approval.complete("k", Decision(True))
        assert answer.first
        await t.idle()
        assert await handle.status() == "cancelled"
        with pytest.raises(ExecutionCancelledError):
            await handle.result()


async def test_cancel_of_the_parent_cancels_the_wait(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    async def order() -> None:
        await approval("k")

    async with TestApp(app) as t:
        handle = await order.enqueue()
        await t.idle()
        await handle.cancel()
        assert [child.status for child in await handle.children()] == ["cancelled"]


@pytest.mark.parametrize("answered", [False, True])
async def test_an_operators_retry_waits_anew_and_takes_what_came_late(app: Perdure, answered: bool) -> None:
    approval = app.external_task("approval", Decision, timeout=10)
    async with TestApp(app) as t:
        handle = await approval.enqueue("k")
        await t.advance(20)
        assert await handle.status() == "timed_out"
        if answered:
            await approval.complete("k", Decision(True))
        await handle.retry()
        await t.advance(9)
        assert await handle.status() == ("completed" if answered else "waiting")
        await t.advance(2)
        assert await handle.status() == ("completed" if answered else "timed_out")


async def test_a_fork_waits_for_the_same_key_or_another(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app) as t:
        handle = await approval.enqueue("k")
        await t.idle()
        same, other = await handle.fork(), await handle.fork(input="k2")
        named = await handle.fork(input={"key": "k2"})
        with pytest.raises(InvalidInputError):
            await handle.fork(input="")
        await t.idle()
        await approval.complete("k2", Decision(True, "2"))
        await approval.complete("k", Decision(True, "1"))
        assert [(await each.result()).by for each in (handle, same, other, named)] == ["1", "1", "2", "2"]


async def test_ids_and_idempotency_keys_as_everywhere(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app):
        first = await approval.options(idempotency_key="order-1").enqueue("k")
        assert await approval.options(idempotency_key="order-1").enqueue("k") == first
        handles = await app.enqueue_many([approval.call("k"), approval.options(tags={"a": "b"}).call("k2")])
        await approval.complete("k", Decision(True))
        assert await handles[0].result() == Decision(True)
        assert await handles[1].status() != "completed"


# -- retention --------------------------------------------------------------------------------------------------------


async def test_keys_are_free_again_after_retention() -> None:
    app = Perdure("memory://", retention=10 * DAY)
    approval = app.external_task("approval", Decision)
    async with TestApp(app) as t:
        handle = await approval.enqueue("k")
        await t.advance(days=5)
        await approval.complete("k", Decision(True, "old"))
        assert await handle.result() == Decision(True, "old")
        await t.advance(days=9)
        assert await approval.run("k") == Decision(True, "old")
        await t.advance(days=9)
        assert (await approval.complete("k", Decision(True, "new"))).value == Decision(True, "old")
        await t.advance(days=2)
        again = await approval.enqueue("k")
        await t.idle()
        assert await again.status() == "waiting"
        assert (await approval.complete("k", Decision(True, "new"))).first
        assert await again.result() == Decision(True, "new")


async def test_an_answer_that_nobody_fetched_is_kept_for_the_retention_of_its_task() -> None:
    app = Perdure("memory://", retention=10 * DAY)
    short = app.external_task("short", int, retention=DAY)
    async with TestApp(app) as t:
        await short.complete("k", 1)
        await t.advance(hours=23)
        assert not (await short.complete("k", 2)).first
        await t.advance(hours=2)
        assert (await short.complete("k", 3)).first


async def test_without_retention_an_answer_is_kept_for_ever(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app) as t:
        await approval.complete("k", Decision(True, "kept"))
        await t.advance(days=4000)
        assert await approval.run("k") == Decision(True, "kept")


async def test_an_open_wait_keeps_its_answer_beyond_the_retention() -> None:
    app = Perdure("memory://", retention=DAY)
    approval = app.external_task("approval", Decision)

    @app.task
    async def order(ctx: Context) -> str:
        first = await approval("k")
        await ctx.sleep(30 * DAY)
        return first.by + (await approval("k")).by

    async with TestApp(app) as t:
        handle = await order.enqueue()
        await t.idle()
        await approval.complete("k", Decision(True, "x"))
        await t.advance(days=29)
        assert not (await approval.complete("k", Decision(False, "y"))).first
        await t.advance(hours=25)
        assert await handle.result() == "xx"


# -- inside bodies ----------------------------------------------------------------------------------------------------


@REPLAY
async def test_completing_inside_a_body_is_done_once(
    app: Perdure, approval: ExternalTask[Decision], always_replay: bool
) -> None:
    passes: list[bool] = []

    @app.task
    async def clerk(ctx: Context) -> tuple[Decision | None, bool, Decision | None, bool, str]:
        mine = await approval.complete("a", Decision(True, "clerk"))
        passes.append(mine.first)
        await ctx.sleep(10)
        theirs = await approval.complete("b", Decision(True, "clerk"))
        refused = await app.fail("approval", "c", "no")
        await ctx.sleep(10)
        assert refused.failure is not None
        return mine.value, mine.first, theirs.value, theirs.first, refused.failure.message

    async with TestApp(app, always_replay=always_replay) as t:
        await approval.complete("b", Decision(False, "boss"))
        handle = await clerk.enqueue()
        await t.advance(100)
        assert await handle.result() == (Decision(True, "clerk"), True, Decision(False, "boss"), False, "no")
        assert set(passes) == {True}


async def test_in_a_def_body(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    def order(ctx: BlockingContext) -> str:
        return ctx.run(approval.call("k")).by

    async with TestApp(app) as t:
        handle = await order.enqueue()
        await t.idle()
        await approval.complete("k", Decision(True, "def"))
        assert await handle.result() == "def"


async def test_map_over_keys(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.task
    async def order(ctx: Context) -> list[str]:
        return [decision.by for decision in await ctx.map(approval, ["a", "b", "c"])]

    async with TestApp(app) as t:
        handle = await order.enqueue()
        await t.idle()
        for key in "cab":
            await approval.complete(key, Decision(True, key))
        assert await handle.result() == ["a", "b", "c"]


async def test_outside_an_execution_it_is_not_awaited(app: Perdure, approval: ExternalTask[Decision]) -> None:
    async with TestApp(app):
        with pytest.raises(NotInExecutionError, match=r"approval\.run"):
            await approval("k")


async def test_a_fork_of_a_tree_waits_for_the_same_key(app: Perdure, approval: ExternalTask[Decision]) -> None:
    @app.parent_task
    async def ask() -> Spawn[None]:
        return Spawn(None, [approval.call("k")])

    async with TestApp(app) as t:
        handle = await ask.enqueue()
        await t.idle()
        forks = [await handle.fork(), await handle.fork(from_activity="approval")]
        await t.idle()
        await approval.complete("k", Decision(True, "both"))
        for each in (handle, *forks):
            assert (await each.result()).one(approval).by == "both"


# -- declaring --------------------------------------------------------------------------------------------------------


def test_declarations_that_are_refused(app: Perdure, approval: ExternalTask[Decision]) -> None:
    for name in ("approval", "", "a b", None, 5):
        with pytest.raises(ConfigurationError, match="name"):
            app.external_task(cast("Any", name), Decision)
    for option in ("retries", "validate", "limit"):
        with pytest.raises(ConfigurationError, match=f"external task other has no option '{option}'"):
            app.external_task("other", Decision, **cast("Any", {option: 1}))
    with pytest.raises(ConfigurationError, match="external task other timeout"):
        app.external_task("other", Decision, timeout=-1)
    with pytest.raises(NotSerializableError):
        app.external_task("other", asyncio.Lock)
    for option in ("retries", "key"):
        with pytest.raises(ConfigurationError, match=f"external task approval has no option '{option}'"):
            approval.options(**cast("Any", {option: 1}))
    app.external_task("other", Decision)


async def test_on_a_registry(app: Perdure) -> None:
    registry = Registry(prefix="shop.")
    approval = registry.external_task("approval", Decision)
    app.include(registry)
    async with TestApp(app) as t:
        handle = await approval.enqueue("k")
        await t.idle()
        await app.complete("shop.approval", "k", Decision(True))
        assert await handle.result() == Decision(True)


async def test_a_renamed_task_answers_who_waited_under_the_old_name() -> None:
    old, new = Perdure("memory://"), Perdure("memory://")
    before = old.external_task("approval", Decision)
    after = new.external_task("release", Decision, aliases=["approval"])

    @old.task(name="order")
    async def order() -> str:
        return (await before("k")).by

    @new.task(name="order")
    async def ordered() -> str:
        return (await after("k")).by

    async with TestApp(old) as t:
        waiting, parent = await before.enqueue("k"), await order.enqueue()
        await t.idle()
    async with redeployed(t, new):
        await after.complete("k", Decision(True, "renamed"))
        assert await new.handle(waiting.id).result() == Decision(True, "renamed")
        assert await new.handle(parent.id).result() == "renamed"
        assert await after.run("k") == Decision(True, "renamed")
        assert not (await after.complete("k", Decision(False))).first


@pytest.mark.parametrize("waiting_first", [False, True])
async def test_an_answer_under_the_old_name_is_for_who_waits_under_the_new_one(waiting_first: bool) -> None:
    """Kept from before the rename, or given by a worker of the old version while both are there."""
    old, new = Perdure("memory://"), Perdure("memory://")
    before = old.external_task("approval", Decision)
    after = new.external_task("release", Decision, aliases=["approval", "approve"], timeout=DAY)

    async with TestApp(old) as t:
        if not waiting_first:
            await before.complete("k", Decision(True, "early"))
    async with redeployed(t, new) as t:
        waiting = await after.enqueue("k")
        await t.idle()
    async with redeployed(t, old) as t:
        answer = await before.complete("k", Decision(False, "late"))
        assert answer.first is waiting_first
    async with redeployed(t, new) as t:
        by = "late" if waiting_first else "early"
        assert (await after.handle(waiting.id).result()).by == by
        assert (await after.complete("k", Decision(False, "new"))).value == answer.value


async def test_a_first_name_that_is_not_the_first_alias_is_told_before_a_deploy() -> None:
    old, new = Perdure("memory://"), Perdure("memory://")
    before = old.external_task("approval", Decision)
    new.external_task("release", Decision, aliases=["approve", "approval"])
    async with TestApp(old) as t:
        waiting = await before.enqueue("k")
        await t.idle()
        row, view = t.faults.get([waiting.id])[0], t.faults.journal([waiting.id])[0]
    assert row is not None
    assert problems(Names(old), old.payloads, row, view) == []
    (said,) = problems(Names(new), new.payloads, row, view)
    assert "'approval'" in said
    assert "first" in said


async def test_an_answer_that_no_longer_decodes_is_drift() -> None:
    old, new, mended = Perdure("memory://"), Perdure("memory://"), Perdure("memory://")
    old.external_task("approval", str)
    after, last = new.external_task("approval", int), mended.external_task("approval", str)

    async with TestApp(old) as t:
        await old.complete("approval", "k", "yes")
    async with redeployed(t, new) as t:
        handle = await after.enqueue("k")
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.attempt) == ("pending", 0)
        assert execution.failure is not None
        assert execution.failure.type == "JournalDriftError"
        assert (await after.complete("k", 3)).value == "yes"
    async with redeployed(t, mended) as t:
        await t.advance(100)
        assert await last.handle(handle.id).result() == "yes"


async def test_wrapped_payloads() -> None:
    class Reversed:
        def encode(self, data: bytes) -> bytes:
            return data[::-1]

        def decode(self, data: bytes) -> bytes:
            return data[::-1]

    app = Perdure("memory://", codec=Reversed())
    secret = app.external_task("secret", str)

    @app.task
    async def clerk(ctx: Context) -> str | None:
        answer = await secret.complete("k", "treasure")
        await ctx.sleep(1)
        return answer.value

    async with TestApp(app, always_replay=True) as t:
        handle = await clerk.enqueue()
        await t.advance(5)
        assert await handle.result() == "treasure"
        assert await secret.run("k") == "treasure"
        stored = t.faults.journal([handle.id])[0].entries
        assert "treasure" not in str(stored)
        assert (await secret.complete("k", "other")).value == "treasure"


# -- crashes ----------------------------------------------------------------------------------------------------------

shop = Perdure("memory://")
shipment = shop.external_task("shipment", str, timeout=10 * DAY)
payment = shop.external_task("payment", int)


@shop.task
async def sell(ctx: Context, id: str) -> list[object]:
    paid = await payment(id)
    again = await payment.complete(id, 0)
    told = await shipment.complete(f"{id}-tell", "told")
    shipped = await shipment(id)
    return [paid, again.first, told.first, shipped, await shipment(f"{id}-tell")]


@crash_everywhere(shop)
async def test_a_crash_at_any_boundary_loses_no_answer(t: TestApp) -> None:
    handle = await sell.options(id="order-1").enqueue("o")
    early = await payment.options(id="early").enqueue("o")
    await shipment.complete("o", "by train")
    await t.advance(days=1)
    await payment.complete("o", 5)
    assert await handle.result() == [5, False, True, "by train", "told"]
    assert await early.result() == 5


@crash_everywhere(shop, always_replay=True)
async def test_a_crash_at_any_boundary_of_a_wait_that_is_late(t: TestApp) -> None:
    handle = await shipment.options(id="late").enqueue("never")
    await t.advance(days=9)
    assert await handle.status() == "waiting"
    await t.advance(days=2)
    assert await handle.status() == "timed_out"
