"""Chapters: a body that does one thing after another (iterations of a loop, items of a list) inside one execution.

Each chapter runs one function as if it were a body of its own: the keys of all that it records begin with its number, so
that equal calls in two chapters do not meet; it has its own context, branches and running time; and when it has succeeded,
attempts count anew. Its end is one transition: an entry that says what came of it, the new count, and, where the style
wants that, the removal of all that it recorded. The lease goes on. This module must never decide what follows a chapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.engine.bodies import run_function, within
from perdure.engine.driver import UNWIND_BOUND, Driver
from perdure.engine.journal import Branch, chapter_prefix
from perdure.engine.refusal import leave_behind
from perdure.engine.telling import part
from perdure.engine.verbs import ROOT, Verbs
from perdure.errors import GiveUp
from perdure.model.policy import Retry
from perdure.model.records import MEMO, Entry, EntryKind, Outcome
from perdure.telemetry import Kind

if TYPE_CHECKING:
    from perdure.engine.task import Task
    from perdure.model.execution import ListItem


class Chapter:
    """One chapter. `task_name` is the task whose function runs, `shown` what people are told it is, `iteration` its number
    in a loop; of an item of a list, `list_id` and how to read `items`; of a state of a diagram, its name and how often it is
    tried (`policy`). `at_end` is told if the pass ends within the chapter. Once it is `over`, branches that it left behind
    are refused."""

    __slots__ = (
        "at_end", "items", "iteration", "list_id", "number", "over", "policy", "prefix", "shown", "state", "task_name",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        task_name: str,
        *,
        shown: str = "",
        iteration: int | None = None,
        list_id: str | None = None,
        items: Callable[[int | str], ListItem] | None = None,
        at_end: Callable[[Outcome], None] | None = None,
        state: str | None = None,
        policy: Retry | None = None,
    ) -> None:
        self.state, self.policy = state, policy
        self.number, self.prefix, self.task_name = number, chapter_prefix(number), task_name
        self.over = False
        self.shown = shown or f"task {task_name}"
        self.iteration, self.list_id, self.items, self.at_end = iteration, list_id, items, at_end

    @property
    def kind(self) -> Kind:
        """What telemetry calls it."""
        if self.state is not None:
            return "state"
        return "item" if self.iteration is None else "iteration"

    def branch(self) -> Branch:
        """The first branch of the chapter."""
        return Branch(ROOT, self.prefix)

    def ended(self, outcome: Outcome) -> None:
        """The pass ends within this chapter."""
        if self.at_end is not None:
            self.at_end(outcome)


async def run(
    verbs: Verbs, chapter: Chapter, task: Task[..., Any], args: list[object], kwargs: Mapping[str, object],
    timeout: float | None, before: Callable[[Verbs], Any] | None = None,
) -> Any:  # fmt: skip
    """What the task's function answers, run as this chapter; `before` is awaited first, in the same place.

    Raises what the function raises, and `CancelledError` where the pass is over, whatever the function made of that."""
    driver = verbs.driver
    inside = Verbs(verbs.shared, None, chapter)
    verbs.shared.enter(chapter.prefix)
    driver.chapter = chapter
    driver.set_timeout(timeout)
    try:
        with within(inside, chapter.branch(), not task.is_async) as scope:
            if before is not None:
                verbs.shared.prepared = await before(inside)
            with part(inside, chapter.kind, task.name, chapter.number):
                answer = await run_function(driver.host, task, scope.context, args, kwargs)
    finally:
        chapter.over = True
        if driver.phase in ("suspending", "lingering"):  # it ended by itself while another branch waited
            await driver.ready()
    check_pass(verbs)
    return answer


def outside(verbs: Verbs, chapter: Chapter) -> Verbs:
    """Enters a chapter of which nothing runs here, only children elsewhere, so that the pass has no time-out meanwhile.
    Answers the verbs that start them."""
    verbs.driver.chapter = chapter
    verbs.driver.set_timeout(None)
    verbs.shared.enter(chapter.prefix)
    return Verbs(verbs.shared, chapter.branch(), chapter)


def check_pass(verbs: Verbs) -> None:
    """Raises `CancelledError` when the pass is to end for another reason than the function that ran."""
    driver = verbs.driver
    if driver.cancel_reason is not None or driver.timed_out is not None or driver.drift is not None:
        raise asyncio.CancelledError


async def turn(verbs: Verbs, entry: Entry, drop: str | None = None, also: Entry | None = None) -> None:
    """Ends a chapter that succeeded with that entry, `also` with one of the next chapter's; durable once this returns. What
    stands under `drop` is removed."""
    driver = verbs.driver
    driver.set_timeout(None)
    await _left(driver)
    await driver.ready()
    if also is not None:
        driver.outbox.add(also)
    driver.outbox.turn(entry, drop)
    await driver.flushed()
    driver.claim = msgspec.structs.replace(driver.claim, attempt=0, failure=None)
    driver.ledger.turn(f"{driver.claim.generation}.0", drop)
    driver.chapter = None
    check_pass(verbs)


async def _left(driver: Driver) -> None:
    """Returns when the branches that a chapter left behind have ended: they were cancelled with it."""
    if driver.branches is None:
        return
    driver.busy += 1
    try:
        leave_behind(await driver.branches.end(driver.host.clock, UNWIND_BOUND), driver.claim.id)
    finally:
        driver.idle()


def entry_of(
    verbs: Verbs, kind: EntryKind, number: int, name: str, value: str | None, failure: str | None = None,
    scope: str = MEMO,
) -> Entry:  # fmt: skip
    """The entry of a chapter itself. Raises `GiveUp` when the journal is full."""
    driver = verbs.driver
    if driver.ledger.size >= driver.host.sizes.journal:
        raise GiveUp(f"task {name} has {driver.host.sizes.journal} journal entries; see Sizes(journal=...)")
    position, now = driver.ledger.take_position(), driver.host.clock.now()
    return Entry(
        chapter_prefix(number), scope, position, kind, name, value, failure, None, now, None, driver.claim.token
    )
