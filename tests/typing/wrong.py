# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Wrong calls. Each line must be an error: a comment that ignores nothing is one itself."""

from datetime import timedelta
from typing import Any

from perdure import BlockingContext, Context, Handle, Perdure, Registry, Signal, Task

app = Perdure("memory://")


@app.task
async def count(ctx: Context, words: list[str], *, longest: int = 10) -> int:
    return len(words) + longest + ctx.attempt


@app.task
def spell(number: int) -> str:
    return str(number)


@app.activity
async def fetch(url: str) -> bytes:
    return url.encode()


@app.activity
def measure(data: bytes) -> int:
    return len(data)


go = Signal("go", int)
approval = app.external_task("approval", int)


async def answers() -> None:
    await approval.enqueue(1)  # pyright: ignore[reportArgumentType]
    await approval()  # pyright: ignore[reportCallIssue]
    await approval.complete("k", "1")  # pyright: ignore[reportArgumentType]
    await approval.complete("k")  # pyright: ignore[reportCallIssue]
    await approval.fail("k", 1)  # pyright: ignore[reportArgumentType]
    app.external_task("other", int, retries=3)  # pyright: ignore[reportCallIssue]


async def arguments() -> None:
    await count.enqueue("a")  # pyright: ignore[reportArgumentType]
    await count.enqueue()  # pyright: ignore[reportCallIssue]
    await count.run(["a"], shortest=1)  # pyright: ignore[reportCallIssue]
    count.call(None, ["a"])  # pyright: ignore[reportCallIssue]
    spell.call("1")  # pyright: ignore[reportArgumentType]
    spell.options(idd="a")  # pyright: ignore[reportCallIssue]
    spell.options(priority="high")  # pyright: ignore[reportArgumentType]
    spell.options(tags=["a"])  # pyright: ignore[reportArgumentType]
    await fetch(1)  # pyright: ignore[reportArgumentType]
    await measure.aio("a")  # pyright: ignore[reportArgumentType]
    fetch.options(memo="never")  # pyright: ignore[reportArgumentType]
    Perdure(lease="15")  # pyright: ignore[reportArgumentType]
    Registry(1)  # pyright: ignore[reportArgumentType]


async def results(handle: Handle[int]) -> None:
    text: str = await handle.result()  # pyright: ignore[reportAssignmentType]
    text = await count.run([])  # pyright: ignore[reportAssignmentType]
    text = await app.run(count.call([]))  # pyright: ignore[reportAssignmentType]
    print(text)
    await app.run(count)  # pyright: ignore[reportArgumentType]
    await app.enqueue_many(count.call([]))  # pyright: ignore[reportArgumentType]
    await measure(b"a")  # pyright: ignore[reportGeneralTypeIssues]
    fetch("a") + b"b"  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
    await handle.signal(go, "1")  # pyright: ignore[reportCallIssue, reportArgumentType]
    await handle.result(timeout="1")  # pyright: ignore[reportArgumentType]
    narrower: Task[[int], bytes] = spell  # pyright: ignore[reportAssignmentType]
    print(narrower)


@app.task
async def body(ctx: Context) -> None:
    await ctx.sleep("1")  # pyright: ignore[reportArgumentType]
    ctx.sleep(1)  # pyright: ignore[reportUnusedCoroutine]
    spell(1)  # pyright: ignore[reportUnusedCoroutine]
    number: int = await ctx.run(spell.call(1))  # pyright: ignore[reportAssignmentType]
    number = await ctx.wait_for("go", str)  # pyright: ignore[reportAssignmentType]
    number = await ctx.wait_for("go")  # pyright: ignore[reportAssignmentType]
    text: str = await ctx.wait_for(go)  # pyright: ignore[reportAssignmentType]
    await ctx.wait_for(go, int)  # pyright: ignore[reportArgumentType]
    await ctx.map(fetch, [1])  # pyright: ignore[reportArgumentType]
    await ctx.map(len, ["a"])  # pyright: ignore[reportArgumentType]
    numbers: list[int] = await ctx.map(measure, [b""], tolerate=1)  # pyright: ignore[reportAssignmentType]
    await ctx.record(fetch, 1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.record(fetch)  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.run(spell(1))  # pyright: ignore[reportArgumentType]
    print(number, text, numbers)


@app.task
def blocking_body(ctx: BlockingContext) -> None:
    ctx.run(spell.call("1"))  # pyright: ignore[reportArgumentType]
    ctx.record(fetch, 1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.map(measure, ["a"])  # pyright: ignore[reportArgumentType]
    text: str = ctx.wait_for(go)  # pyright: ignore[reportAssignmentType]
    text = ctx.spawn(count.call([])).result()  # pyright: ignore[reportAssignmentType]
    ctx.spawn(count.call([])).signal(go, "1")  # pyright: ignore[reportCallIssue, reportArgumentType]
    print(text)


@app.task(retires=3)  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
async def misspelt_option() -> None: ...


@app.task(timeout="1h")  # pyright: ignore[reportArgumentType]
async def wrong_option() -> None: ...


@app.activity(memo="never", timeout=timedelta(seconds=1))  # pyright: ignore[reportArgumentType]
async def wrong_memo() -> None: ...


def synchronous(value: Any) -> None:
    with app as client:
        client.run(count.call(1))  # pyright: ignore[reportArgumentType]
        text: str = client.enqueue(count.call([])).result()  # pyright: ignore[reportAssignmentType]
        client.enqueue(spell.call(value)).signal(go, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
        print(text)
