"""`perdure`: the table of commands, and what happens when one is named.

A command's module is loaded when its name is typed, so that help and completion are quick; the one line of help stands here.
Every error leaves through `cli.problems` as what, why and what to type next, with an exit code:

    0 ok   1 the execution failed, drift was found, a check failed   2 usage   3 precondition   4 not found
    5 store unreachable   130 interrupted
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final, NamedTuple, NoReturn

import click

from perdure.extras import load


class Entry(NamedTuple):
    """Where a command is, and its line of help."""

    target: str
    help: str


SECTIONS: Final[dict[str, dict[str, Entry]]] = {
    "First steps": {
        "demo": Entry("demo.command:demo", "Index a folder, kill the worker half-way, and watch it go on."),
        "dev": Entry("dev:dev", "A worker that reloads when a file changes, on an SQLite file."),
        "tasks": Entry("tasks:tasks", "What an app declares: tasks, activities, signatures, options."),
        "generate": Entry("generate:generate", "The typed Python base class of a Mermaid state diagram."),
    },
    "Work": {
        "enqueue": Entry("enqueue:enqueue", "Start an execution of a task; with --wait its result."),
        "list": Entry("listing:list_", "Executions, newest first, by a query."),
        "show": Entry("show:show", "One execution: why it stands where it stands, journal, tree."),
        "diagram": Entry("diagram:diagram", "A task, or an execution and its children, as Mermaid."),
        "watch": Entry("watch:watch", "What happens to one or many, as it happens."),
        "cancel": Entry("steer:cancel", "Cancel executions and what is below them."),
        "retry": Entry("steer:retry", "Start again what failed; recorded results are kept."),
        "signal": Entry("signal:signal", "Send a value that an execution waits for."),
        "complete": Entry("complete:complete", "Answer an external task for one key."),
        "fork": Entry("signal:fork", "A copy of an execution that goes on from one of its entries."),
    },
    "Running it": {
        "worker": Entry("worker:worker", "Work until SIGTERM or ^C: the first drains, the second stops."),
        "workers": Entry("workers:workers", "Who works here; `workers drain ID` sends one home."),
        "check": Entry("check:check", "What in open executions would not fit this code. For deploys."),
        "migrate": Entry("migrate:migrate", "Bring the store's schema up to date, or print how."),
        "copy": Entry("copy:copy", "Move a whole store to another URL, while executions run."),
        "prune": Entry("prune:prune", "Remove what closed long ago."),
        "doctor": Entry("doctor:doctor", "Examine the store, and say what to do."),
    },
    "This program": {
        "completion": Entry("about:completion", "Print the script by which a shell completes names and ids."),
        "version": Entry("about:version", "Print the version."),
    },
}
COMMANDS: Final[dict[str, Entry]] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Program(click.Group):
    """A group whose commands are loaded by name, and whose errors become sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's own module is loaded here."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else load(f"perdure.cli.{entry.target}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Names the nearest command where none fits."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = load("difflib:get_close_matches")(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {load('perdure.cli.text:safe_text')(args[0])!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections of help, without loading a command."""
        width = max(map(len, COMMANDS))
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries.items()])

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Runs a command line and exits with its code."""
        settings["standalone_mode"] = False
        as_json = "--json" in (settings.get("args") or (args[0] if args else None) or sys.argv)
        try:
            answer = super().main(*args, **settings)
            code = answer if isinstance(answer, int) else 0
            sys.stdout.flush()
        except click.UsageError as error:
            error.show()
            code = error.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1  # as click answers it
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = 130
        except Exception as error:
            code = load("perdure.cli.problems:told")(error, as_json)
        sys.exit(code)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"perdure {load('perdure.worker.records:package_version')()}")
        ctx.exit()


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--app", metavar="MODULE:OBJECT", help="The app; else $PERDURE_APP, else [tool.perdure] app.")
@click.option("--url", metavar="URL", help="The store, as sqlite:///jobs.db; else the app's, else $PERDURE_URL.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON, where something is read.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.pass_context
def program(ctx: click.Context, app: str | None, url: str | None, as_json: bool) -> None:
    """Durable execution for Python: functions that survive crashes, restarts and deploys.

    Try it with `perdure demo`. The three options also stand after a command's name.
    """
    ctx.obj = {"app": app, "url": url, "json": as_json}


def main() -> NoReturn:
    """The console script."""
    program.main(prog_name="perdure")
