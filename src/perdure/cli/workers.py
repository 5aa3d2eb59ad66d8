"""`workers`: who works on a store; `workers drain` asks one to take no more work and leave."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.text import Text

from perdure.app import Perdure
from perdure.cli.naming import SHORTEST
from perdure.cli.problems import Problem
from perdure.cli.screen import present, print_json, print_table, say, styled
from perdure.cli.shapes import worker_shape
from perdure.cli.shell_completion import worker_ids
from perdure.cli.text import plural, relative
from perdure.cli.where import Where, shared
from perdure.engine.options import LIST
from perdure.model.execution import WorkerInfo


@click.group(invoke_without_command=True)
@shared()
def workers(where: Where) -> None:
    """Show the workers of a store."""
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is not None:
        ctx.obj = {"app": where.app_name, "url": where.url, "json": where.json}
        return
    found, unserved = where.read(_read)
    if where.json:
        print_json({"workers": [worker_shape(each) for each in found], "unserved": unserved})
    else:
        _show(found, unserved, where.worker)


async def _read(app: Perdure) -> tuple[list[WorkerInfo], list[str]]:
    return await app.workers(), list((await app.stats()).unserved)


def _show(found: Sequence[WorkerInfo], unserved: Sequence[str], start: str) -> None:
    if found:
        rows = [
            (
                each.id, _state(each), f"{each.running}/{each.concurrency}", relative(each.started_at, present()),
                f"process {each.process} on {each.host}, {plural(len(set(each.tasks) - {LIST}), 'task')}, queues {', '.join(each.queues)}",
            )
            for each in found
        ]  # fmt: skip
        print_table(("id", "state", "busy", "started", ""), rows)
    else:
        say("no worker is running", styled(f"   ({start})", "dim"))
    for task in unserved:
        say(styled("! ", "yellow"), f"task {task} has open executions and no live worker")


def _state(worker: WorkerInfo) -> Text:
    if not worker.alive:
        return Text("✗ dead", "red")
    return Text("◌ draining", "yellow") if worker.draining else Text("✓ alive", "green")


@workers.command("drain")
@click.argument("ids", nargs=-1, required=True, metavar="ID …", shell_complete=worker_ids)
@shared()
def drain(where: Where, ids: tuple[str, ...]) -> int:
    """Ask workers to finish what they run, take no more, and leave. The first eight characters of an id are enough where no
    other begins so."""

    async def ask(app: Perdure) -> dict[str, bool]:
        known = [worker.id for worker in await app.workers()]
        meant = list(dict.fromkeys(_meant(id, known) for id in ids))
        return dict(zip(meant, await app.client.store.ask("drain", (meant,)), strict=True))

    answers = where.read(ask)
    if where.json:
        print_json([{"id": id, "draining": known} for id, known in answers.items()])
    unknown = [id for id, known in answers.items() if not known]
    for id in () if where.json else answers:
        if answers[id]:
            say(id, styled("  is asked to drain", "green"))
    if unknown:
        raise Problem(
            4, f"there is no worker {', '.join(unknown)}", "it left already, or its id is another", "perdure workers"
        )
    return 0


def _meant(given: str, known: Sequence[str]) -> str:
    """The worker's id that is meant; what was given where there is none. Raises `Problem` where several begin so."""
    found = [id for id in known if id.startswith(given)] if len(given) >= SHORTEST else []
    if given in known or not found:
        return given
    if len(found) > 1:
        raise Problem(2, f"several workers have an id that begins with {given!r}", ", ".join(found), "more of the id")
    return found[0]
