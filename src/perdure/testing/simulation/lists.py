"""What must have come of the task lists of a simulation, read from the storage when all is over."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from perdure.codec import Payloads, decode_failure
from perdure.engine.items import records_of, specs_of
from perdure.engine.options import LIST
from perdure.model.records import Row
from perdure.storage import Storage
from perdure.testing.simulation.programs import Program, Values, mismatch, succeeds
from perdure.testing.simulation.storage import short


def wrong_list(storage: Storage, rows: Iterable[Row], values: Values) -> str | None:
    """What is wrong with a list, if anything: each did its items in order, and failed with the first that had to fail."""
    found = (_wrong(storage, row, values) for row in rows if row.task_name == LIST)
    return next((wrong for wrong in found if wrong is not None), None)


def _wrong(storage: Storage, row: Row, values: Values) -> str | None:
    specs = specs_of(row.input)
    programs = [msgspec.json.decode(spec.input, type=Program).node for spec in specs]
    good = next((seq for seq, node in enumerate(programs) if not succeeds(node)), len(programs))
    wanted = ["completed"] * good + (
        ["failed"] + ["pending"] * (len(programs) - good - 1) if good < len(programs) else []
    )
    records = records_of(specs, storage.journal([row.id])[0].entries, row.generation, Payloads())
    if [record.status for record in records] != wanted or (row.status == "completed") != (good == len(programs)):
        if row.failure is not None and decode_failure(row.failure).kind == "worker_lost":
            return None  # as any execution whose workers die too often before anything new is recorded
        return f"list {short(row.id)} is {row.status}, its items {[record.status for record in records]}, not {wanted}"
    parts = [msgspec.json.decode(record.value) for record in records[:good]]
    wrong = (mismatch(node, part, values) for node, part in zip(programs, parts, strict=False))
    return next((f"list {short(row.id)}: {each}" for each in wrong if each is not None), None)
