"""`show`: one execution on one screen: why it stands there, what it was given, what it made, its journal, its tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click
from rich.text import Text
from rich.tree import Tree

from perdure.app import Perdure
from perdure.cli.below import Branch, read_tree
from perdure.cli.items import print_items
from perdure.cli.listing import progress_words, remark
from perdure.cli.naming import named
from perdure.cli.screen import console, present, print_json, print_table, say, say_wrapped, status_text, styled
from perdure.cli.shapes import entry_shape, execution_shape, item_shape, plain
from perdure.cli.shell_completion import execution_ids
from perdure.cli.text import clock_text, json_text, plural, relative, safe_lines, safe_text, span
from perdure.cli.where import Where, shared
from perdure.cli.why import Why, why
from perdure.engine.options import LIST
from perdure.errors import Failure
from perdure.model.execution import Execution, JournalEntry, ListItem, WorkerInfo


class Shown(NamedTuple):
    """What is read for one screen; `items` of a task list."""

    found: Execution[Any]
    workers: list[WorkerInfo]
    entries: list[JournalEntry]
    branch: Branch | None
    items: list[ListItem] | None


TRACE: Final = 32
"""Characters of a trace's id, by which a backend finds it."""
DEEP: Final = 20
WIDE: Final = 200
LONG: Final = 4_000


@click.command()
@click.argument("id", shell_complete=execution_ids)
@click.option("--tree", is_flag=True, help="Show children, and theirs, as a tree.")
@click.option("--journal/--no-journal", default=True, help="Show what is recorded (default).")
@click.option("--limit", type=click.IntRange(1), default=40, show_default=True, help="How many entries, the last ones.")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of a failure.")
@shared()
def show(where: Where, id: str, tree: bool, journal: bool, limit: int, traceback: bool) -> None:
    """Show execution ID and say why it is not moving."""

    async def read(app: Perdure) -> Shown:
        handle = await named(app, id)
        found = await handle.execution()
        entries = await handle.activities() if journal else []
        items = await app.client.items(found.id) if found.task_name == LIST else None
        branch = await read_tree(app, found, WIDE, DEEP) if tree else None
        return Shown(found, await app.workers(), entries, branch, items)

    found, workers, entries, branch, items = where.read(read)
    reason = why(found, workers, present(), where.worker)
    if branch is not None and reason.following.endswith(" --tree"):
        below = _standing(branch)
        instead = why(below, workers, present(), where.worker).following if below is not found else ""
        reason = Why(reason.sentence, instead or f"perdure show {below.id}")
    reason = Why(reason.sentence, where.explained(reason.following))
    if where.json:
        _print_document(found, reason, entries if journal else None, branch, items)
        return
    _print_head(found, reason)
    if items is None:
        _print_payloads(found, traceback)
    else:
        print_items(items)
        say("")
        _print_end(found, traceback)
    if journal:
        _print_journal(entries, limit)
    if branch is not None:
        say("")
        console().print(_drawn(branch))


def _standing(branch: Branch) -> Execution[Any]:
    """The first open execution of a tree that waits for none that is drawn below it."""
    return next((_standing(child) for child in branch.below if not child.execution.settled), branch.execution)


def _print_document(
    found: Execution[Any], reason: Why, entries: list[JournalEntry] | None, tree: Branch | None,
    items: list[ListItem] | None,
) -> None:  # fmt: skip
    document = execution_shape(found) | {"why": reason.sentence, "next": reason.following or None}
    if entries is not None:
        document["journal"] = [entry_shape(entry) for entry in entries]
    if items is not None:
        document["items"] = [item_shape(item) for item in items]
    if tree is not None:
        document["tree"] = _tree_shape(tree)["children"]
    print_json(document)


def _tree_shape(branch: Branch) -> dict[str, Any]:
    execution = branch.execution
    return {
        "id": execution.id, "task_name": execution.task_name, "status": execution.status,
        "seconds": _took(execution), "children": [_tree_shape(child) for child in branch.below],
    } | ({"more": branch.more} if branch.more else {})  # fmt: skip


# --- for people


def _print_head(found: Execution[Any], reason: Why) -> None:
    status = status_text(found.status, cancelling=found.cancelling)
    say(styled(found.task_name, "bold"), "  ", styled(found.id), "  ", status)
    say_wrapped(styled(reason.sentence, "bold" if not found.settled else ""), 2)
    if reason.following:
        say("  ", styled(f"next: {reason.following}", "dim"))
    say("")
    for name, text in _facts(found):
        say(styled(f"  {name:<9}", "dim"), text)


def _facts(found: Execution[Any]) -> list[tuple[str, str]]:
    now = present()
    facts = [("created", f"{clock_text(found.created_at)} ({relative(found.created_at, now)})")]
    if found.started_at is not None:
        facts.append(("started", f"{clock_text(found.started_at)} ({relative(found.started_at, now)})"))
    if found.finished_at is not None:
        took = span((found.finished_at - (found.started_at or found.created_at)).total_seconds())
        facts.append(("finished", f"{clock_text(found.finished_at)}, after {took}"))
    if found.attempt or found.generation:
        again = f", retried by hand {plural(found.generation, 'time')}" if found.generation else ""
        facts.append(("attempt", f"{found.attempt}{again}"))
    if found.progress is not None:
        facts.append(("progress", progress_words(found)))
    usual = found.queue == "default" and found.priority == 0
    given = {
        "queue": "" if usual else f"{found.queue}, priority {found.priority}",
        "key": found.idempotency_key or "",
        "version": found.version or "",
        "trace": (found.trace or "").removeprefix("00-")[:TRACE],
        "tags": " ".join(f"{key}={value}" for key, value in found.tags.items()),
        "parent": found.parent or "",
        "deadline": clock_text(found.deadline_at) if found.deadline_at else "",
        "children": f"{found.children_total} ({found.children_settled} settled)" if found.children_total else "",
    }
    return facts + [(name, text) for name, text in given.items() if text]


def _print_payloads(found: Execution[Any], traceback: bool) -> None:
    say("")
    _print_payload("input", found.input)
    if found.status == "completed":
        _print_payload("result", plain(found.result))
    _print_end(found, traceback)


def _print_end(found: Execution[Any], traceback: bool) -> None:
    if found.failure is not None and found.status != "completed":
        _print_failure(found.failure, traceback)


def _print_payload(name: str, value: object) -> None:
    text = json_text(value, indent=None)
    if len(text) > 100:
        text = json_text(value)
    if len(text) > LONG:
        text = f"{text[:LONG]}\n… {len(text):,} characters; whole with --json"
    shown = text.replace("\n", "\n" + " " * 11)
    console().print(Text.assemble((f"  {name:<9}", "dim"), shown), soft_wrap=True)


def _print_failure(failure: Failure, whole: bool, title: str = "failure") -> None:
    said = styled(f"{failure.type}: {failure.message}", "red")
    say_wrapped(said, 11, first=Text(f"  {title:<9}", "dim"))
    lines = safe_lines(failure.traceback).splitlines()
    shown = lines if whole else _last_own_frame(lines)
    for line in shown:
        console().print(Text(" " * 9 + line, "dim"), soft_wrap=True)
    if len(shown) < len(lines) and not whole:
        say(" " * 11, styled("the whole traceback: --traceback", "dim"))
    if failure.cause is not None and whole:
        _print_failure(failure.cause, whole, "cause")


def _last_own_frame(lines: list[str]) -> list[str]:
    """The place in a traceback that its reader wrote: the last frame outside this package, else the last one."""
    starts = [index for index, line in enumerate(lines) if line.startswith('  File "')]
    own = [index for index in starts if "/perdure/" not in lines[index]] or starts
    return [line for line in lines[own[-1] : own[-1] + 2] if line.startswith("  ")] if own else []


def _print_journal(entries: Sequence[JournalEntry], limit: int) -> None:
    say("")
    left_out = len(entries) - limit
    title = f"  journal: {plural(len(entries), 'entry', 'entries')}"
    say(styled(title + (f", the last {limit} (--limit)" if left_out > 0 else ""), "bold"))
    if entries:
        print_table(("  recorded", "kind", "took", "name", "value"), map(_row, entries[-limit:]), right=("took",))


def _row(entry: JournalEntry) -> tuple[object, ...]:
    took = ""
    if entry.started_at is not None and entry.kind == "activity":
        took = span((entry.recorded_at - entry.started_at).total_seconds())
    at = entry.recorded_at.strftime("%H:%M:%S.%f")[:-3]
    return f"  {at}", entry.kind, took, safe_text(_name(entry), 40), _outcome(entry)


def _name(entry: JournalEntry) -> str:
    """An activity's explicit key is worth showing, the digest of its arguments is not."""
    return entry.key if entry.key.startswith(f"{entry.name}=") else entry.name or entry.key


def _outcome(entry: JournalEntry) -> Text:
    if entry.failure is not None:
        return Text(safe_text(f"✗ {entry.failure.type}: {entry.failure.message}", 300), "red")
    if entry.kind == "timer" and entry.due_at is not None:
        return Text(f"until {clock_text(entry.due_at)}")
    if entry.outcome == "open":
        return Text("… open", "blue")
    if entry.outcome == "forgotten":
        return Text(safe_text(f"forgotten: {json_text(plain(entry.value), indent=None)}", 300), "dim")
    if entry.outcome == "started":
        return Text("… began, no result", "yellow")
    return Text(safe_text(json_text(plain(entry.value), indent=None), 300))


def _drawn(branch: Branch) -> Tree:
    """The tree of executions."""
    top = Tree(_label(branch.execution, whole=True))

    def grow(tree: Tree, branch: Branch) -> None:
        for child in branch.below:
            grow(tree.add(_label(child.execution)), child)
        if branch.more:
            tree.add(styled(f"… {branch.more:,} more: perdure list parent:{branch.execution.id}", "dim"))

    grow(top, branch)
    return top


def _took(execution: Execution[Any]) -> float | None:
    """Seconds from its start until it settled, or until now; `None` before its start."""
    if execution.started_at is None:
        return None
    return ((execution.finished_at or present()) - execution.started_at).total_seconds()


def _label(execution: Execution[Any], whole: bool = False) -> Text:
    words = remark(execution)
    said = Text.assemble(styled(execution.task_name, "bold"), "  ", status_text(execution.status))
    took = _took(execution)
    if took is not None:
        said.append(f"  {span(max(took, 0.0))}")
    said.append(f"  {safe_text(execution.id)}", "dim")
    return said if whole or not words else said.append(f"  {safe_text(words)}", "dim")
