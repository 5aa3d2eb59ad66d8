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
from perdure.codec import Payloads, decode_failure
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

    async def look(app: Perdure) -> tuple[int, Findings, Findings]:
        return await _look(app, names, payloads)

    count, findings, tried = where.read(look, found)
    if where.json:
        shapes = [[_shape(row, said) for row, said in each] for each in (findings, tried)]
        print_json({"checked": count, "drift": shapes[0], "tried": shapes[1]})
    else:
        _show(count, findings)
        _show_tried(tried, where.again("perdure list status:pending"))
    return 1 if findings else 0


async def _look(app: Perdure, names: Names, payloads: Payloads) -> tuple[int, Findings, Findings]:
    """How many there are, what does not fit, and what did not fit the code that last tried it, where only a pass can tell
    whether it fits this one."""
    count, findings, tried = 0, Findings(), Findings()
    async for rows in pages(app, OPEN):
        count += len(rows)
        for row, view in zip(rows, await journals(app, rows), strict=True):
            if said := problems(names, payloads, row, view):
                findings.append((row, said))
            elif row.drifts and row.failure is not None:
                tried.append((row, [decode_failure(row.failure).message]))
    return count, findings, tried


def _show_tried(tried: Findings, all_of_them: str) -> None:
    if not tried:
        return
    verb = "does" if len(tried) == 1 else "do"
    say(styled("! ", "yellow"), f"{plural(len(tried), 'of them', 'of them')} {verb} not fit the code that last tried")
    for row, said in tried[:NAMED]:
        say_wrapped(styled(f"{row.id}: {said[0]}"), 4)
    if len(tried) > NAMED:
        say(styled(f"    and {len(tried) - NAMED} more: {all_of_them}", "dim"))


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
