"""`codec=` end to end: what is stored is compressed, encrypted or offloaded, and everything reads as before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from perdure import Context, ExecutionFailedError, Perdure
from perdure.codec import Chain, Compress, Encrypt, Offload, PayloadCodec
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

SECRET = "a most secret text " * 20
KEYS = {"one": os.urandom(32), "two": os.urandom(32)}


def codecs(folder: Path) -> dict[str, PayloadCodec]:
    return {
        "compress": Compress(above=10),
        "encrypt": Encrypt(KEYS, "one"),
        "offload": Offload(folder, above=10),
        "all": Chain(Compress(above=10), Encrypt(KEYS, "one"), Offload(folder, above=10)),
    }


@pytest.fixture(params=["compress", "encrypt", "offload", "all"])
def codec(request: pytest.FixtureRequest, tmp_path: Path) -> PayloadCodec:
    return codecs(tmp_path)[request.param]


def declare(app: Perdure) -> Any:
    """A task that uses everything that is stored."""

    @app.activity
    async def act(text: str) -> str:
        return text + " recorded"

    @app.task
    async def other(text: str) -> str:
        return text + " child"

    @app.task
    async def task(ctx: Context, text: str) -> list[str]:
        ctx.now()
        found = [await act(text), await other(text)]
        await (await ctx.spawn(other.call(text))).result()
        free = await other.options(key="free").enqueue(text)
        await app.handle(free.id).signal("unasked", text)
        ctx.progress(1, 2, "half")
        await ctx.sleep(100)
        return [*found, await ctx.wait_for("x", str), await ctx.record(lambda: text + " ad hoc", key="k")]

    return task


EXPECTED = [SECRET + " recorded", SECRET + " child", SECRET + " signal", SECRET + " ad hoc"]


@pytest.mark.parametrize("always_replay", [False, True])
async def test_everything_reads_as_without(codec: PayloadCodec, always_replay: bool) -> None:
    app = Perdure("memory://", codec=codec)
    task = declare(app)
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue(SECRET)
        await t.advance(50)
        await handle.signal("x", SECRET + " signal")
        assert await handle.result() == EXPECTED
        execution = await handle.execution()
        assert (execution.input, execution.result) == ({"text": SECRET}, EXPECTED)
        values = {entry.name: entry.value for entry in await handle.activities()}
        assert (values["act"], values["x"], values["other"]) == (EXPECTED[0], EXPECTED[2], EXPECTED[1])
        assert len(await handle.children()) == 2
        assert [event.execution.status async for event in handle.watch()] == ["completed"]
        key = next(entry.key for entry in await handle.activities() if entry.name == "x")
        fork = await handle.fork(from_activity=key, input={"text": SECRET})
        await fork.signal("x", SECRET + " signal")
        assert await fork.result() == EXPECTED
        assert task.options(id=handle.id) is not None
        assert "most secret" not in stored(t)


def stored(t: TestApp) -> str:
    """All that the storage holds, as one text."""
    storage = t.faults.storage
    from perdure.model.query import Query

    found = storage.search(Query(()), "oldest", 1000, None, t.clock.now())
    return repr([found.rows, storage.journal([row.id for row in found.rows])])


async def test_without_a_codec_the_stored_text_can_be_read(app: Perdure) -> None:
    task = declare(app)
    async with TestApp(app) as t:
        handle = await task.enqueue(SECRET)
        await t.advance(50)
        await handle.signal("x", "")
        await handle.result()
        assert SECRET in stored(t)


async def test_a_key_is_changed_by_adding_one() -> None:
    before = Perdure("memory://", codec=Encrypt({"one": KEYS["one"]}, "one"))
    after = Perdure("memory://", codec=Encrypt(KEYS, "two"))
    task, again = declare(before), declare(after)
    async with TestApp(before) as t:
        handle = await task.enqueue(SECRET)
        await t.advance(50)
    async with redeployed(t, after) as t:
        await after.handle(handle.id).signal("x", SECRET + " signal")
        assert await again.handle(handle.id).result() == EXPECTED


async def test_a_missing_key_is_drift_and_consumes_nothing() -> None:
    before = Perdure("memory://", codec=Encrypt({"one": KEYS["one"]}, "one"))
    after = Perdure("memory://", codec=Encrypt({"two": KEYS["two"]}, "two"))
    third = Perdure("memory://", codec=Encrypt(KEYS, "two"))
    task = declare(before)
    declare(after)
    again = declare(third)
    async with TestApp(before) as t:
        handle = await task.enqueue(SECRET)
        await t.advance(50)
    async with redeployed(t, after) as t:
        await t.advance(200)
        row = t.faults.storage.get([handle.id])[0]
        assert row is not None
        assert (row.status, row.attempt) == ("pending", 0)
        assert "'one', which is not listed" in (row.failure or "")
    async with redeployed(t, third) as t:
        await third.handle(handle.id).signal("x", SECRET + " signal")
        assert await again.handle(handle.id).result() == EXPECTED


async def test_failures_stay_readable_and_are_not_payloads() -> None:
    app = Perdure("memory://", codec=Encrypt(KEYS, "one"))

    @app.task(retries=0)
    async def task(text: str) -> None:
        raise ValueError("what went wrong")

    async with TestApp(app):
        handle = await task.enqueue(SECRET)
        with pytest.raises(ExecutionFailedError, match="what went wrong"):
            await handle.result()
        assert await app.count("error:wrong") == 1


async def test_ids_are_compared_by_what_they_stand_for_and_not_by_what_is_stored() -> None:
    app = Perdure("memory://", codec=Encrypt(KEYS, "one"))

    @app.task
    async def task(text: str) -> str:
        return text

    async with TestApp(app):
        first = await task.options(id="k").enqueue(SECRET)
        assert await task.options(id="k").enqueue(SECRET) == first


async def test_sizes_are_those_of_the_value_and_not_of_what_is_stored(tmp_path: Path) -> None:
    from perdure import PayloadTooLargeError, Sizes

    app = Perdure("memory://", codec=Compress(above=10), sizes=Sizes(input=1000))

    @app.task
    async def task(text: str) -> int:
        return len(text)

    async with TestApp(app):
        with pytest.raises(PayloadTooLargeError):
            await task.enqueue("x" * 5000)
