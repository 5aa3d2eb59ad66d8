"""`cancel` and `retry`: for ids, or for all that fit a query. A query's count is said first, and a yes is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from perdure.app import Perdure
from perdure.cli.naming import named
from perdure.cli.problems import Problem, must_confirm, problem_of
from perdure.cli.screen import print_json, say, styled
from perdure.cli.shell_completion import execution_ids
from perdure.cli.text import plural
from perdure.cli.where import Where, shared
from perdure.errors import PerdureError
from perdure.model.status import SETTLED

Act = Callable[[Perdure, str], Awaitable[str]]


def selecting(command: Any) -> Any:
    """The arguments by which both commands choose."""
    command = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)
    command = click.option("--dry-run", is_flag=True, help="Only say how many it would be.")(command)
    command = click.option("--where", "query", metavar="QUERY", help="All that fit, as in `list`.")(command)
    return click.argument("ids", nargs=-1, metavar="[ID …]", shell_complete=execution_ids)(command)


@click.command()
@selecting
@click.option("--reason", default="", help="Kept with the execution, and shown.")
@shared()
def cancel(where: Where, ids: tuple[str, ...], query: str | None, dry_run: bool, yes: bool, reason: str) -> int:
    """Cancel executions by ID or by --where QUERY, with everything open below them.

    What waits is cancelled at once, what runs is asked to stop; what is settled is left alone.
    """
    _check_choice(ids, query)
    if query is not None:
        return _all(where, dry_run, yes, "cancel", lambda app, dry: app.cancel_all(query, dry, reason=reason))

    async def one(app: Perdure, execution_id: str) -> str:
        handle = app.handle(execution_id)
        before = await handle.execution()
        if before.settled:
            return f"left alone: it is {before.status}"
        if not dry_run:
            await handle.cancel(reason)
        return _would(dry_run, "cancelled" if before.status != "running" else "asked to stop", "cancel")

    return _each(where, ids, one)


@click.command()
@selecting
@click.option("--forget", metavar="NAME", help="First drop the journal entries of this activity or task: see `check`.")
@shared()
def retry(where: Where, ids: tuple[str, ...], query: str | None, dry_run: bool, yes: bool, forget: str | None) -> int:
    """Start failed, timed out or cancelled executions again, by ID or by --where QUERY.

    Recorded results are kept, the retry budget is fresh. With --forget NAME the entries of that name are dropped, also of an
    open execution whose journal does not fit the code any more.
    """
    _check_choice(ids, query)
    if query is not None:
        if forget is not None:
            raise click.UsageError("--forget goes with ids, not with --where")
        return _all(where, dry_run, yes, "retry", lambda app, dry: app.retry_all(query, dry))

    async def one(app: Perdure, execution_id: str) -> str:
        if forget is not None:
            return await _forgotten(app, execution_id, forget, dry_run)
        if not dry_run:
            await app.handle(execution_id).retry()
        else:
            await app.handle(execution_id).execution()
        return _would(dry_run, "retried", "retry")

    return _each(where, ids, one)


async def _forgotten(app: Perdure, execution_id: str, name: str, dry_run: bool) -> str:
    handle = app.handle(execution_id)
    entries = await handle.activities()
    names = sorted({entry.name for entry in entries})
    count = sum(entry.name == name for entry in entries)
    if not count:
        raise Problem(
            4, f"execution {execution_id} has no entry named {name!r}", f"names are {', '.join(names) or 'none'}"
        )
    if dry_run:
        return f"would forget {plural(count, 'entry', 'entries')} and go on"
    forgotten = await app.client.forget(execution_id, name)  # first: once it is retried, a worker may read its journal
    if (await handle.status()) in SETTLED:
        await handle.retry()
    return f"forgot {plural(forgotten, 'entry', 'entries')} of {name}; it goes on"


def _would(dry_run: bool, done: str, would: str) -> str:
    return f"would {would}" if dry_run else done


def _check_choice(ids: tuple[str, ...], query: str | None) -> None:
    if bool(ids) == (query is not None):
        raise click.UsageError("name ids, or choose by --where QUERY")


def _each(where: Where, ids: tuple[str, ...], act: Act) -> int:
    """Acts on each id; one bad id keeps no other from its turn. Answers the worst exit code."""

    async def work(app: Perdure) -> list[tuple[str, str, Problem | None]]:
        return [await _one(app, execution_id, act) for execution_id in ids]

    answers = where.read(work)
    if where.json:
        print_json(
            [{"id": id, "done": done or None, "error": problem and problem.message} for id, done, problem in answers]
        )
    for execution_id, done, problem in () if where.json else answers:
        if problem is None:
            say(execution_id, styled(f"  {done}", "green"))
        else:
            problem.following = where.again(problem.following)
            problem.tell(False)
    return max((problem.code for _, _, problem in answers if problem), default=0)


async def _one(app: Perdure, execution_id: str, act: Act) -> tuple[str, str, Problem | None]:
    try:
        execution_id = (await named(app, execution_id)).id
        return execution_id, await act(app, execution_id), None
    except (PerdureError, Problem) as error:
        return execution_id, "", problem_of(error)


def _all(where: Where, dry_run: bool, yes: bool, verb: str, act: Callable[[Perdure, bool], Awaitable[int]]) -> int:
    count = where.read(lambda app: act(app, True))
    if dry_run or not count:
        said = f"would {verb} {plural(count, 'execution')}" if dry_run else f"nothing to {verb}: no execution fits"
        print_json({"count": count, "done": False}) if where.json else say(said)
        return 0
    if not where.json:
        say(f"{verb} {plural(count, 'execution')}")
    if not yes:
        must_confirm("go on?")
    done = where.read(lambda app: act(app, False))
    print_json({"count": done, "done": True}) if where.json else say(
        styled(f"done: {plural(done, 'execution')}", "green")
    )
    return 0
