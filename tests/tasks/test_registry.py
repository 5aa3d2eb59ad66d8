"""Declaring: names, duplicates, aliases, and registries of other modules."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from perdure import AppClosedError, ConfigurationError, Context, Perdure, Registry
from perdure.testing import TestApp


def test_the_default_name_is_the_functions(app: Perdure) -> None:
    @app.task
    async def one() -> None:
        """What it does."""

    @app.activity()
    async def two() -> None: ...

    @app.task(name="three.renamed")
    def other() -> None: ...

    assert (one.name, two.name, other.name) == ("one", "two", "three.renamed")
    assert one.__doc__ == "What it does."
    assert list(app.tasks) == ["one", "three.renamed"]
    assert list(app.activities) == ["two"]


def test_fn_is_the_undecorated_function(app: Perdure) -> None:
    async def body(number: int) -> int:
        return number

    assert app.task(body).fn is body
    assert app.task(name="b")(body).fn is body


def test_a_duplicate_name_is_refused_when_declared(app: Perdure) -> None:
    @app.task(aliases=["old"])
    async def one() -> None: ...

    async def fresh() -> None: ...

    for name in ("one", "old"):
        with pytest.raises(ConfigurationError, match=f"{name!r} is taken by task one"):
            app.task(name=name)(fresh)
        with pytest.raises(ConfigurationError, match=f"{name!r} is taken by task one"):
            app.activity(name=name)(fresh)
    with pytest.raises(ConfigurationError, match="'old' is taken"):
        app.task(name="two", aliases=["new", "old"])(fresh)
    assert list(app.tasks) == ["one", "old"]
    app.task(name="two", aliases=["new"])(fresh)


@pytest.mark.parametrize("aliases", ["old", 5, [5], ["a b"], {"a": 1}])
def test_aliases_are_a_list_of_names(app: Perdure, aliases: Any) -> None:
    async def body() -> None: ...

    with pytest.raises(ConfigurationError, match="alias"):
        app.task(aliases=aliases)(body)
    with pytest.raises(ConfigurationError, match="alias"):
        app.activity(aliases=aliases)(body)


async def test_aliases_keep_old_names_answering(app: Perdure) -> None:
    @app.task(aliases=["old", "older"])
    async def task(number: int) -> int:
        return number

    async with TestApp(app):
        handle = await app.enqueue(app.call("older", 5))
        assert await handle.result() == 5
        assert (await handle.execution()).task_name == "task"


@pytest.mark.parametrize("wrong", [5, "text", None, int, print.__self__])
def test_only_functions_can_be_declared(app: Perdure, wrong: Any) -> None:
    if wrong is None:
        return
    with pytest.raises(ConfigurationError, match="decorates a function"):
        app.task(wrong)
    with pytest.raises(ConfigurationError, match="decorates a function"):
        app.task(name="x")(wrong)


class Callee:
    def __call__(self, number: int) -> int: ...


@pytest.mark.parametrize("wrong", [functools.partial(max, 1), Callee()])
def test_what_has_no_hints_of_its_own_is_no_function(app: Perdure, wrong: Any) -> None:
    for declare in (
        app.task(name="x"),
        app.activity(name="x"),
        functools.partial(app.loop, "x"),
        app.parent_task(name="x"),
    ):
        with pytest.raises(ConfigurationError, match=r"x is .*, no function; write a `def` that calls it"):
            declare(wrong)


def test_a_generator_is_no_task(app: Perdure) -> None:
    async def later():  # type: ignore[no-untyped-def]
        yield 1

    def now():  # type: ignore[no-untyped-def]
        yield 1

    for function in (later, now):
        with pytest.raises(ConfigurationError, match="generator"):
            app.task(function)


def test_the_wrong_context_is_refused_when_declared(app: Perdure) -> None:
    from perdure import BlockingContext

    async def one(ctx: BlockingContext) -> None: ...
    def two(ctx: Context) -> None: ...

    with pytest.raises(ConfigurationError, match="annotate Context"):
        app.task(one)
    with pytest.raises(ConfigurationError, match="annotate BlockingContext"):
        app.task(two)


# -- registries ---------------------------------------------------------------------------------------------------------


async def test_an_included_registry_runs_in_the_app(app: Perdure) -> None:
    registry = Registry(prefix="mail.")

    @registry.activity
    async def render(name: str) -> str:
        return f"Dear {name}"

    @registry.task
    async def send(name: str) -> str:
        return await render(name)

    with pytest.raises(AppClosedError):
        await send.enqueue("a")
    app.include(registry)
    with pytest.raises(AppClosedError):
        await send.enqueue("a")
    async with TestApp(app):
        handle = await send.enqueue("you")
        assert await handle.result() == "Dear you"
        assert (await handle.execution()).task_name == "mail.send"
        assert [entry.name for entry in await handle.activities()] == ["mail.render"]
        assert await app.run(app.call("mail.send", "x")) == "Dear x"
        assert await send.handle(handle.id).result() == "Dear you"


async def test_what_is_declared_after_the_include_counts_too(app: Perdure) -> None:
    registry, outer = Registry(), Registry(prefix="outer.")
    app.include(outer)
    outer.include(registry)

    @registry.task
    async def late() -> int:
        return 1

    assert app.find_task("late") is late
    async with TestApp(app):
        assert await late.run() == 1


def test_a_name_taken_by_the_app_is_refused_in_the_registry_too(app: Perdure) -> None:
    registry = Registry()

    @app.task
    async def one() -> int:
        return 1

    async def other() -> int:
        return 2

    app.include(registry)
    with pytest.raises(ConfigurationError, match="'one' is taken"):
        registry.task(name="one")(other)
    assert app.find_task("one") is one


def test_an_include_with_a_name_that_is_taken_is_refused_and_changes_nothing(app: Perdure) -> None:
    registry = Registry()

    @app.task
    async def one() -> None: ...

    @registry.task
    async def zero() -> None: ...

    @registry.activity(name="one")
    async def act() -> None: ...

    with pytest.raises(ConfigurationError, match="'one'"):
        app.include(registry)
    assert list(app.tasks) == ["one"]


def test_a_registry_cannot_include_itself(app: Perdure) -> None:
    one, two = Registry(), Registry()
    one.include(two)
    for inner, outer in ((one, one), (one, two)):
        with pytest.raises(ConfigurationError, match="itself"):
            outer.include(inner)


def test_a_bad_prefix_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        Registry(prefix="a b")


async def test_a_registry_in_two_apps_belongs_to_the_one_that_is_open(app: Perdure) -> None:
    registry, other = Registry(), Perdure("memory://")

    @registry.task
    async def task() -> int:
        return 1

    app.include(registry)
    other.include(registry)
    async with TestApp(app):
        assert await task.run() == 1
        async with TestApp(other):
            with pytest.raises(ConfigurationError, match="several open apps"):
                await task.run()
            assert await other.run(task.call()) == 1
            assert await app.run(task.call()) == 1
        assert await task.run() == 1
