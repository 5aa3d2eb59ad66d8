"""Items of a task list as stored: what a list's input holds, what its journal says of each item, its result.

The values of items are typed by their own tasks, so they are written and read by those tasks' codecs, and stand in the
list's input and result as plain JSON. Who runs items is no concern of this module; clients read by it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec

from perdure.codec import DecodeError, Payloads, TypeCodec, codec_for, decode_failure
from perdure.codec.backends import Natural
from perdure.engine.journal import chapter_prefix
from perdure.engine.options import ItemPlace, stored_options
from perdure.engine.ports import Directory
from perdure.errors import ConfigurationError, Failure
from perdure.model.execution import ListItem
from perdure.model.records import MEMO, Entry

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

NULL: Final = msgspec.Raw(b"null")
NATURAL: Final = codec_for(object, "the value of an item")


class ItemSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item as a list's input holds it: a task by name, its input, and options that hold for it."""

    task: str
    input: msgspec.Raw
    name: str | None = None
    queue: str | None = None
    timeout: float | None = None

    @property
    def shown(self) -> str:
        """What the item is called."""
        return self.task if self.name is None else self.name


class ItemRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item as a list's result holds it."""

    seq: int
    name: str
    task: str
    status: Literal["pending", "completed", "failed"]
    value: msgspec.Raw = NULL
    failure: Failure | None = None


class Input(msgspec.Struct, frozen=True):
    """The stored input of a list."""

    items: tuple[ItemSpec, ...]


_read_input = msgspec.json.Decoder(Input).decode
_read_records = msgspec.json.Decoder(tuple[ItemRecord, ...]).decode


def specs_of(text: str) -> tuple[ItemSpec, ...]:
    """The items of a list by its stored input. Raises `ConfigurationError` for the input of something else."""
    try:
        return _read_input(text).items
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"this is no task list: {error}") from error


def records_of(
    specs: Sequence[ItemSpec], entries: Iterable[Entry], generation: int, payloads: Payloads
) -> list[ItemRecord]:
    """How each item stands, by the list's journal. A failure that ended the list holds in its generation only."""
    found: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.position):
        if entry.kind == "item" and (entry.scope == MEMO or entry.scope.startswith(f"{generation}.")):
            found[entry.key] = entry
    return [record_of(seq, spec, found.get(chapter_prefix(seq)), payloads) for seq, spec in enumerate(specs)]


def record_of(seq: int, spec: ItemSpec, entry: Entry | None, payloads: Payloads) -> ItemRecord:
    """How one item stands, by its entry."""
    if entry is None:
        return ItemRecord(seq, spec.shown, spec.task, "pending")
    value = NULL if entry.value is None else msgspec.Raw(payloads.unwrap(entry.value).encode())
    failure = None if entry.failure is None else decode_failure(entry.failure)
    return ItemRecord(seq, spec.shown, spec.task, "completed" if failure is None else "failed", value, failure)


def item_of(record: ItemRecord, directory: Directory | None) -> ListItem:
    """An item as people see it, its value by its task's type where that is known and fits (an abort may bring any)."""
    return ListItem(record.status, _value(record, directory), record.failure, record.seq, record.name)


def _value(record: ItemRecord, directory: Directory | None) -> Any:
    text = bytes(record.value).decode()
    task = None if directory is None else directory.task(record.task)
    if record.value == NULL and record.status != "completed":
        return None
    typed = () if task is None else (task.signature.result,)
    untyped = (NATURAL,) if task is None or record.status != "completed" else ()
    for codec in (*typed, *untyped):
        try:
            return codec.decode(text)
        except DecodeError:
            continue
    return NATURAL.native(text)


def chosen(names: Sequence[str], which: int | str, list_id: str) -> int:
    """The number of an item that is asked for by number or name. Raises `LookupError`."""
    if isinstance(which, int):
        if 0 <= which < len(names):
            return which
        raise LookupError(f"list {list_id} has {len(names)} items, numbered from 0; there is no item {which}")
    found = [seq for seq, name in enumerate(names) if name == which]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(f"list {list_id} has {len(found)} items named {which!r}: ask by number, {found[:5]}")
    raise LookupError(f"list {list_id} has no item named {which!r}")


def place_of(options: str | None) -> ItemPlace | None:
    """The place of an item that runs as an execution of its own, by the options stored with that."""
    place = stored_options(options).get("item")
    return None if place is None else ItemPlace(place["list"], place["seq"], place["run"])


async def read_item(verbs: Verbs, which: int | str) -> ListItem:
    """An item of the list that the running item belongs to. Raises `LookupError`, `ConfigurationError`."""
    await verbs.ready()
    chapter = verbs.chapter
    if chapter is not None and chapter.items is not None:
        return chapter.items(which)
    place = place_of(verbs.driver.claim.options)
    if place is None:
        raise ConfigurationError(f"ctx.item: {verbs.task_name} runs in no task list here")
    return await verbs.host.client.item(place.list_id, which)


class ItemsCodec(TypeCodec):
    """The result of a list: written from records, read as `ListItem`s."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Directory) -> None:
        super().__init__(list[ListItem], "the result of a task list", Natural())
        self._directory = directory

    def encode(self, value: object) -> str:
        """The text of records."""
        return msgspec.json.encode(cast("list[ItemRecord]", value)).decode()

    def decode(self, text: str) -> object:
        """Items. Raises `DecodeError`."""
        try:
            return [item_of(record, self._directory) for record in _read_records(text)]
        except msgspec.MsgspecError as error:
            raise DecodeError(f"a stored result of a list: {error}") from error
