"""What is stored of a `Spawn`, and what its children are started from: all of it checked before any of it is written.

The `Spawn` is one journal entry, so a child is known by its index. The inputs of children stand in their own rows; only
of those that must still wait (`max_parallel`) they stand in the entry as well. This module must never start anything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from itertools import islice
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
from perdure.model.trees import SPAWN, Plan, plan_of
from perdure.styles.tree.joined import Spawn, raw_of

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

BITE: Final = 1000
"""So many rows are read, and children checked, at once."""

_spec = msgspec.json.Decoder(NewExecution).decode


def recorded(verbs: Verbs) -> Plan | None:
    """The plan that an earlier pass wrote."""
    entry = verbs.recorded(SPAWN, "value", "the Spawn of a parent task")
    return None if entry is None else plan_of(cast("str", entry.value))


def entry_of(verbs: Verbs, plan: Plan) -> Entry:
    """The journal entry of a plan."""
    driver = verbs.driver
    return Entry(SPAWN, MEMO, driver.ledger.take_position(), "value", SPAWN, plan.text(),
                 None, None, verbs.host.clock.now(), None, driver.claim.token)  # fmt: skip


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
    specs = await _children(verbs, calls)
    if parallel is not None:
        now = verbs.host.clock.now()
        for index in range(parallel, len(specs)):
            plan.later[index] = msgspec.Raw(msgspec.json.encode(_at_rest(specs[index], now)))
    return plan, specs


async def waiting(verbs: Verbs, plan: Plan, indexes: Iterable[int]) -> dict[int, NewExecution]:
    """What these children are to be started from now: those that were started before as their row says, the others as the
    plan says. Each has as much time until its deadline as its first start gave it, or would have."""
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
            found[index] = _of_row(verbs, index, row)
    return {index: _from_now_on(verbs, found[index]) for index in indexes}


def wrong(verbs: Verbs, message: str) -> Verdict:
    """The end of a parent task that returned nonsense."""
    return verdict("error", "TypeError", f"{verbs.task_name}: {message}")


def _calls(verbs: Verbs, children: Iterable[object]) -> Sequence[Call[Any]]:
    """The calls of children, as far as they can be told to be wrong without looking at their arguments."""
    calls = _counted(verbs, children)
    for index, call in enumerate(calls):
        if not isinstance(cast("object", call), Call):
            raise wrong(verbs, f"child [index={index}] is {type(call).__qualname__}; children are task.call(...)")
    for index, call in enumerate(calls):
        if verbs.host.directory.task(call.task.name) is None:
            error = TaskNotFoundError(f"task {call.task.name} is not declared in this app")
            raise _named(verbs, index, call, failure_of(error))
    named = Counter((call.task.name, call.options.key) for call in calls if call.options.key is not None)
    for (name, key), count in named.items():
        if count > 1:
            raise wrong(verbs, f"{count} children of task {name} have one key, {key!r}; a key names one child")
    return calls


def _counted(verbs: Verbs, children: object) -> list[Call[Any]]:
    """The children, not too many of them. Of what does not know its length, as a generator, no more than that are asked
    for: it may have no end."""
    if not isinstance(children, Iterable):
        kind = type(children).__qualname__
        raise wrong(verbs, f"Spawn(children=...) is {kind}; it must be an iterable of task.call(...)")
    most = verbs.host.sizes.children
    room, sized = most - len(verbs.driver.ledger.children), isinstance(children, Sized)
    calls = cast("Iterable[Call[Any]]", children)
    given = list(calls if sized else islice(calls, max(room, 0) + 1))
    if len(given) > room:
        count = f"{len(given)} children" if sized else f"more than {max(room, 0)} children"
        message = f"{verbs.task_name} starts {count}, at most {most}; see Sizes(children=...)"
        raise verdict("too_large", "PayloadTooLargeError", message)
    return given


async def _children(verbs: Verbs, calls: Sequence[Call[Any]]) -> list[NewExecution]:
    """What the calls are stored as. Of many, the event loop gets a turn now and then; the pass is not suspended meanwhile."""
    specs: list[NewExecution] = []
    driver = verbs.driver
    driver.busy += 1
    try:
        for start in range(0, len(calls), BITE):
            specs += [await _child(verbs, start + i, call) for i, call in enumerate(calls[start : start + BITE])]
            if len(calls) > BITE:
                await asyncio.sleep(0)
    finally:
        driver.idle()
    return specs


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


def _of_row(verbs: Verbs, index: int, row: Row | None) -> NewExecution:
    """What a child was started from that is to start again, at rest."""
    if row is None:
        message = f"{verbs.task_name}: the input of child [index={index}] is gone; was its original pruned?"
        raise verdict("not_found", "ExecutionNotFoundError", message)
    begun = NewExecution(
        id="", task_name=row.task_name, input=row.input, queue=row.queue, priority=row.priority,
        deadline_at=row.deadline_at, options=row.options, version=row.version, tags=row.tags,
        trace=verbs.driver.claim.trace, max_crashes=row.max_crashes, retention=row.retention,
        external_key=row.external_key, origin=row.origin,
    )  # fmt: skip
    return _at_rest(begun, row.created_at)


def _at_rest(spec: NewExecution, began: int) -> NewExecution:
    """With the time until its deadline in place of the moment: it counts from when the child starts."""
    return spec if spec.deadline_at is None else msgspec.structs.replace(spec, deadline_at=spec.deadline_at - began)


def _from_now_on(verbs: Verbs, spec: NewExecution) -> NewExecution:
    """A child at rest that starts now, by the name that its task has now."""
    now, name = verbs.host.clock.now(), verbs.host.directory.renamed.get(spec.task_name, spec.task_name)
    deadline_at = None if spec.deadline_at is None else now + spec.deadline_at
    return msgspec.structs.replace(spec, task_name=name, deadline_at=deadline_at)
