"""The async face of a storage: one commit queue, and readers beside it.

Every change of a tick of the event loop (enqueues, journal entries, outcomes, claims) joins one batch; the batch is
written in one transaction; while it is in flight the next one fills. There is no timer: an idle store commits at once,
a busy one puts hundreds of changes into each commit. (Group commit as in databases' own logs; measured in
`docs/decisions`.)

A batch runs its verbs in one fixed order, claims last, so that settling and claiming share a round trip. It must never
look into what it carries beyond telling listeners what settled and whether work may have fallen due.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast, get_args

from perdure.clock import Clock
from perdure.closing import Steps
from perdure.errors import AppClosedError, StorageError, StoreSealedError
from perdure.model.records import (
    NewExecution,
)
from perdure.storage.news import Ending, Verb, news_of
from perdure.storage.protocol import Storage
from perdure.storage.trouble import Trouble

T = TypeVar("T")
ORDER: Final[tuple[Verb, ...]] = get_args(Verb)
SETS: Final = frozenset({"commit", "signal", "complete_external", "cancel", "retry"})
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
READERS: Final = 4
"""Threads."""
CLOSED: Final = "the app is closed; open it with `async with app:`"


class Listener(Protocol):
    """Who wants to hear what a store learns. All are called on the event loop."""

    def settled(self, endings: dict[str, Ending]) -> None:
        """These executions settled by a commit of this process."""
        ...

    def due(self, woken: Iterable[str]) -> None:
        """Work may have fallen due; `woken` are executions that were waiting for what just happened."""
        ...

    def hinted(self) -> None:
        """Another process may have changed something."""
        ...

    def sealed(self, error: StoreSealedError) -> None:
        """The store was moved: nothing can be changed here any more. May be told again."""
        ...


class Request:
    """One item of a batch; of the verb `enqueue` a list of executions that share one fate. `take` makes the item when the
    batch is closed (`None`: nothing to write after all); `done` gets the answer (to a list a list) or the error. A
    `stubborn` request is sent again, with pauses, while the database cannot be reached; not where the store was moved.
    """

    __slots__ = ("done", "item", "stubborn", "take")

    def __init__(
        self, item: object, take: Callable[[], object] | None, done: Callable[[Any], None], stubborn: bool
    ) -> None:
        self.item, self.take, self.done, self.stubborn = item, take, done, stubborn


Batch: TypeAlias = dict[Verb, list[Request]]


class Store:
    """One storage, used by one event loop."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self.storage, self.clock = storage, clock
        self.listeners: list[Listener] = []
        self.trouble = Trouble(clock)
        self._batch: Batch = {}
        self._scheduled = self._in_flight = self._closed = False
        self._pause = FIRST_PAUSE
        self._written: asyncio.Future[None] | None = None
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None

    async def open(self, *, migrate: bool = True) -> None:
        """Starts the store's threads and, unless told otherwise, migrates the storage. Raises `StorageError`."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        if not self.storage.inline:
            self._readers = ThreadPoolExecutor(READERS, "perdure-read")
            self._writer = threading.Thread(target=self._write_batches, name="perdure-write", daemon=True)
            self._writer.start()
        try:
            if migrate:
                await self.read(lambda storage: storage.migrate(self.clock.now()))
        except BaseException as error:
            await self.close(patient=not isinstance(error, asyncio.CancelledError))
            raise
        self.storage.listen(self._overheard)

    async def close(self, *, patient: bool = True) -> None:
        """Writes what is queued, waits for reads that are under way (where `patient`, until a cancel), then closes the storage:
        it opens again for whoever uses it later, and nobody would close that. Closing twice is no error."""
        steps = Steps()
        if not self._closed and (self._batch or self._in_flight) and self._pause == FIRST_PAUSE:
            self._written = self._loop.create_future()
            await steps.take(self._written)
        if not self._closed:
            self._closed = True
            if self._writer is not None:
                self._inbox.put(None)
                await steps.take(asyncio.to_thread(self._writer.join))
            if self._readers is not None:
                self._readers.shutdown(wait=False)
                if patient and not steps.is_cut:
                    await steps.take(asyncio.to_thread(self._readers.shutdown))
            self._refuse_rest()
            self.storage.close()
        steps.end()

    async def read(self, function: Callable[[Storage], T]) -> T:
        """Runs a reading operation beside the writer. Raises `StorageError`, `AppClosedError`."""
        if self._readers is None or self._closed:  # closed, it raises
            return self._look(function)
        return await self._loop.run_in_executor(self._readers, self._look, function)

    def _look(self, function: Callable[[Storage], T]) -> T:
        if self._closed:
            raise AppClosedError(CLOSED)
        return function(self.storage)

    async def ask(self, verb: Verb, item: object, *, stubborn: bool = False) -> Any:
        """Writes one item with the next batch and answers what the storage answered. Raises `StorageError`."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(answer: object) -> None:
            if future.done():
                return
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.put(verb, item, done, stubborn=stubborn)
        return await future

    def put(
        self, verb: Verb, item: object, done: Callable[[Any], None], *, take: Callable[[], object] | None = None,
        stubborn: bool = False,
    ) -> None:  # fmt: skip
        """Adds an item to the next batch; `done` gets the answer, or a `StorageError`. See `Request`."""
        if self._closed:
            done(AppClosedError(CLOSED))
            return
        self._batch.setdefault(verb, []).append(Request(item, take, done, stubborn))
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._in_flight:
            self._scheduled = True
            self._loop.call_soon(self._flush, context=self._context)

    def _flush(self) -> None:
        self._scheduled = False
        batch, self._batch = _closed_batch(self._batch), {}
        if not batch:
            self._all_written()
            return
        self._in_flight = True
        if self.storage.inline:
            self._deliver(batch, self._execute(batch))
        else:
            self._inbox.put(batch)

    def _write_batches(self) -> None:
        while (batch := self._inbox.get()) is not None:
            answers = self._execute(batch)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, answers)
            except RuntimeError:  # the loop was closed under us: nobody is left to answer
                return

    def _execute(self, batch: Batch) -> dict[Verb, list[Any]]:
        try:
            return _perform(self.storage, batch, self.clock.now())
        except Exception as error:
            if sum(map(len, batch.values())) == 1 or _concerns_all(error):
                return {verb: [_as_storage_error(error)] * len(requests) for verb, requests in batch.items()}
            return self._execute_one_by_one(batch)

    def _execute_one_by_one(self, batch: Batch) -> dict[Verb, list[Any]]:
        """One bad item must not fail its neighbours: each request gets a transaction of its own."""
        return {
            verb: [self._execute({verb: [request]})[verb][0] for request in requests]
            for verb, requests in batch.items()
        }

    def _deliver(self, batch: Batch, answers: dict[Verb, list[Any]]) -> None:
        again: Batch = {}
        why: Any = None
        for verb, requests in batch.items():
            for request, answer in zip(requests, answers[verb], strict=True):
                if isinstance(answer, StorageError) and self._goes_on(request, answer):
                    again.setdefault(verb, []).append(request)
                    why = answer
                else:
                    self._call(request.done, answer)
        self._call(self._tell, batch, answers)
        if again:
            self._send_again(again, why)
        else:
            self._pause = FIRST_PAUSE
            self.trouble.over("write")
            self._next()

    def _goes_on(self, request: Request, error: StorageError) -> bool:
        """Whether a request that failed is sent again."""
        if isinstance(error, StoreSealedError):
            self.tell_sealed(error)
            return False
        return request.stubborn and not self._closed

    def tell_sealed(self, error: StoreSealedError) -> None:
        """The store was moved: nothing helps, so all who write here are told."""
        for listener in tuple(self.listeners):
            self._call(listener.sealed, error)

    def _call(self, function: Callable[..., object], *given: object) -> None:
        """Tells somebody of what was written; an error of theirs goes to the loop, and keeps no other from being told."""
        try:
            function(*given)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a reader of what was written failed", "exception": error})

    def _next(self) -> None:
        self._in_flight = False
        if self._batch:
            self._schedule()
        else:
            self._all_written()

    def _all_written(self) -> None:
        """Nothing is under way, or nothing can be written: who closes need not wait any longer."""
        if self._written is not None and not self._written.done():
            self._written.set_result(None)

    def _send_again(self, again: Batch, why: StorageError) -> None:
        count = sum(map(len, again.values()))
        self.trouble.failed("write", f"storage cannot be written; {count} changes wait", why)
        for verb, requests in again.items():
            self._batch[verb] = requests + self._batch.get(verb, [])
        self.clock.call_later(self._pause, self._next)
        self._all_written()
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _refuse_rest(self) -> None:
        rest, self._batch = self._batch, {}
        for requests in rest.values():
            for request in requests:
                request.done(AppClosedError("the app was closed before this was written"))

    def _tell(self, batch: Batch, answers: dict[Verb, list[Any]]) -> None:
        if not self.listeners:
            return
        endings, woken, due = news_of(batch, answers)
        flagged = "cancel" in batch or any(ending.status != "completed" for ending in endings.values())
        for listener in tuple(self.listeners):
            if flagged:
                listener.hinted()
            if endings:
                listener.settled(endings)
            if due or woken:
                listener.due(woken)

    def _overheard(self) -> None:
        if not self._closed:
            try:
                self._loop.call_soon_threadsafe(self._pass_hint)
            except RuntimeError:
                return

    def _pass_hint(self) -> None:
        for listener in tuple(self.listeners):
            listener.hinted()


def _closed_batch(batch: Batch) -> Batch:
    """The batch in the order of its verbs, late items made; requests that have nothing to write are left out."""
    closed: Batch = {}
    for verb in ORDER if batch else ():
        kept: list[Request] = []
        for request in batch.get(verb, ()):
            if request.take is not None:
                request.item, request.take = request.take(), None
                if request.item is None:
                    continue
            kept.append(request)
        if kept:
            closed[verb] = kept
    return closed


def _perform(storage: Storage, batch: Batch, now: int) -> dict[Verb, list[Any]]:
    answers: dict[Verb, list[Any]] = {}
    with nullcontext() if storage.solo and _is_one(batch) else storage.transaction():
        for verb in ORDER:
            requests = batch.get(verb)
            if requests is None:
                continue
            operation = cast("Callable[..., Any]", getattr(storage, verb))
            if verb == "enqueue":
                answers[verb] = _enqueue(storage, requests, now)
            elif verb in SETS:
                answers[verb] = operation([request.item for request in requests], now)
            else:
                answers[verb] = [_single(operation, request.item, now) for request in requests]
    return answers


def _is_one(batch: Batch) -> bool:
    """Whether it is one operation, which is a transaction by itself."""
    return len(batch) == 1 and all(
        verb in SETS or verb == "enqueue" or len(requests) == 1 for verb, requests in batch.items()
    )


def _enqueue(storage: Storage, requests: Sequence[Request], now: int) -> list[Any]:
    """The answers to lists of new executions, by list; all are one set for the storage."""
    lists = [cast("list[NewExecution]", request.item) for request in requests]
    each = iter(storage.enqueue(list(chain.from_iterable(lists)), now))
    return [list(islice(each, len(items))) for items in lists]


def _single(operation: Callable[..., Any], item: object, now: int) -> object:
    """`forget`, `drain`, `heartbeat`, `claim` take their item first, `prune` and `reclaim` take `now` first."""
    if item is None:
        return operation(now)
    if isinstance(item, tuple):
        return operation(*cast("tuple[Any, ...]", item), now)
    if isinstance(item, dict):
        return operation(now, **cast("dict[str, Any]", item))
    return operation(item, now)


def _concerns_all(error: Exception) -> bool:
    """Whether it is the storage that failed, and no single item."""
    return isinstance(error, StoreSealedError) or (isinstance(error, StorageError) and error.retryable)


def _as_storage_error(error: Exception) -> Exception:
    if isinstance(error, StorageError | ValueError):
        return error
    wrapped = StorageError(f"the storage failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
