"""The `Transport` of a running body: the same verbs as a client's, recorded, so that a replay does nothing twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from perdure.engine.children import (
    child_result,
    enqueue_independent,
    settled_child,
    slot_of,
    spawn,
)
from perdure.engine.handle import Handle
from perdure.engine.task import checked_call
from perdure.errors import ConfigurationError
from perdure.ids import derived
from perdure.model.execution import Event, Execution, JournalEntry, ListItem
from perdure.model.externals import Answered, Completion, NewCompletion
from perdure.model.records import MEMO, Child, Entry

if TYPE_CHECKING:
    from perdure.engine.task import Activity, Call, Task
    from perdure.engine.verbs import Verbs

R = TypeVar("R")


class Durable:
    """Tasks and handles, as seen by a body."""

    __slots__ = ("_verbs",)

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    async def enqueue(self, calls: Sequence[Call[Any]]) -> list[Handle[Any]]:
        """Starts independent executions, once."""
        ids = await enqueue_independent(self._verbs, [checked_call(call) for call in calls])
        return [Handle(id, call.task, self) for id, call in zip(ids, calls, strict=True)]

    async def spawn(self, call: Call[R]) -> Handle[R]:
        """Starts a child."""
        await self._verbs.ready()
        child = await spawn(self._verbs, checked_call(call), slot_of(call, self._verbs.branch))
        return Handle(child.id, call.task, self)

    async def run(self, call: Call[R]) -> R:
        """A child and its result."""
        await self._verbs.ready()
        child = await spawn(self._verbs, checked_call(call), slot_of(call, self._verbs.branch))
        return cast("R", await child_result(self._verbs, child, call.task))

    def activity(
        self, activity: Activity[..., R], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Coroutine[Any, Any, R]:
        """An activity's recorded result, or a run that records it."""
        return self._verbs.activity(activity, args, kwargs)

    async def result(self, handle: Handle[R], timeout: float | None) -> R:
        """The result of a child; see `Context.spawn`."""
        child = self._child(handle)
        if timeout is not None:
            raise ConfigurationError(
                "inside a body a child's result has no timeout; give the task a deadline or timeout"
            )
        if handle.task is None:
            task = self._verbs.host.directory.task(child.task_name)
        else:
            task = handle.task
        if task is None:
            raise self._verbs.drifted(f"child task {child.task_name} is not declared in this app")
        return cast("R", await child_result(self._verbs, child, task))

    async def wait(self, handle: Handle[R], timeout: float | None) -> Execution[R]:
        """The snapshot of a child once it is settled."""
        if timeout is not None:
            raise ConfigurationError("inside a body a child is awaited without a timeout")
        await settled_child(self._verbs, self._child(handle))
        return await self._verbs.host.client.execution(handle)

    def _child(self, handle: Handle[Any]) -> Child:
        child = self._verbs.driver.ledger.child_by_id(handle.id)
        if child is None:
            memo = self._verbs.driver.ledger.memos.get(handle.id)
            if memo is not None and memo.kind == "child":
                return Child(handle.id, handle.id, 0, memo.name, "completed", False, memo.value, None, memo.recorded_at)
            raise ConfigurationError(
                f"a body awaits only its own children durably, and {handle.id} is none; start it by ctx.spawn(...)"
            )
        return child

    async def execution(self, handle: Handle[R]) -> Execution[R]:
        """A snapshot; not recorded."""
        return await self._verbs.host.client.execution(handle)

    async def cancel(self, execution_id: str, reason: str) -> None:
        """Cancels another execution, once."""

        async def act(_: str) -> None:
            await self._verbs.host.client.cancel(execution_id, reason)

        await self._once(f"cancel {execution_id}", act)

    async def signal(self, execution_id: str, name: str, text: str) -> None:
        """Signals another execution, once."""

        async def act(signal_id: str) -> None:
            await self._verbs.host.send_signal(signal_id, execution_id, name, text)

        await self._once(f"signal {execution_id} {name}", act)

    async def complete(self, task: Task[..., Any], completion: NewCompletion) -> Answered:
        """Completes an external task, once; a replay answers what stood then."""
        host = self._verbs.host

        async def act(id: str) -> list[object]:
            answered = await host.client.complete(task, msgspec.structs.replace(completion, id=id))
            value, failure, at = msgspec.structs.astuple(answered.completion)
            return [answered.first, None if value is None else host.payloads.wrap(value), failure, at]

        first, value, failure, at = cast("Any", await self._once(f"complete {task.name} {completion.key}", act))
        return Answered(Completion(None if value is None else host.payloads.unwrap(value), failure, at), first)

    async def retry(self, execution_id: str) -> None:
        """Starts a settled execution again, once. Which generation it is in is recorded before, so that after a crash
        between the retry and its entry it is known to be done, whatever became of it since."""
        client, handle = self._verbs.host.client, Handle[Any](execution_id, None, self)

        async def ask(_: str) -> int:
            return (await client.execution(handle)).generation

        async def act(_: str) -> None:
            if await ask("") == before:
                await client.retry(execution_id)

        before = await self._once(f"generation {execution_id}", ask)
        await self._once(f"retry {execution_id}", act)

    async def _once(self, what: str, act: Callable[[str], Awaitable[object]]) -> object:
        """Does something outside and records that it was done, with what it answered; its id derives from the key, so a
        resend is harmless."""
        driver = self._verbs.driver
        await self._verbs.ready()
        key = self._verbs.branch.numbered(what)
        entry = self._verbs.recorded(key, "value", what)
        if entry is None:
            answer = await self._verbs.outside(lambda: act(derived(driver.claim.id, key)))
            text = json.dumps(True if answer is None else answer)
            entry = Entry(key, MEMO, driver.ledger.take_position(), "value", what, text, None, None,
                          self._verbs.host.clock.now(), None, driver.claim.token)  # fmt: skip
            await self._verbs.record(entry)
        return json.loads(cast("str", entry.value))

    async def fork(self, handle: Handle[R], from_activity: str | None, arguments: object) -> Handle[R]:
        """Not durable; forking is an operator's verb."""
        raise ConfigurationError("fork is an operator's verb; a body cannot use it")

    async def entries(self, execution_id: str) -> list[JournalEntry]:
        """The journal of an execution; not recorded."""
        return await self._verbs.host.client.entries(execution_id)

    async def children(self, execution_id: str, limit: int | None) -> list[Execution[Any]]:
        """Children of an execution; not recorded."""
        return await self._verbs.host.client.children(execution_id, limit)

    async def item(self, list_id: str, which: int | str) -> ListItem:
        """An item of a task list; not recorded."""
        return await self._verbs.host.client.item(list_id, which)

    def watch(self, handle: Handle[R]) -> AsyncIterator[Event]:
        """Not durable; a body awaits children or signals."""
        raise ConfigurationError("a body cannot watch; await a child, a signal or a timer")
