"""The small port through which a plan talks to its database, inside one transaction.

Statements go by name. Parameters are texts, integers and `None`; a list or tuple among them is one parameter that holds
many (a JSON text in SQLite, an array in Postgres). Answers are rows by position. This module is a protocol: it must
never know a dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from perdure.errors import StorageError
from perdure.model.records import ClaimRequest

Value: TypeAlias = str | int | None
Parameter: TypeAlias = str | int | Sequence[Any] | None
Answer: TypeAlias = list[Sequence[Any]]


class OvertakenError(StorageError):
    """Somebody else changed meanwhile what a plan had read: nothing is written, and the plan is to begin again."""

    def __init__(self) -> None:
        super().__init__("executions were changed by somebody else meanwhile; try again", retryable=True)


class Session(Protocol):
    """Statements inside one transaction of one connection. All raise `StorageError`."""

    notable: bool
    """Set by a plan when others may want to look: something fell due, settled or was flagged."""

    def read(self, name: str, *parameters: Parameter) -> Answer:
        """All rows that a statement answers."""
        ...

    def several(self, *asked: tuple[str, Parameter]) -> list[Answer]:
        """As `read`, for statements with one parameter each, of which none needs the answer of another."""
        ...

    def run(self, name: str, *parameters: Parameter) -> int:
        """Runs a statement that changes, and answers how many rows it changed."""
        ...

    def do(self, name: str, *parameters: Parameter) -> None:
        """As `run`, where nobody asks how many."""
        ...

    def give(self, name: str, rows: Sequence[Sequence[Value]]) -> None:
        """As `put`, where nothing is shared and nobody asks how many."""
        ...

    def put(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> int:
        """Runs a statement over many given rows, `head` being the parameters that all share; answers how many rows it
        changed."""
        ...

    def insert(
        self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]], *, last: bool = False
    ) -> set[str] | None:
        """As `put`, for new executions, the id first in each row: the ids that went in, `None` when all did. `last`: nothing
        of this operation is written after it."""
        ...

    def complete_alone(
        self, now: int, rows: Sequence[tuple[str, int, str]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> set[str]:
        """Runs `complete_alone` over (id, token, result), and records their entries: the ids of those that completed by it.
        Entries of the others may be recorded too, where they run under their token. `last`: nothing of this operation is
        written after it, if all complete."""
        ...

    def record_running(
        self, asked: Sequence[tuple[str, int]], entries: Sequence[Sequence[Value]], *, last: bool
    ) -> Answer | None:
        """`look`, `record` and `proceed` at once, for executions (id, token) that go on running: what was found, as `look`
        answers it; `None` where the database does it in steps. `last`: nothing of this operation is written after it."""
        ...

    def claim_due(
        self, request: ClaimRequest, lanes: Sequence[Sequence[Value]], now: int
    ) -> tuple[Answer, bool] | None:
        """`outlook`, `choose`, `lease` and `leased` at once; what was leased stands behind what is expected, once with
        nothing behind where it was nothing. And whether others hold due work. `None` where the database does it in steps."""
        ...

    def choose(self, name: str, head: Sequence[Value], lanes: Sequence[Sequence[Value]]) -> Answer:
        """What a statement answers that is repeated for each of some lanes."""
        ...

    def passed_over(self, now: int, queues: Sequence[str], tasks: Sequence[str]) -> bool:
        """Whether `choose` may have left out due work because others hold it at this very moment."""
        ...

    def match(self, name: str, terms: Sequence[tuple[str, bool, Parameter]], *parameters: Parameter) -> Answer:
        """What a search answers; a term is the name of a fragment, whether it is negated, and its parameter."""
        ...
