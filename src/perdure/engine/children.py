"""Starting other executions inside a body: children and their results, independent enqueues.

A child's slot is task name, arguments and occurrence; its id derives from its parent's id, slot and generation, so a
replay meets the same child. Independent executions derive their id from the caller's id and the call's key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from perdure.codec import DecodeError, decode_failure, place_of
from perdure.engine.journal import Branch
from perdure.engine.scope import current
from perdure.engine.specification import specify
from perdure.engine.telling import sent
from perdure.engine.waits import OpenWait
from perdure.errors import (
    ConfigurationError,
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    Failure,
    GiveUp,
    IdempotencyConflictError,
    PayloadTooLargeError,
)
from perdure.ids import derived
from perdure.model.records import MEMO, Child, Conflict, Entry, NewExecution
from perdure.model.status import SETTLED, UNSUCCESSFUL, WaitKind

if TYPE_CHECKING:
    from perdure.engine.journal import Ledger
    from perdure.engine.task import Call, Task
    from perdure.engine.verbs import Verbs

PATH = 8
"""So many tasks of the way to an execution that is too deep are named."""
ENDINGS: dict[str, type[ExecutionError]] = {
    "failed": ExecutionFailedError,
    "timed_out": ExecutionTimedOutError,
    "cancelled": ExecutionCancelledError,
}


def ending_error(status: str, execution_id: str, task_name: str, failure: Failure | None) -> ExecutionError:
    """The error that awaiting an execution raises when it did not complete."""
    message = failure.message if failure else status
    kind = f"{failure.type}: " if failure and failure.kind == "error" else ""
    words = {"failed": "failed", "timed_out": "timed out", "cancelled": "was cancelled"}[status]
    error = ENDINGS[status](f"task {task_name} ({execution_id}) {words}: {kind}{message}", failure, execution_id)
    if failure is not None and (place := place_of(failure)):
        error.add_note(f"it was raised at {place}")
    return error


async def spawn(verbs: Verbs, call: Call[Any], slot: str) -> Child:
    """The child of a call: the one recorded in its slot, or a new one. Durable once this returns."""
    driver = verbs.driver
    await verbs.held()
    child = met_child(verbs, call, slot)
    if child is None:
        checked = await prepared(verbs, call)
        await check_depth(verbs, call.task.name)
        child = met_child(verbs, call, slot) or start_child(verbs, checked, slot)  # another branch was quicker
        await driver.flushed()
    return driver.ledger.child(slot) or child


async def prepared(verbs: Verbs, call: Call[Any]) -> Call[Any]:
    """As `Call.prepared`. A `validate` is no part of the body: it runs as the body of an activity does, so that the pass is
    not suspended meanwhile, and its tasks are no branches. Returns while the lease is held."""
    if call.task.settings.validate is None:
        return await call.prepared()
    driver, token = verbs.driver, current.set(verbs.activity_scope(f"{call.task.name}.validate"))
    driver.busy += 1
    try:
        checked = await call.prepared()
    finally:
        current.reset(token)
        driver.idle()
    await verbs.held()
    return checked


def met_child(verbs: Verbs, call: Call[Any], slot: str) -> Child | None:
    """The child that stands in a slot already, unless this attempt has to replace it."""
    return standing(verbs, f"task {call.task.name}", slot)


def standing(verbs: Verbs, what: str, slot: str) -> Child | None:
    """As `met_child`, whoever it is; `what` names the asker where something else stands there."""
    driver = verbs.driver
    if driver.ledger.memos.get(slot) is not None:
        forked = driver.ledger.memos[slot]
        if forked.kind != "child":
            raise verbs.drifted(f"{what} meets key {slot!r}, which a {forked.kind} recorded")
        verbs.met(slot)
        return Child(slot, slot, 0, forked.name, "completed", False, forked.value, None, forked.recorded_at)
    known = driver.ledger.child(slot)
    if known is None or known.stale:
        verbs.missed()
        return None
    verbs.met(slot)
    return known


def check_task(verbs: Verbs, child: Child, name: str, what: str) -> None:
    """Ends the pass as drift where a child that is known by its place alone is of another task than stands in that place of
    the code by now: it answers another question."""
    begun = verbs.host.directory.renamed.get(child.task_name, child.task_name)
    if begun != name:
        raise verbs.drifted(
            f"{what} is task {name}, but task {begun} was started there; let open work keep its order and declare what "
            f"is new under a new name, or run `perdure retry {verbs.driver.claim.id} --forget {begun}`"
        )


def start_child(verbs: Verbs, call: Call[Any], slot: str) -> Child:
    """Adds a new child to the next transition; it is not durable yet."""
    return enter(verbs, spec_of(verbs, call), slot)


def spec_of(verbs: Verbs, call: Call[Any], *, measured: bool = True) -> NewExecution:
    """What is to be stored of a checked call that becomes a child, but for its place. Raises `PayloadTooLargeError` (unless
    it is not to be `measured`), `ConfigurationError`."""
    if call.options.id is not None or call.options.idempotency_key is not None:
        raise ConfigurationError(
            f"a child has no id or idempotency key of its own; use {call.task.name}.options(key=...)"
        )
    host = verbs.host
    return specify(
        call, "", host.clock.now(), host.sizes, host.payloads, trace=verbs.driver.claim.trace, measured=measured
    )


async def check_depth(verbs: Verbs, name: str) -> None:
    """Raises `GiveUp` where a child of task `name` would be deeper than may be; the message tells the way there."""
    claim, sizes = verbs.driver.claim, verbs.host.sizes
    if claim.depth < sizes.depth:
        return
    path, above = [name, claim.task_name], claim.parent_id
    while above is not None and len(path) < PATH:
        row = (await verbs.outside(lambda above=above: verbs.host.client.rows([above])))[0]
        above = None if row is None else row.parent_id
        path += [] if row is None else [row.task_name]
    began = "… > " if above is not None else ""
    raise GiveUp(
        f"{verbs.task_name} is {claim.depth} executions deep, the limit of Sizes(depth=...), below {claim.root_id}: "
        f"{began}{' > '.join(reversed(path))}"
    )


def enter(verbs: Verbs, spec: NewExecution, slot: str, *, last: bool = False) -> Child:
    """Gives a new child its place, in the next transition. The `last` one, which combines the others, is not counted."""
    driver, host, claim = verbs.driver, verbs.host, verbs.driver.claim
    known = driver.ledger.child(slot)
    generation = 0 if known is None else known.generation + 1
    if known is None and not last and len(driver.ledger.children) >= host.sizes.children:
        raise PayloadTooLargeError(f"{verbs.task_name} has {host.sizes.children} children; see Sizes(children=...)")
    child_id = derived(claim.id, f"{slot}~{generation}" if generation else slot)
    placed = msgspec.structs.replace(
        spec, id=child_id, parent_id=claim.id, slot=slot, slot_generation=generation, root_id=claim.root_id,
        depth=claim.depth + 1,
    )  # fmt: skip
    if host.told is not None:
        placed = msgspec.structs.replace(placed, trace=sent(host.told, host, placed))
    child = Child(child_id, slot, generation, spec.task_name, "pending", False, None, None, host.clock.now())
    driver.ledger.meet(child)
    driver.outbox.spawns.append(placed)
    driver.mark_dirty()
    return child


async def child_result(verbs: Verbs, child: Child, task: Task[..., Any]) -> Any:
    """The result of a child, waiting durably for it. Raises as `Handle.result` does."""
    child = await settled_child(verbs, child)
    if child.status == "completed":
        try:
            return task.signature.result.decode(verbs.host.payloads.unwrap(cast("str", child.result)))
        except DecodeError as error:
            raise verbs.drifted(f"the result of child task {task.name} does not decode: {error}") from error
    failure = decode_failure(child.failure) if child.failure else None
    raise ending_error(child.status, child.id, child.task_name, failure)


async def settled_child(verbs: Verbs, child: Child) -> Child:
    """The child once it is settled."""
    await verbs.ready()
    known = child if child.status in SETTLED else verbs.driver.ledger.child(child.slot) or child
    if known.status in SETTLED:
        return known

    def probe(ledger: Ledger, _: int) -> Child | None:
        now = ledger.child(child.slot)
        return now if now is not None and now.status in SETTLED and now.generation >= child.generation else None

    key = verbs.unique("child " + child.slot)
    return cast("Child", await verbs.driver.wait(
        OpenWait(key, "children", child.task_name, probe, None, (child.id,))
    ))  # fmt: skip


async def settling(
    verbs: Verbs, kind: WaitKind, children: Sequence[Child], *, any_of: bool = False, failing: bool = False
) -> None:
    """Returns when all of these are settled, the next one is (`any_of`), or, where `failing`, one is without success."""
    ids, names = tuple(child.id for child in children), {child.task_name for child in children}

    def probe(ledger: Ledger, _: int) -> bool | None:
        found = [ledger.child_by_id(id) for id in ids]
        ended = [child.status for child in found if child is not None and child.status in SETTLED]
        if failing and any(status in UNSUCCESSFUL for status in ended):
            return True
        return len(ended) == len(ids) or bool(any_of and ended) or None

    if probe(verbs.driver.ledger, 0) is None:
        name = names.pop() if len(names) == 1 else ""
        wait = OpenWait(verbs.unique(kind), kind, name, probe, None, ids, any_of=any_of, failing=failing)
        await verbs.driver.wait(wait)


async def enqueue_independent(verbs: Verbs, calls: Sequence[Call[Any]]) -> list[str]:
    """Starts executions that are nobody's children, once; a replay answers the same ids and starts nothing."""
    driver = verbs.driver
    await verbs.ready()
    keys = [_enqueue_key(verbs, call) for call in calls]
    ids: dict[str, str] = {}
    fresh: list[tuple[str, NewExecution]] = []
    for key, call in zip(keys, calls, strict=True):
        entry = verbs.recorded(key, "value", f"enqueue of {call.task.name}")
        if entry is not None:
            ids[key] = cast("str", json.loads(cast("str", entry.value)))
            continue
        execution_id = call.options.id or derived(driver.claim.id, key)
        checked = await prepared(verbs, call)
        spec = specify(checked, execution_id, verbs.host.clock.now(), verbs.host.sizes, verbs.host.payloads,
                       trace=driver.claim.trace, resent=True)  # fmt: skip
        fresh.append((key, spec))
    if fresh:
        ids.update(await _enqueue(verbs, fresh))
    return [ids[key] for key in keys]


async def _enqueue(verbs: Verbs, fresh: list[tuple[str, NewExecution]]) -> dict[str, str]:
    """Stores new executions and then what stands for them; sent again after a crash between, ids keep it single."""
    specs = [spec for _, spec in fresh]
    answers = await verbs.outside(lambda: verbs.host.store_executions(specs))
    ids: dict[str, str] = {}
    for (key, spec), answer in zip(fresh, answers, strict=True):
        if isinstance(answer, Conflict):
            raise IdempotencyConflictError(answer.reason, answer.id)
        ids[key] = answer.id
        driver = verbs.driver
        entry = Entry(key, MEMO, driver.ledger.take_position(), "value", f"enqueue {spec.task_name}",
                      json.dumps(answer.id), None, None, verbs.host.clock.now(), None, driver.claim.token)  # fmt: skip
        driver.write(entry)
    await verbs.driver.flushed()
    return ids


def slot_of(call: Call[Any], branch: Branch) -> str:
    """The place of a call's child under its parent; that of an external task is its key, so that it is met again."""
    key = call.options.key or call.task.external_key(call.arguments)
    if key is not None:
        return branch.key(f"{call.task.name}={key}")
    return branch.numbered(f"{call.task.name}:{call.task.signature.digest(call.arguments)}")


def _enqueue_key(verbs: Verbs, call: Call[Any]) -> str:
    if call.options.key is not None:
        return verbs.branch.key(f"enqueue {call.task.name}={call.options.key}")
    return verbs.branch.numbered(f"enqueue {call.task.name}:{call.task.signature.digest(call.arguments)}")
