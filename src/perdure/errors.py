"""Every exception that Perdure raises, and the record of a failure that was stored.

    PerdureError
    ├── ConfigurationError          a wrong option, name or declaration: fix the program
    ├── AppClosedError              a verb on an app that is not open
    ├── InvalidInputError           the input does not fit the task's signature
    ├── InvalidQueryError           a query that cannot be read, with the position
    ├── NotInExecutionError         a durable verb outside an execution
    ├── NotSerializableError        a value or type that cannot be stored
    ├── PayloadTooLargeError        a value above the configured size
    ├── IdempotencyConflictError    an id or key is taken by other work
    ├── BacklogFullError            a task's backlog is full
    ├── ExecutionNotFoundError      no execution of that id
    ├── TaskNotFoundError           no task of that name in this app
    ├── JournalDriftError           recorded work does not fit this code
    ├── LeaseLostError              another worker owns the execution now
    ├── StorageError                the database refused or could not be reached
    │   └── StoreSealedError        the store was moved, and takes no changes any more
    ├── MapFailedError              more items of `ctx.map` failed than tolerated
    ├── ActivityFailedError         a recorded failure whose own class is not at hand
    └── ExecutionError              how an awaited execution ended
        ├── ExecutionFailedError
        ├── ExecutionTimedOutError
        └── ExecutionCancelledError

`GiveUp`, `RetryLater` and `Abort` are raised *by* user code, to steer; they are no `PerdureError`.
This module imports nothing of Perdure: everything else may import it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec

FailureKind: TypeAlias = Literal[
    "error",
    "timed_out",
    "cancelled",
    "children_failed",
    "finalize_failed",
    "aborted",
    "worker_lost",
    "not_found",
    "invalid_input",
    "too_large",
]


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """How something failed, as stored: a record, never an exception object.

    `kind` classifies, `type` is the exception's class name, `traceback` is text (bounded), `cause` the failure behind
    this one. `args` are the exception's arguments where they are JSON natives, else `None`; with them the original
    class can be rebuilt when its module is loaded. `scope` and `value` are those of an `Abort`, the value as JSON natives.
    """

    kind: FailureKind = "error"
    type: str = "Exception"
    message: str = ""
    traceback: str = ""
    retryable: bool = True
    cause: Failure | None = None
    module: str | None = None
    args: tuple[object, ...] | None = None
    retry_after: float | None = None
    scope: Literal["item", "list"] = "item"
    value: object = None


class PerdureError(Exception):
    """Base of all errors of this library. `failure` is set where a stored failure stands behind the error."""

    failure: Failure | None = None


class ConfigurationError(PerdureError):
    """A wrong option, declaration or use. The message names the option and what is allowed."""


class AppClosedError(PerdureError):
    """The app is not open: use `async with app:` or `async with app.connect():`."""


class InvalidInputError(PerdureError):
    """The input does not fit the task's signature; the message names the field. Nothing was stored."""


class InvalidQueryError(PerdureError):
    """A query that cannot be read. `position` is the offset of the offending character, from 0."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class NotInExecutionError(PerdureError):
    """A durable verb was called where no execution is running."""


class NotSerializableError(PerdureError):
    """A value or a type that cannot be stored as JSON. The message names what and where."""


class PayloadTooLargeError(PerdureError):
    """A value is larger than the configured size (see `Sizes`). Nothing was stored."""


class IdempotencyConflictError(PerdureError):
    """The id or idempotency key already belongs to another task or other input. `execution_id` names the owner."""

    def __init__(self, message: str, execution_id: str = "") -> None:
        super().__init__(message)
        self.execution_id = execution_id


class BacklogFullError(PerdureError):
    """The task's backlog is full; try again later."""


class ExecutionNotFoundError(PerdureError):
    """No execution of that id exists (never enqueued, or pruned)."""


class TaskNotFoundError(PerdureError):
    """No task of that name is declared in this app."""


class JournalDriftError(PerdureError):
    """What is recorded does not fit the code that is running now. It consumes no attempt."""


class LeaseLostError(PerdureError):
    """Another worker owns this execution now; what this one did after losing it is not recorded."""


class StorageError(PerdureError):
    """The database refused or could not be reached. `retryable` tells whether trying again may help."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class StoreSealedError(StorageError):
    """The store was moved by `perdure copy` and takes no changes any more: use the other one."""


class RecordedError(PerdureError):
    """Base of errors rebuilt from a stored failure."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class ActivityFailedError(RecordedError):
    """An activity failed, and its own exception class cannot be rebuilt here. `.failure` has the record."""


class MapFailedError(RecordedError):
    """More items of a `ctx.map` failed than `tolerate` allows. `results` holds what was reached, in input order."""

    def __init__(self, message: str, failure: Failure | None = None, results: tuple[object, ...] = ()) -> None:
        super().__init__(message, failure)
        self.results = results


class ExecutionError(RecordedError):
    """How an awaited execution ended, when it did not complete. `execution_id` names it."""

    def __init__(self, message: str, failure: Failure | None = None, execution_id: str = "") -> None:
        super().__init__(message, failure)
        self.execution_id = execution_id


class ExecutionFailedError(ExecutionError):
    """The execution failed."""


class ExecutionTimedOutError(ExecutionError):
    """The execution ran out of its timeout or deadline. It is no `TimeoutError`: that is the caller's own wait."""


class ExecutionCancelledError(ExecutionError):
    """The execution was cancelled."""


class GiveUp(Exception):  # noqa: N818 - it reads as the order it is
    """Raise it in a task or activity to fail at once: no retry follows."""


class RetryLater(Exception):  # noqa: N818
    """Raise it in a task or activity to be retried after `delay` (seconds or a timedelta), whatever the policy says.

    The number of retries that the policy allows still holds. Raises `ValueError` for a delay that is negative, no number or
    longer than a hundred years.
    """

    def __init__(self, message: str = "", *, delay: float | timedelta) -> None:
        super().__init__(message)
        self.delay = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= self.delay <= 3.2e9:
            raise ValueError(f"RetryLater delay is {delay!r}; it must be seconds from 0 to 3.2e9 (a hundred years)")


class Abort(Exception):  # noqa: N818
    """Stop asked for by task code. In a task list it ends the item, or with `scope="list"` the list; elsewhere it fails
    the execution with kind `aborted`. `value` is kept. Raises `ValueError` for another scope."""

    def __init__(self, message: str = "", *, scope: Literal["item", "list"] = "item", value: object = None) -> None:
        if scope not in ("item", "list"):
            raise ValueError(f"Abort scope is {scope!r}; it must be 'item' or 'list'")
        super().__init__(message)
        self.scope: Literal["item", "list"] = scope
        self.value = value
