# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What decorators make of functions, bare and with options, on an app and on a registry."""

from collections.abc import Awaitable
from typing import Any, TypeVar, assert_type

from perdure import Activity, BlockingContext, Call, Context, Handle, Perdure, Registry, Retry, Task

app = Perdure()
registry = Registry(prefix="mail.")
T = TypeVar("T")


@app.task
async def bare(number: int, text: str = "") -> float:
    return number + len(text)


@app.task
async def with_context(ctx: Context, number: int, *, text: str = "") -> float:
    return number + ctx.attempt + len(text)


@app.task
def plain(number: int) -> float:
    return number


@app.task
def plain_with_context(ctx: BlockingContext, number: int) -> float:
    return number + ctx.attempt


@app.task(
    name="named", retries=Retry.forever(delay=5), timeout=lambda attempt: 10.0 * attempt, queue="mail", priority=-1
)
async def with_options(ctx: Context, number: int) -> list[float]:
    return [number + ctx.random()]


@app.task(retries=3, deadline=3600, aliases=["older"], max_crashes=2)
def plain_with_options(ctx: BlockingContext, number: int) -> list[float]:
    return [number + ctx.random()]


@app.task()
async def empty_parentheses() -> None: ...


@app.task
async def only_context(ctx: Context) -> str:
    return ctx.execution_id


@registry.task
async def on_registry(number: int) -> bytes:
    return bytes(number)


@registry.activity(memo="call", run_in="thread")
def thread_activity(number: int) -> bytes:
    return bytes(number)


@app.activity
async def embed(text: str, *, size: int = 3) -> list[float]:
    return [float(len(text))] * size


@app.activity
def hashed(text: str) -> bytes:
    return text.encode()


@app.activity(name="fetch", retries=5, timeout=30, on_interrupt="fail", durability="relaxed")
async def fetched(url: str) -> dict[str, int]:
    return {url: 1}


def through_task(task: Task[..., T]) -> Call[T]:
    return task.call(1)


def through_activity(activity: Activity[[str], T], text: str) -> Awaitable[T]:
    return activity.aio(text)


# Tasks are covariant in their result.
mixed: list[Task[..., object]] = [bare, with_options, plain]


def made() -> None:
    assert_type(bare.call(1, text="a"), Call[float])
    assert_type(with_context.call(1, text="a"), Call[float])
    assert_type(plain.call(1), Call[float])
    assert_type(plain_with_context.call(number=1), Call[float])
    assert_type(with_options.call(1), Call[list[float]])
    assert_type(plain_with_options.call(1), Call[list[float]])
    assert_type(empty_parentheses.call(), Call[None])
    assert_type(only_context.call(), Call[str])
    assert_type(on_registry.call(1), Call[bytes])
    assert_type(through_task(with_context), Call[float])
    assert_type(bare.options(id="a", tags={"a": "b"}).call(1), Call[float])
    assert_type(bare.handle("id"), Handle[float])
    assert_type(bare.name, str)
    assert_type([each.name for each in mixed], list[str])


def plain_functions() -> None:
    """Activities outside an execution."""
    assert_type(hashed("a"), bytes)
    assert_type(hashed.options(key="b", retries=2)("a"), bytes)
    assert_type(thread_activity(1), bytes)


async def awaited() -> None:
    assert_type(await embed("a", size=4), list[float])
    assert_type(await embed.aio("a"), list[float])
    assert_type(await embed.options(key="poll-3")("a"), list[float])
    assert_type(await fetched("a"), dict[str, int])
    assert_type(await hashed.aio("a"), bytes)
    assert_type(await hashed.options(key="b").aio("a"), bytes)
    assert_type(await through_activity(hashed, "a"), bytes)


def found() -> None:
    assert_type(registry.tasks, dict[str, Task[..., object]])
    assert_type(registry.activities, dict[str, Activity[..., object]])
    assert_type(app.find_task("bare"), Task[..., object])


# A first parameter that takes anything is no context.


@app.task
async def of_object(value: object, times: int = 1) -> int:
    return len(str(value)) * times


@app.task
async def of_any(value: Any) -> int:
    return len(value)


@app.task
def of_many(*values: object) -> int:
    return len(values)


@app.task(retries=1)
def plain_of_object(value: object) -> int:
    return len(str(value))


def takes_anything() -> None:
    assert_type(of_object.call({}, times=2), Call[int])
    assert_type(of_any.call({}), Call[int])
    assert_type(of_many.call(1, "a", None), Call[int])
    assert_type(plain_of_object.call(1), Call[int])
