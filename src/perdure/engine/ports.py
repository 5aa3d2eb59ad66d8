"""The ports by which tasks, handles and drivers reach what lies above or outside the engine.

`Transport` answers tasks and handles: a client (storage), a remote client (HTTP), or the durable context of a running
body. `Host` is what a driver needs of its worker. Whoever opens supplies them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from perdure.clock import Clock
from perdure.codec import Payloads
from perdure.ids import Ids
from perdure.model.execution import Event, Execution, JournalEntry, ListItem
from perdure.model.externals import Answered, NewCompletion
from perdure.model.policy import Retry, Sizes
from perdure.model.records import Committed, Conflict, Enqueued, NewExecution, Outcome, Row, Transition
from perdure.telemetry import Told

if TYPE_CHECKING:
    from perdure.engine.driver import Driver
    from perdure.engine.handle import Handle
    from perdure.engine.task import Activity, Call, Task

R = TypeVar("R")


class Transport(Protocol):
    """The verbs behind `Task` and `Handle`. Errors are those of `perdure.errors`."""

    async def enqueue(self, calls: Sequence[Call[Any]]) -> list[Handle[Any]]:
        """Stores the calls in one transaction."""
        ...

    async def run(self, call: Call[R]) -> R:
        """Stores a call and answers its result."""
        ...

    async def result(self, handle: Handle[R], timeout: float | None) -> R:
        """The result, when there is one."""
        ...

    async def wait(self, handle: Handle[R], timeout: float | None) -> Execution[R]:
        """The snapshot, once settled."""
        ...

    async def execution(self, handle: Handle[R]) -> Execution[R]:
        """The snapshot now."""
        ...

    async def cancel(self, execution_id: str, reason: str) -> None:
        """Asks for a cancel."""
        ...

    async def signal(self, execution_id: str, name: str, text: str) -> None:
        """Sends an encoded value."""
        ...

    async def complete(self, task: Task[..., Any], completion: NewCompletion) -> Answered:
        """Completes an external task, by the completion's key and encoded value or failure; an empty id is filled in."""
        ...

    async def retry(self, execution_id: str) -> None:
        """Opens a new generation."""
        ...

    async def fork(self, handle: Handle[R], from_activity: str | None, arguments: object) -> Handle[R]:
        """Starts a copy."""
        ...

    async def entries(self, execution_id: str) -> list[JournalEntry]:
        """The journal."""
        ...

    async def children(self, execution_id: str, limit: int | None) -> list[Execution[Any]]:
        """Snapshots of the children, the first `limit`."""
        ...

    def watch(self, handle: Handle[R]) -> AsyncIterator[Event]:
        """What happens, until it is settled."""
        ...

    async def item(self, list_id: str, which: int | str) -> ListItem:
        """An item of a task list, by number or name, as it stands."""
        ...


class BodyTransport(Transport, Protocol):
    """The verbs of a running body: those of every transport, recorded, and what calling an activity does."""

    def activity(
        self, activity: Activity[..., R], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Coroutine[Any, Any, R]:
        """The recorded result of an activity, or a run that records it."""
        ...


class Reader(Transport, Protocol):
    """A client that also reads what is stored, as it is stored."""

    async def rows(self, execution_ids: Sequence[str]) -> list[Row | None]:
        """Executions by id."""
        ...


class Owner(Protocol):
    """Where a task was declared: an app, or a registry that an app includes."""

    @property
    def sizes(self) -> Sizes:
        """The sizes that hold for it."""
        ...

    def transport(self) -> Transport:
        """The open client. Raises `AppClosedError` when there is none."""
        ...


class Directory(Protocol):
    """Tasks and activities by name, aliases included."""

    @property
    def renamed(self) -> Mapping[str, str]:
        """From each alias to the name."""
        ...

    def task(self, name: str) -> Task[..., Any] | None:
        """The task that answers to `name`."""
        ...

    def activity(self, name: str) -> Activity[..., Any] | None:
        """The activity that answers to `name`."""
        ...


class ChapterEnd(Protocol):
    """Who is told how the pass ended in the middle of a chapter, to add what belongs into the same transition.
    `task_name` is the task whose function runs in it, `shown` what people are told it is, `policy` how often it is tried,
    where not as the task says."""

    task_name: str
    shown: str
    policy: Retry | None

    def ended(self, outcome: Outcome) -> None:
        """The pass ends by this outcome, which is not yet written."""
        ...


class Host(Protocol):
    """What a driver needs of the worker that runs it."""

    clock: Clock
    ids: Ids
    payloads: Payloads
    sizes: Sizes
    directory: Directory
    retries: Retry
    logger: logging.Logger
    told: Told | None
    cancel_grace: float
    linger: float
    singly: bool

    @property
    def shutting_down(self) -> bool:
        """Whether the worker is closing."""
        ...

    @property
    def client(self) -> Reader:
        """The client for what is not part of the journal."""
        ...

    def commit(self, take: Callable[[], Transition | None], done: Callable[[Committed | BaseException], None]) -> None:
        """Writes a transition with the next batch; `take` makes it when the batch is closed."""
        ...

    def hand_off(self, spec: NewExecution) -> NewExecution:
        """The same execution, leased to this worker at once where that is fair and there is a free slot."""
        ...

    def dropped(self, spawned: Sequence[NewExecution]) -> None:
        """Executions that were handed off but not stored."""
        ...

    def spawned(self, spec: NewExecution) -> None:
        """Starts an execution that was inserted leased to this worker."""
        ...

    async def store_executions(self, specs: Sequence[NewExecution]) -> list[Enqueued | Conflict]:
        """Stores independent executions in one transaction."""
        ...

    async def send_signal(self, signal_id: str, execution_id: str, name: str, text: str) -> None:
        """Sends a signal under an id of its own, so that sending it again changes nothing."""
        ...

    def freeing(self, driver: Driver) -> None:
        """The last change of a pass is on its way; the slot may be filled by the same batch."""
        ...

    def suspended(self, driver: Driver) -> bool:
        """The execution waits; its slot is free. Answers whether its body may linger in memory."""
        ...

    def gone(self, driver: Driver) -> None:
        """The driver holds nothing any more."""
        ...

    def reacquire(self, driver: Driver) -> None:
        """Claims a lingering execution again and resumes it, or unwinds it when somebody else was quicker."""
        ...

    def in_thread(self, function: Callable[[], R], *, body: bool) -> Awaitable[R]:
        """Runs a function in a thread, in the caller's context. Bodies and activities have separate threads."""
        ...

    def in_process(self, function: Callable[..., object], arguments: str) -> Awaitable[str]:
        """Runs an importable activity in another process: encoded arguments in, encoded result out."""
        ...
