# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The examples of sections 1 and 2 of the API contract, as users write them: every result type is inferred."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from perdure import (
    BlockingContext,
    Call,
    Context,
    Execution,
    Failure,
    Handle,
    Page,
    Perdure,
    Registry,
    Retry,
    Signal,
    Sizes,
    current_context,
)
from perdure.model.execution import Answer
from perdure.styles.external import ExternalTask

app = Perdure("sqlite:///jobs.db")


@dataclass
class Decision:
    accepted: bool


@app.activity(retries=5, timeout=30)
async def embed_document(document_id: str) -> int:
    return len(document_id)


@app.task
async def embed_documents(document_ids: list[str]) -> int:
    total = 0
    for document_id in document_ids:
        total += assert_type(await embed_document(document_id), int)
    return total


@app.task
async def other(number: int) -> float:
    return number / 2


consent = app.external_task("approval", Decision, timeout=timedelta(days=2))
maybe: ExternalTask[int | None] = app.external_task("maybe", int | None)


@app.task
async def release(key: str) -> bool:
    return assert_type(await consent(key), Decision).accepted


async def answered() -> None:
    assert_type(consent, ExternalTask[Decision])
    assert_type(await consent.enqueue("k"), Handle[Decision])
    assert_type(await consent.run("k"), Decision)
    assert_type(consent.call("k"), Call[Decision])
    assert_type(consent.options(timeout=3), ExternalTask[Decision])
    assert_type(await consent.complete("k", Decision(True)), Answer[Decision])
    assert_type((await consent.fail("k", "why")).value, Decision | None)
    assert_type(await app.complete("approval", "k", Decision(True)), Answer[object])
    assert_type(await app.fail("approval", "k", "why"), Answer[object])
    assert_type(await maybe.complete("k", None), Answer[int | None])
    assert_type(await maybe.run("k"), int | None)
    with app as client:
        assert_type(client.complete("approval", "k", Decision(True)), Answer[object])
        assert_type(client.fail("approval", "k", "why"), Answer[object])


async def opened() -> None:
    async with app:
        handle = await embed_documents.enqueue(["a", "b"])
        assert_type(handle, Handle[int])
        assert_type(await handle.result(), int)
        assert_type(await embed_documents.run(["a", "b"]), int)
    async with app as same:
        assert_type(same, Perdure)
    async with app.connect() as same:
        assert_type(same, Perdure)
    await app.start(worker=True)
    await app.close(drain=30)
    assert_type(await app.worker(concurrency=10, queues=["default"]).run(), None)


def synchronous() -> None:
    with app as client:
        handle = client.enqueue(embed_documents.call(["a"]))
        assert_type(handle.result(timeout=5), int)
        assert_type(client.run(embed_documents.call(["a"])), int)
        assert_type(client.handle("id").result(), Any)
    with app.connect() as client:
        assert_type([each.result() for each in client.enqueue_many([other.call(1)])], list[float])
        assert_type(client.search("status:failed"), Page[Execution[object]])


def configured() -> Perdure:
    return Perdure(
        None, storage=None, schema="perdure", concurrency=100, queues=("default",), retries=Retry(), retention=None,
        lease=15, poll=1.0, drain=timedelta(seconds=30), sizes=Sizes(), codec=None, telemetry=True,
    )  # fmt: skip


def included(registry: Registry) -> None:
    app.include(registry)


async def verbs() -> None:
    assert_type(await app.enqueue(other.call(1)), Handle[float])
    assert_type(await app.run(other.call(1)), float)
    assert_type(await app.enqueue_many([other.call(1), other.call(2)]), list[Handle[float]])
    assert_type(app.handle("id"), Handle[Any])
    assert_type(app.call("other", 1), Call[object])
    assert_type(await app.run(app.call("other", number=1)), object)
    page = await app.search("status:failed", limit=10)
    assert_type(page.items, tuple[Execution[object], ...])
    assert_type([each.id for each in page], list[str])


@app.task
async def inside(ctx: Context, ids: list[str]) -> None:
    await ctx.sleep(timedelta(days=30))
    decision = await ctx.wait_for("approval", Decision, timeout=86400)
    assert_type(decision, Decision)
    assert_type(await other(1), float)
    assert_type(await ctx.run(other.call(1)), float)
    child = await ctx.spawn(other.call(1))
    assert_type(child, Handle[float])
    assert_type(await child.result(), float)
    results = await ctx.map(embed_document, ids, concurrency=20, tolerate=0.05)
    assert_type(results, list[int | Failure])
    ctx.progress(120, 1000, "embedding")
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid(), UUID)
    assert_type(ctx.random(), float)
    both = await asyncio.gather(embed_document("a"), other(1))
    assert_type(both, tuple[int, float])
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(embed_document("a")), asyncio.Task[int])


def told(ctx: Context | BlockingContext) -> None:
    assert_type(ctx.execution_id, str)
    assert_type(ctx.task_name, str)
    assert_type(ctx.attempt, int)
    assert_type(ctx.previous_failure, Failure | None)
    assert_type(ctx.root, str)
    assert_type(ctx.parent, str | None)
    assert_type(ctx.tags, Mapping[str, str])
    assert_type((ctx.cancelled, ctx.shutting_down, ctx.suspending), tuple[bool, bool, bool])
    ctx.logger.info("seen %s", ctx.attempt)


def asked() -> None:
    assert_type(current_context(), Context)
    assert_type(current_context(BlockingContext), BlockingContext)


approval = Signal("approval", Decision)


@app.task
async def approved(ctx: Context, handle_id: str) -> bool:
    decision = await ctx.wait_for(approval)
    assert_type(decision, Decision)
    await other.handle(handle_id).signal(approval, decision)
    return decision.accepted
