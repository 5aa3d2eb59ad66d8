# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Tasks, handles and apps from outside an execution, with and without `await`."""

from datetime import timedelta
from typing import Any, assert_type

from perdure import Call, Context, Execution, Failure, Handle, Page, Perdure, Signal

app = Perdure("memory://")


@app.task
async def count(ctx: Context, words: list[str], *, longest: int = 10) -> int:
    return len(words) + longest + ctx.attempt


@app.task
def spell(number: int) -> str:
    return str(number)


go = Signal("go", int)
maybe: Signal[int | None] = Signal("maybe", int | None)


async def tasks() -> None:
    assert_type(await count.enqueue(["a"], longest=3), Handle[int])
    assert_type(await spell.enqueue(1), Handle[str])
    assert_type(await count.run(["a"]), int)
    assert_type(await spell.run(number=1), str)
    assert_type(await spell.options(id="a", retries=2, start_delay=timedelta(minutes=1)).run(1), str)
    assert_type(await spell.handle("a").result(), str)


async def apps() -> None:
    assert_type(await app.run(count.call(["a"])), int)
    assert_type(await app.enqueue(spell.call(1)), Handle[str])
    assert_type(await app.enqueue_many([spell.call(1)] * 3), list[Handle[str]])
    assert_type(await app.enqueue_many([spell.call(1), count.call([])]), list[Handle[str | int]])
    assert_type(await app.handle("a").result(), Any)
    assert_type(await app.count("status:failed"), int)
    assert_type(await app.cancel_all("task:count", dry_run=True), int)
    page: Page[Execution[object]] = await app.search()
    for execution in page:
        assert_type(execution, Execution[object])


async def handles(handle: Handle[str]) -> None:
    assert_type(await handle.result(timeout=3), str)
    assert_type(await handle.wait(), Execution[str])
    execution = await handle.execution()
    assert_type(execution.result, str | None)
    assert_type(execution.failure, Failure | None)
    assert_type(await handle.fork(from_activity="a", input=1), Handle[str])
    assert_type(await handle.children(), list[Execution[object]])
    assert_type(await handle.cancel("enough"), None)
    assert_type(await handle.retry(), None)
    await handle.signal(go, 3)
    await handle.signal(maybe, None)
    await handle.signal("go", 3)
    await handle.signal("go")
    async for event in handle.watch():
        assert_type(event.execution, Execution[object])
    await widened(handle, await handle.execution())


async def widened(handle: Handle[object], execution: Execution[object]) -> None:  # both are covariant
    assert_type(await handle.result(), object)
    assert_type(execution.result, object | None)


def blocking() -> None:
    with app as client:
        handle = client.enqueue(spell.call(1))
        assert_type(handle.result(), str)
        assert_type(handle.wait(timeout=timedelta(minutes=1)), Execution[str])
        assert_type(handle.execution().result, str | None)
        assert_type(handle.fork().result(), str)
        assert_type(handle.children(), list[Execution[object]])
        assert_type(handle.handle, Handle[str])
        handle.signal(go, 3)
        handle.signal("go", "3")
        for event in handle.watch():
            assert_type(event.execution, Execution[object])
        assert_type(client.run(count.call(["a"])), int)
        assert_type(client.call("spell", 1), Call[object])
        assert_type(client.run(client.call("spell", 1)), object)
        assert_type(client.count(), int)
        assert_type([each.id for each in client.search("task:spell")], list[str])
