# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Parent tasks and sequences: what is inferred of the contract's examples and around them."""

from dataclasses import dataclass
from typing import Any, assert_type

from perdure import BlockingContext, Context, Joined, Perdure, Registry, Retry, Spawn, TreeResult

app = Perdure()


@dataclass
class Upload:
    path: str


@dataclass
class Uploaded:
    size: int


@dataclass
class Summary:
    size: int
    title: str
    words: list[str]


@app.task
async def extract_title(path: str) -> str: ...


@app.task
def summarize(path: str, words: int = 10) -> list[str]: ...


async def combine(ctx: Context, joined: Joined[Upload, Uploaded]) -> Summary:
    assert_type(joined.input, Upload)
    assert_type(joined.all(summarize), list[list[str]])
    assert_type(joined.children[0].of(extract_title), str)
    assert_type(joined.children[0].output, Any)
    return Summary(joined.output.size, joined.one(extract_title), joined.one(summarize))


@app.parent_task(finalize=combine, timeout=60, on_child_failure="cancel_siblings")
async def upload_file(ctx: Context, upload: Upload) -> Spawn[Uploaded]:
    return Spawn(output=Uploaded(100), children=[extract_title.call(upload.path), summarize.call(upload.path)])


@app.parent_task
async def bare(upload: Upload, *, more: int = 1) -> Spawn[int]:
    return Spawn(more, (extract_title.call(upload.path) for _ in range(more)))


@app.parent_task(max_parallel=3, retries=Retry.none())
def with_options(ctx: BlockingContext, upload: Upload) -> Spawn[int]:
    return Spawn(3)


def count(joined: Joined[Upload, int]) -> int:
    return joined.output


def blocking_count(ctx: BlockingContext, joined: Joined[Upload, int]) -> float:
    return joined.output


@app.parent_task(finalize=count)
def counted(upload: Upload) -> Spawn[int]:
    return Spawn(3)


@app.parent_task(finalize=blocking_count)
def counted_blocking(ctx: BlockingContext, upload: Upload) -> Spawn[int]:
    return Spawn(3)


def last(joined: Joined[Joined[Upload, int], str]) -> bytes:
    return f"{joined.input.output}{joined.output}".encode()


@app.parent_task(finalize=last)
async def second(joined: Joined[Upload, int]) -> Spawn[str]:
    return Spawn(joined.input.path)


@app.parent_task(finalize=second)
async def first(upload: Upload) -> Spawn[int]:
    return Spawn(1)


@app.parent_task(finalize=count)  # type: ignore[arg-type]
async def wrong_output(upload: Upload) -> Spawn[str]:
    return Spawn("")


@app.task
async def length(text: str) -> int: ...


@app.task
async def half(number: int, by: int = 2) -> float: ...


@app.task
async def starts(path: str, *, flag: bool = False) -> str: ...


two = app.sequence("two", starts, length)
three = Registry().sequence("three", starts, length, half, queue="slow")


async def calls() -> None:
    assert_type(await upload_file.run(Upload("a")), Summary)
    assert_type(await bare.run(Upload("a"), more=2), TreeResult[int])
    assert_type(await with_options.run(Upload("a")), TreeResult[int])
    assert_type(await counted.run(Upload("a")), int)
    assert_type(await counted_blocking.run(Upload("a")), float)
    assert_type(await first.run(Upload("a")), bytes)
    assert_type((await bare.run(Upload("a"))).one(extract_title), str)
    assert_type(await two.run("a", flag=True), int)
    assert_type(await three.run("a"), float)
    app.sequence("wrong", length, starts)  # type: ignore[call-overload]
    await two.run(1)  # type: ignore[arg-type]
