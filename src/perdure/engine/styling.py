"""What the styles (trees, sequences, …) use to end an execution in their own way.

A style is a `Task` with a `drive`: a coroutine over the verbs of a pass, deterministic given the journal like any body. It
may answer a result that is in its stored form already, and it may end the execution whatever the task's policy says. This
module must never know which styles there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from perdure.codec import decode_failure
from perdure.errors import Failure, FailureKind

if TYPE_CHECKING:
    from perdure.model.records import Child

LISTED: Final = 20
"""So many failed children are told of in their parent's message."""
LONGEST: Final = 600
"""Characters of one child's message; its beginning and its end are kept."""
CAUSES: Final = 4
ENDED: Final = {"failed": "failed", "timed_out": "timed out", "cancelled": "was cancelled"}


class Encoded(NamedTuple):
    """A result in its stored form: neither encoded nor measured again."""

    text: str


class Verdict(Exception):  # noqa: N818 - it is no error of a user's, and never reaches one
    """Raised by a style: the execution ends with this failure, and its policy is not asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of_child(child: Child) -> Failure:
    """How a child ended that did not complete."""
    return decode_failure(child.failure) if child.failure else Failure(message=child.status)


def children_failed(failed: Iterable[tuple[int, Child]], count: int) -> Verdict:
    """The end of an execution of which children did not complete, `failed` with their index, of `count`. The message lists
    them, the cause is the first one's failure."""
    ended = list(failed)
    told = "; ".join(_told(index, child) for index, child in ended[:LISTED])
    more = f"; and {len(ended) - LISTED} more" if len(ended) > LISTED else ""
    message = f"{len(ended)} of {count} children did not complete: {told}{more}"
    return verdict("children_failed", "ChildrenFailed", message, failure_of_child(ended[0][1]))


def verdict(kind: FailureKind, name: str, message: str, cause: Failure | None = None) -> Verdict:
    """A final end. Of its causes the first few are kept: trees are deep."""
    return Verdict(Failure(kind, name, message, retryable=False, cause=None if cause is None else _shortened(cause)))


def untraced(failure: Failure) -> Failure:
    """A failure without tracebacks: they stand in the row of the execution that it ended."""
    cause = None if failure.cause is None else untraced(failure.cause)
    return replace(failure, traceback="", cause=cause)


def _told(index: int, child: Child) -> str:
    failure = failure_of_child(child)
    kind = f"{failure.type}: " if failure.kind == "error" else ""
    return f"[index={index}] {child.task_name} {ENDED[child.status]}: {kind}{clipped(failure.message)}"


def clipped(message: str) -> str:
    """A message of bounded length. The end is kept too: there a chain of failures says what began it."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST // 3]} … {message[-2 * LONGEST // 3 :]}"


def _shortened(failure: Failure, left: int = CAUSES) -> Failure:
    if failure.cause is None:
        return failure
    return replace(failure, cause=_shortened(failure.cause, left - 1) if left > 0 else None)
