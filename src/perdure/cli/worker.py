"""`worker`: a process, or several, that run an app's tasks until told to go."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import click

from perdure.app import Perdure
from perdure.cli import logs, metrics
from perdure.cli.problems import Problem
from perdure.cli.screen import say, say_new_store, styled
from perdure.cli.shell_completion import queues
from perdure.cli.supervisor import PARENT, Supervisor, parent_gone, worker_command
from perdure.cli.text import plural, safe_text, span
from perdure.cli.values import duration_typed
from perdure.cli.where import Where, new_store, shared
from perdure.errors import StoreSealedError
from perdure.storage.urls import without_password
from perdure.worker.service import WorkerService

LAST_PORT: Final = 65535
USER_THREADS: Final = ("perdure-body", "perdure-activity")


@click.command()
@click.argument("app", required=False, metavar="[MODULE:OBJECT]")
@click.option("--processes", type=click.IntRange(1, 256), default=1, show_default=True, help="How many processes.")
@click.option("--concurrency", type=click.IntRange(1, 100_000), help="Executions at once in each; default the app's.")
@click.option("--queue", "names", metavar="NAME", multiple=True, shell_complete=queues, help="Serve it; repeatable.")
@click.option(
    "--drain", type=duration_typed, metavar="DURATION", help="How long running bodies may go on after the first signal."
)
@click.option(
    "--metrics-port", type=click.IntRange(1, LAST_PORT), metavar="PORT",
    help="Show metrics to Prometheus at /metrics there; of several processes the second takes PORT+1, and so on.",
)  # fmt: skip
@click.option("--metrics-host", default="127.0.0.1", show_default=True, metavar="HOST", help="Where they are shown.")
@click.option("--quiet", "-q", is_flag=True, help="Warnings and errors only.")
@shared(json=False)
def worker(
    where: Where, app: str | None, processes: int, concurrency: int | None, names: tuple[str, ...],
    drain: timedelta | None, metrics_port: int | None, metrics_host: str, quiet: bool,
) -> int:  # fmt: skip
    """Run the app's tasks until SIGTERM or ^C.

    The first signal drains: no new work, what runs may finish. The second stops: bodies are interrupted, and go on elsewhere.
    """
    where.app_name = app or where.app_name
    found = where.app()
    given = {"concurrency": concurrency, "queues": list(names) or None, "drain": drain}
    service = found.worker(**given)  # pyright: ignore[reportArgumentType]
    child = PARENT in os.environ
    logs.to_stderr(quiet=quiet, process=child)
    if not child:
        say_new_store(new_store(found))
    banner = partial(_print_banner, found, processes, concurrency, names, drain) if not quiet and not child else None
    if processes > 1:
        if banner is not None:
            banner()
        command = worker_command(where.named or "", *_options(where, concurrency, names, drain, quiet))
        return asyncio.run(_supervised(command, processes, _ports(metrics_port, metrics_host, processes)))

    service.started = banner
    with metrics.shown(found, metrics_port, metrics_host):
        return _left(asyncio.run(_run(service)))


async def _run(service: WorkerService) -> int:
    parent_gone(service.stop)
    try:
        await service.run()
    except StoreSealedError as error:
        what = "this store was moved: nothing can be done here any more"
        Problem(3, what, str(error), "perdure worker --url with the URL of the other store").tell(as_json=False)
        return 3
    return 130 if service.hurried else 0


async def _supervised(command: list[str], processes: int, own: Sequence[Sequence[str]]) -> int:
    return await Supervisor(command, processes, lambda text: say(styled(text, "dim"), error=True), own=own).run()


def _ports(first: int | None, host: str, processes: int) -> list[list[str]]:
    """What each process is given of its own. Raises `Problem` where ports run out."""
    if first is None:
        return []
    if first + processes - 1 > LAST_PORT:
        raise Problem(
            2, f"--metrics-port {first} leaves no port for {processes} processes",
            f"each takes one, and {LAST_PORT} is the last", f"perdure worker --metrics-port {LAST_PORT + 1 - processes}",
        )  # fmt: skip
    return [["--metrics-port", str(first + place), "--metrics-host", host] for place in range(processes)]


def _options(
    where: Where, concurrency: int | None, names: tuple[str, ...], drain: timedelta | None, quiet: bool
) -> list[str]:
    bound = None if drain is None else f"{drain.total_seconds()}s"
    given = [("--url", where.url), ("--concurrency", concurrency), ("--drain", bound)]
    given += [("--queue", name) for name in names]
    return [part for name, value in given if value is not None for part in (name, str(value))] + ["--quiet"] * quiet


def _print_banner(
    app: Perdure, processes: int, concurrency: int | None, names: tuple[str, ...], drain: timedelta | None
) -> None:
    settings = app.settings
    each = f"{concurrency or settings.concurrency} at once"
    many = f"{plural(processes, 'process', 'processes')}, {each} in each" if processes > 1 else each
    bound = settings.drain if drain is None else drain.total_seconds()
    say(styled("perdure worker", "bold"), f" on {without_password(settings.url)}", error=True)
    say(styled("  queues  ", "dim"), ", ".join(names or settings.queues), styled(f"   {many}", "dim"), error=True)
    say(
        styled("  tasks   ", "dim"),
        safe_text(", ".join(app.tasks) or "none: this worker has nothing to do"),
        error=True,
    )
    say(styled(f"  ^C drains for up to {span(bound)}, a second ^C stops", "dim"), error=True)


def _left(code: int) -> int:
    """Ends the process at once where threads still run user code: nobody waits for what cannot be recorded any more."""
    busy = [thread for thread in threading.enumerate() if thread.name.startswith(USER_THREADS)]
    if busy and _running_user_code(busy):
        say(styled(f"{plural(len(busy), 'thread')} of user code left behind", "yellow"), error=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _running_user_code(threads: list[threading.Thread]) -> bool:
    """Whether any of them is still there after the pools were told to go."""
    for thread in threads:
        thread.join(0.2)
    return any(thread.is_alive() for thread in threads)
