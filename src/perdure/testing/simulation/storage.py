"""The storage of one simulated process: the store that all share, behind faults drawn from the tape.

Faults come before a call, after it (the acknowledgement is lost), or make it happen twice; a partition fails everything for
a while. What was really answered is noted for the checker, and every change for the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from perdure.errors import StorageError
from perdure.model.records import Claimed, ClaimRequest, Reclaimed
from perdure.storage import Storage
from perdure.storage.check import Observed
from perdure.testing.crash import described
from perdure.testing.driving import CHANGES
from perdure.testing.faults import FaultyStorage, Operation, When
from perdure.testing.simulation.loop import Process
from perdure.testing.simulation.tape import Tape

T = TypeVar("T")
WRITES: Final = frozenset({*CHANGES, "claim", "reclaim"})
WHENS: Final[tuple[When, ...]] = ("before", "after", "twice")


class Shared(Protocol):
    """What the storages of a world have in common."""

    tape: Tape
    stormy: bool
    history: list[Observed]

    def fault_share(self) -> float:
        """How often a call fails now."""
        ...

    def note(self, who: object, what: str) -> None:
        """For the trace."""
        ...

    def time(self) -> float:
        """Seconds."""
        ...

    def hint(self, origin: SimStorage) -> None:
        """Something changed by this one."""
        ...

    def changed(self) -> None:
        """Something was committed."""
        ...


class SimStorage(FaultyStorage):
    """One process's way to the store."""

    def __init__(self, storage: Storage, world: Shared, process: Process) -> None:
        super().__init__(storage, self._draw)
        self.inline = True
        self.partitioned = 0.0
        self._world, self._process = world, process
        self._listeners: list[Callable[[], None]] = []
        self._transactions, self._written = 0, False

    def close(self) -> None:
        """The store outlives its processes."""

    def listen(self, callback: Callable[[], None]) -> None:
        self._listeners.append(callback)

    def hint(self) -> None:
        """Another process changed something."""
        if not self._process.dead:
            for callback in self._listeners:
                self._process.context.copy().run(callback)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._transactions += 1
        try:
            with super()._transaction():
                yield
        finally:
            self._transactions -= 1
            self._look(False)

    def _do(self, name: str, argument: object, call: Callable[[], T]) -> T:
        try:
            answer = super()._do(name, argument, call)
        except StorageError:
            self._look(name in WRITES)  # it may have happened
            raise
        self._look(name in CHANGES or (name in WRITES and _did(answer)))
        return answer

    def _look(self, written: bool) -> None:
        """Has what was written looked at, as soon as it is committed."""
        self._written = self._written or written
        if self._written and self._transactions == 0:
            self._written = False
            self._world.changed()

    def claim(self, request: ClaimRequest, now: int) -> Claimed:
        answer = super().claim(request, now)
        if answer.claims:
            self._world.note(self._process, f"claims {', '.join(short(claim.id) for claim in answer.claims)}")
        for claim in answer.claims:
            self._world.history.append(Observed(verb="claim", execution_id=claim.id, token=claim.token))
        return answer

    def _draw(self, operation: Operation) -> When | None:
        """A fault, in a storm; everything fails during a partition."""
        world = self._world
        if operation.name in ("transaction", "migrate"):
            return None
        when: When | None = None
        if self.partitioned > world.time():
            when = "before"
        elif world.stormy and world.tape.chance("faults", world.fault_share()):
            when = WHENS[world.tape.choose("faults", len(WHENS))]
        if when is not None or operation.name in CHANGES:
            fault = "" if when is None else f"  !! {when}"
            world.note(self._process, f"{_words(operation)}{fault}")
        if operation.name in CHANGES:
            world.hint(self)
        return when


def _did(answer: object) -> bool:
    """Whether a claim or a reclaim found anything."""
    if isinstance(answer, Claimed):
        return bool(answer.claims)
    return isinstance(answer, Reclaimed) and any(getattr(answer, name) for name in Reclaimed.__struct_fields__)


def _words(operation: Operation) -> str:
    if operation.name not in CHANGES:
        return operation.name
    ids = [getattr(item, "id", None) for item in _items(operation.argument)]
    return f"{described(operation)} [{', '.join(short(id) for id in ids if id)}]"


def _items(argument: object) -> Sequence[object]:
    return argument if isinstance(argument, list | tuple) else ()  # pyright: ignore[reportUnknownVariableType]


def short(id: str) -> str:
    """The end of an id: enough to tell executions of one run apart."""
    return id if len(id) <= 12 else id[-6:]
