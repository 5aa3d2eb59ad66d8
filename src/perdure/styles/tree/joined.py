"""What users of parent tasks hold in their hands: `Spawn`, `Joined`, `TreeResult` and the children in them.

What children came to stays in its stored form until somebody asks, by `.output` or with a type by `.of(task)`: most
finalizers look at few of many. This module must never know how a tree is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from perdure.codec import Backend, DecodeError, TypeCodec, codec_for
from perdure.engine.children import ending_error
from perdure.engine.task import Call, Task
from perdure.errors import Failure
from perdure.model.status import Status

I_co = TypeVar("I_co", covariant=True)
O_co = TypeVar("O_co", covariant=True)
R = TypeVar("R")
NESTED: Final = 50
"""Of trees within trees without a finalizer, so many levels are kept in one result: each holds all that are below it."""
NATURAL: Final = codec_for(object, "the output of a child")


@dataclass(frozen=True)
class Spawn(Generic[O_co]):
    """What the body of a parent task returns: its own `output`, and the children to run, in the order in which they are
    shown to the finalizer."""

    output: O_co
    children: Iterable[Call[object]] = ()


class SettledChild(msgspec.Struct, frozen=True, omit_defaults=True):
    """A child of a tree that settled. `failure` says why one did not complete. `levels` tells how many trees deep its output
    is, `left_out` that it stood too deep in a result to be told."""

    index: int
    task_name: str
    execution_id: str
    status: Status
    stored: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="output")
    failure: Failure | None = None
    levels: int = 0
    left_out: bool = False

    def __repr__(self) -> str:
        came_to = f"failure={self.failure!r}" if self.status != "completed" else "left out" if self.left_out else (
            f"output={self.output!r}"
        )  # fmt: skip
        return f"SettledChild({self.index}, {self.task_name}, {self.execution_id}, {self.status}, {came_to})"

    @property
    def output(self) -> Any:
        """What it came to, as it reads without its type; `None` where it did not complete. See `of`. Raises `LookupError`
        where it is left out."""
        self._check_told()
        return None if isinstance(self.stored, msgspec.UnsetType) else loosely(self.stored)

    def of(self, task: Task[..., R]) -> R:
        """What it came to, typed. Raises `LookupError` when it is another task's, `ExecutionFailedError` and its kin when
        it did not complete."""
        if not self.is_of(task):
            raise LookupError(f"child {self.index} ran task {self.task_name}, not {task.name}")
        self._check_told()
        if isinstance(self.stored, msgspec.UnsetType):
            raise ending_error(self.status, self.execution_id, self.task_name, self.failure)
        return cast("R", task.signature.result.decode(text_of(self.stored)))

    def _check_told(self) -> None:
        if self.left_out:
            raise LookupError(
                f"the output of child {self.index} is left out: of trees without a finalizer {NESTED} levels are told; "
                f"read execution {self.execution_id}"
            )

    def is_of(self, task: Task[..., object]) -> bool:
        """Whether it ran that task, by its name or by one that it had before."""
        return self.task_name == task.name or self.task_name in task.settings.aliases


class Family:
    """Children by their task."""

    children: tuple[SettledChild, ...]

    def one(self, task: Task[..., R]) -> R:
        """What the one child of that task came to. Raises `LookupError` unless there is exactly one, and as `of`."""
        found = self._of(task)
        if len(found) != 1:
            raise LookupError(f"{len(found)} children ran task {task.name}; use .all({task.name})")
        return found[0].of(task)

    def all(self, task: Task[..., R]) -> list[R]:
        """What the children of that task came to, in order. Raises `LookupError` where all are of others, and as `of`."""
        return [child.of(task) for child in self._of(task)]

    def _of(self, task: Task[..., object]) -> list[SettledChild]:
        found = [child for child in self.children if child.is_of(task)]
        if self.children and not found:
            names = ", ".join(sorted({child.task_name for child in self.children}))
            raise LookupError(f"no child ran task {task.name}; they ran {names}")
        return found


@dataclass(frozen=True)
class Joined(Family, Generic[I_co, O_co]):
    """What a finalizer is given: the parent's arguments, what its body put into `Spawn(output=…)`, and the children in the
    order in which they were declared."""

    output: O_co
    children: tuple[SettledChild, ...] = ()
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def input(self) -> I_co:
        """The argument of a parent task that takes one; `None` of one that takes none. Raises `LookupError` for several:
        they are `args` and `kwargs`."""
        given = (*self.args, *self.kwargs.values())
        if len(given) > 1:
            raise LookupError(f"the parent task was given {len(given)} arguments; use .args and .kwargs")
        return cast("I_co", given[0] if given else None)

    @classmethod
    def __perdure_backend__(cls, arguments: tuple[object, ...]) -> Backend:
        hints = arguments or (Any, Any)
        return JoinedBackend(codec_for(hints[0], "Joined.input"), codec_for(hints[1], "Joined.output"))


@dataclass(frozen=True)
class TreeResult(Family, Generic[O_co]):
    """The result of a parent task without a finalizer."""

    output: O_co
    children: tuple[SettledChild, ...] = ()

    @classmethod
    def __perdure_backend__(cls, arguments: tuple[object, ...]) -> Backend:
        return ResultBackend(codec_for(arguments[0] if arguments else Any, "TreeResult.output"))


class StoredTree(msgspec.Struct, omit_defaults=True):
    """How `Joined` and `TreeResult` are written; the latter has no arguments."""

    output: msgspec.Raw
    children: tuple[SettledChild, ...] = ()
    args: tuple[msgspec.Raw, ...] = ()
    kwargs: dict[str, msgspec.Raw] = {}

    def text(self) -> str:
        """As JSON text."""
        return _encode(self).decode()

    @property
    def levels(self) -> int:
        """How many trees deep it is."""
        return 1 + max((child.levels for child in self.children), default=0)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredTree).decode


def nested(child: SettledChild) -> SettledChild:
    """A child whose output is a `TreeResult`: with its levels, those that are too deep left out."""
    if isinstance(child.stored, msgspec.UnsetType):
        return child
    return _within(msgspec.structs.replace(child, levels=_decode(child.stored).levels), NESTED)


def _within(child: SettledChild, allowed: int) -> SettledChild:
    if child.levels <= allowed or isinstance(child.stored, msgspec.UnsetType):
        return child
    if allowed == 0:
        return msgspec.structs.replace(child, stored=msgspec.UNSET, levels=0, left_out=True)
    tree = _decode(child.stored)
    tree.children = tuple(_within(below, allowed - 1) for below in tree.children)
    return msgspec.structs.replace(child, stored=raw_of(tree.text()), levels=tree.levels)


class JoinedBackend(Backend):
    """`Joined`: input and output by their types, several arguments without."""

    def __init__(self, given: TypeCodec, output: TypeCodec) -> None:
        self._given, self._output = given, output

    def text(self, value: object) -> str:
        joined = cast("Joined[object, object]", _expected(value, Joined))
        given = self._argument(len(joined.args) + len(joined.kwargs))
        return StoredTree(
            raw_of(self._output.encode(joined.output)),
            joined.children,
            tuple(raw_of(given.encode(each)) for each in joined.args),
            {name: raw_of(given.encode(each)) for name, each in joined.kwargs.items()},
        ).text()

    def value(self, text: str) -> object:
        stored = _decode(text)
        single = len(stored.args) + len(stored.kwargs) == 1
        read = self._typed if single else loosely
        return Joined[Any, Any](
            self._output.decode(text_of(stored.output)),
            stored.children,
            tuple(read(each) for each in stored.args),
            {name: read(each) for name, each in stored.kwargs.items()},
        )

    def convert(self, value: object) -> object:
        return _expected(value, Joined)

    def _argument(self, count: int) -> TypeCodec:
        return self._given if count == 1 else NATURAL

    def _typed(self, raw: msgspec.Raw) -> object:
        return self._given.decode(text_of(raw))


class ResultBackend(Backend):
    """`TreeResult`: the output by its type."""

    def __init__(self, output: TypeCodec) -> None:
        self._output = output

    def text(self, value: object) -> str:
        result = cast("TreeResult[object]", _expected(value, TreeResult))
        return StoredTree(raw_of(self._output.encode(result.output)), result.children).text()

    def value(self, text: str) -> object:
        stored = _decode(text)
        return TreeResult[Any](self._output.decode(text_of(stored.output)), stored.children)

    def convert(self, value: object) -> object:
        return _expected(value, TreeResult)


def raw_of(text: str) -> msgspec.Raw:
    """A JSON text as a part of another."""
    return msgspec.Raw(text.encode())


def text_of(raw: msgspec.Raw) -> str:
    """A part of a JSON text by itself."""
    return bytes(raw).decode()


def loosely(raw: msgspec.Raw) -> object:
    """A stored value of which the type is not known here."""
    text = text_of(raw)
    try:
        return NATURAL.decode(text)
    except DecodeError:  # a field of a typed value that looks like a tag
        return NATURAL.native(text)


def _expected(value: object, kind: type) -> object:
    if not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} is wanted, not a {type(value).__qualname__}")
    return value
