"""Task lists: a fixed list of calls, done in order in one execution, each until it works.

Each item is a chapter of the list's journal; what came of it is one entry, written with the new count of attempts. An item
whose task has another queue, or is of another style than a plain function, runs as a child execution. What ends the list
early ends its item in the same transition.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Sized
from functools import partial
from itertools import islice
from typing import Any, Final, Unpack, cast

import msgspec

from perdure.codec import (
    DecodeError,
    argument_digest,
    decode_failure,
    encode_failure,
    exception_of,
    failure_of,
    keep_value,
)
from perdure.engine import chapters, preparing
from perdure.engine.activity import timeout_of
from perdure.engine.bodies import policy_of
from perdure.engine.chapters import Chapter
from perdure.engine.children import child_result, met_child, slot_of, start_child
from perdure.engine.declaring import Declarer
from perdure.engine.handle import Handle
from perdure.engine.items import (
    ItemRecord,
    ItemsCodec,
    ItemSpec,
    chosen,
    item_of,
    record_of,
    records_of,
    specs_of,
)
from perdure.engine.options import LIST, CallOptions, ItemPlace, ListSettings, TaskOptions, call_options
from perdure.engine.ports import Directory, Owner, Transport
from perdure.engine.scope import body_scope
from perdure.engine.signature import Arguments, Signature
from perdure.engine.specification import checked_input
from perdure.engine.task import Call, Task
from perdure.engine.verbs import Verbs
from perdure.errors import (
    Abort,
    ConfigurationError,
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    Failure,
    GiveUp,
    InvalidInputError,
    JournalDriftError,
    PayloadTooLargeError,
    PerdureError,
)
from perdure.model.execution import ListItem
from perdure.model.policy import Retry, Sizes, exceeds
from perdure.model.records import Entry, Outcome, Settled

FOREVER: Final = Retry.forever(delay=5)
PLAIN: Final = CallOptions()
OWN: Final = frozenset({"queue", "timeout", "retries"})
"""Options of a call that an item may have; retries are the list's."""
JOINED: Final = frozenset({"children_failed", "finalize_failed"})
"""Failures of a tree or sequence that no retry of it covers."""
Items = Sequence[Call[object]] | Mapping[str, Call[object]]


class Planned(msgspec.Struct, frozen=True):
    """An item to be stored, and what makes it the same item again."""

    spec: ItemSpec
    origin: str
    digest: str


class ListSignature(Signature):
    """Input and result of a list: its items' inputs are those of their tasks, and so are the values of its result."""

    def __init__(self, directory: Directory) -> None:
        super().__init__(_in_order, "a task list", context=False)
        self._items = ItemsCodec(directory)

    @property
    def result(self) -> ItemsCodec:
        """Items, by their tasks' types."""
        return self._items

    def checked(self, arguments: Arguments) -> Arguments:
        """Items that were planned. Raises `InvalidInputError` for anything else."""
        items = arguments.get("items")
        if not isinstance(items, tuple) or not all(isinstance(each, Planned) for each in cast("tuple[object]", items)):
            raise InvalidInputError("a task list is made by app.enqueue_list(id, [task.call(...), ...])")
        return arguments

    def encode(self, arguments: Arguments) -> str:
        """The stored input."""
        return msgspec.json.encode({"items": [planned.spec for planned in _planned(arguments)]}).decode()

    def decode(self, text: str) -> Arguments:
        """The items of a stored input."""
        return {"items": specs_of(text)}

    def digest(self, arguments: Arguments) -> str:
        """Equal for equal names, tasks and inputs, in the same order; a renamed task is the same one."""
        planned = _planned(arguments)
        return argument_digest({"items": [[each.spec.name, each.origin, each.digest] for each in planned]})


def _in_order(items: list[object]) -> list[object]:
    return items  # only its parameters are asked for: `ListDrive` runs the items


def _planned(arguments: Arguments) -> tuple[Planned, ...]:
    return cast("tuple[Planned, ...]", arguments["items"])


def list_task(owner: Owner, directory: Directory) -> Task[..., list[ListItem]]:
    """The task behind an app's lists."""
    task: Task[..., Any] = Task(_in_order, LIST, TaskOptions(retries=FOREVER), owner, drive=ListDrive())
    task.signature, task.sized = ListSignature(directory), False
    return task


# --- enqueueing


async def planned(items: Items, sizes: Sizes) -> tuple[Planned, ...]:
    """Items checked as calls are at enqueue. Raises `InvalidInputError`, `PayloadTooLargeError`, `ConfigurationError`."""
    given = cast("object", items)
    if isinstance(given, Sized) and len(given) > sizes.items:
        raise PayloadTooLargeError(f"the list has {len(given)} items; at most {sizes.items}, see Sizes(items=...)")
    named = _named(items, sizes)
    if len(named) > sizes.items:
        raise PayloadTooLargeError(f"the list has more than {sizes.items} items; see Sizes(items=...)")
    return tuple([await _plan(seq, name, call, sizes) for seq, (name, call) in enumerate(named)])


def _named(items: object, sizes: Sizes) -> list[tuple[str | None, object]]:
    """The items, each with its name if it has one. No more are asked for than may be: a generator may have no end."""
    if isinstance(items, Mapping):
        named = cast("Mapping[object, object]", items)
        return [(_item_name(name, sizes), call) for name, call in named.items()]
    if not isinstance(items, Iterable):
        raise ConfigurationError(f"the items of a list are {items!r}; they must be calls, [task.call(...), ...]")
    return [(None, call) for call in islice(cast("Iterable[object]", items), sizes.items + 1)]


async def _plan(seq: int, name: str | None, given: object, sizes: Sizes) -> Planned:
    if not isinstance(given, Call):
        raise ConfigurationError(f"item {seq} of the list is {given!r}; it must be a call: task.call(...)")
    call = await cast("Call[Any]", given).prepared()
    task, options = call.task, call.options
    asked = () if options == PLAIN else CallOptions.__slots__
    wrong = [each for each in asked if each not in OWN and getattr(options, each) != getattr(PLAIN, each)]
    if wrong:
        raise ConfigurationError(
            f"item {seq} of the list, task {task.name}, has no {wrong[0]} of its own; the list has"
        )
    text = checked_input(task.name, task.signature.encode(call.arguments), sizes)
    spec = ItemSpec(task.name, msgspec.Raw(text.encode()), name, options.queue, options.timeout)
    return Planned(spec, task.origin, task.signature.digest(call.arguments))


def _item_name(name: object, sizes: Sizes) -> str:
    if isinstance(name, str) and 1 <= len(name) <= sizes.name and name.isprintable():
        return name
    raise ConfigurationError(f"an item's name is {name!r}; it must be a text of 1 to {sizes.name} printable characters")


class Lists(Declarer):
    """The part of an app that knows task lists."""

    @property
    @abstractmethod
    def list_task(self) -> Task[..., list[ListItem]]:
        """The task behind its lists."""

    async def enqueue_list(
        self, id: str, items: Items, *, retries: int | Retry = FOREVER, **options: Unpack[ListSettings]
    ) -> Handle[list[ListItem]]:
        """Stores a list of calls, to be done in order in one execution of that id; a mapping names the items.

        The same id with the same items answers the existing list, whatever became of it. `retries` is the policy of each
        item in place of its task's own; `queue`, `priority`, `tags`, `deadline`, `start_at` and `start_delay` are the
        list's. Raises `IdempotencyConflictError` for other items, `InvalidInputError`, `PayloadTooLargeError`,
        `ConfigurationError`; then nothing is stored.
        """
        wrong = options.keys() - ListSettings.__optional_keys__
        if wrong:
            known = ", ".join(sorted(ListSettings.__optional_keys__))
            raise ConfigurationError(f"a task list has no option {min(wrong)!r}; options are retries, {known}")
        checked = call_options(f"list {id!r}", CallOptions(), self.sizes, id=id, retries=retries, **options)
        arguments: Arguments = {"items": await planned(items, self.sizes)}
        handles = await self._of_lists().enqueue([Call(self.list_task, arguments, checked)])
        return cast("Handle[list[ListItem]]", handles[0])

    async def list_item(self, id: str, which: int | str) -> ListItem:
        """An item of a task list, by number from 0 or by name, as it stands now. Raises `ExecutionNotFoundError`,
        `ConfigurationError` for an execution that is no list, `LookupError` for an item that is not there."""
        return await self._of_lists().item(id, which)

    def _of_lists(self) -> Transport:
        scope = body_scope()
        return self.transport() if scope is None else scope.transport


# --- running


class ListDrive:
    """What drives lists."""

    async def __call__(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> list[ItemRecord]:
        """Runs the items that have not ended, in order."""
        return await Run(verbs, cast("tuple[ItemSpec, ...]", args[0])).all()


class Run:
    """One pass over a list."""

    def __init__(self, verbs: Verbs, specs: Sequence[ItemSpec]) -> None:
        self.verbs, self.specs = verbs, specs
        self.driver, self.host = verbs.driver, verbs.host
        ledger, claim = self.driver.ledger, self.driver.claim
        ended = [entry for entry in ledger.memos.values() if entry.kind == "item"]
        self.records = records_of(specs, ended, claim.generation, self.host.payloads)

    async def all(self) -> list[ItemRecord]:
        """What came of each item."""
        for seq, spec in enumerate(self.specs):
            if self.records[seq].status == "pending":
                await self._item(seq, spec)
        preparing.forget(self.host, self.driver.claim.id)
        return self.records

    async def _item(self, seq: int, spec: ItemSpec) -> None:
        task = self.host.directory.task(spec.task)
        if task is None:
            raise JournalDriftError(
                f"item {seq} ({spec.shown}) of list {self.driver.claim.id}: task {spec.task} is not declared in this app"
            )
        list_id = self.driver.claim.id
        chapter = Chapter(
            seq, task.name, shown=f"item {seq} ({spec.shown}) of list {list_id}", list_id=list_id, items=self._read,
            at_end=partial(self._failed, seq, spec),
        )  # fmt: skip
        try:
            value = await self._value(chapter, spec, task)
        except Abort as abort:
            chapters.check_pass(self.verbs)
            value = abort
        if isinstance(value, Abort):
            keep_value(value, task.signature.result.encode)
        if isinstance(value, Abort) and value.scope == "list":
            raise value
        entry = self._entry(seq, spec, task, value)
        await chapters.turn(self.verbs, entry)
        self.records[seq] = record_of(seq, spec, entry, self.host.payloads)

    async def _value(self, chapter: Chapter, spec: ItemSpec, task: Task[..., Any]) -> Any:
        """What the item's task returns."""
        try:
            arguments = task.signature.decode(bytes(spec.input).decode())
            args, kwargs = task.signature.spread(arguments)
        except (DecodeError, PerdureError) as error:
            raise JournalDriftError(f"the stored input of item {chapter.number} ({spec.shown}): {error}") from error
        claim = self.driver.claim
        queue = spec.queue or task.settings.queue or claim.queue
        if queue != claim.queue or task.drive is not None:
            return await self._elsewhere(chapter, Call(task, arguments, self._options(chapter.number, spec, queue)))
        limit = spec.timeout or timeout_of(task.settings.timeout, claim.attempt, f"task {task.name}")
        before = partial(preparing.prepare, task=task, list_id=claim.id, run=preparing.run_of(claim))
        return await chapters.run(self.verbs, chapter, task, args, kwargs, limit, before)

    def _entry(self, seq: int, spec: ItemSpec, task: Task[..., Any], value: object) -> Entry:
        """What came of an item. Raises what says that the value cannot be stored."""
        failure: str | None = None
        if isinstance(value, Abort):
            self.host.logger.warning(
                "item %d (%s) of list %s aborted: %s", seq, spec.shown, self.driver.claim.id, value
            )
            kept = failure_of(value)
            text, failure = _text_of(kept), encode_failure(kept)
        else:
            text = task.signature.result.encode(value)
        limit = self.host.sizes.result
        if text is not None and exceeds(text, limit):
            raise PayloadTooLargeError(f"the result of item {seq} has over {limit} bytes; see Sizes(result=...)")
        wrapped = None if text is None else self.host.payloads.wrap(text)
        return chapters.entry_of(self.verbs, "item", seq, spec.task, wrapped, failure)

    def _failed(self, seq: int, spec: ItemSpec, outcome: Outcome) -> None:
        """The list ends because of this item: the item's own end goes into the same transition."""
        if not isinstance(outcome, Settled) or self.driver.cancel_reason is not None:
            return
        failure, claim = decode_failure(outcome.failure), self.driver.claim
        text = _text_of(failure)
        value = None if text is None else self.host.payloads.wrap(text)
        scope = f"{claim.generation}.{claim.attempt}"
        self.driver.outbox.add(chapters.entry_of(self.verbs, "item", seq, spec.task, value, outcome.failure, scope))
        preparing.forget(self.host, self.driver.claim.id)

    def _read(self, which: int | str) -> ListItem:
        return item_of(
            self.records[chosen([spec.shown for spec in self.specs], which, self.driver.claim.id)], self.host.directory
        )

    # -- items that run as children -----------------------------------------------------------------------------------

    def _options(self, seq: int, spec: ItemSpec, queue: str) -> CallOptions:
        task = self.host.directory.task(LIST)
        retries = policy_of(task, self.driver)
        claim = self.driver.claim
        place = ItemPlace(claim.id, seq, preparing.run_of(claim))
        return CallOptions(queue=queue, timeout=spec.timeout, retries=retries, item=place)

    async def _elsewhere(self, chapter: Chapter, call: Call[Any]) -> Any:
        """The result of an item as a child, which tries as the list's policy says. What children of its own came to is no
        failure of its body and ends it for good, so there the list itself tries again, with a new child."""
        inside = chapters.outside(self.verbs, chapter)
        await inside.ready()
        slot = slot_of(call, inside.branch)
        child = met_child(inside, call, slot) or start_child(inside, call, slot)
        await self.driver.flushed()
        try:
            return await child_result(inside, child, call.task)
        except (ExecutionFailedError, ExecutionCancelledError) as error:
            chapters.check_pass(self.verbs)
            kind = None if error.failure is None else error.failure.kind
            if kind == "aborted":
                raise _abort_of(error) from error
            if kind in JOINED:
                raise
            raise GiveUp(str(error)) from error


def _text_of(failure: Failure) -> str | None:
    """The value of an abort as JSON text."""
    return None if failure.value is None else msgspec.json.encode(failure.value).decode()


def _abort_of(error: ExecutionError) -> Abort:
    """The abort by which a child ended, with its record."""
    assert error.failure is not None
    found = exception_of(error.failure)
    if isinstance(found, Abort):
        return found
    abort = Abort(error.failure.message, scope=error.failure.scope)
    abort.failure = error.failure  # type: ignore[attr-defined]
    return abort
