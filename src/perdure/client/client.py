"""`Client`: the verbs of tasks, handles and apps against a store in this process.

It runs nothing. Inside a body the durable transport answers instead, and reaches this one for what is not recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, cast

from perdure.client.answers import read_answer, stored_completion
from perdure.client.forking import copied, deadline_at, external_key, fork_of, replaced
from perdure.client.snapshots import decoded, entries_of, execution_of, stats_of, worker_of
from perdure.client.telling import told_store
from perdure.client.waiting import Waiters
from perdure.clock import Clock, Timeout
from perdure.codec import Payloads, decode_failure
from perdure.engine.children import ending_error
from perdure.engine.handle import Handle
from perdure.engine.items import chosen, item_of, records_of, specs_of
from perdure.engine.options import LIST
from perdure.engine.ports import Directory
from perdure.engine.specification import specify
from perdure.engine.task import Call, Task, checked_call
from perdure.errors import (
    ConfigurationError,
    ExecutionNotFoundError,
    IdempotencyConflictError,
    InvalidQueryError,
    PayloadTooLargeError,
    PerdureError,
    StorageError,
)
from perdure.ids import Ids
from perdure.model.execution import Event, Execution, JournalEntry, ListItem, Page, Stats, WorkerInfo
from perdure.model.externals import Answered, NewCompletion
from perdure.model.policy import Sizes, exceeds
from perdure.model.query import parse
from perdure.model.records import Conflict, Enqueued, JournalView, NewExecution, NewSignal, Row
from perdure.model.status import SETTLED, UNSUCCESSFUL
from perdure.storage.store import Ending, Store
from perdure.storage.trouble import UNREADABLE
from perdure.telemetry import Told

R = TypeVar("R")
T = TypeVar("T")
Order = Literal["newest", "oldest"]
BITE = 500


class Client:
    """The verbs behind an open app. `hand_off`, where a worker runs in this process, leases new work to it at once."""

    def __init__(
        self, store: Store, directory: Directory, clock: Clock, ids: Ids, payloads: Payloads, sizes: Sizes, poll: float,
        told: Told | None = None,
    ) -> None:  # fmt: skip
        self.store, self.directory = store, directory
        self.clock, self.ids, self.payloads, self.sizes, self.poll = clock, ids, payloads, sizes, poll
        self.told = told
        self.waiters = Waiters(store, clock, poll)
        store.listeners.append(self.waiters)
        self.hand_off: Callable[[NewExecution], NewExecution] = lambda spec: spec
        self.handed: Callable[[NewExecution, bool], None] = _nobody

    def close(self) -> None:
        """Everyone who waits learns that the app is closed."""
        self.waiters.close()

    # -- starting work ------------------------------------------------------------------------------------------------

    async def enqueue(self, calls: Sequence[Call[Any]]) -> list[Handle[Any]]:
        """Stores the calls in one transaction. Raises `InvalidInputError`, `PayloadTooLargeError` (then nothing is
        stored), `IdempotencyConflictError`."""
        now = self.clock.now()
        specs: list[NewExecution] = []
        for call in calls:
            prepared = await checked_call(call).prepared()
            id = prepared.options.id or self.ids.new(now)
            specs.append(specify(prepared, id, now, self.sizes, self.payloads))
        answers = await self.store_executions(specs)
        return [
            Handle(self._stored(answer, call), call.task, self) for answer, call in zip(answers, calls, strict=True)
        ]

    async def store_executions(self, specs: Sequence[NewExecution]) -> list[Enqueued | Conflict]:
        """Stores executions in one transaction; some may be leased to this process's worker at once."""
        if not specs:
            return []
        if self.told is not None:
            return await told_store(self.told, self.clock, specs, self._store)
        return await self._store(specs)

    async def _store(self, specs: Sequence[NewExecution]) -> list[Enqueued | Conflict]:
        leased = [self.hand_off(spec) for spec in specs]
        try:
            answers = cast("list[Enqueued | Conflict]", await self.store.ask("enqueue", leased))
        except BaseException:
            for spec in leased:
                self.handed(spec, False)
            raise
        for spec, answer in zip(leased, answers, strict=True):
            self.waiters.forget(spec.id)  # an id may have been used, and pruned, before
            self.handed(spec, isinstance(answer, Enqueued) and answer.leased and answer.created)
        return answers

    def _stored(self, answer: Enqueued | Conflict, call: Call[Any]) -> str:
        if isinstance(answer, Conflict):
            raise IdempotencyConflictError(f"task {call.task.name}: {answer.reason}", answer.id)
        return answer.id

    async def run(self, call: Call[R]) -> R:
        """Stores a call and answers its result."""
        handle = (await self.enqueue([call]))[0]
        return cast("R", await self.result(handle, None))

    # -- results ------------------------------------------------------------------------------------------------------

    async def result(self, handle: Handle[R], timeout: float | None) -> R:
        """The result, when there is one; see `Handle.result`."""
        ending = await self._ending(handle.id, timeout)
        task = handle.task or await self._task_of(handle.id)
        if ending.status == "completed":
            return cast("R", decoded(task, self.payloads.unwrap(cast("str", ending.result))))
        failure = decode_failure(ending.failure) if ending.failure else None
        raise ending_error(ending.status, handle.id, task.name if task else "of an unknown task", failure)

    async def _ending(self, execution_id: str, timeout: float | None) -> Ending:
        if timeout is None:
            return await self.waiters.ending(execution_id)
        try:
            async with Timeout(self.clock, timeout):
                return await self.waiters.ending(execution_id)
        except TimeoutError:
            remark = await self._remark_on(execution_id)
            raise TimeoutError(f"execution {execution_id} is still open after {timeout:g} s{remark}") from None

    async def _remark_on(self, execution_id: str) -> str:
        """Why an execution may not be moving: nobody is there who could."""
        try:
            row = await self.row(execution_id)
            workers = await self.workers()
        except PerdureError:
            return ""
        if any(each.alive and row.task_name in each.tasks and row.queue in each.queues for each in workers):
            return ""
        return f"; no live worker serves task {row.task_name} in queue {row.queue}"

    async def _task_of(self, execution_id: str) -> Task[..., Any] | None:
        return self.directory.task((await self.row(execution_id)).task_name)

    async def wait(self, handle: Handle[R], timeout: float | None) -> Execution[R]:
        """The snapshot, once settled."""
        await self._ending(handle.id, timeout)
        return await self.execution(handle)

    async def row(self, execution_id: str) -> Row:
        """The stored row. Raises `ExecutionNotFoundError`."""
        row = (await self.store.read(lambda storage: storage.get([execution_id])))[0]
        if row is None:
            raise ExecutionNotFoundError(f"there is no execution {execution_id!r}")
        return row

    async def rows(self, execution_ids: Sequence[str]) -> list[Row | None]:
        """Stored rows by id."""
        return await self.store.read(lambda storage: storage.get(execution_ids))

    async def execution(self, handle: Handle[R]) -> Execution[R]:
        """The snapshot now."""
        return self._snapshot(await self.row(handle.id))

    def _snapshot(self, row: Row) -> Execution[Any]:
        return execution_of(row, self.directory, self.payloads)

    async def _view(self, execution_id: str) -> JournalView:
        return (await self.store.read(lambda storage: storage.journal([execution_id])))[0]

    async def entries(self, execution_id: str) -> list[JournalEntry]:
        """The journal, in order."""
        await self.row(execution_id)
        return entries_of(await self._view(execution_id), self.payloads)

    async def children(self, execution_id: str, limit: int | None = None) -> list[Execution[Any]]:
        """Snapshots of the first `limit` children, in the order of their start."""
        await self.row(execution_id)
        ids = [child.id for child in (await self._view(execution_id)).children[:limit]]
        rows = await self.store.read(lambda storage: storage.get(ids)) if ids else []
        return [self._snapshot(row) for row in rows if row is not None]

    async def watch(self, handle: Handle[R]) -> AsyncIterator[Event]:
        """An event at once and with each change, the last one when it is settled. Once it has begun it waits out what is
        retryable of the storage."""
        seen: Row | None = None
        told: set[tuple[str, str | None, str]] = set()
        while seen is None or seen.status not in SETTLED:
            if seen is None:
                row, view = await self._row_and_view(handle.id)
            else:
                row, view = await self.patiently(lambda: self._row_and_view(handle.id))
            entries = entries_of(view, self.payloads)
            fresh = tuple(entry for entry in entries if _identity(entry) not in told)
            if row != seen or fresh:
                yield Event(self._snapshot(row), fresh)
            seen = row
            told.update(map(_identity, fresh))
            if row.status not in SETTLED:
                await self._change(handle.id)

    async def _row_and_view(self, execution_id: str) -> tuple[Row, JournalView]:
        return await self.row(execution_id), await self._view(execution_id)

    async def patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` answers, once the storage can be read. Raises `StorageError` where waiting does not help."""
        while True:
            try:
                answer = await read()
            except StorageError as error:
                if not error.retryable:
                    raise
                self.store.trouble.failed("read", UNREADABLE, error)
                await self.clock.sleep(self.poll)
            else:
                self.store.trouble.over("read")
                return answer

    async def _change(self, execution_id: str) -> None:
        """Returns when the execution settled, or after a moment."""
        try:
            async with Timeout(self.clock, min(self.poll, 0.25)):
                await self.waiters.ending(execution_id)
        except TimeoutError:
            return

    async def items(self, list_id: str) -> list[ListItem]:
        """The items of a task list, as they stand. Raises `ExecutionNotFoundError`, `ConfigurationError`."""
        row, view = await self.row(list_id), await self._view(list_id)
        if row.task_name != LIST:
            raise ConfigurationError(f"execution {list_id} is of task {row.task_name}, it is no task list")
        specs = specs_of(self.payloads.unwrap(row.input))
        records = records_of(specs, view.entries, row.generation, self.payloads)
        return [item_of(record, self.directory) for record in records]

    async def item(self, list_id: str, which: int | str) -> ListItem:
        """One of them, by number or name. Raises `LookupError`."""
        found = await self.items(list_id)
        return found[chosen([item.name for item in found], which, list_id)]

    # -- steering -----------------------------------------------------------------------------------------------------

    async def cancel(self, execution_id: str, reason: str) -> None:
        """Asks for a cancel."""
        if await self.store.ask("cancel", (execution_id, reason)) is None:
            raise ExecutionNotFoundError(f"there is no execution {execution_id!r}")

    async def signal(self, execution_id: str, name: str, text: str) -> None:
        """Sends an encoded value."""
        await self.send_signal(self.ids.new(self.clock.now()), execution_id, name, text)

    async def send_signal(self, signal_id: str, execution_id: str, name: str, text: str) -> None:
        """Sends an encoded value under an id of its own. Raises `PayloadTooLargeError`."""
        if exceeds(text, self.sizes.signal):
            raise PayloadTooLargeError(f"signal {name} has over {self.sizes.signal} bytes; see Sizes(signal=...)")
        signal = NewSignal(signal_id, execution_id, name, self.payloads.wrap(text))
        if await self.store.ask("signal", signal) is None:
            raise ExecutionNotFoundError(f"there is no execution {execution_id!r}")

    async def complete(self, task: Task[..., Any], completion: NewCompletion) -> Answered:
        """Completes an external task. Raises `PayloadTooLargeError`."""
        id = completion.id or self.ids.new(self.clock.now())
        kept = stored_completion(task, completion, id, self.sizes, self.payloads)
        return read_answer(await self.store.ask("complete_external", kept), self.payloads)

    async def retry(self, execution_id: str) -> None:
        """Opens a new generation. Raises `ConfigurationError` for one that is open or completed."""
        before = await self.row(execution_id)
        if before.status not in UNSUCCESSFUL:
            raise ConfigurationError(
                f"execution {execution_id} is {before.status}; only a failed, timed out or cancelled one is retried"
            )
        await self.store.ask("retry", execution_id)

    async def forget(self, execution_id: str, name: str) -> int:
        """Drops the entries named `name` of an execution that did not complete; answers how many."""
        await self.row(execution_id)
        return cast("list[int]", await self.store.ask("forget", ([execution_id], name)))[0]

    async def fork(self, handle: Handle[R], from_activity: str | None, arguments: object) -> Handle[R]:
        """Starts a copy with what was recorded before an entry."""
        row, view = await self.row(handle.id), await self._view(handle.id)
        task = handle.task or self.directory.task(row.task_name)
        entries = () if from_activity is None else copied(view, from_activity, handle.id)
        text = row.input
        if arguments is not None:
            text = self.payloads.wrap(await replaced(task, row.task_name, arguments, self.sizes))
        now = self.clock.now()
        key = external_key(row, self.payloads.unwrap(text), self.sizes)
        spec = fork_of(row, self.ids.new(now), text, entries, deadline_at(row, task, now), key)
        await self.store_executions([spec])
        return Handle(spec.id, task, self)

    # -- reading many -------------------------------------------------------------------------------------------------

    async def search(self, query: str, order: Order, limit: int, after: str | None) -> Page[Execution[Any]]:
        """A page of executions that fit. Raises `InvalidQueryError`."""
        if order not in ("newest", "oldest"):
            raise InvalidQueryError(f"order is {order!r}; it must be newest or oldest")
        if not 1 <= limit <= 10_000:
            raise InvalidQueryError(f"limit is {limit!r}; it must lie between 1 and 10,000")
        terms, now = parse(query), self.clock.now()
        try:
            found = await self.store.read(lambda storage: storage.search(terms, order, limit, after, now))
        except ValueError as error:
            if after is None:
                raise InvalidQueryError(f"query {query!r} cannot be answered: {error}") from error
            raise InvalidQueryError(f"after is {after!r}, which is no cursor of a search: {error}") from error
        return Page(tuple(self._snapshot(row) for row in found.rows), found.after)

    async def count(self, query: str) -> int:
        """How many executions fit. Raises `InvalidQueryError`."""
        terms, now = parse(query), self.clock.now()
        return await self.store.read(lambda storage: storage.count(terms, now))

    async def cancel_all(self, query: str, reason: str, dry_run: bool) -> int:
        """Cancels all open executions that fit; answers how many."""
        parse(query)  # so that a complaint quotes what was written
        open_ones = f"{query} -status:completed,failed,timed_out,cancelled"
        return await self._each(open_ones, dry_run, "cancel", lambda id: (id, reason))

    async def retry_all(self, query: str, dry_run: bool) -> int:
        """Retries all executions that fit and ended without success; answers how many."""
        parse(query)
        return await self._each(f"{query} status:failed,timed_out,cancelled", dry_run, "retry", lambda id: id)

    async def _each(self, query: str, dry_run: bool, verb: Any, item: Callable[[str], object]) -> int:
        if dry_run:
            return await self.count(query)
        ids: list[str] = []
        after: str | None = None
        while True:
            page = await self.search(query, "oldest", BITE, after)
            ids += [execution.id for execution in page.items]
            after = page.after
            if after is None:
                break
        for start in range(0, len(ids), BITE):
            await asyncio.gather(*(self.store.ask(verb, item(id)) for id in ids[start : start + BITE]))
        return len(ids)

    async def stats(self) -> Stats:
        """The whole store in numbers."""
        now = self.clock.now()
        rows = await self.store.read(lambda storage: storage.workers(now))
        served = {task for row in rows if row.lease_until > now for task in row.tasks}
        return stats_of(await self.store.read(lambda storage: storage.stats(now)), served)

    async def workers(self) -> list[WorkerInfo]:
        """The workers that the store knows."""
        now = self.clock.now()
        return [worker_of(row, now) for row in await self.store.read(lambda storage: storage.workers(now))]


def _nobody(spec: NewExecution, stored: bool) -> None:
    """No worker runs in this process: nothing was handed to it."""


def _identity(entry: JournalEntry) -> tuple[str, str | None, str]:
    """What makes an entry one and the same, however it stands."""
    return entry.key, entry.attempt, "child" if entry.kind == "child" else entry.outcome
