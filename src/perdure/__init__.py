"""Perdure: durable execution for Python. Functions that survive crashes, restarts and deploys.

This module is the list of public names. Each is loaded when it is first asked for, so that `perdure --help` and a shell's
completion need not load the engine; type checkers see plain imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.extras import load

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.engine.blocking import BlockingContext
    from perdure.engine.context import Context, current_context
    from perdure.engine.handle import Handle
    from perdure.engine.logs import LogContext
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
        StoreSealedError,
        TaskNotFoundError,
    )
    from perdure.model.execution import Execution, ListItem, Page
    from perdure.model.policy import Retry, Sizes
    from perdure.registry import Registry
    from perdure.styles.loop import Continue, Done, LoopResult
    from perdure.styles.tree.joined import Joined, Spawn, TreeResult

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
    "Continue",
    "Done",
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
    "Joined",
    "JournalDriftError",
    "LeaseLostError",
    "ListItem",
    "LogContext",
    "LoopResult",
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
    "Spawn",
    "StorageError",
    "StoreSealedError",
    "Task",
    "TaskNotFoundError",
    "TreeResult",
    "current_context",
]

_ELSEWHERE: dict[str, str] = {
    "perdure.app": "Perdure",
    "perdure.engine.blocking": "BlockingContext",
    "perdure.engine.context": "Context current_context",
    "perdure.engine.handle": "Handle",
    "perdure.engine.logs": "LogContext",
    "perdure.engine.signal": "Signal",
    "perdure.engine.task": "Activity Call Task",
    "perdure.model.execution": "Execution ListItem Page",
    "perdure.model.policy": "Retry Sizes",
    "perdure.registry": "Registry",
    "perdure.styles.loop": "Continue Done LoopResult",
    "perdure.styles.tree.joined": "Joined Spawn TreeResult",
}
_found = {name: module for module, names in _ELSEWHERE.items() for name in names.split()}
_HOME = dict.fromkeys(__all__, "perdure.errors") | _found


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'perdure' has no attribute {name!r}")
    value = globals()[name] = load(f"{_HOME[name]}:{name}")
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
