"""`migrate`: the store's schema, brought up to date, examined, or printed for people who run SQL themselves."""

from __future__ import annotations

import click

from perdure.cli.problems import Problem
from perdure.cli.screen import print_json, say, styled
from perdure.cli.where import Where, shared, storage_of
from perdure.clock import SystemClock
from perdure.storage import inspection
from perdure.storage.urls import without_password


@click.command()
@click.option("--sql", is_flag=True, help="Print the whole schema as SQL, and change nothing.")
@click.option("--status", is_flag=True, help="Say where the schema stands, and change nothing.")
@click.option("--check", is_flag=True, help="As --status, and exit 3 if a migration is pending. For deploys.")
@shared()
def migrate(where: Where, sql: bool, status: bool, check: bool) -> int:
    """Bring the store's schema up to date; safe from several processes at once.

    Workers of the version before go on beside the new schema. `worker`, `dev` and `enqueue` migrate by themselves.
    """
    app = where.store()
    storage = storage_of(app)
    try:
        if sql:
            return _print_script(inspection.script(storage))
        schema = inspection.schema(storage)
        if schema is None:
            raise Problem(
                3, "this store has no schema of ours", f"{without_password(app.settings.url)} looks after itself"
            )
        if status or check:
            return _say_status(where, schema, check)
        version = storage.migrate(SystemClock().now())
        _say_done(where, schema, version, without_password(app.settings.url))
        return 0
    finally:
        storage.close()


def _print_script(script: str | None) -> int:
    if script is None:
        raise Problem(3, "this store has no schema in SQL")
    click.echo(script)
    return 0


def _say_status(where: Where, schema: inspection.Schema, check: bool) -> int:
    code = 3 if check and schema.pending else 0
    if where.json:
        print_json({"version": schema.version, "known": schema.known, "pending": list(schema.pending)})
        return code
    say(f"schema version {schema.version}, this perdure knows {schema.known}")
    for name in schema.pending:
        say(styled("  pending  ", "yellow"), name)
    if schema.version > schema.known:
        say(styled("  newer than this perdure by one: it works, upgrade soon", "yellow"))
    if schema.pending:
        say(styled(f"next: {where.explained('perdure migrate')}", "dim"))
    return code


def _say_done(where: Where, before: inspection.Schema, version: int, url: str) -> None:
    if where.json:
        print_json({"version": version, "applied": list(before.pending)})
        return
    for name in before.pending:
        say(styled("applied  ", "green"), name)
    say(f"{url} has schema version {version}", styled("" if before.pending else ", nothing to do", "dim"))
