"""What must have come of the task lists of a simulation, read from the storage when all is over."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from perdure.codec import Payloads, decode_failure
from perdure.engine.items import records_of, specs_of
from perdure.engine.options import LIST
from perdure.model.records import Row
from perdure.storage import Storage
from perdure.testing.simulation.programs import Node, Program, Values, mismatch, succeeds
from perdure.testing.simulation.storage import short


def wrong_list(storage: Storage, rows: Iterable[Row], values: Values) -> str | None:
    """What is wrong with a list, if anything: each did its items in order, and failed with the first that had to fail, or
    that aborted it."""
    found = (_wrong(storage, row, values) for row in rows if row.task_name == LIST)
    return next((wrong for wrong in found if wrong is not None), None)


def _wrong(storage: Storage, row: Row, values: Values) -> str | None:
    specs = specs_of(row.input)
    programs = [msgspec.json.decode(spec.input, type=Program).node for spec in specs]
    wanted = _statuses(programs)
    done = "pending" not in wanted and (not programs or _goes_on(programs[-1]))
    records = records_of(specs, storage.journal([row.id])[0].entries, row.generation, Payloads())
    if [record.status for record in records] != wanted or (row.status == "completed") != done:
        if row.failure is not None and decode_failure(row.failure).kind == "worker_lost":
            return None  # as any execution whose workers die too often before anything new is recorded
        return f"list {short(row.id)} is {row.status}, its items {[record.status for record in records]}, not {wanted}"
    ended = [(node, record) for node, record in zip(programs, records, strict=True) if record.status == "completed"]
    wrong = (mismatch(node, msgspec.json.decode(record.value), values) for node, record in ended)
    return next((f"list {short(row.id)}: {each}" for each in wrong if each is not None), None)


def _goes_on(node: Node) -> bool:
    """Whether the list goes on after an item."""
    return succeeds(node) and node.abort != "list"


def _statuses(programs: list[Node]) -> list[str]:
    """How the items must stand in the end."""
    ends = next((seq for seq, node in enumerate(programs) if not _goes_on(node)), len(programs))
    begun = ["completed" if succeeds(node) and not node.abort else "failed" for node in programs[: ends + 1]]
    return begun + ["pending"] * (len(programs) - len(begun))
