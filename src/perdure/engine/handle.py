"""`Handle`: a reference to one execution, and the verbs on it.

Inside a body the same verbs become durable: the scope's transport answers instead of the handle's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from perdure.clock import Duration, seconds
from perdure.codec.failures import clean
from perdure.engine.scope import body_scope
from perdure.engine.signal import Signal, encode_signal
from perdure.errors import ConfigurationError
from perdure.model.execution import Event, Execution, JournalEntry
from perdure.model.status import Status

if TYPE_CHECKING:
    from perdure.engine.ports import Transport
    from perdure.engine.task import Task

R = TypeVar("R", covariant=True)
T = TypeVar("T")


def checked_id(id: object) -> str:
    """An id as somebody gave it. Raises `ConfigurationError` for what can be none: another type, an empty text, one that
    not every storage can hold."""
    if isinstance(id, str) and id and id == clean(id) and "\0" not in id:
        return id
    hint = "; a handle has it as .id" if isinstance(id, Handle) else ""
    raise ConfigurationError(f"an execution id is a text, not {id!r:.100}{hint}")


class Handle(Generic[R]):
    """A reference to an execution. It stays valid across processes: make one anew with `task.handle(id)`.

    All verbs raise `ExecutionNotFoundError` when there is no such execution, `AppClosedError` when the app is not open
    and `StorageError` when the database cannot be reached.
    """

    __slots__ = ("_transport", "id", "task")

    def __init__(self, id: str, task: Task[..., R] | None, transport: Transport) -> None:
        self.id = id
        self.task = task
        self._transport = transport

    def __repr__(self) -> str:
        return f"Handle({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and self.id == other.id  # pyright: ignore[reportUnknownMemberType]

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def transport(self) -> Transport:
        """Who answers: inside a body its durable context, else the client that made the handle."""
        scope = body_scope()
        return self._transport if scope is None else scope.transport

    async def result(self, timeout: Duration | None = None) -> R:
        """The result, waiting up to `timeout` (seconds or a timedelta) for it.

        Raises `ExecutionFailedError`, `ExecutionTimedOutError` or `ExecutionCancelledError` as the execution ended, and
        `TimeoutError` when it is still open after `timeout`; the execution goes on then.
        """
        return await self.transport.result(self, _limit(timeout))

    async def wait(self, timeout: Duration | None = None) -> Execution[R]:
        """The snapshot once settled, however it ended. Raises `TimeoutError` when still open after `timeout`."""
        return await self.transport.wait(self, _limit(timeout))

    async def status(self) -> Status:
        """The status now."""
        return (await self.execution()).status

    async def execution(self) -> Execution[R]:
        """A snapshot of the execution now."""
        return await self.transport.execution(self)

    async def cancel(self, reason: str = "") -> None:
        """Asks for a cancel of the execution and all that is open below it; durable once this returns. What is
        settled already is left alone."""
        await self.transport.cancel(self.id, reason)

    @overload
    async def signal(self, name: Signal[T], value: T) -> None: ...
    @overload
    async def signal(self, name: str, value: object = None) -> None: ...
    async def signal(self, name: str | Signal[Any], value: object = None) -> None:
        """Sends a value; it is kept until the execution asks for it. Raises `NotSerializableError`,
        `PayloadTooLargeError`."""
        await self.transport.signal(self.id, *encode_signal(name, value))

    async def retry(self) -> None:
        """Starts a settled failure, time-out or cancel again under the same id: memoised results are kept, the retry
        budget is fresh. Raises `ConfigurationError` for an execution that is open or completed."""
        await self.transport.retry(self.id)

    async def fork(self, *, from_activity: str | None = None, input: object = None) -> Handle[R]:
        """Starts a copy that has what was recorded before the entry with key (or name) `from_activity` and goes on from
        there; without it the copy starts afresh. `input` replaces the input: a dict that names a parameter is
        arguments by name, all else the single argument. Raises `ConfigurationError` for an unknown key,
        `InvalidInputError` for an unknown name."""
        return await self.transport.fork(self, from_activity, input)

    async def activities(self) -> list[JournalEntry]:
        """What is recorded, in order."""
        return await self.transport.entries(self.id)

    async def children(self, limit: int | None = None) -> list[Execution[object]]:
        """Snapshots of the children, in the order of their start, at most `limit` of them."""
        return await self.transport.children(self.id, limit)

    def watch(self) -> AsyncIterator[Event]:
        """An event at once and with each change, the last one when it is settled."""
        return self.transport.watch(self)


def _limit(timeout: Duration | None) -> float | None:
    return None if timeout is None else seconds(timeout, "timeout")
