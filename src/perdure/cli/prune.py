"""`prune`: remove whole trees of executions that closed long ago. It says first how many they are."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final

import click

from perdure.app import Perdure
from perdure.cli.screen import print_json, say, styled
from perdure.cli.text import plural
from perdure.cli.values import DURATION
from perdure.cli.where import Where, shared
from perdure.clock import SystemClock
from perdure.model.query import parse

BITE: Final = 1000


@click.command()
@click.option("--older", type=DURATION, required=True, help="Closed longer ago than this: 30d, 12h, 90m.")
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
        click.confirm(f"remove {plural(count, 'execution')} for good?", abort=True, err=True)
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
    now, after = SystemClock().now(), None
    settled = parse("status:completed,failed,timed_out,cancelled")
    while True:
        cursor = after
        found = await app.client.store.read(lambda storage: storage.search(settled, "oldest", BITE, cursor, now))
        for row in found.rows:
            sizes[row.root_id] += 1
            kept = row.closed_at is None or row.parent_id is not None
            past = row.retention is not None and row.closed_at is not None and row.closed_at + row.retention <= now
            if not kept and (past or (row.closed_at or 0) < before):
                old.add(row.id)
        after = found.after
        if after is None:
            return sum(sizes[root] for root in old)
