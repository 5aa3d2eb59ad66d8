"""`diagram`: a task as declared, or an execution as it stands with what is below it, as Mermaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from perdure.app import Perdure
from perdure.cli.below import Branch, read_tree
from perdure.cli.naming import named
from perdure.cli.problems import Problem
from perdure.cli.screen import print_json
from perdure.cli.shell_completion import task_names
from perdure.cli.where import Where, imported_task, shared
from perdure.engine.options import LIST
from perdure.errors import ExecutionNotFoundError
from perdure.mermaid import Part, draw, fenced, part_of
from perdure.model.execution import ListItem

DEEP = 50


@click.command()
@click.argument("target", metavar="TASK | MODULE:TASK | ID", shell_complete=task_names)
@click.option(
    "--width", type=click.IntRange(1), default=50, show_default=True, help="Children of one that are drawn, at most."
)
@click.option("--fenced", "in_markdown", is_flag=True, help="As a block of Markdown.")
@shared()
def diagram(where: Where, target: str, width: int, in_markdown: bool) -> None:
    """Draw a task of the app, or an execution with its children and how they stand, as Mermaid; of a list its items.

    \b
        perdure --app shop:app diagram order
        perdure diagram shop:order
        perdure diagram ID --fenced >> notes.md
    """
    kind, part = _found(where, target, width)
    text = draw(part, widest=width + 1)  # one more says how many are left out
    if where.json:
        print_json({"kind": kind, "target": target, "mermaid": text})
    else:
        click.echo(fenced(text) if in_markdown else text, nl=False)


def _found(where: Where, target: str, width: int) -> tuple[str, Part]:
    """What is meant: a task by module, a task of the app, an execution."""
    if ":" in target:
        return "task", imported_task(target).outline()
    if where.named is not None:
        tasks = where.app().tasks
        if target in tasks:
            return "task", tasks[target].outline()
    try:
        return "execution", where.read(lambda app: _execution(app, target, width))
    except (ExecutionNotFoundError, Problem) as error:
        if where.named is None or (isinstance(error, Problem) and error.code != 5):
            raise
        raise Problem(
            4, f"there is neither a task nor an execution {target!r}", str(error), "perdure tasks, perdure list"
        ) from None


async def _execution(app: Perdure, id: str, width: int) -> Part:
    """An execution and what is below it, no more of them than are drawn one by one."""
    execution = await (await named(app, id)).execution()
    if execution.task_name == LIST:
        return replace(part_of(execution), parts=_items(await app.client.items(execution.id)), order="sequence")
    return _part(await read_tree(app, execution, width, DEEP))


def _part(branch: Branch) -> Part:
    more = [Part(f"{branch.more:,} more", shape="more")] if branch.more else []
    return part_of(branch.execution, [*map(_part, branch.below), *more])


def _items(items: Sequence[ListItem]) -> tuple[Part, ...]:
    """The items of a list, one after the other."""
    return tuple(Part(item.name, item.status, status=item.status) for item in items)
