"""The small port through which a plan talks to its database, inside one transaction.

Statements go by name. Parameters are texts, integers and `None`; a list or tuple among them is one parameter that holds
many (a JSON text in SQLite, an array in Postgres). Answers are rows by position. This module is a protocol: it must
never know a dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = str | int | None
Parameter: TypeAlias = str | int | Sequence[Any] | None
Answer: TypeAlias = list[list[Any]]


class Session(Protocol):
    """Statements inside one transaction of one connection. All raise `StorageError`."""

    notable: bool
    """Set by a plan when others may want to look: something fell due, settled or was flagged."""

    def read(self, name: str, *parameters: Parameter) -> Answer:
        """All rows that a statement answers."""
        ...

    def run(self, name: str, *parameters: Parameter) -> int:
        """Runs a statement that changes, and answers how many rows it changed."""
        ...

    def put(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> int:
        """Runs a statement over many given rows, `head` being the parameters that all share; answers how many rows it
        changed."""
        ...

    def insert(self, name: str, head: Sequence[Value], rows: Sequence[Sequence[Value]]) -> set[str] | None:
        """As `put`, for new executions, the id first in each row: the ids that went in, `None` when all did."""
        ...

    def complete_alone(self, now: int, rows: Sequence[tuple[str, int, str]]) -> set[str]:
        """Runs `complete_alone` over (id, token, result): the ids of those that completed by it."""
        ...

    def choose(self, name: str, head: Sequence[Value], lanes: Sequence[Sequence[Value]]) -> Answer:
        """What a statement answers that is repeated for each of some lanes."""
        ...

    def match(self, name: str, terms: Sequence[tuple[str, bool, Parameter]], *parameters: Parameter) -> Answer:
        """What a search answers; a term is the name of a fragment, whether it is negated, and its parameter."""
        ...
