"""A process that works on an SQLite store until its time is over; run by `test_sqlite_processes`.

    python sqlite_program.py PATH NAME SECONDS [PAGES]

With PAGES it checkpoints as often as that says.
It writes one line per acknowledged batch of enqueues, and a last one with its totals.
"""

from __future__ import annotations

import sys
import time

from perdure.model.records import (
    Claim,
    ClaimRequest,
    Completed,
    Entry,
    Heartbeat,
    NewExecution,
    Outcome,
    Released,
    Suspended,
    Transition,
    Wait,
    WorkerRow,
)
from perdure.storage.sqlite import SQLiteStorage, checkpoints


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def row(name: str) -> WorkerRow:
    now = milliseconds()
    return WorkerRow(name, "host", 1, "1", ("default",), ("work",), 20, now, now + 60_000)


def outcome(claim: Claim, now: int) -> Outcome:
    """Three of four complete at once, one sleeps first, some are put back."""
    kind = int(claim.id.rpartition("-")[2]) % 8
    if claim.journaled or kind > 2:
        return Completed('"done"')
    if kind == 2 and claim.token == 1:
        return Released(now)
    return Suspended((Wait("timer", "sleep", now + 5),), now + 5)


def turn(storage: SQLiteStorage, name: str, number: int) -> int:
    now = milliseconds()
    with storage.transaction():
        storage.enqueue([NewExecution(f"{name}-{number + place}", "work", "{}") for place in range(5)], now)
        claims = storage.claim(ClaimRequest(name, ("default",), ("work",), 8), now).claims
    entry = Entry("act", "", 0, "activity", "act", "1", None, None, now, now, 1)
    answers = storage.commit(
        [Transition(claim.id, claim.token, (entry,), (), outcome(claim, now)) for claim in claims], milliseconds()
    )
    return sum(answer.status == "completed" and not answer.lost for answer in answers)


def main(path: str, name: str, seconds: float) -> None:
    storage = SQLiteStorage(path)
    storage.migrate(milliseconds())
    storage.listen(lambda: None)
    storage.heartbeat(Heartbeat(row(name)), milliseconds())
    number = completed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        completed += turn(storage, name, number)
        number += 5
        print(number, flush=True)
        if number % 100 == 0:
            storage.heartbeat(Heartbeat(row(name)), milliseconds())
            storage.reclaim(milliseconds())
    storage.heartbeat(Heartbeat(row(name), leaving=True), milliseconds())
    storage.close()
    print("total", number, completed, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        checkpoints.PAGES = int(sys.argv[4])
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
