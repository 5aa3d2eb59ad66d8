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
from perdure.engine.task import Task
from perdure.errors import ExecutionNotFoundError
from perdure.mermaid import Part, Trace, draw, fenced, marks_of, part_of
from perdure.model.execution import ListItem

DEEP = 50


@click.command()
@click.argument("target", metavar="TASK | MODULE:TASK | ID", shell_complete=task_names)
@click.option(
    "--execution", "id", metavar="ID", help="Draw how this execution of a state diagram went, and where it stands."
)
@click.option(
    "--width", type=click.IntRange(1), default=50, show_default=True, help="Children of one that are drawn, at most."
)
@click.option("--fenced", "in_markdown", is_flag=True, help="As a block of Markdown.")
@shared()
def diagram(where: Where, target: str, id: str | None, width: int, in_markdown: bool) -> None:
    """Draw a task of the app, or an execution with its children and how they stand, as Mermaid; of a list its items. An
    execution of a state diagram is drawn into that, if the app is named.

    \b
        perdure --app shop:app diagram order
        perdure diagram shop:order
        perdure diagram shop:checkout --execution ID
        perdure diagram ID --fenced >> notes.md
    """
    kind, part = _found(where, target, width) if id is None else ("execution", _within(where, target, id))
    text = draw(part, widest=width + 1)  # one more says how many are left out
    if where.json:
        print_json({"kind": kind, "target": target, "mermaid": text})
    else:
        click.echo(fenced(text) if in_markdown else text, nl=False)


def _within(where: Where, target: str, id: str) -> Part:
    """An execution, drawn into the state diagram of its task."""
    task = _task(where, target)
    part = task.outline()
    if part.graph is None:
        raise Problem(2, f"task {task.name} is no state diagram", "--execution draws into one", f"perdure diagram {id}")
    own = where.at_url(task.owner) if isinstance(task.owner, Perdure) and where.named is None else None
    names = (task.name, *task.settings.aliases)
    traces = where.read(lambda app: _traces_named(app, id, names), own)
    name = traces[0].execution.task_name
    if name not in names:
        raise Problem(2, f"execution {id} is of task {name}, not of {task.name}", "", f"perdure diagram {id}")
    return replace(part, marks=marks_of(part.graph, traces))


def _task(where: Where, target: str) -> Task[..., object]:
    """A task by module, or one of the app. Raises `Problem`."""
    if ":" in target:
        return imported_task(target)
    tasks = where.app().tasks
    if target not in tasks:
        raise Problem(4, f"there is no task {target!r}", "", "perdure tasks")
    return tasks[target]


async def _traces_named(app: Perdure, id: str, names: Sequence[str]) -> list[Trace]:
    """As `_traces`, of the execution that an id, or its beginning, names."""
    return await _traces(app, (await named(app, id)).id, names)


async def _traces(app: Perdure, id: str, names: Sequence[str], current: bool = True) -> list[Trace]:
    """An execution of a diagram, and its branches at any depth, which are named after it (`names`). A branch that was begun
    anew since, by a retry or in a cycle, is not current."""
    handle = app.handle(id)
    execution = await handle.execution()
    found = [Trace(execution, await handle.activities(), current)]
    children = await handle.children() if execution.children_total else []
    branches = [child for child in children if child.task_name.startswith(tuple(f"{name}." for name in names))]
    last = {child.task_name: child.id for child in branches}
    for child in branches:
        found += await _traces(app, child.id, names, current and last[child.task_name] == child.id)
    return found


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
    """An execution and what is below it, no more of them than are drawn one by one. One of a state diagram that is declared
    here is drawn into that."""
    execution = await (await named(app, id)).execution()
    if execution.task_name == LIST:
        return replace(part_of(execution), parts=_items(await app.client.items(execution.id)), order="sequence")
    task = app.tasks.get(execution.task_name)
    graph = None if task is None else task.outline().graph
    if task is not None and graph is not None:
        names = (task.name, *task.settings.aliases)
        return Part(execution.task_name, graph=graph, marks=marks_of(graph, await _traces(app, execution.id, names)))
    return _part(await read_tree(app, execution, width, DEEP))


def _part(branch: Branch) -> Part:
    more = [Part(f"{branch.more:,} more", shape="more")] if branch.more else []
    return part_of(branch.execution, [*map(_part, branch.below), *more])


def _items(items: Sequence[ListItem]) -> tuple[Part, ...]:
    """The items of a list, one after the other."""
    return tuple(Part(item.name, item.status, status=item.status) for item in items)
