"""The plans' `Session` over one connection to PostgreSQL.

Many rows travel as one JSON text: the driver encodes it in one step beside a busy event loop, and the server takes it apart
faster than arrays (measured: `docs/decisions`). What needs no answer is sent and not waited for; its error comes with the
next answer, or at the commit.

Tables in the statements belong to the schema `perdure`; what was chosen instead is put in when they are loaded. The last
statement of an operation may end its transaction, or be all of it; to begin one is `link`'s alone. This module must never open a
connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final, cast

import msgspec
import psycopg

from perdure.model.records import ClaimRequest
from perdure.storage._sql import statements
from perdure.storage._sql.session import Answer, Parameter, Value

PACKAGE: Final = "perdure.storage.postgres"
MOST_ROWS: Final = 1000
MOST_TEXT: Final = 32 * 1024 * 1024
"""Bytes of rows in one statement; the server takes 256 MiB."""
PASSED_OVER: Final = 4
"""Where `claim_due` answers whether others hold due work."""

SCANS: Final = b"""
SELECT
    pg_catalog.set_config('enable_seqscan', $1, FALSE), pg_catalog.set_config('enable_bitmapscan', $1, FALSE),
    pg_catalog.set_config('jit', 'off', FALSE)
"""
"""Whether plans may go through a table. A statement that is prepared while its table is small keeps its plan when the table
has grown: so those are told not to, and ask for rows by a list of ids even where a join would find them. What goes through a
small table all the same costs ten thousand million for servers before 18, which then compile it, for half a second each time:
never to compile is said with it."""
CLOCK: Final = b"SELECT floor(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000::numeric)::bigint"
"""Milliseconds UTC, never rounded up."""
ANEW: Final = frozenset(
    {
        "enqueue_mixed", "externals", "gone", "heard", "known_signals", "late", "late_workers", "orphans", "overdue",
        "page_executions", "page_externals", "page_journal", "page_signals", "prunable", "remove_entries",
        "remove_externals", "remove_signals", "remove_trees", "size_executions", "size_externals", "size_journal",
        "size_signals", "stalled", "standing", "stats", "workers",
    }
)  # fmt: skip
"""Statements that are planned each time: rare ones, and those that go by an index only when they see that a table is large."""

_SCHEMA: Final = re.compile(r"\bperdure\.")
_FOLD: Final = re.compile(r"\{fold:(.*?)\}")
_HEAD: Final = re.compile(r"\$(\d+)")
_encode: Final = msgspec.json.Encoder().encode
Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


class Texts:
    """The statements for one schema. `collation` is one of the server's that knows the lower case of all letters."""

    def __init__(self, schema: str, collation: str | None) -> None:
        found = statements.texts(f"{PACKAGE}.sql") | statements.texts(f"{PACKAGE}.sql.own")
        self._plain = {name: located(text, schema) for name, text in found.items()}
        self.of = {name: text.encode() for name, text in self._plain.items()}
        self._terms = {
            name: _folding(located(text, schema), collation)
            for name, text in statements.texts(f"{PACKAGE}.sql.terms").items()
        }

    def matching(self, name: str, terms: Sequence[tuple[str, bool]]) -> bytes:
        """A search with its conditions, each with one parameter and perhaps negated, in the place of `{terms}`."""
        text = self._plain[name]
        head = max((int(number) for number in _HEAD.findall(text)), default=0)
        texts = [
            f"NOT coalesce(({condition}), FALSE)" if negated else f"({condition})"
            for condition, negated in (
                (self._terms[term].replace("$0", f"${head + place}"), negated)
                for place, (term, negated) in enumerate(terms, 1)
            )
        ]
        return text.replace("{terms}", " AND ".join(texts) or "TRUE").encode()


def located(text: str, schema: str) -> str:
    """A statement with its tables in a schema (whose name is checked)."""
    return _SCHEMA.sub(f"{schema}.", text)


@cache
def texts(schema: str, collation: str | None) -> Texts:
    """The statements for a schema."""
    return Texts(schema, collation)


class PostgresSession:
    """See `perdure.storage._sql.session.Session`."""

    def __init__(self, connection: Connection, texts: Texts) -> None:
        self._connection, self._texts = connection, texts
        self.put_off: Callable[[], None] | None = None
        """Begins a transaction that was put off."""
        self.pipeline: psycopg.Pipeline | None = None
        """Set inside a transaction: statements are sent without waiting for the answers of those before."""
        self.prepared = False
        """The server keeps statements and their plans, for which it was told to go by indexes."""
        self.alone = False
        """What runs is all of its transaction."""
        self.committing: Cursor | None = None
        """The commit, where it was sent along with the last statement, or is that itself."""
        self.notable = False
        self.changes = 0
        """How many statements were sent that change something."""

    @property
    def connection(self) -> Connection:
        """The connection; a transaction that was put off begins."""
        if self.put_off is not None:
            begin, self.put_off = self.put_off, None
            begin()
        return self._connection

    def read(self, name: str, *parameters: Parameter) -> Answer:
        return self._answers(self._send(name, parameters))

    def several(self, *asked: tuple[str, Parameter]) -> list[Answer]:
        sent = [self._send(name, (parameter,)) for name, parameter in asked]
        self._wait()
        return [_rows(cursor) for cursor in sent]

    def clock(self) -> int:
        """What the server's clock reads, in milliseconds UTC. Only to compare it with: what is stored comes from the caller."""
        return int(self._answers(self.connection.execute(CLOCK))[0][0])

    def run(self, name: str, *parameters: Parameter) -> int:
        self.changes += 1
        return self._counted([self._send(name, parameters)])

    def do(self, name: str, *parameters: Parameter) -> None:
        self.changes += 1
        self._send(name, parameters)

    def give(self, name: str, rows: Sequence[Sequence[Value]]) -> None:
        self._put(name, (), rows)

    def put(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> int:
        return self._counted(self._put(name, head, rows))

    def insert(
        self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]], *, last: bool = False
    ) -> set[str] | None:
        sent = self._put(name, head, rows, last=last)
        inserted = [row[0] for cursor in sent for row in self._answers(cursor)]
        return None if len(inserted) == len(rows) else set(inserted)

    def complete_alone(
        self, now: int, rows: Sequence[tuple[str, int, str]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> set[str]:
        """With entries it is one statement too: nothing is held of those that do not complete by it."""
        if last and len(rows) == 1 and not entries:
            return {row[0] for row in self._send_whole("complete_alone", [rows, now], done=bool)}
        if not entries:
            return {row[0] for cursor in self._put("complete_alone", (now,), rows) for row in self._answers(cursor)}
        completed = set[str]()
        for start in range(0, len(rows), MOST_ROWS):
            completed |= self._complete(now, rows[start : start + MOST_ROWS], entries)
        return completed

    def _complete(self, now: int, rows: Sequence[tuple[str, int, str]], entries: Sequence[Sequence[Value]]) -> set[str]:
        ids = {row[0] for row in rows}
        given = (_encode(rows), _encode([entry for entry in entries if entry[0] in ids]))
        if sum(map(len, given)) > MOST_TEXT and len(rows) > 1:
            half = len(rows) // 2
            return self._complete(now, rows[:half], entries) | self._complete(now, rows[half:], entries)
        self.changes += 1
        sent = self._send("complete_recorded", [given[0].decode(), now, given[1].decode()])
        return {row[0] for row in self._answers(sent)}

    def record_running(
        self, asked: Sequence[tuple[str, int]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> Answer | None:
        given = _encode(entries)
        if len(entries) > MOST_ROWS or len(asked) > MOST_ROWS or len(given) > MOST_TEXT:
            return None
        self.changes += 1
        send = self._send_last if last else self._send
        return self._answers(send("record_running", [asked, given.decode()]))

    def claim_due(self, request: ClaimRequest, lanes: Sequence[Sequence[Value]], now: int) -> tuple[Answer, bool]:
        given = (now, request.queues, lanes, request.limit, request.worker_id, int(request.suspects))
        rows = self._send_whole("claim_due", given, done=lambda rows: rows[0][PASSED_OVER + 1] is not None)
        return [(*row[:PASSED_OVER], *row[PASSED_OVER + 1 :]) for row in rows], bool(rows[0][PASSED_OVER])

    def choose(self, name: str, head: Sequence[Value], lanes: Sequence[Sequence[Value]]) -> Answer:
        return self.read(name, lanes, *head)

    def passed_over(self, now: int, queues: Sequence[str], tasks: Sequence[str]) -> bool:
        return bool(self.read("passed_over", now, queues, tasks)[0][0])

    def match(self, name: str, terms: Sequence[tuple[str, bool, Parameter]], *parameters: Parameter) -> Answer:
        text = self._texts.matching(name, [(field, negated) for field, negated, _ in terms])
        given = (*parameters, *(parameter for _, _, parameter in terms))
        with self._free_to_scan():
            return self._answers(
                self.connection.execute(text, [_bound(parameter) for parameter in given], prepare=False)
            )

    @contextmanager
    def _free_to_scan(self) -> Generator[None]:
        """For what is asked for once, and may concern most rows: planned anew, by whatever way is best."""
        if not self.prepared or self.pipeline is not None:
            yield
            return
        self.connection.execute(SCANS, ["on"])
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                self.connection.execute(SCANS, ["off"])

    def _send(self, name: str, parameters: Sequence[Parameter]) -> Cursor:
        return self._execute(self.connection.cursor(), name, parameters)

    def _send_last(self, name: str, parameters: Sequence[Parameter]) -> Cursor:
        """The last statement of an operation. Where that is all of its transaction, the commit goes along; where the statement is
        all of it, that is its own."""
        if self.put_off is not None:
            self.put_off, self.committing = None, self._connection.cursor()
            return self._execute(self.committing, name, parameters)
        sent = self._send(name, parameters)
        if self.alone and self.pipeline is not None:
            self.committing = self.connection.execute(b"COMMIT")
        return sent

    def _send_whole(self, name: str, parameters: Sequence[Parameter], done: Callable[[Answer], bool]) -> Answer:
        """The answer to a statement that does all of an operation, or nothing (as `done` says); then a transaction that was put
        off is still to begin."""
        self.changes += 1
        begin = self.put_off
        rows = self._answers((self._send if begin is None else self._send_last)(name, parameters))
        if begin is not None and not done(rows):
            self.put_off, self.committing = begin, None
        return rows

    def _execute(self, cursor: Cursor, name: str, parameters: Sequence[Parameter]) -> Cursor:
        given = [_bound(parameter) for parameter in parameters]
        return cursor.execute(self._texts.of[name], given, prepare=False if name in ANEW else None)

    def _put(
        self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]], *, last: bool = False
    ) -> list[Cursor]:
        sent = list[Cursor]()
        texts = (text for start in range(0, len(rows), MOST_ROWS) for text in _encoded(rows[start : start + MOST_ROWS]))
        text = next(texts, None)
        while text is not None:
            following = next(texts, None)
            send = self._send_last if last and following is None else self._send
            self.changes += 1
            sent.append(send(name, [text, *head]))
            text = following
        return sent

    def _counted(self, sent: Sequence[Cursor]) -> int:
        """How many rows statements changed: their answers are waited for."""
        self._wait()
        return sum([cursor.rowcount for cursor in sent])

    def _answers(self, sent: Cursor) -> Answer:
        self._wait()
        return _rows(sent)

    def _wait(self) -> None:
        """Until all that was sent is answered. A sync asks for it, no mere flush: after that alone the server notices when
        nothing more comes (see `link.STALLED`)."""
        if self.pipeline is not None:
            self.pipeline.sync()


def _rows(cursor: Cursor) -> Answer:
    return cast("Answer", cursor.fetchall())


def _encoded(rows: Sequence[Sequence[Value]]) -> list[str]:
    """Rows as JSON texts, none too large."""
    text = _encode(rows)
    if len(text) <= MOST_TEXT or len(rows) == 1:
        return [text.decode()]
    half = len(rows) // 2
    return _encoded(rows[:half]) + _encoded(rows[half:])


def _bound(parameter: Parameter) -> Value:
    """A list becomes JSON text; anything else goes as it is."""
    if parameter is None or isinstance(parameter, str | int):
        return parameter
    return _encode(parameter).decode()


def _folding(text: str, collation: str | None) -> str:
    suffix = f' COLLATE "{collation}"' if collation else ""
    return _FOLD.sub(lambda found: f"lower(({found[1]}){suffix})", text)
