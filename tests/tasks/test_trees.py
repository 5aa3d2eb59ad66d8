"""Parent tasks: children in parallel, a join, a finalizer, nested to any depth."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from perdure import (
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionFailedError,
    Joined,
    Perdure,
    Registry,
    Retry,
    Sizes,
    Spawn,
    Task,
    TreeResult,
    current_context,
)
from perdure.codec import Compress
from perdure.testing import TestApp

REPLAYS = pytest.mark.parametrize("always_replay", [False, True])


class Hello(msgspec.Struct):
    """What the trees of the seed documents are given."""

    name: str


@dataclass
class Three:
    """What the finalizers of the seed documents answer."""

    parent: str
    a: str
    b: str


class Model(BaseModel):
    """A Pydantic model."""

    number: int


@pytest.fixture
def runs() -> list[Any]:
    return []


def greeter(app: Perdure, name: str, runs: list[Any], delay: float = 0) -> Task[[str], str]:
    """A task that says hello, after a while."""

    @app.task(name=name, retries=0)
    async def greet(ctx: Context, who: str) -> str:
        if delay:
            await ctx.sleep(delay)
        runs.append(name)
        return f"Hello from task {name.upper()}, {who}!"

    return greet


# --- the literal examples of the seed documents


@REPLAYS
async def test_a_tree_without_a_finalizer(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 65: outputs stand in declared order although b ends first."""
    a, b = greeter(app, "a", runs, delay=10), greeter(app, "b", runs)

    @app.parent_task
    async def parent(hello: Hello) -> Spawn[str]:
        runs.append("parent")
        return Spawn(f"Hello from parent task, {hello.name}!", [a.call(hello.name), b.call(hello.name)])

    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue(Hello("world"))
        await t.advance(seconds=30)
        result = await handle.result()
        assert result.output == "Hello from parent task, world!"
        assert [child.output for child in result.children] == ["Hello from task A, world!", "Hello from task B, world!"]
        assert [(child.index, child.task_name, child.status) for child in result.children] == [
            (0, "a", "completed"),
            (1, "b", "completed"),
        ]
        assert (result.one(a), result.all(b)) == ("Hello from task A, world!", ["Hello from task B, world!"])
        assert [child.id for child in await handle.children()] == [child.execution_id for child in result.children]
        assert await handle.result() == result
    assert runs == ["parent", "b", "a"]


@REPLAYS
async def test_no_children(app: Perdure, always_replay: bool) -> None:
    """Cases 66 and 68: with and without a finalizer."""

    @app.parent_task
    async def alone(text: str) -> Spawn[str]:
        return Spawn(text)

    def underline(joined: Joined[str, str]) -> str:
        return f"{joined.output}_{joined.input[:0]}"

    @app.parent_task(finalize=underline)
    async def ended(text: str) -> Spawn[str]:
        return Spawn(f"{text}_output")

    async with TestApp(app, always_replay=always_replay):
        assert await alone.run("test") == TreeResult("test", ())
        handle = await ended.enqueue("test")
        assert await handle.result() == "test_output_"
        assert [child.task_name for child in await handle.children()] == ["ended.finalize"]


@REPLAYS
async def test_a_finalizer_combines(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 67: its result is the parent's."""
    a, b = greeter(app, "a", runs), greeter(app, "b", runs)

    async def combine(ctx: Context, joined: Joined[Hello, str]) -> Three:
        runs.append((ctx.task_name, joined.input.name, [child.index for child in joined.children]))
        return Three(joined.output, joined.one(a), joined.one(b))

    @app.parent_task(finalize=combine, timeout=60)
    async def parent(ctx: Context, hello: Hello) -> Spawn[str]:
        runs.append("parent")
        return Spawn(f"Hello from parent task, {hello.name}!", [a.call(hello.name), b.call(hello.name)])

    async with TestApp(app, always_replay=always_replay):
        handle = await parent.enqueue(Hello("world"))
        assert await handle.result() == Three(
            "Hello from parent task, world!", "Hello from task A, world!", "Hello from task B, world!"
        )
        children = await handle.children()
        assert [(c.task_name, c.root, c.parent, c.depth) for c in children] == [
            (name, handle.id, handle.id, 1) for name in ("a", "b", "parent.finalize")
        ]
    assert runs == ["parent", "a", "b", ("parent.finalize", "world", [0, 1])]


@REPLAYS
async def test_a_finalizer_that_is_a_parent(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 74: its body takes the first join, its own finalizer the join of both."""

    @app.task
    async def say(text: str) -> str:
        runs.append(text)
        return text

    def last(joined: Joined[Joined[str, str], str]) -> str:
        before = joined.input
        return "_".join([before.output, *before.all(say), *joined.all(say)])

    @app.parent_task(finalize=last)
    async def middle(joined: Joined[str, str]) -> Spawn[str]:
        runs.append(joined.input)
        return Spawn("middle", [say.call("X"), say.call("Y")])

    @app.parent_task(finalize=middle)
    async def first(text: str) -> Spawn[str]:
        runs.append("first")
        return Spawn(f"{text}_output", [say.call("child1_output"), say.call("child2_output")])

    async with TestApp(app, always_replay=always_replay):
        assert await first.run("test") == "test_output_child1_output_child2_output_X_Y"
        assert await app.count() == 7
    assert runs == ["first", "child1_output", "child2_output", "test", "X", "Y"]


@REPLAYS
async def test_a_sequence_by_hand(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 75: A, then B, then C, by nested finalizers."""
    a, b, c = (greeter(app, name, runs) for name in "abc")

    def after_c(joined: Joined[Joined[Joined[str, None], None], None]) -> dict[str, str]:
        return {
            "taskAOutput": joined.input.input.one(a),
            "taskBOutput": joined.input.one(b),
            "taskCOutput": joined.one(c),
        }

    @app.parent_task(finalize=after_c)
    async def then_c(joined: Joined[Joined[str, None], None]) -> Spawn[None]:
        return Spawn(None, [c.call(joined.input.input)])

    @app.parent_task(finalize=then_c)
    async def then_b(joined: Joined[str, None]) -> Spawn[None]:
        return Spawn(None, [b.call(joined.input)])

    @app.parent_task(finalize=then_b)
    async def by_hand(name: str) -> Spawn[None]:
        return Spawn(None, [a.call(name)])

    async with TestApp(app, always_replay=always_replay):
        assert await by_hand.run("world") == {
            "taskAOutput": "Hello from task A, world!",
            "taskBOutput": "Hello from task B, world!",
            "taskCOutput": "Hello from task C, world!",
        }
    assert runs == ["a", "b", "c"]


@REPLAYS
async def test_the_combined_tree_of_eight(app: Perdure, runs: list[Any], always_replay: bool) -> None:
    """Case 76: root -> (a -> a1 a2 a3), (b1 -> b2 -> b3)."""
    a1, a2, a3 = (greeter(app, name, runs) for name in ("a1", "a2", "a3"))

    @app.task
    async def b1(name: str) -> dict[str, str]:
        return {"name": name, "b1": f"Hello from task B1, {name}!"}

    @app.task
    async def b2(so_far: dict[str, str]) -> dict[str, str]:
        return so_far | {"b2": f"Hello from task B2, {so_far['name']}!"}

    @app.task
    async def b3(so_far: dict[str, str]) -> dict[str, str]:
        return so_far | {"b3": f"Hello from task B3, {so_far['name']}!"}

    b = app.sequence("b", b1, b2, b3)

    def combine_a(joined: Joined[str, str]) -> dict[str, str]:
        return {"a": joined.output, "a1": joined.one(a1), "a2": joined.one(a2), "a3": joined.one(a3)}

    @app.parent_task(finalize=combine_a)
    async def a(name: str) -> Spawn[str]:
        return Spawn(f"Hello from task A, {name}!", [a1.call(name), a2.call(name), a3.call(name)])

    def combine(joined: Joined[Hello, str]) -> dict[str, str]:
        return {"root": joined.output} | joined.one(a) | joined.one(b)

    @app.parent_task(finalize=combine)
    async def root(hello: Hello) -> Spawn[str]:
        return Spawn(f"Hello from root task, {hello.name}!", [a.call(hello.name), b.call(hello.name)])

    async with TestApp(app, always_replay=always_replay):
        handle = await root.enqueue(Hello("world"))
        assert await handle.result() == {
            "root": "Hello from root task, world!",
            "a": "Hello from task A, world!",
            "a1": "Hello from task A1, world!",
            "a2": "Hello from task A2, world!",
            "a3": "Hello from task A3, world!",
            "name": "world",
            "b1": "Hello from task B1, world!",
            "b2": "Hello from task B2, world!",
            "b3": "Hello from task B3, world!",
        }
        page = await app.search(f"root:{handle.id}")
        assert {found.root for found in page.items} == {handle.id}
        assert all(found.status == "completed" and found.closed_at is not None for found in page.items)


@REPLAYS
async def test_recursion(app: Perdure, always_replay: bool) -> None:
    """Case 90: a task that spawns itself; there are ten."""
    count = [0]

    @app.parent_task
    async def recursive(index: int) -> Spawn[None]:
        count[0] += 1
        return Spawn(None, [recursive.call(index + 1)] if index < 9 else [])

    async with TestApp(app, always_replay=always_replay):
        await recursive.run(0)
        assert await app.count("task:recursive") == 10
    assert count == [10]


# --- bodies


async def test_a_def_body_with_verbs(app: Perdure, runs: list[Any]) -> None:
    """It runs in a thread and may wait; once the `Spawn` is stored it does not run again."""
    a = greeter(app, "a", runs, delay=60)

    def combine(ctx: BlockingContext, joined: Joined[str, str]) -> str:
        ctx.sleep(30)
        runs.append("finalize")
        return f"{joined.output} {joined.one(a)}"

    @app.parent_task(finalize=combine)
    def parent(ctx: BlockingContext, name: str) -> Spawn[str]:
        ctx.sleep(30)
        assert current_context(BlockingContext).execution_id == ctx.execution_id
        runs.append(ctx.run(a.call("body")))
        return Spawn(name, [a.call(name)])

    async with TestApp(app) as t:
        handle = await parent.enqueue("world")
        await t.advance(seconds=200)
        assert await handle.result() == "world Hello from task A, world!"
    assert runs == ["a", "Hello from task A, body!", "a", "finalize"]


async def test_what_a_body_leaves_behind_is_cancelled(app: Perdure, runs: list[Any]) -> None:
    a = greeter(app, "a", runs, delay=60)
    left: list[asyncio.Task[None]] = []

    @app.parent_task
    async def parent(ctx: Context) -> Spawn[int]:
        left.append(asyncio.create_task(ctx.sleep(3600)))
        await asyncio.sleep(0)
        return Spawn(1, [a.call("x")])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance(seconds=61)
        assert (await handle.result()).output == 1
    assert left[0].cancelled()


async def test_a_body_that_fails_has_started_nothing_and_is_retried(app: Perdure, runs: list[Any]) -> None:
    """Case 84."""
    a = greeter(app, "a", runs)

    @app.parent_task(retries=Retry(max_retries=1, delay=5))
    async def parent(ctx: Context) -> Spawn[int]:
        spawn = Spawn(ctx.attempt, [a.call("x")])
        if ctx.attempt == 0:
            raise ValueError("not yet")
        return spawn

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance()
        assert await handle.children() == []
        await t.advance(seconds=10)
        assert (await handle.result()).output == 1
        assert (await handle.execution()).attempt == 1
    assert runs == ["a"]


@pytest.mark.parametrize("kind", ["async", "def"])
async def test_the_timeout_is_the_bodys(app: Perdure, runs: list[Any], kind: str) -> None:
    a = greeter(app, "a", runs, delay=3600)

    @app.parent_task(timeout=10, name="async")
    async def asynchronous() -> Spawn[None]:
        return Spawn(None, [a.call("x")])

    @app.parent_task(timeout=10, name="def")
    def blocking() -> Spawn[None]:
        return Spawn(None, [a.call("x")])

    async with TestApp(app) as t:
        handle = await app.enqueue(app.call(kind))
        await t.advance(hours=2)
        assert (await handle.execution()).status == "completed"


# --- what children come to


async def test_children_by_task(app: Perdure, runs: list[Any]) -> None:
    a, b, other = greeter(app, "a", runs), greeter(app, "b", runs), greeter(app, "other", runs)
    seen: list[Any] = []

    def look(joined: Joined[None, None]) -> None:
        seen.append(joined.all(a))
        seen.append(joined.children[2].of(b))
        for attempt in (
            lambda: joined.one(a), lambda: joined.one(other), lambda: joined.all(other), lambda: joined.children[0].of(b)
        ):  # fmt: skip
            with pytest.raises(LookupError) as caught:
                attempt()
            seen.append(str(caught.value))

    @app.parent_task(finalize=look)
    async def parent() -> Spawn[None]:
        return Spawn(None, [a.call("1"), a.call("2"), b.call("3")])

    async with TestApp(app):
        await parent.run()
    assert seen == [
        ["Hello from task A, 1!", "Hello from task A, 2!"],
        "Hello from task B, 3!",
        "2 children ran task a; use .all(a)",
        "no child ran task other; they ran a, b",
        "no child ran task other; they ran a, b",
        "child 0 ran task a, not b",
    ]


@REPLAYS
async def test_values_by_their_types(app: Perdure, always_replay: bool) -> None:
    """Input and output of `Joined` decode by their hints, outputs of children by `of`; Pydantic's too."""

    @app.task
    async def child(model: Model) -> Model:
        return Model(number=model.number + 1)

    def last(joined: Joined[Joined[Model, timedelta], dict[str, Model]]) -> tuple[Model, timedelta, Model, list[Model]]:
        first = joined.input
        return first.input, first.output, joined.output["next"], [*first.all(child), *joined.all(child)]

    @app.parent_task(finalize=last)
    async def second(joined: Joined[Model, timedelta]) -> Spawn[dict[str, Model]]:
        assert isinstance(joined.input, Model)
        assert joined.children[0].output == {"number": 2}
        return Spawn({"next": joined.one(child)}, [child.call(joined.one(child))])

    @app.parent_task(finalize=second)
    async def first(model: Model) -> Spawn[timedelta]:
        return Spawn(timedelta(seconds=5), [child.call(model)])

    @app.parent_task
    async def plain(model: Model) -> Spawn[Model]:
        return Spawn(model, [child.call(model)])

    one, two, three = (Model(number=number) for number in (1, 2, 3))
    async with TestApp(app, always_replay=always_replay):
        assert await first.run(one) == (one, timedelta(seconds=5), two, [two, three])
        result = await plain.run(one)
        assert (result.output, result.one(child)) == (one, two)


async def test_several_arguments(app: Perdure) -> None:
    seen: list[Any] = []

    def look(joined: Joined[Any, None]) -> None:
        seen.append((joined.args, dict(joined.kwargs)))
        with pytest.raises(LookupError, match=r"3 arguments; use \.args and \.kwargs"):
            _ = joined.input

    @app.parent_task(finalize=look)
    async def several(a: int, *more: int, flag: bool = False) -> Spawn[None]:
        return Spawn(None)

    def nothing(joined: Joined[None, None]) -> None:
        seen.append(joined.input)

    @app.parent_task(finalize=nothing)
    async def none() -> Spawn[None]:
        return Spawn(None)

    async with TestApp(app):
        await several.run(1, 2, flag=True)
        await none.run()
    assert seen == [((1, 2), {"flag": True}), None]


async def test_sizes_of_children_do_not_add_up() -> None:
    """H2: neither a finalizer's input nor a tree's result is measured as one."""
    app = Perdure("memory://", sizes=Sizes(input=2000, result=2000))

    @app.task
    async def large() -> str:
        return "x" * 1500

    @app.parent_task
    async def plain() -> Spawn[str]:
        return Spawn("y" * 1500, [large.call() for _ in range(5)])

    def total(joined: Joined[None, str]) -> int:
        return sum(map(len, joined.all(large)))

    @app.parent_task(finalize=total)
    async def summed() -> Spawn[str]:
        return Spawn("y" * 1500, [large.call() for _ in range(5)])

    @app.parent_task
    async def too_large() -> Spawn[str]:
        return Spawn("y" * 3000, [large.call()])

    async with TestApp(app):
        assert [len(child.output) for child in (await plain.run()).children] == [1500] * 5
        assert await summed.run() == 7500
        with pytest.raises(ExecutionFailedError, match=r"the output of task too_large has over 2000 bytes"):
            await too_large.run()
        assert await app.count("task:large") == 10


@pytest.mark.parametrize("finalized", [False, True])
async def test_what_children_come_to_together_is_bounded_all_the_same(runs: list[Any], finalized: bool) -> None:
    """Trees within trees multiply: a root of many leaves is refused before it is stored."""
    app = Perdure("memory://", sizes=Sizes(result=2000))

    @app.task
    async def leaf() -> str:
        return "x" * 1500

    @app.parent_task
    async def branch() -> Spawn[None]:
        return Spawn(None, [leaf.call() for _ in range(30)])

    def count(joined: Joined[None, None]) -> int:
        runs.append("finalize")
        return len(joined.children)

    async def root() -> Spawn[None]:
        return Spawn(None, [branch.call() for _ in range(5)])

    task: Task[[], Any] = app.parent_task(finalize=count)(root) if finalized else app.parent_task(root)
    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="children of task root came to over 128000 bytes") as caught:
            await task.run()
        assert caught.value.failure is not None
        assert caught.value.failure.kind == "too_large"
        assert await app.count("task:branch status:completed") == 5
    assert runs == []


async def test_options_of_children(runs: list[Any]) -> None:
    app = Perdure("memory://", queues=("default", "slow"))

    @app.task(queue="slow")
    async def child(ctx: Context, number: int) -> int:
        runs.append((number, dict(ctx.tags), ctx.attempt))
        if number == 1 and ctx.attempt < 2:
            raise ValueError("not yet")
        return number

    @app.parent_task
    async def parent() -> Spawn[None]:
        retried = child.options(retries=Retry(max_retries=2, delay=1, jitter=False), tags={"n": "1"}, key="first")
        return Spawn(None, [retried.call(1), child.options(queue="default", priority=3).call(2)])

    async with TestApp(app) as t:
        handle = await parent.enqueue()
        await t.advance(seconds=10)
        first, second = await handle.children()
        assert (first.queue, first.tags, second.queue, second.priority) == ("slow", {"n": "1"}, "default", 3)
        assert [entry.key for entry in await handle.activities() if entry.kind == "child"] == ["#0=first", "#1"]


# --- declaring


def test_declared_wrongly(app: Perdure) -> None:
    async def body() -> Spawn[int]: ...

    async def no_spawn() -> int: ...

    def two(joined: Joined[None, int], more: int) -> int: ...

    def untyped(joined) -> int: ...  # type: ignore[no-untyped-def]

    def no_context(ctx, joined: Joined[None, int]) -> int: ...  # type: ignore[no-untyped-def]

    @app.task
    async def text(value: str) -> str: ...

    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (no_spawn, {}, "must return Spawn"),
        (body, {"on_child_failure": "ignore"}, "must be one of cancel_siblings, collect"),
        (body, {"max_parallel": 0}, "must be a whole number from 1"),
        (body, {"max_parallel": True}, "must be a whole number from 1"),
        (body, {"finalize": 3}, "must be a function or a task"),
        (body, {"finalize": two}, "must take one argument, Joined"),
        (body, {"finalize": untyped}, "has no type for 'joined'; annotate its argument with Joined"),
        (body, {"finalize": no_context}, "annotate it: ctx: Context"),
        (body, {"finalize": functools.partial(two, more=1)}, "no function; write a `def` that calls it"),
        (body, {"finalize": text}, "finalize takes str; annotate its argument with Joined"),
        (body, {"unknown": 1}, "has no option 'unknown'"),
    ]
    for function, settings, message in wrong:
        with pytest.raises(ConfigurationError, match=message):
            app.parent_task(**settings)(function)
    assert list(app.tasks) == ["text"]


def test_the_names_of_a_finalizer(app: Perdure) -> None:
    """It is declared beside its parent, aliases too, or neither is."""
    registry = Registry(prefix="mail.")

    def combine(joined: Joined[None, int]) -> int: ...

    async def body() -> Spawn[int]: ...

    registry.parent_task(finalize=combine, name="send", aliases=["old"])(body)
    app.include(registry)
    assert list(app.tasks) == ["mail.send", "old", "mail.send.finalize", "old.finalize"]

    @app.task(name="other.finalize")
    async def taken() -> None: ...

    with pytest.raises(ConfigurationError, match=r"the name 'other.finalize' is taken by task other.finalize"):
        app.parent_task(finalize=combine, name="other")(body)
    assert "other" not in app.tasks


async def test_trees_within_trees_are_told_so_deep_and_no_deeper(app: Perdure) -> None:
    """A result holds all that is below it: without a bound a deep recursion would be stored over and over."""

    @app.parent_task
    async def down(left: int) -> Spawn[int]:
        return Spawn(left, [down.call(left - 1)] if left else [])

    async with TestApp(app):
        for depth in (49, 50, 120):
            found = (await down.run(depth)).children[0]
            for _ in range(49):
                if found.of(down).output == 0:
                    break
                found = found.of(down).children[0]
            if depth <= 50:
                assert found.of(down) == TreeResult(0)
                continue
            assert found.of(down).output == depth - 50
            with pytest.raises(LookupError, match="the output of child 0 is left out"):
                _ = found.of(down).children[0].output
            with pytest.raises(LookupError, match="read execution"):
                found.of(down).children[0].of(down)
            assert "left out" in repr(found.of(down).children[0])
            assert (await app.handle(found.of(down).children[0].execution_id).execution()).status == "completed"


@REPLAYS
async def test_with_a_payload_codec(runs: list[Any], always_replay: bool) -> None:
    """What is stored of inputs, outputs and results is wrapped, also what is stored of the `Spawn`."""
    app = Perdure("memory://", codec=Compress(above=1))
    a = greeter(app, "a", runs)

    def combine(joined: Joined[str, str]) -> list[str]:
        return [joined.input, joined.output, *joined.all(a)]

    @app.parent_task(finalize=combine, max_parallel=1)
    async def parent(name: str) -> Spawn[str]:
        return Spawn("out" * 100, [a.call(name), a.call(name)])

    @app.parent_task
    async def plain(name: str) -> Spawn[str]:
        return Spawn("out", [parent.call(name)])

    steps = app.sequence("steps", plain, app.task(told))
    name = "world" * 100
    expected = [name, "out" * 100, *[f"Hello from task A, {name}!"] * 2]
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await parent.enqueue(name)
        assert await handle.result() == expected
        row = t.faults.storage.get([handle.id])[0]
        assert row is not None
        assert "$codec" in (row.result or "")
        assert all("$codec" in (entry.value or "") for entry in t.faults.storage.journal([handle.id])[0].entries)
        assert await steps.run(name) == expected


async def told(result: TreeResult[str]) -> list[str]:
    return result.children[0].output
