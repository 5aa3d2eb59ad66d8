"""The code that simulated executions run: one task that interprets a program, and its activities.

The activities note what they did (`Effect`), outside all that can crash, and each run of a body returns another value: a
result that was recorded twice, or under a lost lease, therefore shows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from perdure.engine.context import Context
from perdure.engine.driver import Driver
from perdure.engine.handle import Handle
from perdure.engine.journal import activity_key
from perdure.engine.scope import Scope, current
from perdure.engine.task import Task
from perdure.errors import Abort, ExecutionFailedError, Failure
from perdure.model.policy import Retry
from perdure.registry import Registry
from perdure.storage.check import Effect
from perdure.styles.loop import Continue, Done, LoopResult
from perdure.styles.tree.declaring import ParentSettings
from perdure.styles.tree.joined import Joined, Spawn
from perdure.testing.simulation.programs import (
    BROKEN,
    FINAL_RETRIES,
    RETRIES,
    STYLES,
    Node,
    Rounds,
    Step,
    Style,
)

TRIES = Retry(max_retries=RETRIES, delay=0.2, factor=1.0, jitter=False)
SOON = Retry(max_retries=3, delay=0.05, factor=1.0, jitter=False)
FINAL = Retry(max_retries=FINAL_RETRIES, delay=0.05, factor=1.0, jitter=False)


class Bodies:
    """Tasks and activities of a simulated app. `time` tells the seconds, `choose` draws a number, `die` kills the process in
    which it is called, `pauses` are how long activities may take."""

    def __init__(
        self,
        time: Callable[[], float],
        choose: Callable[[int], int],
        die: Callable[[], None],
        pauses: Sequence[float],
    ) -> None:
        self.registry = Registry()
        self.effects: list[Effect] = []
        self.values: dict[str, set[str]] = {}
        self._runs: Counter[tuple[str, str]] = Counter()
        self._time, self._choose, self._die, self._pauses = time, choose, die, pauses
        self._declare()

    def _declare(self) -> None:
        declare = self.registry

        @declare.activity(retries=SOON)
        async def work(name: str, tries: int) -> str:
            return await self._work(name, tries)

        @declare.activity
        async def tell(name: str) -> float:
            self._note("tell", name, None)
            return self._time()

        @declare.task(retries=TRIES, max_crashes=1000)
        async def program(ctx: Context, node: Node) -> list[object]:
            parts = [await self._step(ctx, step) for step in node.steps]
            if ctx.attempt < node.fails:
                raise ValueError(f"{node.name} fails in attempt {ctx.attempt}")
            if node.abort:
                raise Abort(node.name, scope=node.abort)
            return parts

        @declare.task(max_crashes=3)
        async def poison() -> None:
            self._die()
            await asyncio.Event().wait()

        self.answer = declare.external_task("answer", str, max_crashes=1_000_000)
        self.work, self.tell, self.program, self.poison = work, tell, program, poison
        self.trees = [self._declare_tree(number, style) for number, style in enumerate(STYLES)]
        self.repeat = declare.loop("repeat", self._iterate, retries=TRIES, delay=0.1, max_crashes=1000)

    def _declare_tree(self, number: int, style: Style) -> Task[[Step], list[object]]:
        async def combine(ctx: Context, joined: Joined[Step, str]) -> list[object]:
            return _combined(ctx, joined)

        async def unchanged(joined: Joined[Joined[Step, str], list[object]]) -> list[object]:
            assert [child.output for child in joined.children] == [[]]
            return joined.output

        @self.registry.parent_task(name=f"regroup-{number}", finalize=unchanged, retries=FINAL, max_crashes=1000)
        async def regroup(ctx: Context, joined: Joined[Step, str]) -> Spawn[list[object]]:
            return Spawn(_combined(ctx, joined), [self.program.call(Node(f"{joined.output} regrouped"))])

        combining = self.registry.task(name=f"combine-{number}", retries=FINAL, max_crashes=1000)(combine)
        options = ParentSettings(
            name=f"tree-{number}", on_child_failure="collect" if style.collects else "cancel_siblings", retries=SOON,
            max_crashes=1000,
        )  # fmt: skip
        if style.parallel is not None:
            options["max_parallel"] = style.parallel

        @self.registry.parent_task(finalize=regroup if style.wide else combining, **options)
        async def tree(step: Step) -> Spawn[str]:
            inner = [self.trees[each.style].options(key=each.name).call(each) for each in step.steps]
            return Spawn(step.name, [*inner, *(self.program.options(key=node.name).call(node) for node in step.nodes)])

        return tree

    async def _iterate(self, ctx: Context, rounds: Rounds) -> Continue | Done[list[object]]:
        node = rounds.nodes[ctx.iteration]
        parts = [await self._step(ctx, step) for step in node.steps]
        if ctx.attempt < node.fails:
            raise ValueError(f"{node.name} fails in attempt {ctx.attempt} of iteration {ctx.iteration}")
        results = [*rounds.results, parts]
        return Done(results) if len(results) == len(rounds.nodes) else Continue(Rounds(rounds.nodes, results))

    async def _work(self, name: str, tries: int) -> str:
        claim = _driver().claim
        self._runs[claim.id, name] += 1
        run = self._runs[claim.id, name]
        await asyncio.sleep(self._pauses[self._choose(len(self._pauses))])
        if run <= tries:
            raise ValueError(f"try {run} of {name}")
        value = f"{name}#{run}@{claim.id[-6:]}"
        self.values.setdefault(name, set()).add(value)
        self._note("work", name, f'"{value}"')
        return value

    def _note(self, activity: str, name: str, value: str | None) -> None:
        claim = _driver().claim
        attempt = f"{claim.generation}.{claim.attempt}"
        key = _scope().branch.key(activity_key(activity, "", name))
        self.effects.append(Effect(execution_id=claim.id, key=key, attempt=attempt, token=claim.token, value=value))

    async def _step(self, ctx: Context, step: Step) -> object:
        match step.kind:
            case "act":
                return [await self.work.options(key=step.name)(step.name, step.tries)]
            case "again":
                first = await self.work.options(key=step.name)(step.name, step.tries)
                await ctx.sleep(0.2, key=f"{step.name} between")
                return [first, await self.work.options(key=step.name)(step.name, step.tries)]
            case "sleep":
                return await self._sleep(ctx, step)
            case "signal":
                return await ctx.wait_for(step.name, str)
            case "external":
                return await self.answer(f"{ctx.execution_id} {step.name}")
            case "late":
                return await self._late(ctx, step)
            case "gather":
                return list(await asyncio.gather(*(self._step(ctx, each) for each in step.steps)))
            case _:
                return await self._below(ctx, step)

    async def _sleep(self, ctx: Context, step: Step) -> float:
        began = ctx.now(key=f"{step.name} began").timestamp()
        await ctx.sleep(step.span, key=step.name)
        return await self.tell.options(key=step.name)(step.name) - began

    async def _late(self, ctx: Context, step: Step) -> str:
        try:
            return await ctx.wait_for(step.name, str, timeout=step.span, key=step.name)
        except TimeoutError:
            return "late"

    async def _below(self, ctx: Context, step: Step) -> object:
        """Steps that start other executions."""
        if step.kind == "loop":
            looping = await ctx.spawn(self.repeat.options(key=step.name).call(Rounds(step.nodes, [])))
            result = await _outcome(looping)
            return cast("LoopResult[object]", result).value if isinstance(result, LoopResult) else result
        if step.kind == "list":
            items = [self.program.call(node) for node in step.nodes]
            return (await self.registry.enqueue_list(f"{ctx.execution_id}/{step.name}", items, retries=TRIES)).id
        if step.kind == "tree":
            return await _outcome(await ctx.spawn(self.trees[step.style].options(key=step.name).call(step)))
        calls = [self.program.options(key=node.name).call(node) for node in step.nodes]
        if step.kind == "child":
            return await _outcome(await ctx.spawn(calls[0]))
        if step.kind == "enqueue":
            return (await ctx.enqueue(calls[0])).id
        if step.kind == "spawn":
            handles = [await ctx.spawn(call) for call in calls]
            return [await _outcome(handle) for handle in handles]
        results = await ctx.map(self.program, step.nodes, tolerate=1.0)
        return [BROKEN if isinstance(result, Failure) else result for result in results]


def _combined(ctx: Context, joined: Joined[Step, str]) -> list[object]:
    """What the children of a tree came to."""
    assert joined.output == joined.input.name
    if ctx.attempt < joined.input.tries:
        raise ValueError(f"the finalizer of {joined.output} fails in attempt {ctx.attempt}")
    return [child.output if child.status == "completed" else BROKEN for child in joined.children]


async def _outcome(handle: Handle[Any]) -> object:
    try:
        return await handle.result()
    except ExecutionFailedError:
        return BROKEN


def _driver() -> Driver:
    return cast("Driver", _scope().body)


def _scope() -> Scope:
    scope = current.get()
    assert scope is not None, "activities of a simulation run inside executions"
    return scope
