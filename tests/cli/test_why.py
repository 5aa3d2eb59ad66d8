"""Each reason for which an execution may stand still has a sentence of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import Execution, Failure
from perdure.cli.why import why
from perdure.model.execution import WaitInfo, WorkerInfo

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
ERROR = Failure(type="ValueError", message="no")
PENDING: Execution[Any] = Execution(
    "e1", "mail", "pending", False, None, (), 0, 0, {}, None, None, "default", 0, NOW, None, None, {}, None, None, "e1",
    None, NOW, None, None, None,
)  # fmt: skip
WORKER = WorkerInfo("w1", "here", 7, "0", ("default",), ("mail",), 10, 0, NOW, SOON, False, True)
RUNNING = replace(PENDING, status="running", worker="w1", started_at=NOW)


def waiting(*waits: WaitInfo, **changes: Any) -> Execution[Any]:
    return replace(PENDING, status="waiting", due_at=None, waits=waits, waiting_on=waits[0].kind, **changes)


CASES: list[tuple[Execution[Any], list[WorkerInfo], str, str]] = [
    (PENDING, [], "no worker is running", "perdure worker"),
    (PENDING, [replace(WORKER, alive=False)], "no worker is running", "perdure worker"),
    (PENDING, [replace(WORKER, tasks=("other",))], "no live worker has task mail", "perdure workers"),
    (PENDING, [replace(WORKER, queues=("q",))], "no live worker with task mail serves queue default", "--queue default"),
    (PENDING, [replace(WORKER, draining=True)], "every worker that could take it is draining", "perdure worker"),
    (PENDING, [replace(WORKER, running=10)], "all 10 slots of 1 worker are taken", "perdure workers"),
    (replace(PENDING, crashes=3), [WORKER], "it lost its worker 3 times in a row", ""),
    (PENDING, [WORKER], "it is due; a worker takes it at its next look", ""),
    (replace(PENDING, due_at=SOON), [WORKER], "it starts at 2026-01-01 12:05:00Z (in 5 min)", ""),
    (
        replace(PENDING, due_at=SOON, attempt=3, failure=ERROR), [WORKER],
        "retry 3 comes at 2026-01-01 12:05:00Z (in 5 min), after ValueError: no", "",
    ),
    (
        replace(PENDING, due_at=SOON, failure=Failure(type="JournalDriftError", message="activity x")), [WORKER],
        "its journal does not fit the code: activity x; the next look is in 5 min", "perdure check",
    ),
    (waiting(WaitInfo("timer", "", SOON)), [], "it sleeps until 2026-01-01 12:05:00Z (in 5 min)", ""),
    (waiting(WaitInfo("signal", "ok", None)), [], "it waits for signal ok without a time limit", "perdure signal e1 ok"),
    (waiting(WaitInfo("signal", "ok", SOON)), [], "it waits for signal ok until 2026-01-01 12:05:00Z", "perdure signal"),
    (
        waiting(WaitInfo("children", "mail", None), children_total=5, children_settled=2), [],
        "it waits for children of task mail (3 of 5 open)", "--tree",
    ),
    (
        waiting(WaitInfo("children", "", None), children_total=5, children_settled=2), [],
        "it waits for its children (3 of 5 open)", "--tree",
    ),
    (
        waiting(WaitInfo("finalize", "mail.finalize", None), children_total=5, children_settled=4), [],
        "it waits for its finalizer mail.finalize", "--tree",
    ),
    (
        waiting(WaitInfo("external", "approve", None)), [],
        "it waits to be completed from outside for key 'approve' without", "perdure complete mail approve VALUE",
    ),
    (
        waiting(*[WaitInfo("signal", name, None) for name in "abcde"]), [],
        "signal c without a time limit, and for 2 more", "perdure signal e1 a",
    ),
    (replace(waiting(WaitInfo("timer", "", NOW)), due_at=NOW), [], "no worker is running", ""),
    (RUNNING, [WORKER], "it runs on worker w1 (process 7 on here), first started now", ""),
    (RUNNING, [], "its worker died", "perdure workers"),
    (RUNNING, [replace(WORKER, alive=False)], "its worker died", "perdure workers"),
    (replace(RUNNING, cancelling=True), [WORKER], "a cancel was asked for; its body still runs", ""),
    (replace(PENDING, status="completed"), [], "it completed", ""),
    (replace(PENDING, status="failed", failure=ERROR, attempt=2), [], "it failed after 3 attempts: ValueError: no", "retry"),
    (replace(PENDING, status="timed_out", failure=ERROR), [], "it timed out after 1 attempt", "perdure retry e1"),
    (replace(PENDING, status="cancelled", cancel_reason="enough"), [], "it was cancelled (enough)", "perdure retry e1"),
    (
        replace(PENDING, status="failed", failure=Failure(kind="worker_lost", type="WorkerLost", message="5 times")), [],
        "its task kills its worker each time", "perdure show e1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("execution", "workers", "sentence", "following"), CASES)
def test_the_reason(execution: Execution[Any], workers: list[WorkerInfo], sentence: str, following: str) -> None:
    found = why(execution, workers, NOW)
    assert sentence in found.sentence
    assert following in found.following
    assert bool(found.following) >= bool(following)
