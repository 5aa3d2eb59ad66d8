"""`prune`: remove whole trees of executions that closed long ago. It says first how many they are."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import click

from perdure.app import Perdure
from perdure.cli.paging import BITE, SETTLED, pages
from perdure.cli.problems import must_confirm
from perdure.cli.screen import print_json, say, styled
from perdure.cli.text import plural
from perdure.cli.values import age_typed
from perdure.cli.where import Where, shared
from perdure.clock import SystemClock
from perdure.model.records import Row


@click.command()
@click.option(
    "--older",
    type=age_typed,
    metavar="DURATION",
    required=True,
    help="Closed longer ago than this: 30d, 12h, 90m.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@shared()
def prune(where: Where, older: timedelta, dry_run: bool, yes: bool) -> None:
    """Remove executions that closed longer ago than --older, with their journals, ids and keys.

    Only whole trees whose every execution is settled are removed. What is past its own retention goes with them.
    """
    before = SystemClock().now() - round(older.total_seconds() * 1000)
    count = where.read(lambda app: _count(app, before))
    if dry_run or not count:
        _say(where, count, "would remove" if dry_run else "nothing to remove:", done=False)
        return
    if not yes:
        must_confirm(f"remove {plural(count, 'execution')} for good?")
    _say(where, where.read(lambda app: _prune(app, before)), "removed", done=True)


def _say(where: Where, count: int, verb: str, *, done: bool) -> None:
    if where.json:
        print_json({"count": count, "done": done})
    else:
        say(styled(f"{verb} ", "green" if done else ""), plural(count, "execution"))


async def _prune(app: Perdure, before: int) -> int:
    total = 0
    while True:
        removed = await app.client.store.ask("prune", {"closed_before": before, "limit": BITE})
        total += removed
        if not removed:
            return total


async def _count(app: Perdure, before: int) -> int:
    """How many executions stand in trees that closed before."""
    sizes: Counter[str] = Counter()
    old: set[str] = set()
    now = app.parts.clock.now()
    async for rows in pages(app, SETTLED):
        sizes.update(row.root_id for row in rows)
        old.update(row.id for row in rows if row.parent_id is None and _is_old(row, before, now))
    return sum(sizes[root] for root in old)


def _is_old(row: Row, before: int, now: int) -> bool:
    if row.closed_at is None:
        return False
    return row.closed_at < before or (row.retention is not None and row.closed_at + row.retention <= now)
