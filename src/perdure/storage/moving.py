"""Moving a whole store into another one, while executions run: none lost, none doubled.

The source is *sealed* first: from then on nobody can change it, not even a worker that is in the middle of a body. So what
is copied is complete, and whatever somebody had in hand starts again in the destination. The destination is filled in one
transaction, and only when it is empty. If anything fails, the source is opened again; if this process is killed, the
source stays sealed and says so, the destination is empty or complete, and the same call goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from perdure.errors import StorageError
from perdure.storage._sql.session import Answer
from perdure.storage._sql.transfer import TABLES, Table
from perdure.storage.protocol import Storage


@runtime_checkable
class Movable(Storage, Protocol):
    """A storage that can be moved to another place. All operations raise `StorageError`."""

    def seal(self) -> None:
        """Forbids every change from now on, to everybody. Sealing twice is no error."""
        ...

    def unseal(self) -> None:
        """Allows changes again."""
        ...

    def sealed(self) -> bool:
        """Whether changes are forbidden."""
        ...

    def moving(self) -> AbstractContextManager[None]:
        """While this is being moved to another place; whoever else wants to meanwhile is refused."""
        ...

    def sizes(self) -> dict[str, int]:
        """How many rows each table has."""
        ...

    def page(self, table: Table, after: Sequence[Any]) -> Answer:
        """Rows of a table, from a place on."""
        ...

    def fill(self, table: Table, rows: Answer) -> None:
        """Puts such rows in."""
        ...


def move(source: Movable, destination: Movable, now: int, report: Callable[[str, int, int], None]) -> dict[str, int]:
    """Copies everything from one store to the other and leaves the first one sealed; answers how many rows went into each
    table. `report` is told a table, how many of its rows are there, and of how many.

    Raises `StorageError` when the destination holds something already or is the source itself, when somebody else moves the
    source at this moment, and when either cannot be reached: then the source goes on as if nothing had been. Where nobody can
    tell whether all arrived (a connection that broke during the commit), it stays sealed: both would be live.
    """
    if source.migrate(now) != destination.migrate(now):
        raise StorageError("the two stores have different versions of the schema: upgrade perdure, then copy")
    with source.moving():
        before, empty = source.sealed(), not any(destination.sizes().values())
        source.seal()
        try:
            return _fill(source, destination, report)
        except BaseException as error:
            arrived = empty and _may_have_arrived(destination, error)
            if not before and not arrived:
                source.unseal()
            if arrived and isinstance(error, StorageError):
                raise StorageError(
                    f"{error}; the source stays sealed: run the same copy again", retryable=True
                ) from error
            raise


def _may_have_arrived(destination: Movable, error: BaseException) -> bool:
    """Whether a store that was empty may hold all by now, though filling it failed."""
    if isinstance(error, StorageError) and error.retryable:
        return True
    try:
        return any(destination.sizes().values())
    except StorageError:
        return True


def _fill(source: Movable, destination: Movable, report: Callable[[str, int, int], None]) -> dict[str, int]:
    if destination.sealed():
        raise StorageError("the destination is the source itself, or was moved away too: nothing can be written to it")
    wanted = source.sizes()
    with destination.transaction():
        held = destination.sizes()
        if held == wanted and any(held.values()):
            raise StorageError("the destination holds as many rows of each table already: was it copied before?")
        if any(held.values()):
            raise StorageError(f"the destination is not empty ({_said(held)}): copy into a new store")
        for table in TABLES:
            _fill_table(source, destination, table, wanted[table.name], report)
        if (arrived := destination.sizes()) != wanted:
            raise StorageError(f"not everything arrived ({_said(arrived)} of {_said(wanted)}): nothing is kept")
    return wanted


def _fill_table(
    source: Movable, destination: Movable, table: Table, total: int, report: Callable[[str, int, int], None]
) -> None:
    done, after = 0, table.start
    report(table.name, 0, total)
    while rows := source.page(table, after):
        destination.fill(table, rows)
        done, after = done + len(rows), rows[-1][: len(table.start)]
        report(table.name, done, total)


def _said(sizes: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sizes.items() if count) or "nothing"
