"""Input is bound, validated and converted when it is enqueued; what is refused stores nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from perdure import (
    Context,
    ExecutionFailedError,
    InvalidInputError,
    NotSerializableError,
    PayloadTooLargeError,
    Perdure,
    TaskNotFoundError,
)
from perdure.testing import TestApp


@dataclass
class Item:
    name: str
    price: Annotated[float, msgspec.Meta(ge=0)] = 0.0


@dataclass
class Order:
    items: list[Item]


class Model(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)
    count: int = 1


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "'a'"), ((1, 2, 3), {}, "too many"), ((1,), {"z": 1}, "'z'"), ((1,), {"a": 1}, "'a'"),
        (("1",), {}, "'a'"), ((1,), {"b": 5}, "'b'"), ((-1,), {}, "'a'.*>= 0"), ((None,), {}, "'a'"),
    ],
)  # fmt: skip
async def test_a_wrong_number_name_or_type_is_refused_and_nothing_is_stored(
    app: Perdure, args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    @app.task
    async def task(a: Annotated[int, msgspec.Meta(ge=0)], b: str = "x") -> None: ...

    async with TestApp(app):
        for verb in (task.enqueue, task.run):
            with pytest.raises(InvalidInputError, match=words) as caught:
                await verb(*args, **kwargs)
            assert "task task" in str(caught.value)
        with pytest.raises(InvalidInputError, match=words):
            await app.enqueue(app.call("task", *args, **kwargs))
        assert await app.count() == 0


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"items": [{"name": "a"}, {"name": 5}]}, r"items\[1\]\.name"), ({"items": [{"name": "a", "price": -1}]}, "price"),
        ({"items": 5}, "items"), ({}, "items"), ([], "'order'"),
    ],
)  # fmt: skip
async def test_the_field_is_named_by_its_path(app: Perdure, value: Any, path: str) -> None:
    @app.task
    async def task(order: Order) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match=path):
            await task.enqueue(value)


async def test_input_is_converted_by_its_hints(app: Perdure, seen: list[Any]) -> None:
    @app.task
    async def task(ctx: Context, order: Order, model: Model, ratio: float) -> None:
        seen.extend([order, model, ratio])

    async with TestApp(app):
        await task.run({"items": [{"name": "a"}]}, {"name": "xy"}, 1)  # type: ignore[arg-type]
    assert seen == [Order([Item("a")]), Model(name="xy"), 1.0]
    assert type(seen[2]) is float


@pytest.mark.parametrize(("value", "words"), [({"name": "x"}, "name"), ({"name": "xy", "count": "many"}, "count")])
async def test_pydantic_models_and_fields_count(app: Perdure, value: Any, words: str) -> None:
    @app.task
    async def task(model: Model) -> None: ...

    @app.task
    async def field(number: Annotated[int, pydantic.Field(lt=10)]) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match=words):
            await task.enqueue(value)
        with pytest.raises(InvalidInputError, match="'number'"):
            await field.enqueue(10)
        assert await app.count() == 0


@pytest.mark.parametrize("value", [object(), {1, object()}, open, float("nan"), ValueError("x"), "\ud800", {1: 2}])
async def test_unserialisable_input_is_refused_and_nothing_is_stored(app: Perdure, value: Any) -> None:
    @app.task
    async def task(value: Any) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="'value'"):
            await task.enqueue(value)
        with pytest.raises(InvalidInputError):
            await app.enqueue_many([task.call(1), task.call(value)])
        assert await app.count() == 0


def test_a_type_that_cannot_be_stored_is_found_when_declared(app: Perdure) -> None:
    async def takes(value: type) -> None: ...
    async def gives() -> type: ...

    for function in (takes, gives):
        with pytest.raises(NotSerializableError, match="task"):
            app.task(function)
        with pytest.raises(NotSerializableError, match="activity"):
            app.activity(function)
    assert app.tasks == {}


# -- validate= ----------------------------------------------------------------------------------------------------------


async def test_validate_replaces_a_single_value(app: Perdure, seen: list[Any]) -> None:
    def number(text: str) -> str:
        return str(float(text))

    @app.task(validate=number)
    async def task(text: str) -> None:
        seen.append(text)

    async with TestApp(app):
        handle = await task.enqueue("10.50")
        await handle.result()
        assert (await handle.execution()).input == {"text": "10.5"}
        with pytest.raises(InvalidInputError, match="could not convert"):
            await task.enqueue("ten")
        assert await app.count() == 1
    assert seen == ["10.5"]


async def test_validate_replaces_several_values_and_may_be_async(app: Perdure, seen: list[Any]) -> None:
    async def swap(a: int, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return c, b, a

    @app.task(validate=swap)
    async def task(ctx: Context, a: int, b: int = 2, *, c: int = 3) -> None:
        seen.append((a, b, c))

    async with TestApp(app):
        await task.run(1)
        await task.run(1, c=9)
    assert seen == [(3, 2, 1), (9, 2, 1)]


@pytest.mark.parametrize("answer", [(1,), (1, 2, 3), 5, None])
async def test_a_validate_that_answers_another_number_of_values_is_named(app: Perdure, answer: Any) -> None:
    @app.task(validate=lambda a, b: answer)
    async def task(a: int, b: int) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="validate must return 2 values, for a, b"):
            await task.enqueue(1, 2)


async def test_what_validate_returns_is_checked_too(app: Perdure) -> None:
    @app.task(validate=lambda a: "text")
    async def task(a: int) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="'a'"):
            await task.enqueue(1)


async def test_a_single_parameter_may_be_a_tuple(app: Perdure, seen: list[Any]) -> None:
    @app.task(validate=lambda pair: (pair[1], pair[0]))
    async def task(pair: tuple[int, int]) -> None:
        seen.append(pair)

    async with TestApp(app):
        await task.run((1, 2))
    assert seen == [(2, 1)]


async def test_validate_of_a_task_without_parameters(app: Perdure, seen: list[Any]) -> None:
    def refuse() -> tuple[()]:
        seen.append("asked")
        return ()

    @app.task(validate=refuse)
    async def task() -> int:
        return 1

    async with TestApp(app):
        assert await task.run() == 1
    assert seen == ["asked"]


async def test_any_error_of_validate_is_invalid_input(app: Perdure) -> None:
    def broken(a: int) -> int:
        raise KeyError("deep inside")

    @app.task(validate=broken)
    async def task(a: int) -> None: ...

    async with TestApp(app):
        with pytest.raises(InvalidInputError, match="deep inside") as caught:
            await task.enqueue(1)
        assert isinstance(caught.value.__cause__, KeyError)
        assert await app.count() == 0


async def test_an_unknown_task_is_named_with_the_nearest(app: Perdure) -> None:
    @app.task
    async def send_email() -> None: ...

    async with TestApp(app):
        with pytest.raises(TaskNotFoundError, match="'send_emial'.*did you mean 'send_email'"):
            app.call("send_emial")
        with pytest.raises(TaskNotFoundError, match="'other'"):
            app.call("other")


# -- sizes --------------------------------------------------------------------------------------------------------------


async def test_large_input_is_refused_at_enqueue(app: Perdure) -> None:
    @app.task
    async def task(text: str) -> int:
        return len(text)

    async with TestApp(app):
        assert await task.run("x" * ((1 << 20) - 11)) == (1 << 20) - 11
        with pytest.raises(PayloadTooLargeError, match=r"1048576 bytes; see Sizes\(input"):
            await task.enqueue("x" * ((1 << 20) - 10))
        with pytest.raises(PayloadTooLargeError):
            await task.enqueue("ü" * (1 << 19))
        assert await app.count() == 1


@pytest.mark.parametrize("where", ["task", "activity"])
async def test_a_large_result_fails_without_retry_and_neighbours_go_on(
    app: Perdure, where: str, seen: list[Any]
) -> None:
    @app.activity(retries=3)
    async def act(size: int) -> str:
        return "ü" * size if where == "activity" else ""

    @app.task(retries=3)
    async def task(size: int) -> str:
        seen.append(size)
        await act(size)
        return "ü" * size if where == "task" else ""

    async with TestApp(app):
        handles = await app.enqueue_many([task.call(10), task.call(1 << 20), task.call(20)])
        ends = [await handle.wait() for handle in handles]
        assert [end.status for end in ends] == ["completed", "failed", "completed"]
        failure = ends[1].failure
        assert failure is not None
        assert (failure.kind, failure.type, failure.retryable) == ("too_large", "PayloadTooLargeError", False)
        assert "Sizes(result=" in failure.message
    assert seen.count(1 << 20) == 1


async def test_a_result_that_does_not_fit_its_hint_fails_without_retry(app: Perdure, seen: list[Any]) -> None:
    @app.task(retries=3)
    async def task() -> int:
        seen.append(1)
        return "text"  # type: ignore[return-value]

    async with TestApp(app):
        with pytest.raises(ExecutionFailedError, match="result of task task"):
            await task.run()
    assert len(seen) == 1


MISSING: Any = object()


@pytest.mark.parametrize("checked", [False, True])
async def test_a_default_passes_as_it_is_whatever_its_hint_says(app: Perdure, seen: list[Any], checked: bool) -> None:
    def same(a: int, b: int = None, c: Item = MISSING, d: float = 1) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return a, b, c, d

    @app.task(validate=same if checked else lambda a, b, c, d: (a, b, c, d))
    async def other(a: int, b: int = None, c: Item = MISSING, d: float = 1) -> None:  # type: ignore[assignment]  # noqa: RUF013
        seen.append((a, b, c, d))

    @app.task
    async def task() -> None:
        await other(1)
        await other(1, b=2, d=3)

    async with TestApp(app):
        await other.run(1)
        await task.run()
        handle = await other.enqueue(1)
        await handle.result()
        assert (await handle.execution()).input == {"a": 1, "d": 1.0}
        for wrong in ({"b": "x"}, {"c": None}):
            with pytest.raises(InvalidInputError):
                await other.enqueue(1, **wrong)
    assert seen == [(1, None, MISSING, 1.0), (1, None, MISSING, 1.0), (1, 2, MISSING, 3.0), (1, None, MISSING, 1.0)]


async def test_a_default_of_an_activity_passes_as_it_is_too(app: Perdure, seen: list[Any]) -> None:
    app = Perdure("memory://", queues=["default", "other"])

    @app.activity(queue="other")
    async def elsewhere(a: int, b: int = None) -> None:  # type: ignore[assignment]  # noqa: RUF013
        seen.append((a, b))

    @app.activity
    async def here(a: int, b: int = None) -> None:  # type: ignore[assignment]  # noqa: RUF013
        seen.append((a, b))

    @app.task(retries=0)
    async def task() -> None:
        await elsewhere(1)
        await here(1)

    async with TestApp(app):
        await task.run()
    assert seen == [(1, None), (1, None)]
