"""What is stored of a `Spawn`, and what its children are started from: all of it checked before any of it is written.

The `Spawn` is one journal entry, so a child is known by its index. The inputs of children stand in their own rows; only
of those that must still wait (`max_parallel`) they stand in the entry as well. This module must never start anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from perdure.codec import TypeCodec, failure_of
from perdure.engine.children import check_depth, prepared, spec_of
from perdure.engine.styling import Verdict, verdict
from perdure.engine.task import Call
from perdure.errors import Failure, PerdureError, TaskNotFoundError
from perdure.ids import derived
from perdure.model.policy import exceeds
from perdure.model.records import MEMO, Entry, NewExecution, Row
from perdure.styles.tree.joined import Spawn, raw_of

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

SPAWN: Final = "spawn"
"""Key and name of the entry."""
BITE: Final = 1000
"""So many rows are read at once."""


class Plan(msgspec.Struct, omit_defaults=True):
    """A stored `Spawn`: its output (wrapped), how many children, the explicit keys of some, and of those that could not
    start at once what they are. `origin` is the execution that recorded it: a fork finds the inputs below that one."""

    output: msgspec.Raw
    origin: str
    count: int = 0
    keys: dict[int, str] = {}
    later: dict[int, msgspec.Raw] = {}

    def slot(self, index: int) -> str:
        """The place of a child. No task is named so, so that no alias meets it."""
        key = self.keys.get(index)
        return f"#{index}" if key is None else f"#{index}={key}"

    def entry(self, verbs: Verbs) -> Entry:
        """The journal entry."""
        driver = verbs.driver
        return Entry(SPAWN, MEMO, driver.ledger.take_position(), "value", SPAWN, msgspec.json.encode(self).decode(),
                     None, None, verbs.host.clock.now(), None, driver.claim.token)  # fmt: skip


_decode = msgspec.json.Decoder(Plan).decode
_spec = msgspec.json.Decoder(NewExecution).decode


def recorded(verbs: Verbs) -> Plan | None:
    """The plan that an earlier pass wrote."""
    entry = verbs.recorded(SPAWN, "value", "the Spawn of a parent task")
    return None if entry is None else _decode(cast("str", entry.value))


async def checked(
    verbs: Verbs, spawn: object, codec: TypeCodec, parallel: int | None
) -> tuple[Plan, list[NewExecution]]:
    """The plan of what a body returned, and all its children, not yet placed. Raises `Verdict` for anything wrong with it,
    naming the child."""
    if not isinstance(spawn, Spawn):
        raise wrong(verbs, f"its body must return Spawn(output, children), not {type(spawn).__qualname__}")
    spawn = cast("Spawn[object]", spawn)
    calls = _calls(verbs, spawn.children)
    if calls:
        await check_depth(verbs, calls[0].task.name)
    plan = Plan(_output(verbs, codec, spawn.output), verbs.driver.claim.id, len(calls))
    plan.keys.update((index, call.options.key) for index, call in enumerate(calls) if call.options.key is not None)
    specs = [await _child(verbs, index, call) for index, call in enumerate(calls)]
    if parallel is not None:
        plan.later.update((i, msgspec.Raw(msgspec.json.encode(specs[i]))) for i in range(parallel, len(specs)))
    return plan, specs


async def waiting(verbs: Verbs, plan: Plan, indexes: Iterable[int]) -> dict[int, NewExecution]:
    """What these children are to be started from: those that were started before as their row says, with as much time
    until their deadline as they had then; the others as the plan says."""
    ledger, found = verbs.driver.ledger, dict[int, NewExecution]()
    rows: list[int] = []
    for index in indexes:
        if index in plan.later and ledger.child(plan.slot(index)) is None:
            found[index] = _spec(plan.later[index])
        else:
            rows.append(index)
    for start in range(0, len(rows), BITE):
        bite = rows[start : start + BITE]
        ids = [derived(plan.origin, plan.slot(index)) for index in bite]
        stored = await verbs.outside(lambda ids=ids: verbs.host.client.rows(ids))
        for index, row in zip(bite, stored, strict=True):
            found[index] = _again(verbs, index, row)
    return found


def wrong(verbs: Verbs, message: str) -> Verdict:
    """The end of a parent task that returned nonsense."""
    return verdict("error", "TypeError", f"{verbs.task_name}: {message}")


def _calls(verbs: Verbs, children: Iterable[object]) -> Sequence[Call[Any]]:
    """The calls of children, as far as they can be told to be wrong without looking at their arguments."""
    given, sizes = list(children), verbs.host.sizes
    for index, call in enumerate(given):
        if not isinstance(call, Call):
            raise wrong(verbs, f"child [index={index}] is {type(call).__qualname__}; children are task.call(...)")
    calls = cast("list[Call[Any]]", given)
    if len(calls) + len(verbs.driver.ledger.children) > sizes.children:
        message = f"{verbs.task_name} starts {len(calls)} children, at most {sizes.children}; see Sizes(children=...)"
        raise verdict("too_large", "PayloadTooLargeError", message)
    for index, call in enumerate(calls):
        if verbs.host.directory.task(call.task.name) is None:
            error = TaskNotFoundError(f"task {call.task.name} is not declared in this app")
            raise _named(verbs, index, call, failure_of(error))
    named = Counter((call.task.name, call.options.key) for call in calls if call.options.key is not None)
    for (name, key), count in named.items():
        if count > 1:
            raise wrong(verbs, f"{count} children of task {name} have one key, {key!r}; a key names one child")
    return calls


async def _child(verbs: Verbs, index: int, call: Call[Any]) -> NewExecution:
    try:
        return spec_of(verbs, await prepared(verbs, call))
    except PerdureError as error:
        raise _named(verbs, index, call, failure_of(error)) from error


def _output(verbs: Verbs, codec: TypeCodec, output: object) -> msgspec.Raw:
    limit = verbs.host.sizes.result
    try:
        text = codec.encode(output)
    except PerdureError as error:
        raise Verdict(failure_of(error)) from error
    if exceeds(text, limit):
        message = f"the output of {verbs.task_name} has over {limit} bytes; see Sizes(result=...)"
        raise verdict("too_large", "PayloadTooLargeError", message)
    return raw_of(verbs.host.payloads.wrap(text))


def _named(verbs: Verbs, index: int, call: Call[Any], failure: Failure) -> Verdict:
    message = f"{verbs.task_name}: child [index={index}] {call.task.name}: {failure.message}"
    return Verdict(msgspec.structs.replace(failure, message=message, retryable=False, args=None))


def _again(verbs: Verbs, index: int, row: Row | None) -> NewExecution:
    if row is None:
        message = f"{verbs.task_name}: the input of child [index={index}] is gone; was its original pruned?"
        raise verdict("not_found", "ExecutionNotFoundError", message)
    now, names = verbs.host.clock.now(), verbs.host.directory.renamed
    return NewExecution(
        id="", task_name=names.get(row.task_name, row.task_name), input=row.input, queue=row.queue, priority=row.priority,
        deadline_at=None if row.deadline_at is None else now + row.deadline_at - row.created_at, options=row.options,
        version=row.version, tags=row.tags, trace=verbs.driver.claim.trace, max_crashes=row.max_crashes,
        retention=row.retention, external_key=row.external_key, origin=row.origin,
    )  # fmt: skip
