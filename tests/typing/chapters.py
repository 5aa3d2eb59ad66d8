# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Loops and task lists, as users write them: every result type is inferred, but `ListItem.value` and `ctx.prepared`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from perdure import (
    Abort,
    BlockingContext,
    Context,
    Continue,
    Done,
    Handle,
    ListItem,
    LoopResult,
    Perdure,
    Registry,
    Retry,
    Task,
)

app = Perdure("memory://")


@dataclass
class Page:
    number: int


async def read(ctx: Context, page: Page) -> Continue | Done[str]:
    if assert_type(ctx.iteration, int) > 3:
        return Done("found")
    return Continue(Page(page.number + 1))


def read_blocking(ctx: BlockingContext, number: int = 1) -> Done[int] | Continue:
    return Done(number) if ctx.iteration else Continue()


async def poll(job: str) -> Continue | Done[float] | Abort:
    return Abort("never") if job else Done(1.0)


def plain() -> Continue | Done[None]:
    return Continue()


reading = app.loop("read", read, max_iterations=10, delay=5, retries=3, queue="slow")
polling = app.loop("poll", poll, delay=lambda iteration: iteration * 1.5)
assert_type(app.loop("plain", plain, delay=timedelta(minutes=1)), Task[[], LoopResult[None]])
blocking = Registry().loop("blocking", read_blocking)


@app.task
async def create_user(ctx: Context, name: str) -> int:
    assert_type(ctx.seq, int)
    assert_type(ctx.list_id, str)
    assert_type(ctx.prepared, Any)
    assert_type(await ctx.item(0), ListItem)
    return len(name)


@create_user.prepare
async def token(ctx: Context) -> str:
    return ctx.list_id


@app.task
def send_email(ctx: BlockingContext, to: str) -> str | Abort:
    assert_type(ctx.item("user"), ListItem)
    return to


async def main() -> None:
    assert_type(await reading.run(Page(1)), LoopResult[str])
    assert_type((await reading.run(Page(1))).value, str | None)
    assert_type(await polling.run(job="a"), LoopResult[float])
    assert_type(await blocking.run(number=2), LoopResult[int])
    handle = await app.enqueue_list(
        "signup-42", [create_user.call("a"), send_email.call("a")], retries=Retry.forever(delay=5)
    )
    assert_type(handle, Handle[list[ListItem]])
    for item in await handle.result():
        assert_type(item.value, Any)
        assert_type(item.seq, int)
    named = await app.enqueue_list("other", {"user": create_user.call("a"), "mail": send_email.call("a")}, priority=2)
    assert_type(await named.result(), list[ListItem])
    assert_type(await app.list_item("signup-42", 0), ListItem)
    await reading.run("a")  # pyright: ignore[reportArgumentType]
    await app.enqueue_list("wrong", [create_user])  # pyright: ignore[reportArgumentType]


def synchronous() -> None:
    with app as client:
        assert_type(client.enqueue_list("l", [create_user.call("a")]).result(), list[ListItem])
        assert_type(client.list_item("l", "create_user"), ListItem)
