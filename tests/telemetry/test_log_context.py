"""`LogContext`: whoever logs, its records say for which execution."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from perdure import BlockingContext, Context, LogContext, Perdure, Retry
from perdure.testing import TestApp

library = logging.getLogger("some.library")


class Kept(logging.Handler):
    """Keeps records, filtered."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(LogContext())

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def told(self) -> list[tuple[object, ...]]:
        return [
            (each.getMessage(), *(getattr(each, name) for name in ("execution_id", "task", "attempt", "activity")))
            for each in self.records
            if each.name == "some.library"
        ]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, root = Kept(), logging.getLogger()
    root.addHandler(handler)
    library.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)


async def test_in_bodies_and_activities(kept: Kept) -> None:
    app = Perdure("memory://")

    @app.activity
    async def act() -> None:
        await asyncio.sleep(0)
        library.info("act")

    @app.activity
    def blocking() -> None:
        library.info("blocking")

    @app.task(retries=Retry(1, delay=1))
    async def task(ctx: Context) -> None:
        library.info("body")
        await asyncio.gather(act(), blocking.aio())
        if ctx.attempt == 0:
            raise ValueError("no")

    async with TestApp(app):
        library.info("outside")
        handle = await task.enqueue()
        await handle.result()
    assert kept.told[0] == ("outside", "", "", "", "")
    assert kept.told[1] == ("body", handle.id, "task", 0, "")
    assert sorted(kept.told[2:4]) == [
        ("act", handle.id, "task", 0, "act"), ("blocking", handle.id, "task", 0, "blocking"),
    ]  # fmt: skip
    assert kept.told[4:] == [("body", handle.id, "task", 1, "")]


async def test_in_def_bodies_and_lists(kept: Kept) -> None:
    app = Perdure("memory://")

    @app.task
    def body(ctx: BlockingContext) -> None:
        library.info("def body")

    async with TestApp(app):
        await body.run()
        await (await app.enqueue_list("l", [body.call()])).result()
    assert [line[2] for line in kept.told] == ["body", "body"]
    assert kept.told[1][1] == "l"


async def test_what_a_record_has_is_kept(kept: Kept) -> None:
    app = Perdure("memory://")

    @app.task
    async def task(ctx: Context) -> None:
        library.info("own", extra={"task": "mine"})
        assert LogContext.ids()["execution_id"] == ctx.execution_id

    async with TestApp(app):
        await task.run()
    assert [line[2] for line in kept.told] == ["mine"]
    assert set(LogContext.ids().values()) == {""}


async def test_it_drops_nothing_and_formats_everywhere(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"propagate": True, "disabled": False, "level": logging.NOTSET}.items():
        monkeypatch.setattr(logging.getLogger("perdure"), name, value)  # a command line before may have set it up
    formatter = logging.Formatter("%(execution_id)s %(task)s %(attempt)s %(activity)s %(message)s")
    library.info("plain")
    logging.getLogger("perdure").warning("of the engine")
    assert [formatter.format(record).strip() for record in kept.records] == ["plain", "of the engine"]
