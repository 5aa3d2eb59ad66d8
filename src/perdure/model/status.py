"""The words for where an execution stands, and the table of legal moves between them.

The table is the truth: the storage's reference model and the invariant checker read it, and the diagram in the docs is
drawn from it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Status: TypeAlias = Literal["pending", "running", "waiting", "completed", "failed", "timed_out", "cancelled"]
WaitKind: TypeAlias = Literal["timer", "signal", "children", "finalize", "external", "limit"]

STATUSES: Final[tuple[Status, ...]] = ("pending", "running", "waiting", "completed", "failed", "timed_out", "cancelled")
WAIT_KINDS: Final[tuple[WaitKind, ...]] = ("timer", "signal", "children", "finalize", "external", "limit")
SETTLED: Final[frozenset[str]] = frozenset({"completed", "failed", "timed_out", "cancelled"})
UNSUCCESSFUL: Final[frozenset[str]] = SETTLED - {"completed"}

TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    ("pending", "running"): "claim",
    ("pending", "cancelled"): "cancel",
    ("pending", "timed_out"): "deadline",
    ("waiting", "running"): "claim",
    ("waiting", "cancelled"): "cancel",
    ("waiting", "timed_out"): "deadline",
    ("running", "waiting"): "suspend",
    ("running", "pending"): "retry, release or reclaim",
    ("running", "completed"): "complete",
    ("running", "failed"): "fail, or lost with its worker too often",
    ("running", "timed_out"): "time out",
    ("running", "cancelled"): "cancel",
    ("failed", "pending"): "operator's retry",
    ("timed_out", "pending"): "operator's retry",
    ("cancelled", "pending"): "operator's retry",
}
"""(from, to) -> what moves it. Nothing else is legal."""


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", "    [*] --> pending: enqueue"]
    lines += [f"    {source} --> {target}: {why}" for (source, target), why in TRANSITIONS.items()]
    lines += [f"    {status} --> [*]" for status in STATUSES if status in SETTLED]
    return "\n".join(lines)
