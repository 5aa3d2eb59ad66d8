"""`list`: executions by a query, as a table for people, a document for programs, or a count."""

from __future__ import annotations

from typing import Any, Literal

import click

from perdure.app import Perdure
from perdure.cli.screen import present, print_json, print_table, say, status_text, styled
from perdure.cli.shapes import execution_shape
from perdure.cli.shell_completion import query_words
from perdure.cli.text import plural, relative, safe_text, span, upcoming
from perdure.cli.where import Where, shared
from perdure.model.execution import Execution, Page

Order = Literal["newest", "oldest"]


def help_or(ctx: click.Context, _: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a query. A lone `-h` is help: click is not told so, as it would find one in `-tag:host=x` too."""
    if words == ("-h",):
        click.echo(ctx.get_help())
        ctx.exit()
    return words


@click.command("list", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, shell_complete=query_words, callback=help_or)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many to show.")
@click.option("--after", metavar="CURSOR", help="Go on where the page before ended.")
@click.option("--order", type=click.Choice(["newest", "oldest"]), default="newest", show_default=True)
@click.option("--count", is_flag=True, help="Only say how many there are.")
@shared()
def list_(where: Where, query: tuple[str, ...], limit: int, after: str | None, order: Order, count: bool) -> None:
    """Show executions that fit QUERY.

    \b
    status:failed,timed_out  task:x  queue:default  tag:k=v  error:text  waiting:signal
    parent:ID  root:ID  since:2h  id:ID          space: and · comma: or · -field: not
    """
    text = " ".join(query)
    if count:
        number = where.read(lambda app: app.count(text))
        print_json({"count": number}) if where.json else click.echo(number)
        return
    page = where.read(lambda app: app.search(text, order, limit, after))
    if where.json:
        print_json({"items": [execution_shape(each) for each in page.items], "after": page.after})
    else:
        _show(page, text, where.read)


def _show(page: Page[Execution[Any]], query: str, read: Any) -> None:
    if not page.items:
        say(
            "nothing fits" if query else "no executions yet",
            styled("   (perdure enqueue TASK …)" if not query else "", "dim"),
        )
        return
    rows = [summary(each) for each in page.items]
    print_table(("id", "task", "status", "created", "took", ""), rows, right=("took",))
    if page.after is not None:

        async def counted(app: Perdure) -> int:
            return await app.count(query)

        say(styled(f"{len(page.items)} of {plural(read(counted), 'execution')}; more: --after {page.after}", "dim"))


def summary(execution: Execution[Any]) -> tuple[object, ...]:
    """An execution as a row: id, task, status, age, how long it took, what there is to say."""
    now = present()
    took = ""
    if execution.started_at is not None and execution.finished_at is not None:
        took = span((execution.finished_at - execution.started_at).total_seconds())
    return (
        execution.id, execution.task_name, status_text(execution.status, cancelling=execution.cancelling),
        relative(execution.created_at, now), took, styled(remark(execution), "dim"),
    )  # fmt: skip


def remark(execution: Execution[Any]) -> str:
    """What stands out, in a few words."""
    now = present()
    if execution.failure is not None and execution.status != "completed":
        said = f"{execution.failure.type}: {execution.failure.message}"
        again = ""
        if execution.status == "pending" and execution.due_at is not None:
            again = f"next try {upcoming(execution.due_at, now)} after "
        return safe_text(again + said, 160)
    if execution.status == "waiting":
        parts = [f"{wait.kind} {wait.name}".strip() for wait in execution.waits[:3]]
        due = f", due {upcoming(execution.due_at, now)}" if execution.due_at else ""
        return ", ".join(parts) + due
    if execution.progress is not None and not execution.settled:
        return progress_words(execution)
    if execution.status == "pending" and execution.due_at is not None and execution.due_at > now:
        return f"due {relative(execution.due_at, now)}"
    return ""


def progress_words(execution: Execution[Any]) -> str:
    """`120 of 1,000 embedding`."""
    progress = execution.progress
    if progress is None:
        return ""
    if progress.state and not progress.done and progress.total is None:
        return f"state {progress.state} {progress.text}".strip()
    total = f" of {progress.total:,g}" if progress.total else ""
    return f"{progress.done:,g}{total} {progress.text}".strip()
