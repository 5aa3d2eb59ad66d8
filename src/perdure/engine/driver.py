"""`Driver`: one execution in this process, pass by pass.

It starts the body, gathers what the body records into transitions, notices when every branch waits and no activity runs,
suspends, feeds answers to a body that lingers in memory, and hands over how the pass ended. It owns the pass's tasks; it
never runs user code itself and never touches the storage but through its host.

A pass is in one phase: `running` (the lease is held), `suspending` (the commit is in flight), `lingering` (waiting, the
body still in memory), `unwinding` (tasks are being cancelled; nothing is recorded any more), `ending` (the outcome is in
flight), `gone`. Nothing is ever raised inside a branch: durable waits are plain futures, and unwinding cancels tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Literal

from perdure.codec import failure_of
from perdure.engine.branches import Branches, torn_down
from perdure.engine.decide import settled
from perdure.engine.journal import Ledger
from perdure.engine.outbox import Outbox
from perdure.engine.ports import ChapterEnd, Host
from perdure.engine.refusal import abandon, refuse
from perdure.engine.scope import Scope
from perdure.engine.timers import Timers
from perdure.engine.waits import OpenWait, OpenWaits, suspension
from perdure.errors import JournalDriftError, StoreSealedError
from perdure.model.records import Claim, Committed, Entry, JournalView, Outcome, Released, Settled, Suspended

Phase = Literal["running", "suspending", "lingering", "unwinding", "ending", "gone"]
UNWIND_BOUND: Final = 5.0
HOPS: Final = 3
LOOK: Final = 0.05
"""Seconds between two looks whether a branch of a body in memory still awaits plain I/O."""

logger = logging.getLogger("perdure")


class Driver:
    """One claimed execution. `start` makes the body's root task; the rest follows by itself. `concluded` turns how the
    body ended (its value or its error) into an outcome, given by whoever knows tasks (`runner`)."""

    __slots__ = (
        "_claiming", "_concluded", "_hops", "_outcome", "_pass_began", "_queued", "_release", "_resumed",
        "blocking", "branches", "busy", "calls", "cancel_reason", "chapter", "claim", "drift", "host", "ledger",
        "loop", "outbox", "phase", "refused", "root", "scope", "timed_out", "timeout", "timers", "waits",
    )  # fmt: skip

    def __init__(
        self, host: Host, claim: Claim, view: JournalView, concluded: Callable[[Driver, asyncio.Task[Any]], Outcome]
    ) -> None:
        self.host, self.claim = host, claim
        self.loop = asyncio.get_running_loop()
        self.ledger = Ledger(view, f"{claim.generation}.{claim.attempt}", host.directory.renamed)
        self.outbox = Outbox()
        self.phase: Phase = "running"
        self.cancel_reason: str | None = None
        self.timed_out: Literal["timeout", "deadline"] | None = None
        self.calls: set[asyncio.Future[Any]] = set()
        self.drift: JournalDriftError | None = None
        self.busy = self.refused = self._hops = 0
        self.blocking = self._queued = self._claiming = False
        self.timeout: float | None = None
        self.root: asyncio.Task[Any] | None = None
        self._concluded = concluded
        self._outcome: Outcome | None = None
        self._release: Released | Settled | None = None
        self.timers = Timers(host.clock)
        self.scope: Scope | None = None
        self.waits: OpenWaits | None = None
        self.branches: Branches | None = None
        self.chapter: ChapterEnd | None = None
        self._resumed: list[asyncio.Future[None]] = []
        self._pass_began = host.clock.now()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self, root: asyncio.Task[Any]) -> None:
        """Takes over the body's root task."""
        self.root = root
        root.add_done_callback(self._body_ended)
        self._arm_deadline()

    def _arm_deadline(self) -> None:
        if self.claim.deadline_at is not None:
            left = (self.claim.deadline_at - self.host.clock.now()) / 1000
            self.timers.arm("deadline", left, lambda: self._time_out("deadline"))

    def set_timeout(self, timeout: float | None) -> None:
        """The running time that this pass may take; waiting does not count."""
        self.timeout = timeout
        self.timers.arm("timeout", timeout, lambda: self._time_out("timeout"))

    def track(self, task: asyncio.Task[Any], path: str) -> None:
        """Remembers a branch's task, to cancel it when the pass ends."""
        if self.branches is None:
            self.branches = Branches(self.look_soon)
        self.branches.add(task, path)

    @property
    def unwinding(self) -> bool:
        """Whether durable verbs must refuse: the pass is over."""
        return self.phase in ("unwinding", "ending", "gone")

    # -- what the body records ----------------------------------------------------------------------------------------

    def write(self, entry: Entry, *, relaxed: bool = False) -> None:
        """Records an entry with the next batch."""
        self.outbox.add(entry, relaxed=relaxed)
        self.mark_dirty()

    async def flushed(self) -> None:
        """Returns once all that is recorded so far is durable."""
        if self.outbox.empty:
            return
        self.busy += 1
        try:
            future = self.outbox.next_ack()
            self.mark_dirty()
            await future
        finally:
            self.idle()

    def mark_dirty(self) -> None:
        """Asks for the outbox to be written with the next batch."""
        if not self._queued:
            self._queued = True
            self.host.commit(self._take, self._acknowledged)

    def _take(self) -> Any:
        self._queued = False
        if self.phase in ("gone", "lingering") or (self.phase != "running" and self._outcome is None):
            return None
        outcome, self._outcome = self._outcome, None
        return self.outbox.close(self.claim.id, self.claim.token, outcome, self.host.hand_off)

    def _acknowledged(self, answer: Committed | BaseException) -> None:
        sent = self.outbox.acknowledged()
        if sent is None or isinstance(answer, BaseException) or answer.lost:
            self.host.dropped(sent.transition.spawns if sent is not None else ())
            self.lose(answer if isinstance(answer, BaseException) else None)
            return
        for entry in sent.transition.entries:
            self.ledger.add(entry)
        sent.hand_over(self.host, answer)
        sent.resolve(answer)
        if sent.transition.outcome is not None:
            self._outcome_written(sent.transition.outcome, answer)
        elif answer.cancelled:
            self.cancel("")

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Returns when durable verbs may act: the lease is held. Raises `CancelledError` when the pass is over."""
        if self.phase in ("suspending", "lingering"):
            await self._resume_by_itself()
        if self.unwinding:
            await refuse(self)

    async def wait(self, wait: OpenWait) -> Any:
        """Waits durably: the execution may be suspended meanwhile, and this body unwound."""
        if self.unwinding:
            await refuse(self)
        if self.waits is None:
            self.waits = OpenWaits(self.ledger, self.timers, self.host.clock, lambda: self.phase == "running")
        waits = self.waits
        waits.open(wait)
        self.look_soon()
        try:
            return await wait.future
        finally:
            waits.close(wait)

    def feed(self, view: JournalView) -> None:
        """Takes in what others did since."""
        self.ledger.feed(view)
        if self.phase == "running" and self.waits is not None:
            self.waits.offer()

    def idle(self) -> None:
        """One thing less runs."""
        self.busy -= 1
        self.look_soon()

    def look_soon(self) -> None:
        """Looks, after the tasks that are ready now have run, whether every branch waits."""
        if self._hops == 0 and self.phase == "running" and self.waits and self.busy == 0:
            self._hops = HOPS
            self.loop.call_soon(self._look)

    def _look(self) -> None:
        self._hops -= 1
        if self._hops > 0:
            self.loop.call_soon(self._look)
            return
        over = self.root is None or self.root.done() or self.cancel_reason is not None or self.timed_out is not None
        if self.phase == "running" and not over and not self.busy and self.waits and not self.waits.any_answered:
            self._suspend(self.waits)

    def _suspend(self, waits: OpenWaits) -> None:
        self.phase = "suspending"
        now = self.host.clock.now()
        self._outcome = suspension(waits, self.ledger, now, now - self._pass_began)
        self.timers.disarm("timeout")
        self.mark_dirty()
        self.host.freeing(self)

    def _outcome_written(self, outcome: Outcome, answer: Committed) -> None:
        if not isinstance(outcome, Suspended):
            self._leave()
        elif answer.status != "waiting":
            self._release = _LOST  # cancelled meanwhile: settled already
            self._end_pass()
        elif self.phase == "suspending":
            self._linger()

    def _linger(self) -> None:
        """The execution waits; its body stays a short while, for a cheap wake-up."""
        self.phase, until = "lingering", self.host.clock.now() + round(self.host.linger * 1000)
        if not self.host.suspended(self):
            self.unwind()
        elif self._resumed:
            self._claim_back()
        elif self.blocking or self.host.linger <= 0 or self.waits is None or self.waits.only_timers_after(until):
            self._lingered()
        else:
            self.timers.arm("linger", self.host.linger, self._lingered)

    @property
    def _awaits_other(self) -> bool:
        """Whether a branch awaits plain I/O; a `def` body awaits nothing."""
        if self.branches is None or self.blocking:
            return False
        return self.branches.await_other_than(self.root, self.waits.tasks if self.waits else ())

    # -- going on -----------------------------------------------------------------------------------------------------

    def follows(self, claim: Claim) -> bool:
        """Whether the body in memory may go on under a new claim: nobody else held the execution in between."""
        last = self.claim
        same = (claim.token, claim.generation, claim.attempt) == (last.token + 1, last.generation, last.attempt)
        return same and self.phase == "lingering"

    def resume(self, claim: Claim, view: JournalView) -> None:
        """Goes on with a body that lingered, under a new lease."""
        self.claim = claim
        self.phase, self._claiming = "running", False
        self._pass_began = self.host.clock.now()
        self.timers.disarm("linger")
        self.timers.arm("timeout", self.timeout, lambda: self._time_out("timeout"))
        self._arm_deadline()
        self.feed(view)
        self._wake_resumed()
        if not self.outbox.empty:
            self.mark_dirty()
        if claim.cancel_reason is not None:
            self.cancel(claim.cancel_reason)
        self.look_soon()

    async def _resume_by_itself(self) -> None:
        """A branch of a body that lingers wants to act: take the lease again, or end here."""
        while self.phase in ("suspending", "lingering"):
            future: asyncio.Future[None] = self.loop.create_future()
            self._resumed.append(future)
            self._claim_back()
            await future

    def _claim_back(self) -> None:
        if self.phase == "lingering" and not self._claiming:
            self._claiming = True
            self.timers.disarm("linger")
            self.host.reacquire(self)

    def _wake_resumed(self) -> None:
        waiting, self._resumed = self._resumed, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # -- ending -------------------------------------------------------------------------------------------------------

    def cancel(self, reason: str) -> None:
        """Delivers a cancel from outside: `CancelledError` at the body's current await; a `def` body sees
        `ctx.cancelled`. A body that does not end within the grace is abandoned."""
        if self.cancel_reason is not None or self.unwinding:
            return
        self.cancel_reason = reason
        if self.phase == "lingering":
            self.unwind()
        else:
            self._stop_body(self.host.cancel_grace)

    def _time_out(self, limit: Literal["timeout", "deadline"]) -> None:
        if self.phase == "running" and self.timed_out is None and self.root is not None:
            self.timed_out = limit
            if self.blocking:
                self.root.cancel()
            self._stop_body(self.host.cancel_grace)

    def _stop_body(self, bound: float) -> None:
        """Makes the body meet its end: an async one at its current await, a `def` one at its next verb."""
        self.timers.arm("grace", bound, self._abandon)
        for future in filter(None, tuple(self.calls) if self.blocking else (self.root,)):
            future.cancel()

    def fail_drift(self, error: JournalDriftError) -> None:
        """Ends the pass because the journal does not fit the code; nothing is consumed."""
        if self.drift is None and not self.unwinding and self.root is not None:
            self.drift = error
            self._end_pass()

    def interrupt(self) -> None:
        """Ends the pass for a shutdown: the execution is released and due at once."""
        if self.phase == "lingering":
            self.unwind()
        elif self.phase == "running" and self.root is not None:
            self._release = Released(self.host.clock.now())
            self._end_pass()

    def lose(self, error: BaseException | None) -> None:
        """The lease is another's: everything stops and nothing more is written. Where instead something was recorded that
        can never be stored (a `ValueError`), the execution fails."""
        if self.phase == "gone":
            return
        level = logging.DEBUG if isinstance(error, StoreSealedError) else logging.WARNING  # that is told once for all
        logger.log(
            level, "execution %s: lease lost%s", self.claim.id, f" ({error})" if error else "",
            extra={"execution_id": self.claim.id, "task": self.claim.task_name, "attempt": self.claim.attempt},
        )  # fmt: skip
        unstorable = error if isinstance(error, ValueError) and self._release is None else None
        self._release = _LOST if unstorable is None else settled(failure_of(unstorable))
        self.outbox.fail(f"execution {self.claim.id} is another worker's now")
        if self.root is None or self.root.done():
            self._leave() if self._release is _LOST else self._send(self._release)
        elif self.phase != "unwinding":
            self._end_pass()

    def _lingered(self) -> None:
        if self._awaits_other:
            self.timers.arm("linger", max(self.host.linger, LOOK), self._lingered)
        else:
            self.unwind()

    def unwind(self) -> None:
        """Gives up the body in memory; a later pass replays it."""
        if self.phase == "lingering":
            self._end_pass()

    def _end_pass(self) -> None:
        self.phase = "unwinding"
        self.timers.disarm("timeout", "linger", "progress")
        self._wake_resumed()
        if self.root is None or self.root.done():
            self._leave()
            return
        self._stop_body(UNWIND_BOUND)

    def _abandon(self) -> None:
        """A body that does not end within its bound: its token is dead, its task is left to itself."""
        abandon(self.root, self.claim.id)
        if self.root is not None:
            self.root.remove_done_callback(self._body_ended)
            self._body_ended(self.root)

    def _body_ended(self, root: asyncio.Task[Any]) -> None:
        self.timers.disarm("timeout", "deadline", "grace", "linger", "progress")
        if self.branches is not None:
            self.branches.cancel_all()
        if root.done() and not root.cancelled():
            root.exception()  # what an unwound body raised is of no interest; marks it as seen
        asked = self.cancel_reason is not None or self.timed_out is not None or self.drift is not None
        given_up = (self.phase == "unwinding" and self.drift is None) or (not asked and torn_down(root))
        if self._release is _LOST or (given_up and self._release is None):
            self._leave()
            return
        self._send(self._release or self._concluded(self, root))
        self.host.freeing(self)

    def _send(self, outcome: Outcome) -> None:
        self.phase, self._outcome = "ending", outcome
        self.mark_dirty()

    def _leave(self) -> None:
        if self.phase != "gone":
            self.phase = "gone"
            self.timers.disarm_all()
            self.scope = self.root = self.waits = self.branches = None  # no cycles: freed now, not by the collector
            self._wake_resumed()
            self.outbox.fail("the execution ended here")
            self.host.gone(self)


_LOST: Final = Released(0)
