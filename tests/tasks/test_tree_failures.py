"""Parent tasks when something goes wrong: children, finalizers, cancels, bad input, retries by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Annotated, Any, cast

import msgspec
import pytest

from perdure import (
    Context,
    Execution,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    Failure,
    GiveUp,
    Handle,
    Joined,
    Perdure,
    Retry,
    Sizes,
    Spawn,
    Task,
    TreeResult,
)
from perdure.model.records import JournalView, Row
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

REPLAYS = pytest.mark.parametrize("always_replay", [False, True])


@pytest.fixture
def runs() -> list[Any]:
    return []


class Toggle:
    """A task that fails while it is told to."""

    def __init__(self, app: Perdure, name: str, runs: list[Any], delay: float = 0) -> None:
        self.broken = False

        @app.task(name=name, retries=0)
        async def task(ctx: Context, number: int) -> int:
            if delay:
                await ctx.sleep(delay)
            runs.append((name, number))
            if self.broken:
                raise ValueError(f"{name} is broken")
            return number

        self.task: Task[[int], int] = task


async def failed(handle: Handle[Any]) -> Failure:
    """How an execution failed."""
    with pytest.raises(ExecutionFailedError) as caught:
        await handle.result()
    assert caught.value.failure is not None
    return caught.value.failure


async def statuses(handle: Handle[Any]) -> dict[str, str]:
    return {child.task_name: child.status for child in await handle.children()}


# --- fail-fast


@REPLAYS
async def test_the_first_failure_cancels_the_siblings(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Cases 69 and 70."""
    bad, slow = Toggle(app, "bad", runs), Toggle(app, "slow", runs, delay=3600)
    bad.broken = True

    def combine(joined: Joined[None, None]) -> None:
        runs.append("finalize")

    @app.parent_task(finalize=combine)
    async def parent() -> Spawn[None]:
        runs.append("parent")
        return Spawn(None, [bad.task.call(1), slow.task.call(2)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue()
        await t.advance()
        failure = await failed(handle)
        assert failure.kind == "children_failed"
        assert failure.message == "1 of 2 children did not complete: [index=0] bad failed: ValueError: bad is broken"
        assert failure.cause is not None
        assert (failure.cause.type, failure.cause.message) == ("ValueError", "bad is broken")
        assert await statuses(handle) == {"bad": "failed", "slow": "cancelled"}
        found = await handle.execution()
        assert (found.status, found.attempt) == ("failed", 0)
        assert found.closed_at is not None
        before = found.finished_at
        await t.advance(hours=2)
        assert (await handle.execution()).finished_at == before
    assert runs == ["parent", ("bad", 1)]


async def test_the_first_failure_comes_before_siblings_that_wait_for_a_slot(runs: list[Any]) -> None:
    """However many there are: else all of them would run before the parent is told."""
    app = Perdure("memory://", concurrency=3)

    @app.task(retries=0)
    async def child(number: int) -> None:
        runs.append(number)
        if len(runs) == 5:
            raise ValueError("no")

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [child.call(number) for number in range(300)])

    async with app:
        handle = await parent.enqueue()
        assert (await handle.wait()).status == "failed"
        ended = Counter(child.status for child in await handle.children())
        assert ended["failed"] == 1
        assert ended["completed"] < 100
        assert len(runs) <= 301 - ended["cancelled"]


async def test_all_that_failed_are_listed(app: Perdure, runs: list[Any]) -> None:
    """Case 69 where both throw; and how each of them ended."""
    bad = Toggle(app, "bad", runs)
    bad.broken = True

    @app.task(retries=0, timeout=1)
    async def late() -> None:
        await asyncio.Event().wait()

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [*(bad.task.call(n) for n in range(30))])

    @app.parent_task(on_child_failure="cancel_siblings")
    async def other() -> Spawn[None]:
        return Spawn(None, [late.call()])

    async with TestApp(app) as t:
        message = (await failed(await parent.enqueue())).message
        assert message.startswith(
            "30 of 30 children did not complete: [index=0] bad failed: ValueError: bad is broken; "
        )
        assert message.endswith("[index=19] bad failed: ValueError: bad is broken; and 10 more")
        handle = await other.enqueue()
        await t.advance(seconds=10)
        assert (await failed(handle)).message == (
            "1 of 1 children did not complete: [index=0] late timed out: task late ran over its timeout of 1 s"
        )


async def test_a_child_cancelled_from_outside_is_a_failure(app: Perdure, runs: list[Any]) -> None:
    slow = Toggle(app, "slow", runs, delay=3600)

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [slow.task.call(1), slow.task.call(2)])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance()
        children = await handle.children()
        await app.handle(children[1].id).cancel("enough")
        await t.advance()
        assert (
            await failed(handle)
        ).message == "1 of 2 children did not complete: [index=1] slow was cancelled: enough"
        assert {child.status for child in await handle.children()} == {"cancelled"}


async def test_a_join_of_many_costs_no_pass_per_child(app: Perdure) -> None:
    """E3: what many children come to is counted, and told once."""

    @app.task
    async def child(ctx: Context, number: int) -> int:
        await ctx.sleep(number)
        return number

    def look(joined: Joined[int, None]) -> list[int]:
        return joined.all(child)

    @app.parent_task(finalize=look)
    async def parent(count: int) -> Spawn[None]:
        return Spawn(None, [child.call(number) for number in range(count)])

    async with TestApp(app, always_replay=True) as t:
        handle = await parent.enqueue(50)
        await t.advance()
        begun = t.faults.storage.get([handle.id])[0]
        await t.advance(minutes=5)
        assert await handle.result() == list(range(50))
        ended = t.faults.storage.get([handle.id])[0]
        assert begun is not None
        assert ended is not None
        assert ended.token - begun.token == 2


# --- collect


@REPLAYS
async def test_collect_shows_every_child(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Cases 71, 73 and 78."""
    good, bad = Toggle(app, "good", runs, delay=5), Toggle(app, "bad", runs)
    bad.broken = True

    @app.task(retries=0, timeout=0.1)
    async def late() -> None:
        await asyncio.Event().wait()

    def count(joined: Joined[None, None]) -> tuple[int, int, list[str]]:
        with pytest.raises(ExecutionFailedError, match="bad is broken"):
            joined.one(bad.task)
        with pytest.raises(ExecutionTimedOutError):
            joined.one(late)
        failure = joined.children[1].failure
        assert failure is not None
        assert (failure.type, joined.children[1].output) == ("ValueError", None)
        done = [child for child in joined.children if child.status == "completed"]
        return len(done), len(joined.children), [child.status for child in joined.children]

    @app.parent_task(finalize=count, on_child_failure="collect")
    async def parent() -> Spawn[None]:
        return Spawn(None, [good.task.call(1), bad.task.call(2), late.call()])

    @app.parent_task(on_child_failure="collect")
    async def plain() -> Spawn[str]:
        return Spawn("out", [bad.task.call(1)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue()
        await t.advance(seconds=60)
        assert await handle.result() == (1, 3, ["completed", "failed", "timed_out"])
        result = await plain.run()
        assert (result.output, result.children[0].status) == ("out", "failed")
        assert result.children[0].failure is not None
        assert result.children[0].failure.message == "bad is broken"


# --- finalizers


async def test_a_finalizer_that_fails(app: Perdure, runs: list[Any]) -> None:
    """Cases 72, 77, 83: the parent fails for good, with its message; children are not run again."""
    good = Toggle(app, "good", runs)
    allowed = {"fail": True}

    def combine(joined: Joined[None, None]) -> int:
        runs.append("finalize")
        if allowed["fail"]:
            raise GiveUp("no total")
        return joined.one(good.task)

    @app.parent_task(finalize=combine, retries=5)
    async def parent() -> Spawn[None]:
        runs.append("parent")
        return Spawn(None, [good.task.call(7)])

    @app.parent_task
    async def grandparent() -> Spawn[None]:
        return Spawn(None, [parent.call()])

    async with TestApp(app):
        handle = await parent.enqueue()
        failure = await failed(handle)
        assert (failure.kind, failure.message) == (
            "finalize_failed", "finalizer parent.finalize failed: GiveUp: no total"
        )  # fmt: skip
        assert (await handle.execution()).attempt == 0
        top = await failed(await grandparent.enqueue())
        assert top.kind == "children_failed"
        assert top.message.endswith("[index=0] parent failed: finalizer parent.finalize failed: GiveUp: no total")
        allowed["fail"] = False
        runs.clear()
        await handle.retry()
        assert await handle.result() == 7
    assert runs == ["finalize"]


async def test_a_finalizer_has_retries_of_its_own(app: Perdure, runs: list[Any]) -> None:
    """Case 83; H12: a function has the default ones."""
    good = Toggle(app, "good", runs)

    async def combine(ctx: Context, joined: Joined[None, None]) -> int:
        runs.append(ctx.attempt)
        if ctx.attempt < 2:
            raise ValueError("not yet")
        return joined.one(good.task)

    @app.parent_task(finalize=combine, retries=0)
    async def parent() -> Spawn[None]:
        return Spawn(None, [good.task.call(7)])

    @app.task(retries=Retry.none(), timeout=1, name="strict")
    async def strict(joined: Joined[None, None]) -> int:
        await asyncio.Event().wait()
        return 1

    @app.parent_task(finalize=strict)
    async def timed() -> Spawn[None]:
        return Spawn(None)

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        late = await timed.enqueue()
        await t.advance(minutes=5)
        assert await handle.result() == 7
        assert (await failed(late)).message == (
            "finalizer strict timed out: task strict ran over its timeout of 1 s"
        )  # fmt: skip
    assert runs == [("good", 7), 0, 1, 2]


async def test_one_finalizer_that_cannot_be_stored_leaves_the_others_alone() -> None:
    """Case 81, H2: four parents finish together, one result is over the size."""
    app = Perdure("memory://", sizes=Sizes(result=1000))
    counted: list[int] = []

    @app.task
    async def child(number: int) -> int:
        return number

    def combine(joined: Joined[int, None]) -> Any:
        counted.append(joined.input)
        return {0: "x" * 5000, 1: object()}.get(joined.input, "fine")

    @app.parent_task(finalize=combine)
    async def parent(number: int) -> Spawn[None]:
        return Spawn(None, [child.call(number)])

    async with TestApp(app):
        handles = await app.enqueue_many([parent.call(number) for number in range(5)])
        assert [await handle.result() for handle in handles[2:]] == ["fine"] * 3
        large, odd = await failed(handles[0]), await failed(handles[1])
        assert (large.kind, odd.kind) == ("finalize_failed", "finalize_failed")
        assert "over 1000 bytes" in large.message
        assert "cannot be stored" in odd.message
    assert sorted(counted) == [0, 1, 2, 3, 4]


async def test_a_finalizer_that_takes_something_else(app: Perdure, runs: list[Any]) -> None:
    @app.task
    async def wants_numbers(joined: Joined[int, int]) -> int:
        return joined.output

    @app.parent_task(finalize=wants_numbers)
    async def parent(text: str) -> Spawn[str]:
        return Spawn(text)

    async with TestApp(app):
        failure = await failed(await parent.enqueue("a"))
        assert failure.kind == "finalize_failed"
        assert failure.message.startswith("finalizer wants_numbers cannot be started: ")


# --- cancel


@REPLAYS
async def test_cancel_while_children_run(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 109: parent and children are cancelled in one go; a body stops."""
    stopped: list[str] = []

    @app.task
    async def child(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(ctx.parent or "")
            raise

    waits = Toggle(app, "waits", runs, delay=3600)

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [child.call(), waits.task.call(1)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue()
        await t.advance()
        await handle.cancel("enough")
        found = await handle.execution()
        assert (found.status, found.waiting_on) == ("cancelled", None)
        assert (await statuses(handle))["waits"] == "cancelled"
        await t.advance(seconds=30)
        assert await statuses(handle) == {"child": "cancelled", "waits": "cancelled"}
        failure = (await handle.children())[0].failure
        assert failure is not None
        assert failure.message == "parent cancelled"
        assert (await handle.execution()).closed_at is not None
        with pytest.raises(ExecutionCancelledError, match="enough"):
            await handle.result()
    assert stopped == [handle.id]


@pytest.mark.parametrize("kind", ["async", "def"])
async def test_cancel_while_the_body_computes_its_children(app: Perdure, runs: list[Any], kind: str) -> None:
    """Case 110, E4: no child is ever stored."""
    good = Toggle(app, "good", runs)

    @app.parent_task(name="async")
    async def asynchronous(ctx: Context) -> Spawn[None]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Spawn(None, [good.task.call(1)])

    @app.parent_task(name="def")
    def blocking() -> Spawn[None]:
        return Spawn(None, [good.task.call(1)])

    async with TestApp(app) as t:
        handle = await app.enqueue(app.call(kind))
        if kind == "async":
            await t.advance()
        await handle.cancel("enough")
        await t.advance(seconds=60)
        found = await handle.execution()
        assert found.status in ("cancelled", "completed")
        if found.status == "cancelled":
            assert await handle.children() == []
            assert runs == []


@REPLAYS
async def test_cancel_while_the_finalizer_runs(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 111, E6: the finalizer is cancelled too."""
    good = Toggle(app, "good", runs)

    async def combine(ctx: Context, joined: Joined[None, None]) -> int:
        await ctx.sleep(3600)
        runs.append("finalized")
        return 1

    @app.parent_task(finalize=combine)
    async def parent() -> Spawn[None]:
        return Spawn(None, [good.task.call(1)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue()
        await t.advance()
        assert (await handle.execution()).waiting_on == "finalize"
        await handle.cancel("enough")
        assert await statuses(handle) == {"good": "completed", "parent.finalize": "cancelled"}
        await t.advance(hours=2)
        assert (await handle.execution()).closed_at is not None
    assert runs == [("good", 1)]


async def test_a_finalizer_cancelled_directly(app: Perdure, runs: list[Any]) -> None:
    """Case 115, H9: the parent fails; counters hold."""
    good = Toggle(app, "good", runs)

    async def combine(ctx: Context, joined: Joined[None, None]) -> int:
        await ctx.sleep(3600)
        return 1

    @app.parent_task(finalize=combine)
    async def parent() -> Spawn[None]:
        return Spawn(None, [good.task.call(1)])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance()
        await app.handle((await handle.children())[1].id).cancel("not now")
        await t.advance()
        failure = await failed(handle)
        assert (failure.kind, failure.message) == (
            "finalize_failed", "finalizer parent.finalize was cancelled: not now"
        )  # fmt: skip
        found = await handle.execution()
        assert (found.children_total, found.children_settled) == (2, 2)


async def test_cancel_of_a_settled_tree_changes_nothing(app: Perdure, runs: list[Any]) -> None:
    """Case 112."""
    good = Toggle(app, "good", runs)

    @app.parent_task
    async def parent() -> Spawn[None]:
        return Spawn(None, [good.task.call(1)])

    async with TestApp(app):
        handle = await parent.enqueue()
        await handle.result()
        before: Execution[Any] = await handle.execution()
        await handle.cancel("too late")
        assert await handle.execution() == before


# --- bad input


class Small(msgspec.Struct):
    number: Annotated[int, msgspec.Meta(le=9)]


async def test_bad_spawns(runs: list[Any]) -> None:
    """The parent fails at once, names the child, and no sibling starts."""
    app = Perdure("memory://", sizes=Sizes(children=20, input=1000))
    good = Toggle(app, "good", runs)
    elsewhere = Perdure("memory://")

    @elsewhere.task
    async def unknown(number: int) -> int: ...

    @app.task
    async def small(value: Small) -> int: ...

    @app.task
    async def text(value: str) -> int: ...

    def picky(number: int) -> int:
        if number > 3:
            raise ValueError(f"{number} is too much")
        return number

    @app.task(validate=picky)
    async def checked(number: int) -> int: ...

    first = good.task.call(1)
    spawns: dict[str, tuple[Callable[[], Any], str, str]] = {
        "nothing": (lambda: None, "error", "must return Spawn(output, children), not NoneType"),
        "no call": (lambda: Spawn(None, [first, good]), "error", "child [index=1] is Toggle; children are task.call(...)"),
        "unknown": (
            lambda: Spawn(None, [first, unknown.call(1)]), "not_found",
            "child [index=1] unknown: task unknown is not declared in this app",
        ),
        "invalid": (lambda: Spawn(None, [first, small.call(Small(10))]), "invalid_input", "child [index=1] small: "),
        "checked": (
            lambda: Spawn(None, [first, checked.call(4)]), "invalid_input",
            "child [index=1] checked: task checked: 4 is too much",
        ),
        "large": (lambda: Spawn(None, [first, text.call("x" * 2000)]), "too_large", "child [index=1] text: "),
        "an id": (
            lambda: Spawn(None, [first, good.task.options(id="mine").call(1)]), "error",
            "child [index=1] good: a child has no id",
        ),
        "one key": (
            lambda: Spawn(None, [good.task.options(key="k").call(n) for n in (1, 2)]), "error",
            "2 children of task good have one key, 'k'",
        ),
        "many": (lambda: Spawn(None, [first] * 21), "too_large", "starts 21 children, at most 20"),
        "endless": (lambda: Spawn(None, repeat(first)), "too_large", "starts more than 20 children, at most 20"),
        "a number": (
            lambda: Spawn(None, cast("Any", 5)), "error", "Spawn(children=...) is int; it must be an iterable of task.call"
        ),
        "output": (lambda: Spawn(object(), [first]), "error", "the output of task parent"),
    }  # fmt: skip

    @app.parent_task(retries=3)
    async def parent(name: str) -> Spawn[Any]:
        runs.append(name)
        return spawns[name][0]()

    async with TestApp(app):
        for name, (_, kind, message) in spawns.items():
            handle = await parent.enqueue(name)
            failure = await failed(handle)
            assert failure.kind == kind, name
            assert message in failure.message
            found = await handle.execution()
            assert (found.attempt, found.children_total) == (0, 0), name
    assert runs == list(spawns)


async def test_as_many_children_as_may_be_and_a_finalizer(app: Perdure) -> None:
    """Case 79, with other numbers."""
    app = Perdure("memory://", sizes=Sizes(children=20))

    @app.task
    async def child(number: int) -> int:
        return number

    def combine(joined: Joined[int, None]) -> list[int]:
        return joined.all(child)

    @app.parent_task(finalize=combine)
    async def parent(count: int) -> Spawn[None]:
        return Spawn(None, (child.call(number) for number in range(count)))

    async with TestApp(app):
        assert await parent.run(20) == list(range(20))


async def test_a_task_that_spawns_itself_without_end() -> None:
    app = Perdure("memory://", sizes=Sizes(depth=8))

    @app.parent_task
    async def endless(index: int) -> Spawn[None]:
        return Spawn(None, [endless.call(index + 1)])

    async with TestApp(app):
        handle = await endless.enqueue(0)
        failure = await failed(handle)
        assert failure.kind == "children_failed"
        assert "8 executions deep" in failure.message
        assert "endless > endless" in failure.message
        assert await app.count("task:endless") == 9


# --- going on by hand


@REPLAYS
async def test_retry_replaces_what_did_not_succeed(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """What completed is kept, what failed, was cancelled or had not begun starts again with the input that it had."""
    good, bad, slow = (Toggle(app, name, runs, delay) for name, delay in (("good", 0), ("bad", 5), ("slow", 3600)))

    def combine(joined: Joined[str, None]) -> list[int]:
        return [child.output for child in joined.children]

    @app.parent_task(finalize=combine, max_parallel=3)
    async def parent(name: str) -> Spawn[None]:
        runs.append(name)
        calls = [good.task.call(1), bad.task.options(key="b").call(2), slow.task.call(3), good.task.call(4)]
        return Spawn(None, [*calls, bad.task.call(5)])

    async with TestApp(app, always_replay=always_replay) as t:
        bad.broken = True
        handle = await parent.enqueue("body")
        await t.advance(seconds=60)
        assert (await failed(handle)).kind == "children_failed"
        bad.broken = False
        runs.clear()
        await handle.retry()
        await t.advance(hours=2)
        assert await handle.result() == [1, 2, 3, 4, 5]
        assert sorted(runs) == [("bad", 2), ("bad", 5), ("slow", 3)]
        assert (await handle.execution()).generation == 1


async def test_a_fork_finds_the_inputs_of_its_original(app: Perdure, runs: list[Any]) -> None:
    good, bad = Toggle(app, "good", runs), Toggle(app, "bad", runs, delay=5)
    bad.broken = True

    @app.parent_task
    async def parent() -> Spawn[str]:
        runs.append("body")
        return Spawn("out", [good.task.call(1), bad.task.call(2)])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance(seconds=10)
        assert (await failed(handle)).kind == "children_failed"
        bad.broken = False
        runs.clear()
        fork = await handle.fork(from_activity="#1")
        await t.advance(seconds=10)
        assert [child.output for child in (await fork.result()).children] == [1, 2]
    assert runs == [("bad", 2)]


# --- bounded


@REPLAYS
@pytest.mark.parametrize("collect", [False, True])
async def test_at_most_so_many_run(app: Perdure, always_replay: bool, collect: bool) -> None:
    @app.task(retries=0)
    async def child(ctx: Context, number: int) -> int:
        await ctx.sleep(1 + number % 3)
        if collect and number == 4:
            raise ValueError("no")
        return number

    @app.parent_task(max_parallel=3, on_child_failure="collect" if collect else "cancel_siblings")
    async def parent(count: int) -> Spawn[None]:
        return Spawn(None, [child.call(number) for number in range(count)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue(10)
        await t.advance()
        assert len(await handle.children()) == 3
        for _ in range(60):
            await t.advance(seconds=0.5)
            assert sum(not child.settled for child in await handle.children()) <= 3
        result = await handle.result()
        expected = [None if collect and number == 4 else number for number in range(10)]
        assert [each.output for each in result.children] == expected
        assert (await parent.run(0)).children == ()


async def test_those_that_wait_are_not_started_after_a_failure(app: Perdure, runs: list[Any]) -> None:
    bad = Toggle(app, "bad", runs, delay=1)
    bad.broken = True

    @app.parent_task(max_parallel=1)
    async def parent() -> Spawn[None]:
        return Spawn(None, [bad.task.call(number) for number in range(3)])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance(seconds=60)
        assert (await failed(handle)).message.startswith("1 of 3 children did not complete")
    assert runs == [("bad", 0)]


async def test_what_is_read_grows_with_the_children_not_with_their_square(app: Perdure) -> None:
    """So many children are told of by the storage, however it is asked."""

    @app.task
    async def child(number: int) -> int:
        return number

    @app.parent_task(max_parallel=3)
    async def parent(count: int) -> Spawn[None]:
        return Spawn(None, [child.call(number) for number in range(count)])

    async def told(count: int) -> int:
        async with TestApp(app) as t:
            storage, children = t.faults.storage, 0
            journal, get = storage.journal, storage.get

            def journal_counted(ids: Sequence[str]) -> list[JournalView]:
                nonlocal children
                views = journal(ids)
                children += sum(len(view.children) for view in views)
                return views

            def get_counted(ids: Sequence[str]) -> list[Row | None]:
                nonlocal children
                children += len(ids)
                return get(ids)

            storage.journal, storage.get = journal_counted, get_counted  # type: ignore[method-assign]
            assert len((await parent.run(count)).children) == count
            return children

    few, many = await told(30), await told(300)
    assert many < 15 * few


@REPLAYS
async def test_a_deadline_counts_from_the_start_of_a_child_that_had_to_wait(app: Perdure, always_replay: bool) -> None:
    broken = [True]

    @app.task(retries=0)
    async def first(ctx: Context) -> int:
        await ctx.sleep(3600)
        if broken:
            raise ValueError("x")
        return 1

    @app.task(retries=0)
    async def second(ctx: Context) -> int:
        await ctx.sleep(30 if broken else 90)
        return 2

    @app.parent_task(max_parallel=1)
    async def parent() -> Spawn[None]:
        return Spawn(None, [first.call(), second.options(deadline=60).call()])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue()
        await t.advance(days=1)
        assert (await failed(handle)).message.startswith("1 of 2 children did not complete: [index=0]")
        broken.clear()
        await handle.retry()
        await t.advance(hours=2)
        assert "[index=1] second timed out" in (await failed(handle)).message
        broken.append(True)
        await t.advance(days=1)
        await handle.retry()
        await t.advance(hours=2)
        assert [child.output for child in (await handle.result()).children] == [1, 2]


async def test_a_child_that_had_to_wait_starts_by_the_new_name_of_its_task() -> None:
    def declare(app: Perdure, name: str, *aliases: str) -> Task[[], TreeResult[None]]:
        @app.task(name=name, aliases=aliases)
        async def child(ctx: Context, number: int) -> int:
            await ctx.sleep(60)
            return number

        @app.parent_task(max_parallel=1)
        async def parent() -> Spawn[None]:
            return Spawn(None, [child.call(1), child.call(2)])

        return parent

    one, two = Perdure("memory://"), Perdure("memory://")
    task = declare(one, "old")
    async with TestApp(one) as before:
        await task.options(id="one").enqueue()
        await before.idle()
    declare(two, "new", "old")
    async with redeployed(before, two) as t:
        await t.advance(minutes=5)
        result = await two.handle("one").result()
        assert [(child.task_name, child.output) for child in result.children] == [("old", 1), ("new", 2)]
