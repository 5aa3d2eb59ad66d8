"""`search`, `count`, `stats`: finding executions by the query language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from perdure import Context, InvalidQueryError, Perdure
from perdure.testing import TestApp


@pytest.fixture
async def populated(app: Perdure) -> AsyncIterator[tuple[Perdure, TestApp, dict[str, str]]]:
    """An app with one execution of each sort, by name."""

    @app.task(retries=0)
    async def work(ctx: Context, how: str) -> str:
        if how == "fail":
            raise ValueError("The disk is on FIRE, again")
        if how == "sleep":
            await ctx.sleep(100_000)
        if how == "signal":
            await ctx.wait_for("x")
        if how == "late":
            await ctx.sleep(1000)
        if how == "parent":
            await other()
        return how

    @app.task
    async def other(ctx: Context) -> None:
        await ctx.sleep(100_000)

    async with TestApp(app) as t:
        ids: dict[str, str] = {}
        for how in ("complete", "fail", "sleep", "signal", "cancel", "late", "parent"):
            options: dict[str, Any] = {"tags": {"how": how, "all": "yes, really"}}
            if how == "cancel":
                options["start_delay"] = 50
            if how == "late":
                options["deadline"] = 5
            ids[how] = (await work.options(**options).enqueue(how)).id
            await t.advance(1)
        ids["queued"] = (await work.options(queue="elsewhere", start_delay=90_000).enqueue("x")).id
        await app.handle(ids["cancel"]).cancel("of no use")
        await t.advance(20)
        ids["child"] = (await app.handle(ids["parent"]).children())[0].id
        yield app, t, ids


ALL = {"complete", "fail", "sleep", "signal", "cancel", "late", "parent", "queued", "child"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ALL), ("status:completed", {"complete"}), ("status:failed,cancelled,timed_out", {"fail", "cancel", "late"}),
        ("-status:completed,failed", ALL - {"complete", "fail"}), ("status:pending", {"queued"}),
        ("task:other", {"child"}), ("-task:work", {"child"}), ("task:nothing", set()),
        ("queue:elsewhere", {"queued"}), ("tag:how=fail", {"fail"}), ("tag:how=fail,how=late", {"fail", "late"}),
        ('tag:"all=yes, really" status:waiting', {"sleep", "signal", "parent"}), ("-tag:how=fail", ALL - {"fail"}),
        ("error:fire", {"fail"}), ("error:FIRE", {"fail"}), ('error:"is on"', {"fail"}), ("error:ValueError", {"fail"}),
        ("error:use", {"cancel"}), ("waiting:timer", {"sleep", "child"}), ("waiting:signal", {"signal"}),
        ("waiting:children,signal", {"parent", "signal"}), ("-waiting:timer", ALL - {"sleep", "child"}),
        ("parent:{parent}", {"child"}), ("root:{parent}", {"parent", "child"}), ("root:{sleep}", {"sleep"}),
        ("id:{sleep},{fail}", {"sleep", "fail"}), ("-id:{sleep}", ALL - {"sleep"}), ("id:unknown", set()),
        ("since:1h", ALL), ("since:1ms", set()), ("-since:1h", set()), ("status:waiting task:work waiting:timer", {"sleep"}),
        ("error:%", set()), ("error:_", set()), ("tag:how=%", set()), ("task:w%", set()), ("error:'", set()),
        ("state:paid", set()),
    ],
)  # fmt: skip
async def test_queries(populated: tuple[Perdure, TestApp, dict[str, str]], query: str, found: set[str]) -> None:
    app, _, ids = populated
    text = query.format(**ids)
    names = {id: name for name, id in ids.items()}
    assert {names[execution.id] for execution in await app.search(text)} == found
    assert await app.count(text) == len(found)


async def test_since_goes_by_creation(populated: tuple[Perdure, TestApp, dict[str, str]]) -> None:
    app, _, ids = populated
    assert ids["complete"] not in {execution.id for execution in await app.search("since:26s")}
    assert ids["complete"] in {execution.id for execution in await app.search("since:28s")}


async def test_pages_follow_each_other_in_both_orders(populated: tuple[Perdure, TestApp, dict[str, str]]) -> None:
    app, _, ids = populated
    for order in ("newest", "oldest"):
        found: list[str] = []
        after = None
        while True:
            page = await app.search("", order=order, limit=2, after=after)  # type: ignore[arg-type]
            assert len(page) <= 2
            found += [execution.id for execution in page]
            after = page.after
            if after is None:
                break
        moments = [(await app.handle(id).execution()).created_at for id in found]
        assert moments == sorted(moments, reverse=order == "newest")
        assert sorted(found) == sorted(ids.values())


@pytest.mark.parametrize(
    "options", [{"query": "oops"}, {"order": "sideways"}, {"limit": 0}, {"limit": 10_001}, {"after": "nonsense"}]
)
async def test_what_cannot_be_asked_is_refused(
    populated: tuple[Perdure, TestApp, dict[str, str]], options: Any
) -> None:
    app, _, _ = populated
    with pytest.raises(InvalidQueryError):
        await app.search(**options)
    if "query" in options:
        for verb in (app.count, app.cancel_all, app.retry_all):
            with pytest.raises(InvalidQueryError, match="position 0"):
                await verb("oops")


async def test_stats_count_by_status_and_task(populated: tuple[Perdure, TestApp, dict[str, str]]) -> None:
    app, _, _ = populated
    stats = await app.stats()
    assert stats.counts == {
        "completed": 1, "failed": 1, "cancelled": 1, "timed_out": 1, "waiting": 4, "pending": 1,
    }  # fmt: skip
    assert {(each.task_name, each.queue) for each in stats.tasks} == {
        ("work", "default"), ("work", "elsewhere"), ("other", "default"),
    }  # fmt: skip
    assert stats.unserved == ()


async def test_workers_are_listed(populated: tuple[Perdure, TestApp, dict[str, str]]) -> None:
    app, _, _ = populated
    (worker,) = await app.workers()
    assert worker.alive
    assert not worker.draining
    assert worker.queues == ("default",)
    assert set(worker.tasks) == {"work", "other"}
    assert worker.concurrency == 100


async def test_retry_all_by_query(populated: tuple[Perdure, TestApp, dict[str, str]]) -> None:
    app, t, ids = populated
    assert await app.retry_all("error:fire", dry_run=True) == 1
    assert await app.retry_all("error:fire") == 1
    await t.advance(1)
    execution = await app.handle(ids["fail"]).execution()
    assert (execution.status, execution.generation) == ("failed", 1)
    assert await app.retry_all("status:completed") == 0
