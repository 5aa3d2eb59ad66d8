"""One pass over a tree: the body once, its children until they are joined, the finalizer, the result.

Once the `Spawn` is recorded the body never runs again, the task's timeout and retries no longer hold, and what goes wrong
is final. All that happens follows from the journal: which children stand, which settled. This module must never look at
a value of a user's.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from perdure.codec import DecodeError, TypeCodec, codec_for, failure_of
from perdure.codec.hints import type_name
from perdure.engine.bodies import run_function, within
from perdure.engine.children import check_task, enter, prepared, settling, spec_of, standing
from perdure.engine.styling import (
    ENDED,
    Encoded,
    Verdict,
    children_failed,
    clipped,
    failure_of_child,
    untraced,
    verdict,
)
from perdure.errors import ConfigurationError, Failure, InvalidInputError, PerdureError
from perdure.model.outline import Part
from perdure.model.policy import exceeds
from perdure.model.records import Child, NewExecution
from perdure.model.status import SETTLED, UNSUCCESSFUL, WaitKind
from perdure.model.trees import FINALIZE, Plan
from perdure.styles.tree.joined import Joined, SettledChild, Spawn, StoredTree, TreeResult, nested, raw_of
from perdure.styles.tree.plan import checked, entry_of, recorded, waiting

if TYPE_CHECKING:
    from perdure.engine.task import Task
    from perdure.engine.verbs import Verbs

JOINED: Final = 64
"""So many results of the largest size fit into what the children of one tree come to together."""

OnChildFailure = Literal["cancel_siblings", "collect"]


class Tree:
    """How one parent task is run."""

    def __init__(
        self, function: Callable[..., object], what: str, finalize: Task[..., Any] | None,
        on_child_failure: OnChildFailure, max_parallel: int | None,
    ) -> None:  # fmt: skip
        self._function, self._what = function, what
        self.finalize = finalize
        self.collects, self.parallel = on_child_failure == "collect", max_parallel

    def returns(self, hint: object) -> object:
        """The hint of the task's result, by the hint of what its function returns."""
        output = output_hint(hint, self._what)
        codec_for(output, f"the output of {self._what}")
        if self.finalize is None:
            return cast("Any", TreeResult)[output]
        return self.finalize.signature.result.hint

    @cached_property
    def output_codec(self) -> TypeCodec:
        """How the body's output is stored."""
        hint = get_type_hints(self._function, include_extras=True).get("return", Any)
        return codec_for(output_hint(hint, self._what), f"the output of {self._what}")

    def outline(self, name: str) -> Part:
        """Itself, children of which nobody knows before it runs, and the finalizer."""
        bound = f", {self.parallel} at once" if self.parallel is not None else ""
        children = Part("children", ("all of them" if self.collects else "until one fails") + bound, "more")
        last = None if self.finalize is None else replace(self.finalize.outline(), shape="finalize")
        return Part(name, parts=(children,), last=last)

    async def drive(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> Any:
        """Runs what is left to do."""
        grove = Grove(self, verbs)
        plan = recorded(verbs)
        if plan is None:
            plan = await self._begin(grove, args, kwargs)
        verbs.driver.set_timeout(None)
        children = await grove.joined(plan)
        text = grove.measured(grove.stored(plan, children).text())
        if self.finalize is None:
            return Encoded(verbs.host.payloads.wrap(text))
        return await grove.finalized(self.finalize, text)

    async def _begin(self, grove: Grove, args: list[object], kwargs: dict[str, object]) -> Plan:
        """Runs the body; writes what it returned and its first children, all in one transition."""
        verbs = grove.verbs
        task = cast("Task[..., Any]", verbs.host.directory.task(verbs.driver.claim.task_name))
        with within(verbs, verbs.branch, not task.is_async) as scope:
            returned = await run_function(verbs.host, task, scope.context, args, kwargs)
        plan, specs = await checked(verbs, returned, self.output_codec, self.parallel)
        await verbs.ready()
        verbs.driver.set_timeout(None)
        verbs.keep(entry_of(verbs, plan))
        verbs.driver.mark_dirty()
        for index, spec in enumerate(islice(specs, self.parallel)):
            slot = plan.slot(index)
            if grove.met(slot) is None:  # an operator had it forget the Spawn
                enter(verbs, spec, slot)
        return plan


class Grove:
    """The children of one pass."""

    def __init__(self, tree: Tree, verbs: Verbs) -> None:
        self.tree, self.verbs = tree, verbs

    async def joined(self, plan: Plan) -> list[Child]:
        """The children in order, once all are settled. Raises `Verdict` at the first without success, unless they are
        collected. After the first look only those that are open are looked at again: there may be very many."""
        met = [self.met(plan.slot(index)) for index in range(plan.count)]
        left = deque(index for index, child in enumerate(met) if child is None)
        under_way = {index for index, child in enumerate(met) if child is not None and child.status not in SETTLED}
        self._check(met, range(plan.count))
        while left or under_way:
            room = len(left) if self.tree.parallel is None else max(self.tree.parallel - len(under_way), 0)
            if left and room:
                begun = [left.popleft() for _ in range(min(room, len(left)))]
                await self._start(plan, begun)
                under_way.update(begun)
            else:
                children = [child for index in sorted(under_way) if (child := met[index]) is not None]
                await self._settling("children", children, any_of=bool(left))
            looked = tuple(under_way)
            for index in looked:
                child = met[index] = self.met(plan.slot(index))
                if child is None or child.status in SETTLED:
                    under_way.discard(index)
                if child is None:  # an operator had it forgotten meanwhile
                    left.append(index)
            self._check(met, looked)
        return [child for child in met if child is not None]

    async def finalized(self, finalize: Task[..., Any], text: str) -> Encoded:
        """The finalizer's result. Raises `Verdict` when it has none."""
        child = self.met(FINALIZE)
        if child is not None:
            check_task(self.verbs, child, finalize.name, "the finalizer")
        else:
            spec = await self._finalizer(finalize, text)
            await self.verbs.ready()
            child = enter(self.verbs, spec, FINALIZE, last=True)
        if child.status not in SETTLED:
            await self._settling("finalize", [child], any_of=False)
            child = self.met(FINALIZE) or child
        if child.status == "completed":
            return Encoded(cast("str", child.result))
        failure = failure_of_child(child)
        said = f"{failure.type}: {failure.message}" if failure.kind == "error" else failure.message
        raise self._finalize_failed(f"finalizer {child.task_name} {ENDED[child.status]}: {clipped(said)}", failure)

    def stored(self, plan: Plan, children: list[Child]) -> StoredTree:
        """What the children came to, as it is written. Only a finalizer is told the arguments."""
        unwrap = self.verbs.host.payloads.unwrap
        told = tuple(
            SettledChild(
                index, child.task_name, child.id, child.status,
                msgspec.UNSET if child.result is None else raw_of(unwrap(child.result)),
                None if child.result is not None else untraced(failure_of_child(child)),
            )
            for index, child in enumerate(children)
        )  # fmt: skip
        trees = {name for name in {child.task_name for child in children} if self._is_tree(name)}
        if trees:
            told = tuple(nested(child) if child.task_name in trees else child for child in told)
        tree = StoredTree(raw_of(unwrap(bytes(plan.output).decode())), told)
        if self.tree.finalize is not None:
            task = cast("Task[..., Any]", self.verbs.host.directory.task(self.verbs.driver.claim.task_name))
            args, tree.kwargs = task.signature.raw(unwrap(self.verbs.driver.claim.input))
            tree.args = tuple(args)
        return tree

    def measured(self, text: str) -> str:
        """What the children came to, as text. Raises `Verdict` where it is more than a database or a worker can be asked to
        hold in one piece; sizes of children add up, so far more than of one result may be there."""
        limit = JOINED * self.verbs.host.sizes.result
        if not exceeds(text, limit):
            return text
        message = f"the children of {self.verbs.task_name} came to over {limit} bytes, {JOINED} times Sizes(result=...)"
        raise verdict("too_large", "PayloadTooLargeError", message)

    def met(self, slot: str) -> Child | None:
        """The child that stands in a place, unless it is to be replaced."""
        return standing(self.verbs, self.verbs.task_name, slot)

    def _is_tree(self, name: str) -> bool:
        """Whether a task's results are `TreeResult`s."""
        task = self.verbs.host.directory.task(name)
        hint = None if task is None else task.signature.result.hint
        return TreeResult in (hint, get_origin(hint))

    def _check(self, met: list[Child | None], looked: Iterable[int]) -> None:
        """Raises `Verdict` if one of those that were looked at ended the tree."""
        if self.tree.collects or not any(_failed(met[index]) for index in looked):
            return
        raise children_failed(
            [(i, child) for i, child in enumerate(met) if child is not None and _failed(child)], len(met)
        )

    async def _start(self, plan: Plan, indexes: list[int]) -> None:
        """Starts children that had to wait, or takes the place of those of an attempt before."""
        specs = await waiting(self.verbs, plan, indexes)
        for index, spec in specs.items():
            if self.verbs.host.directory.task(spec.task_name) is None:
                raise self.verbs.drifted(f"child [index={index}] is of task {spec.task_name}, which is not declared")
        await self.verbs.ready()
        for index in indexes:
            enter(self.verbs, specs[index], plan.slot(index), last=True)

    async def _settling(self, kind: WaitKind, children: list[Child], *, any_of: bool) -> None:
        """Returns when all of these are settled, the next one is (`any_of`), or the first ends that ends the tree."""
        failing = kind == "children" and not self.tree.collects
        await settling(self.verbs, kind, children, any_of=any_of, failing=failing)

    async def _finalizer(self, finalize: Task[..., Any], text: str) -> NewExecution:
        """What the finalizer is started from. Raises `Verdict` where it does not take what there is for it."""
        name = finalize.signature.names[0]
        try:
            joined = finalize.signature.codecs()[name].decode(text)
            return spec_of(self.verbs, await prepared(self.verbs, finalize.call(joined)), measured=False)
        except (DecodeError, PerdureError) as error:
            message = f"finalizer {finalize.name} cannot be started: {error}"
            raise self._finalize_failed(message, failure_of(error)) from error

    def _finalize_failed(self, message: str, cause: Failure) -> Verdict:
        return verdict("finalize_failed", "FinalizeFailed", message, cause)


def _failed(child: Child | None) -> bool:
    return child is not None and child.status in UNSUCCESSFUL


def output_hint(hint: object, what: str) -> object:
    """What a body puts into `Spawn`, by the hint of what it returns. Raises `ConfigurationError` for another hint."""
    if hint is Spawn or hint is inspect.Parameter.empty or hint is Any:
        return Any
    if get_origin(hint) is Spawn:
        return get_args(hint)[0]
    raise ConfigurationError(f"{what} must return Spawn[...], not {hint!r}: it is a parent task")


def takes_joined(finalize: Task[..., Any], what: str) -> None:
    """Raises `ConfigurationError` unless the task can be called with a `Joined` and nothing else."""
    signature = finalize.signature
    try:
        signature.bind((None,), {})
    except InvalidInputError as error:
        raise ConfigurationError(f"{what} finalize must take one argument, Joined: {error}") from None
    codec = signature.codecs().get(signature.names[0])
    if codec is not None and Joined not in (codec.hint, get_origin(codec.hint)):
        untyped = codec.hint is inspect.Parameter.empty
        given = f"has no type for {signature.names[0]!r}" if untyped else f"takes {type_name(codec.hint)}"
        raise ConfigurationError(f"{what} finalize {given}; annotate its argument with Joined[input, output]")
