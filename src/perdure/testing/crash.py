"""`crash_everywhere`: a test, run once for each place where its process could die.

A durable boundary is a write transaction that changes something: an enqueue, a step of an execution, a signal, a cancel, a
retry. The test runs once clean, which counts the boundaries, and then twice per boundary: the process dies just before the
transaction commits, and just after it (the acknowledgement is lost). What is stored survives, a new worker goes on, and
the test's asserts must hold all the same. A run in which the crash did not happen is a failure too: a test of crashes that
crashes nothing proves nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Concatenate, Final, Literal, ParamSpec, cast

from perdure.app import Perdure
from perdure.model.records import NewExecution, NewSignal, Transition
from perdure.testing.clock import START
from perdure.testing.driving import CHANGES
from perdure.testing.faults import Fault, Operation
from perdure.testing.harness import TestApp
from perdure.testing.process import ProcessDiedError

P = ParamSpec("P")
Side = Literal["before", "after"]
SIDES: Final[tuple[Side, ...]] = ("before", "after")


class CrashError(AssertionError):
    """A test did not survive a crash, or its crash did not happen; the message names the boundary."""


class Boundaries:
    """Counts the durable boundaries of one run, and crashes it at the one wanted."""

    def __init__(self, t: TestApp, wanted: int | None = None, side: Side = "before") -> None:
        self._t, self._wanted = t, wanted
        self._side: Side = side
        self._new = True
        self.found: list[str] = []
        self.crashed = False

    def decide(self, operation: Operation) -> Fault | None:
        """For `FaultyStorage.decide`."""
        if operation.name == "transaction":
            self._new = True
        if operation.name not in CHANGES:
            return None
        what = described(operation)
        if not self._new:
            self.found[-1] += f", {what}"
            return None
        self._new = False
        self.found.append(what)
        if len(self.found) - 1 != self._wanted:
            return None
        self.crashed = True
        self._t.crash()
        return Fault(self._side, ProcessDiedError())


def crash_everywhere(
    app: Perdure, *, start: datetime = START, always_replay: bool = False
) -> Callable[[Callable[Concatenate[TestApp, P], Coroutine[Any, Any, None]]], Callable[P, Coroutine[Any, Any, None]]]:
    """Decorates `async def test_checkout(t): ...`: the test gets a fresh `TestApp` of `app` for each run, as its first
    argument; further parameters are fixtures, made once for all runs.

    The test has to be repeatable: what it keeps outside the app (lists, counters) it must begin anew. Raises `CrashError`
    naming the boundary.
    """

    def decorate(
        test: Callable[Concatenate[TestApp, P], Coroutine[Any, Any, None]],
    ) -> Callable[P, Coroutine[Any, Any, None]]:
        @functools.wraps(test)
        async def everywhere(*args: P.args, **kwargs: P.kwargs) -> None:
            def make() -> TestApp:
                return TestApp(app, start, always_replay=always_replay)

            async def run(t: TestApp) -> None:
                await test(t, *args, **kwargs)

            await _run_all(make, run)

        signature = inspect.signature(test)
        shown = signature.replace(parameters=list(signature.parameters.values())[1:])
        vars(everywhere)["__signature__"] = shown
        return everywhere

    return decorate


async def _run_all(make: Callable[[], TestApp], run: Callable[[TestApp], Coroutine[Any, Any, None]]) -> None:
    places = (await _run(make(), run, None, "before")).found
    if not places:
        raise CrashError("the test writes nothing: there is no durable boundary to crash at")
    for index, place in enumerate(places):
        for side in SIDES:
            where = f"crash just {side} the commit of boundary {index + 1} of {len(places)} ({place})"
            try:
                seen = await _run(make(), run, index, side)
            except Exception as error:
                raise CrashError(f"{where}: {type(error).__name__}: {error}") from error
            if not seen.crashed:
                raise CrashError(f"{where} did not happen: the test takes another way each time it runs")


async def _run(
    t: TestApp, run: Callable[[TestApp], Coroutine[Any, Any, None]], wanted: int | None, side: Side
) -> Boundaries:
    """One run of the test; only what happens inside it counts, not the opening and closing around it."""
    boundaries = Boundaries(t, wanted, side)
    async with t:
        t.faults.decide = boundaries.decide
        try:
            await run(t)
        finally:
            t.faults.decide = None
    return boundaries


def described(operation: Operation) -> str:
    """An operation in words, as far as its items tell."""
    items = cast("Sequence[object]", operation.argument)
    return f"{operation.name} " + " and ".join(_item(item) for item in items)


def _item(item: object) -> str:
    if isinstance(item, NewExecution):
        return item.task_name
    if isinstance(item, NewSignal):
        return item.name
    if not isinstance(item, Transition):
        return str(item)
    parts = [entry.name or entry.kind for entry in item.entries]
    parts += [f"start of {spec.task_name}" for spec in item.spawns]
    parts += [type(item.outcome).__name__.lower()] if item.outcome is not None else []
    return " + ".join(parts) or "progress"
