"""`check`: hold the journals of open executions against the code that is about to be deployed. It changes nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import click

from perdure.app import Perdure
from perdure.cli.paging import OPEN, journals, pages
from perdure.cli.screen import print_json, say, say_wrapped, styled
from perdure.cli.text import plural
from perdure.cli.where import Where, shared
from perdure.codec import Payloads
from perdure.engine.compatibility import problems
from perdure.model.records import Row
from perdure.registry import Names

NAMED: Final = 3

Findings = list[tuple[Row, list[str]]]


@click.command()
@click.argument("app", required=False, metavar="[MODULE:OBJECT]")
@shared()
def check(where: Where, app: str | None) -> int:
    """List what in open executions would not fit this code, and exit 1 if anything does.

    Run it with the new code against the store in use, before the new code's workers start.
    """
    where.app_name = app or where.app_name
    found = where.app()
    names, payloads = Names(found), found.payloads

    async def look(app: Perdure) -> tuple[int, Findings]:
        return await _look(app, names, payloads)

    count, findings = where.read(look, found)
    if where.json:
        print_json({"checked": count, "drift": [_shape(row, said) for row, said in findings]})
    else:
        _show(count, findings)
    return 1 if findings else 0


async def _look(app: Perdure, names: Names, payloads: Payloads) -> tuple[int, Findings]:
    count, findings = 0, Findings()
    async for rows in pages(app, OPEN):
        count += len(rows)
        for row, view in zip(rows, await journals(app, rows), strict=True):
            if said := problems(names, payloads, row, view):
                findings.append((row, said))
    return count, findings


def _shape(row: Row, said: list[str]) -> dict[str, object]:
    return {"id": row.id, "task_name": row.task_name, "status": row.status, "problems": said}


def _show(count: int, findings: Findings) -> None:
    if not findings:
        say(
            styled("✓ ", "green"),
            f"{plural(count, 'open execution')} fit this code"
            if count != 1
            else "the one open execution fits this code",
        )
        return
    by_problem: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row, said in findings:
        for problem in said:
            by_problem[row.task_name, problem].append(row)
    say(styled(f"✗ {len(findings)} of {plural(count, 'open execution')} would drift", "red"))
    for (task, problem), rows in by_problem.items():
        say("")
        say(styled(f"  task {task}", "bold"), f": {plural(len(rows), 'execution')}")
        say_wrapped(styled(problem), 4)
        more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        say(styled("    " + ", ".join(row.id for row in rows[:NAMED]) + more, "dim"))
