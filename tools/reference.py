"""The parts of the documentation that are drawn from the code: `python -m tools.reference` writes them anew.

Such a part stands between two comments, `<!-- drawn: NAME -->` and `<!-- end -->`. `tests/examples/test_docs.py` fails when
one is stale. This program must never touch what stands outside the comments.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import click

import perdure.errors
import perdure.storage.protocol
from perdure.cli.main import program
from perdure.model.status import mermaid
from perdure.prometheus import shown
from perdure.telemetry import METRICS

ROOT: Final = Path(__file__).parent.parent
STORAGES: Final = ROOT / "src" / "perdure" / "storage"
PART: Final = re.compile(r"(?<=<!-- drawn: )(?P<name>[a-z-]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)
WIDTH: Final = 90


def errors() -> str:
    """The tree of exceptions, as their module draws it."""
    return fenced("text", indented_part(perdure.errors.__doc__))


def rules() -> str:
    """The rules of the storage contract."""
    text = perdure.storage.protocol.__doc__ or ""
    return fenced("text", text[text.index("R1 ") : text.index("\n\nErrors:")])


def status() -> str:
    """Where an execution may stand, and what moves it."""
    return fenced("mermaid", mermaid())


def schema() -> str:
    """Every migration of SQLite."""
    return migrations("sqlite")


def schema_postgres() -> str:
    """Every migration of PostgreSQL."""
    return migrations("postgres")


def migrations(database: str) -> str:
    """Every migration of a database."""
    found = sorted((STORAGES / database / "migrations").glob("*.sql"))
    return fenced("sql", "\n".join(f"-- {path.name}\n{path.read_text('utf-8')}" for path in found))


def commands() -> str:
    """What each command says of itself."""
    found: list[str] = []
    for context in contexts(program, "perdure", None):
        found += [f"## {context.command_path}\n", fenced("text", context.get_help())]
    return "\n".join(found)


def metrics() -> str:
    """Every metric, as OpenTelemetry and as Prometheus name it."""
    rows = ["| metric | in Prometheus | kind | labels | counts |", "|---|---|---|---|---|"]
    for metric in METRICS:
        name, labels = shown(metric) + ("_total" if metric.kind == "counter" else ""), ", ".join(metric.labels) or "–"
        rows.append(f"| `{metric.name}` | `{name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows) + "\n"


def contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """A command and those below it, as if each were called."""
    settings: dict[str, Any] = dict(command.context_settings) | {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, parent, name, **settings)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from contexts(cast("click.Command", command.get_command(context, below)), below, context)


def fenced(language: str, text: str) -> str:
    """A block of code."""
    lines = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return f"```{language}\n{lines}\n```\n"


def indented_part(docstring: str | None) -> str:
    """The indented lines of a docstring."""
    lines = [line for line in (docstring or "").splitlines() if line.startswith("    ")]
    return textwrap.dedent("\n".join(lines))


PARTS: Final[dict[str, Callable[[], str]]] = {
    "commands": commands,
    "errors": errors,
    "metrics": metrics,
    "rules": rules,
    "schema": schema,
    "schema-postgres": schema_postgres,
    "status": status,
}


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page with a drawn part: its path, its text, and what the text should be."""

    def drawn(match: re.Match[str]) -> str:
        return f"{match['name']} -->\n\n{PARTS[match['name']]()}\n"

    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text("utf-8")
        if "<!-- drawn: " in text:
            yield path, text, PART.sub(drawn, text)


def stale() -> list[str]:
    """The pages that do not say what the code says."""
    return [str(path.relative_to(ROOT)) for path, text, fresh in pages() if text != fresh]


def main() -> None:
    """Writes the stale pages anew."""
    for path, text, fresh in pages():
        if text != fresh:
            path.write_text(fresh, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
