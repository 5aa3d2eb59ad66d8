"""`doctor`: examine a store and what works on it, one line each: how it is, and what to do about it.

What the store's own files say comes from `storage.inspection`; what its contents say is judged here. Nothing is changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import click
import msgspec
from rich.text import Text

from perdure.app import Perdure
from perdure.cli.screen import MARKS, print_json, say_wrapped, styled
from perdure.cli.text import clock_text, plural, relative
from perdure.cli.where import Where, explained, shared, storage_of
from perdure.errors import StorageError
from perdure.model.execution import Stats, WorkerInfo, moment
from perdure.storage import inspection
from perdure.storage.check import check as violations
from perdure.storage.inspection import Finding
from perdure.storage.urls import in_schema, without_password

SHOWN: Final = 20
AHEAD: Final = 60_000
"""Milliseconds that the store's newest execution may be ahead of this host's clock."""


class Held(NamedTuple):
    """What a check-up reads from a store."""

    stats: Stats
    workers: list[WorkerInfo]
    stuck: list[str]
    newest: int | None
    now: int


@click.command()
@click.option(
    "--check-invariants", is_flag=True, help="Read everything and check the store's promises. Slow when large."
)
@shared()
def doctor(where: Where, check_invariants: bool) -> int:
    """Examine the store: versions, files, locks, schema, workers, leases, clock. Exit 1 if something is wrong."""
    found: list[Finding] = []
    try:
        found.extend(_examined(where, check_invariants))
    except StorageError as error:
        found.append(Finding("bad", "executions" if found else "store", str(error)))
    if where.json:
        print_json([{"level": f.level, "name": f.name, "detail": f.detail, "advice": f.advice or None} for f in found])
    for finding in () if where.json else found:
        mark, style = MARKS[finding.level]
        head = Text.assemble((f"{mark} ", style), (f"{finding.name:<14}", "bold"))
        say_wrapped(styled(finding.detail), 16, first=head)
        if finding.advice and finding.level != "ok":
            say_wrapped(styled(finding.advice, style), 18, first=Text(" " * 16 + "→ ", style))
    return 1 if any(finding.level == "bad" for finding in found) else 0


def _examined(where: Where, whole: bool) -> Iterator[Finding]:
    app = where.store()
    storage = storage_of(app)
    url = without_password(app.settings.url)
    if missing := inspection.missing(storage):
        yield Finding("bad", "store", f"{url}: there is no file {missing}", f"{where.worker}   makes it")
        return
    try:
        looked = inspection.findings(storage)
        schema = inspection.schema(storage)
    finally:
        storage.close()
    yield Finding("ok", "store", url)
    yield from (_unsealing(each, app) if each.name == inspection.SEAL else each for each in looked)
    if schema is not None:
        reads = any(each.name == inspection.STANDBY for each in looked)
        yield _schema(schema, where.explained("perdure migrate") if not reads else "perdure migrate, on the primary")
        if schema.pending:
            return
    yield from _contents(where.read(_read), where.worker)
    if whole:
        yield from where.read(_invariants)


def _unsealing(seal: Finding, app: Perdure) -> Finding:
    """What is said of a seal, with the command that takes it off."""
    url = shlex.quote(without_password(in_schema(app.settings.url, app.settings.schema)))
    return msgspec.structs.replace(seal, advice=f"{seal.advice}: {explained(f'perdure copy {url} --unseal')}")


def _schema(schema: inspection.Schema, migrating: str) -> Finding:
    if schema.pending:
        detail = f"version {schema.version}; {plural(len(schema.pending), 'migration')} pending"
        return Finding("bad", "schema", detail, migrating)
    if schema.version > schema.known:
        return Finding(
            "warn", "schema", f"version {schema.version}, one newer than this perdure", "upgrade perdure soon"
        )
    return Finding("ok", "schema", f"version {schema.version}, up to date")


async def _read(app: Perdure) -> Held:
    now = app.parts.clock.now()
    workers = await app.workers()
    alive = {worker.id for worker in workers if worker.alive}
    running = await app.search("status:running", limit=10_000)
    stuck = [each.id for each in running.items if each.worker not in alive]
    newest = await app.search(limit=1)
    created = [round(each.created_at.timestamp() * 1000) for each in newest.items]
    return Held(await app.stats(), workers, stuck, max(created, default=None), now)


def _contents(held: Held, start: str) -> Iterator[Finding]:
    now = moment(held.now)
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(held.stats.counts.items()))
    yield Finding("ok", "executions", counts or "none yet")
    alive = [worker for worker in held.workers if worker.alive]
    silent = [worker for worker in held.workers if not worker.alive]
    yield Finding("ok", "workers", f"{plural(len(alive), 'worker')} alive")
    if silent:
        yield Finding(
            "warn", "workers", f"{plural(len(silent), 'worker')} dead or silent", "a live worker takes their work over"
        )
    for task in held.stats.unserved:
        detail = f"task {task} has open executions and no live worker"
        yield Finding("warn", "tasks", detail, f"{start}   with an app that declares {task}")
    for each in held.stats.tasks:
        if (
            each.oldest_due is not None
            and (now - each.oldest_due).total_seconds() > 60
            and each.task_name not in held.stats.unserved
        ):
            detail = (
                f"task {each.task_name} in queue {each.queue} waits for a slot since {relative(each.oldest_due, now)}"
            )
            yield Finding("warn", "backlog", detail, "more workers, or --concurrency")
    yield _leases(held)
    yield _clock(held)


def _leases(held: Held) -> Finding:
    if held.stuck:
        detail = f"{plural(len(held.stuck), 'execution')} held by dead workers, as {held.stuck[0]}"
        return Finding("warn", "leases", detail, "start a worker: it takes them over at once")
    return Finding("ok", "leases", "none is stuck")


def _clock(held: Held) -> Finding:
    ahead = 0 if held.newest is None else held.newest - held.now
    if ahead > AHEAD:
        detail = f"an execution was created {ahead / 1000:,.0f} s in this host's future"
        return Finding("bad", "clock", detail, "set the clocks of all hosts by NTP")
    return Finding("ok", "clock", clock_text(moment(held.now)))


async def _invariants(app: Perdure) -> list[Finding]:
    """Believes only what two readings report alike: the store may be in use."""
    store = app.client.store
    once = set(await store.read(lambda storage: violations(storage)))
    found = sorted(once & set(await store.read(lambda storage: violations(storage)))) if once else []
    shown: list[Any] = [Finding("bad", "invariants", str(each), "report it, with this line") for each in found[:SHOWN]]
    return shown or [Finding("ok", "invariants", "all hold")]
