"""The plans' `Session` over one SQLite connection.

Rows never come one by one: an answer is put together by SQLite as one JSON text and read in one step, because each
step gives the interpreter lock away, and beside a busy event loop waits milliseconds to get it back. An answer that is
too large for one text is fetched in the ordinary way. Lists travel as JSON texts too.

The statements in `sql/own` are SQLite's alone: they find out what other databases answer to a writing statement. This
module must never begin or end a transaction, nor open a connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from perdure.model.records import ClaimRequest
from perdure.storage._sql.session import Answer, Parameter, Value
from perdure.storage.sqlite import statements
from perdure.storage.sqlite.failures import primary
from perdure.storage.sqlite.statements import Statement, size

PACKAGE: Final = "perdure.storage.sqlite"
LANES_AT_ONCE: Final = 64

_ROWS: Final = msgspec.json.Decoder(list[list[Any]])
_CHUNK: Final = 512
"""Ids per reading statement: bounds the size of one answer."""
_aggregated: dict[str, str] = {}
"""Reading statements as they are run, by their plain texts."""


class SQLiteSession:
    """See `perdure.storage._sql.session.Session`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.notable = False
        self._statements = statements.load(f"{PACKAGE}.sql") | statements.load(f"{PACKAGE}.sql.own")
        self._terms = statements.load(f"{PACKAGE}.sql.terms")

    def read(self, name: str, *parameters: Parameter) -> Answer:
        return self._answer(self._statements[name].text, [_bound(parameter) for parameter in parameters])

    def several(self, *asked: tuple[str, Parameter]) -> list[Answer]:
        return [self.read(name, parameter) for name, parameter in asked]

    def do(self, name: str, *parameters: Parameter) -> None:
        self.connection.execute(self._statements[name].text, [_bound(parameter) for parameter in parameters])

    def give(self, name: str, rows: Sequence[Sequence[Value]]) -> None:
        self.put(name, (), rows)

    def run(self, name: str, *parameters: Parameter) -> int:
        before = self.connection.total_changes  # `rowcount` does not know statements that begin with WITH
        self.connection.execute(self._statements[name].text, [_bound(parameter) for parameter in parameters])
        return self.connection.total_changes - before

    def put(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> int:
        statement, before = self._statements[name], self.connection.total_changes
        for start in range(0, len(rows), statement.most):
            part = rows[start : start + statement.most]
            count = size(len(part))
            self.connection.execute(statement.sized(count), statement.parameters(head, part, count))
        return self.connection.total_changes - before

    def insert(
        self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]], *, last: bool = False
    ) -> set[str] | None:
        place = self.read("last_row")[0][0]
        if self.put(name, head, rows) == len(rows):
            return None
        return {row[0] for row in self.read("rows_after", place)}

    def complete_alone(
        self, now: int, rows: Sequence[tuple[str, int, str]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> set[str]:
        """Which of them completed, SQLite could only tell row by row; so it is deduced from those that still run. Where
        some of the others did not run before, this does not answer, and nothing is done."""
        if entries:
            self.give("record", entries)
        self.connection.execute("SAVEPOINT alone")
        count, completed = self.put("complete_alone", (now,), rows), {row[0] for row in rows}
        if count != len(rows):
            tokens = {id: token for id, token, _ in rows}
            completed -= {id for id, token in self.read("still_running", list(tokens)) if tokens[id] == token}
            if count != len(completed):
                self.connection.execute("ROLLBACK TO alone")
                completed.clear()
        self.connection.execute("RELEASE alone")
        return completed

    def record_running(
        self, asked: Sequence[tuple[str, int]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> None:
        """A step costs nothing here: there is no way to a server."""

    def claim_due(self, request: ClaimRequest, lanes: Sequence[Sequence[Value]], now: int) -> None:
        """As `record_running`."""

    def choose(self, name: str, head: Sequence[Value], lanes: Sequence[Sequence[Value]]) -> Answer:
        statement, found = self._statements[name], Answer()
        for start in range(0, len(lanes), LANES_AT_ONCE):
            part = lanes[start : start + LANES_AT_ONCE]
            count = size(len(part))
            found += self._answer(statement.sized(count), statement.parameters(head, part, count))
        return found

    def passed_over(self, now: int, queues: Sequence[str], tasks: Sequence[str]) -> bool:
        return False  # nobody else writes at the same time

    def match(self, name: str, terms: Sequence[tuple[str, bool, Parameter]], *parameters: Parameter) -> Answer:
        text = self._statements[name].matching([(self._terms[field].text, negated) for field, negated, _ in terms])
        return self._answer(text, [_bound(each) for each in (*parameters, *(parameter for _, _, parameter in terms))])

    def _answer(self, text: str, parameters: Sequence[Value]) -> Answer:
        aggregated = _aggregated.get(text) or self._aggregate(text, parameters)
        try:
            return cast("Answer", _ROWS.decode(self.connection.execute(aggregated, parameters).fetchone()[0]))
        except sqlite3.DataError as error:
            if primary(error) != sqlite3.SQLITE_TOOBIG:
                raise
            return [tuple(row) for row in self.connection.execute(text, parameters)]

    def _aggregate(self, text: str, parameters: Sequence[Value]) -> str:
        """The statement whose only answer holds all rows of another."""
        described = self.connection.execute(f"SELECT * FROM ({text}) LIMIT 0", parameters).description  # noqa: S608
        columns = ", ".join('"' + column[0].replace('"', '""') + '"' for column in described)
        aggregated = f"SELECT json_group_array(json_array({columns})) FROM ({text})"  # noqa: S608
        if "{terms}" not in text and len(_aggregated) < _CHUNK:
            _aggregated[text] = aggregated
        return aggregated


def _bound(parameter: Parameter) -> Value:
    """A list becomes JSON text; anything else goes as it is."""
    if parameter is None or isinstance(parameter, str | int):
        return parameter
    return msgspec.json.encode(parameter).decode()


def plain(statement: Statement) -> str:
    """A statement's text, for explaining it."""
    return statement.sized(1) if statement.width else statement.text
