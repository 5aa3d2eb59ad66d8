"""`generate`: the typed base class and the payload classes of state diagrams, beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perdure.cli.problems import Problem
from perdure.cli.text import plural, safe_text
from perdure.extras import load
from perdure.mermaid import DiagramError
from perdure.mermaid.sources import MARKDOWN, SUFFIXES

if TYPE_CHECKING:
    from perdure.mermaid.files import Output, Plan


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; fail where something would be written.")
@click.option("--watch", is_flag=True, help="Go on, and generate again whenever a diagram changes.")
@click.option(
    "--stubs", type=click.Path(path_type=Path, dir_okay=False), help="Add missing methods to the class in this file."
)
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
def generate(files: tuple[Path, ...], check: bool, watch: bool, stubs: Path | None, force: bool) -> None:
    """Write the Python base class of state diagrams: NAME_diagram.py, and NAME_payloads.py for you to fill in.

    FILES are .mermaid, .mmd or Markdown, or folders with .mermaid and .mmd.

    \b
        perdure generate flows/*.mermaid
        perdure generate --check flows
        perdure generate --stubs flows/shop.py flows/checkout.mermaid
    """
    if check and watch:
        raise click.UsageError("--check writes nothing, --watch writes again and again; choose one")
    plans = _plans(files)
    outputs = _outputs(plans, stubs, force)
    if check:
        _check(outputs)
        return
    _write(outputs)
    if watch:
        _watch(files, plans, stubs, force)


def _outputs(plans: Sequence[Plan], stubs: Path | None, force: bool) -> list[Output]:
    """All files as they should be. Raises `Problem`, before anything is written."""
    outputs = [output for plan in plans for output in plan.outputs]
    if stubs is not None:
        outputs += _stubbed(plans, stubs)
    edited = [output for output in outputs if output.edited and not force]
    if edited:
        raise Problem(
            3, f"{_names(edited)} was edited by hand, or was not generated",
            "what is generated is written anew each time; put your code into a subclass", "--force overwrites it",
        )  # fmt: skip
    return outputs


def _plans(files: Sequence[Path]) -> list[Plan]:
    try:
        return list(load("perdure.mermaid.files:plans")(list(_found(files))))
    except ImportError as error:
        raise Problem(3, "generating needs an extra", str(error), "pip install 'perdure[codegen]'") from error
    except DiagramError as error:
        raise _told(error) from None


def _found(files: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in files:
        inside = (
            sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES - MARKDOWN) if path.is_dir() else [path]
        )
        if not inside:
            raise Problem(4, f"there is no diagram in {path}", "it has no file that ends in .mermaid or .mmd")
        for each in inside:
            if each.resolve() not in seen:
                seen.add(each.resolve())
                yield each


def _stubbed(plans: Sequence[Plan], path: Path) -> list[Output]:
    try:
        old = path.read_bytes() if path.exists() else None
        new = old
        for plan in plans:
            new = load("perdure.mermaid.stubs:stubbed")(plan, path, new).new
    except DiagramError as error:
        raise _told(error) from None
    except OSError as error:
        raise Problem(3, f"{path} cannot be read", error.strerror or "") from error
    return [load("perdure.mermaid.files:Output")(path, new, old)]


def _told(error: DiagramError) -> Problem:
    for line in str(error).splitlines():
        click.echo(safe_text(line), err=True)
    return Problem(1, f"{plural(len(error.problems), 'problem')} in what is to be generated", "nothing was written")


def _names(outputs: Sequence[Output]) -> str:
    return ", ".join(str(output.path) for output in outputs)


def _check(outputs: Sequence[Output]) -> None:
    stale = [output for output in outputs if output.stale]
    if stale:
        raise Problem(
            1, f"{_names(stale)} is not what its diagram says", "the diagram changed since", "perdure generate"
        )
    click.echo(f"{len(outputs)} files are up to date")


def _write(outputs: Sequence[Output]) -> None:
    for output in outputs:
        if output.stale:
            _replace(output)
            click.echo(f"{output.path}: {'written' if output.old is None else 'changed'}")
        else:
            click.echo(f"{output.path}: as it was")


def _replace(output: Output) -> None:
    """Whole or not at all."""
    path = output.path
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(output.new)
        if output.old is not None:
            shutil.copymode(path, fresh)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise Problem(3, f"{path} cannot be written", error.strerror or "", "") from error


def _watch(files: Sequence[Path], plans: Sequence[Plan], stubs: Path | None, force: bool) -> None:
    """Generates again after each change, until it is interrupted; a diagram that is wrong waits for the next one."""
    watch = load("watchfiles:watch")
    folders = {path if path.is_dir() else path.parent for path in files}
    states = _states(plans)
    click.echo(f"watching {len(states)} diagrams; ^C ends it")
    for changes in watch(*folders, raise_interrupt=False):
        if not any(path.endswith(tuple(SUFFIXES)) for _, path in changes):
            continue
        try:
            plans = _plans(files)
            _write([output for output in _outputs(plans, stubs, force) if output.stale])
        except Problem as problem:
            problem.tell(False)
            continue
        now = _states(plans)
        for title in now:
            click.echo(f"{safe_text(title)}: {_difference(states.get(title, set()), now[title])}")
        states = now


def _states(plans: Sequence[Plan]) -> dict[str, set[str]]:
    return {plan.graph.title: {node.name for node in plan.graph.nodes()} for plan in plans}


def _difference(before: set[str], now: set[str]) -> str:
    changed = [f"+{name}" for name in sorted(now - before)] + [f"-{name}" for name in sorted(before - now)]
    return " ".join(changed) or "the same states"
