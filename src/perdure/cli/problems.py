"""Errors as three lines: what, why, what to type next. And their exit codes.

A traceback is for bugs of ours: it is printed only for an error that no row of the table knows.
"""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import click

from perdure.cli.text import json_text, safe_text
from perdure.errors import (
    ConfigurationError,
    ExecutionError,
    ExecutionNotFoundError,
    IdempotencyConflictError,
    InvalidInputError,
    InvalidQueryError,
    NotSerializableError,
    PayloadTooLargeError,
    PerdureError,
    StorageError,
    TaskNotFoundError,
)
from perdure.model.query import FIELDS


class Problem(click.ClickException):
    """What went wrong, why, and what to type next."""

    def __init__(self, exit_code: int, what: str, why: str = "", following: str = "") -> None:
        super().__init__(what)
        self.code, self.why, self.following = exit_code, why, following

    def tell(self, as_json: bool) -> None:
        """Writes it to the error stream."""
        if as_json:
            given = {"error": self.message, "why": self.why, "next": self.following, "exit": self.code}
            click.echo(json_text({name: value for name, value in given.items() if value != ""}), err=True)
            return
        click.secho(f"✗ {safe_text(self.message)}", fg="red", bold=True, err=True)
        for word, text in (("why: ", self.why), ("next:", self.following)):
            if text:
                click.echo(f"  {word} {safe_text(text)}", err=True)


def warn(text: str) -> None:
    """A warning for people, on the error stream."""
    click.secho(f"! {safe_text(text)}", fg="yellow", err=True)


def must_confirm(question: str) -> None:
    """Asks for a yes. Raises `Problem` for anything else, and where there is nobody to ask."""
    unchanged = "nothing was changed"
    try:
        if click.confirm(question, err=True):
            return
    except click.Abort:
        click.echo(err=True)
        if not sys.stdin.isatty():
            raise Problem(2, unchanged, "it cannot ask: the input is not a terminal", "add --yes") from None
    raise Problem(130, unchanged)


def told(error: Exception, as_json: bool) -> int:
    """Tells of any error and answers the exit code."""
    problem = problem_of(error)
    if problem is None:
        traceback.print_exception(error)
        click.secho("✗ this is a bug in perdure; please report it with the lines above", fg="red", err=True)
        return 70
    problem.tell(as_json)
    return problem.code


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error of ours means; `None` for a stranger."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, click.ClickException):
        return Problem(error.exit_code, error.format_message())
    for kind, make in TABLE:
        if isinstance(error, kind):
            return make(error)
    return None


def _storage(error: Exception) -> Problem:
    text = str(error)
    if "GRANT" not in text and ("schema" in text or "migration" in text):
        following = "perdure migrate" if "migrate`" in text else ""
        return Problem(3, "the store's schema does not fit this perdure", text, following)
    return Problem(5, "the store cannot be used", text, "perdure doctor" if _was_open(error) else "")


def _was_open(error: Exception) -> bool:
    """Whether a check-up may know more: where the store cannot be opened, it could only say the same again."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB)
    return getattr(cause, "sqlstate", "") is not None  # the driver has no code where it does not reach a server


def _conflict(error: Exception) -> Problem:
    owner = getattr(error, "execution_id", "")
    return Problem(
        3, str(error), "an id or key means one task with one input", f"perdure show {owner}" if owner else ""
    )


def _query(error: Exception) -> Problem:
    unread = "write field:value" in str(error)
    why = f"a query is field:value …, with fields {', '.join(FIELDS)}" if unread else ""
    return Problem(2, str(error), why, "perdure list status:failed")


TABLE: Final[list[tuple[type[Exception], Callable[[Any], Problem]]]] = [
    (
        ExecutionNotFoundError,
        lambda error: Problem(4, str(error), "misspelt or cut short, never enqueued here, or pruned", "perdure list"),
    ),
    (TaskNotFoundError, lambda error: Problem(4, str(error), "", "perdure tasks")),
    (InvalidQueryError, _query),
    (InvalidInputError, lambda error: Problem(2, str(error), "nothing was stored", "perdure tasks")),
    (NotSerializableError, lambda error: Problem(2, str(error))),
    (PayloadTooLargeError, lambda error: Problem(2, str(error))),
    (IdempotencyConflictError, _conflict),
    (ExecutionError, lambda error: Problem(1, str(error), "", f"perdure show {error.execution_id}")),
    (StorageError, _storage),
    (ConfigurationError, lambda error: Problem(3, str(error))),
    (PerdureError, lambda error: Problem(1, str(error))),
]
