"""What the shell offers after a tab: names of tasks, ids, queues. A completion never fails and never writes: where something
cannot be read, nothing is offered."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from perdure.app import Perdure
from perdure.cli.text import UNSAFE
from perdure.cli.where import Where, where_of
from perdure.model.query import FIELDS
from perdure.model.status import STATUSES
from perdure.styles.external import ExternalTask

OFFERED = 50


def _where(ctx: click.Context) -> Where:
    """The store that the half-typed line names."""
    above = ctx.parent.params if ctx.parent else {}
    app, url = ctx.params.get("own_app") or above.get("app"), ctx.params.get("own_url") or above.get("url")
    return where_of(app, url, False)


def _read(ctx: click.Context, work: Callable[[Perdure], Awaitable[list[CompletionItem]]]) -> list[CompletionItem]:
    try:
        return _where(ctx).read(work)
    except Exception:
        return []


def _fitting(items: list[CompletionItem], begun: str) -> list[CompletionItem]:
    return [item for item in items if item.value.startswith(begun) and not UNSAFE.search(item.value)]


def task_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the app's tasks, with the first line of what they say; without an app, of tasks in the store."""
    try:
        found = [CompletionItem(name, help=first_line(task)) for name, task in _where(ctx).app().tasks.items()]
    except Exception:
        found = _read(ctx, _stored_tasks)
    return _fitting(found, incomplete)


def external_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the app's external tasks."""
    try:
        found = [name for name, task in _where(ctx).app().tasks.items() if isinstance(task, ExternalTask)]
    except Exception:
        return []
    return _fitting([CompletionItem(name) for name in found], incomplete)


async def _stored_tasks(app: Perdure) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted({task.task_name for task in (await app.stats()).tasks})]


def execution_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of the newest executions, with task and status."""

    async def newest(app: Perdure) -> list[CompletionItem]:
        page = await app.search(_narrowed(ctx), limit=OFFERED)
        return [CompletionItem(each.id, help=f"{each.task_name} {each.status}") for each in page.items]

    return _fitting(_read(ctx, newest), incomplete)


def _narrowed(ctx: click.Context) -> str:
    """What a command can act on at all."""
    settled = "completed,failed,timed_out,cancelled"
    return {"cancel": f"-status:{settled}", "signal": f"-status:{settled}"}.get(ctx.info_name or "", "")


def queues(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Queues that the store knows."""

    async def known(app: Perdure) -> list[CompletionItem]:
        names = {task.queue for task in (await app.stats()).tasks}
        names |= {queue for worker in await app.workers() for queue in worker.queues}
        return [CompletionItem(name) for name in sorted(names)]

    return _fitting(_read(ctx, known), incomplete)


def worker_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of workers, with host and process."""

    async def known(app: Perdure) -> list[CompletionItem]:
        return [CompletionItem(each.id, help=f"{each.host} {each.process}") for each in await app.workers()]

    return _fitting(_read(ctx, known), incomplete)


def query_words(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Fields of the query language, and after `status:` the statuses."""
    if incomplete.startswith("status:"):
        done, comma, last = incomplete.removeprefix("status:").rpartition(",")
        glue = f"status:{done}{comma}"
        return [CompletionItem(glue + status) for status in STATUSES if status.startswith(last)]
    return [CompletionItem(f"{field}:", type="nospace") for field in FIELDS if field.startswith(incomplete)]


def first_line(function: Any) -> str:
    """The first line of what a function says of itself."""
    return (function.__doc__ or "").strip().partition(os.linesep)[0].partition("\n")[0]
