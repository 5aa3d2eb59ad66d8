"""Perdure: durable execution for Python. Functions that survive crashes, restarts and deploys."""

from perdure.app import Perdure
from perdure.engine.blocking import BlockingContext
from perdure.engine.context import Context, current_context
from perdure.engine.handle import Handle
from perdure.engine.signal import Signal
from perdure.engine.task import Activity, Call, Task
from perdure.errors import (
    Abort,
    ActivityFailedError,
    AppClosedError,
    BacklogFullError,
    ConfigurationError,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionTimedOutError,
    Failure,
    GiveUp,
    IdempotencyConflictError,
    InvalidInputError,
    InvalidQueryError,
    JournalDriftError,
    LeaseLostError,
    MapFailedError,
    NotInExecutionError,
    NotSerializableError,
    PayloadTooLargeError,
    PerdureError,
    RetryLater,
    StorageError,
    TaskNotFoundError,
)
from perdure.model.execution import Execution, Page
from perdure.model.policy import Retry, Sizes
from perdure.registry import Registry

__all__ = [
    "Abort",
    "Activity",
    "ActivityFailedError",
    "AppClosedError",
    "BacklogFullError",
    "BlockingContext",
    "Call",
    "ConfigurationError",
    "Context",
    "Execution",
    "ExecutionCancelledError",
    "ExecutionFailedError",
    "ExecutionNotFoundError",
    "ExecutionTimedOutError",
    "Failure",
    "GiveUp",
    "Handle",
    "IdempotencyConflictError",
    "InvalidInputError",
    "InvalidQueryError",
    "JournalDriftError",
    "LeaseLostError",
    "MapFailedError",
    "NotInExecutionError",
    "NotSerializableError",
    "Page",
    "PayloadTooLargeError",
    "Perdure",
    "PerdureError",
    "Registry",
    "Retry",
    "RetryLater",
    "Signal",
    "Sizes",
    "StorageError",
    "Task",
    "TaskNotFoundError",
    "current_context",
]
