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

from perdure.clock import Cancellable
from perdure.engine.journal import Ledger
from perdure.engine.outbox import Outbox
from perdure.engine.ports import Host
from perdure.engine.waits import OpenWait, suspension
from perdure.errors import JournalDriftError, LeaseLostError
from perdure.model.records import Claim, Committed, Entry, JournalView, NewExecution, Outcome, Released, Suspended

Phase = Literal["running", "suspending", "lingering", "unwinding", "ending", "gone"]
UNWIND_BOUND: Final = 5.0
HOPS: Final = 3

logger = logging.getLogger("perdure")


class Driver:
    """One claimed execution. `start` makes the body's root task; the rest follows by itself. `concluded` turns how the
    body ended (its value or its error) into an outcome, given by whoever knows tasks (`runner`)."""

    def __init__(
        self,
        host: Host,
        claim: Claim,
        view: JournalView,
        concluded: Callable[[Driver, asyncio.Task[Any]], Outcome],
    ) -> None:
        self.host, self.claim = host, claim
        self.ledger = Ledger(view, f"{claim.generation}.{claim.attempt}")
        self.outbox = Outbox()
        self.waits: dict[str, OpenWait] = {}
        self.phase: Phase = "running"
        self.cancel_reason: str | None = None
        self.timed_out: Literal["timeout", "deadline"] | None = None
        self.calls: set[asyncio.Future[Any]] = set()
        self.drift: JournalDriftError | None = None
        self.busy = 0
        self.blocking = False
        self.timeout: float | None = None
        self.root: asyncio.Task[Any] | None = None
        self._concluded = concluded
        self._outcome: Outcome | None = None
        self._release: Released | None = None
        self._branches: dict[asyncio.Task[Any], str] = {}
        self._queued = False
        self._hops = 0
        self._timers: dict[str, Cancellable] = {}
        self._resumed: list[asyncio.Future[None]] = []
        self._pass_began = host.clock.now()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self, root: asyncio.Task[Any]) -> None:
        """Takes over the body's root task."""
        self.root = root
        root.add_done_callback(self._body_ended)
        if self.claim.deadline_at is not None:
            self._arm("deadline", (self.claim.deadline_at - self.host.clock.now()) / 1000, self._strike_deadline)

    def set_timeout(self, timeout: float | None) -> None:
        """The running time that this pass may take; waiting does not count."""
        self.timeout = timeout
        self._arm("timeout", timeout, self._strike)

    def track(self, task: asyncio.Task[Any], path: str) -> None:
        """Remembers a branch's task, to cancel it when the pass ends."""
        self._branches[task] = path
        task.add_done_callback(self._branch_ended)

    def _branch_ended(self, task: asyncio.Task[Any]) -> None:
        self._branches.pop(task, None)
        self.look_soon()

    @property
    def awaits_other(self) -> bool:
        """Whether a branch without branches of its own awaits something that is not durable (plain I/O)."""
        waiting = {wait.task for wait in self.waits.values()}
        paths = {task: path for task, path in self._branches.items() if not task.done()}
        if not paths:
            return False
        leaves = [task for task, path in paths.items() if not any(p.startswith(path + ".") for p in paths.values())]
        return any(task not in waiting for task in leaves)

    @property
    def leased(self) -> bool:
        """Whether this driver holds the execution's lease, as far as it knows."""
        return self.phase in ("running", "suspending", "ending", "unwinding") and self._release is not _LOST

    @property
    def unwinding(self) -> bool:
        """Whether durable verbs must refuse: the pass is over."""
        return self.phase in ("unwinding", "ending", "gone")

    # -- what the body records ----------------------------------------------------------------------------------------

    def keep(self, entry: Entry) -> None:
        """Records an entry that nobody waits for: it rides with the next transition."""
        self.outbox.add(entry)

    def write(self, entry: Entry) -> None:
        """Records an entry with the next batch."""
        self.outbox.add(entry)
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

    def spawn(self, specs: list[NewExecution]) -> None:
        """Adds new executions to the next transition."""
        self.outbox.spawns.extend(specs)
        self.mark_dirty()

    def progress(self, text: str) -> None:
        """Notes progress; it is written with the next transition, at the latest after half a second."""
        self.outbox.progress = text
        if "progress" not in self._timers and not self.unwinding:
            self._arm("progress", 0.5, self._write_progress)

    def _write_progress(self) -> None:
        if self.outbox.progress is not None and self.phase == "running":
            self.mark_dirty()

    def mark_dirty(self) -> None:
        """Asks for the outbox to be written with the next batch."""
        if not self._queued:
            self._queued = True
            self.host.commit(self._take, self._acknowledged)

    def _take(self) -> Any:
        self._queued = False
        if self.phase in ("gone", "lingering") or (self.phase == "unwinding" and self._outcome is None):
            return None
        outcome, self._outcome = self._outcome, None
        return self.outbox.close(self.claim.id, self.claim.token, outcome, self.host.hand_off)

    def _acknowledged(self, answer: Committed | BaseException) -> None:
        sent = self.outbox.acknowledged()
        if isinstance(answer, BaseException) or answer.lost:
            self.host.dropped(sent.transition.spawns)
            return self.lose(answer if isinstance(answer, BaseException) else None)
        for entry in sent.transition.entries:
            self.ledger.add(entry)
        self._settle_spawns(sent.transition.spawns, answer)
        sent.resolve(answer)
        if sent.transition.outcome is not None:
            self._outcome_written(sent.transition.outcome, answer)
        elif answer.cancelled:
            self.cancel("")

    def _settle_spawns(self, specs: tuple[NewExecution, ...], answer: Committed) -> None:
        if answer.cancelled or len(answer.spawned) != len(specs):
            self.host.dropped(specs)
            return
        for spec, spawned in zip(specs, answer.spawned, strict=True):
            if spec.worker_id is None:
                continue
            if getattr(spawned, "leased", False) and getattr(spawned, "created", False):
                self.host.spawned(spec)
            else:
                self.host.dropped((spec,))

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Returns when durable verbs may act: the lease is held. Raises `CancelledError` when the pass is over."""
        if self.unwinding:
            raise asyncio.CancelledError
        if self.phase != "running":
            await self._resume_by_itself()

    async def wait(self, wait: OpenWait) -> Any:
        """Waits durably: the execution may be suspended meanwhile, and this body unwound."""
        if self.unwinding:
            raise asyncio.CancelledError
        wait.future = asyncio.get_running_loop().create_future()
        wait.task = asyncio.current_task()
        self.waits[wait.key] = wait
        if wait.due_at is not None:
            self._arm(wait.key, (wait.due_at - self.host.clock.now()) / 1000, self._timers_due)
        self.look_soon()
        try:
            return await wait.future
        finally:
            if self.waits.get(wait.key) is wait:
                del self.waits[wait.key]
            self._disarm(wait.key)

    def offer(self) -> None:
        """Answers the waits that the ledger can answer by now."""
        now = self.host.clock.now()
        for wait in list(self.waits.values()):
            wait.offer(self.ledger, now)

    def feed(self, view: JournalView) -> None:
        """Takes in what others did since."""
        self.ledger.feed(view)
        if self.phase == "running":
            self.offer()

    def _timers_due(self) -> None:
        if self.phase == "running":
            self.offer()

    def idle(self) -> None:
        """One thing less runs."""
        self.busy -= 1
        if self.busy == 0:
            self.look_soon()

    def look_soon(self) -> None:
        """Looks, after the tasks that are ready now have run, whether every branch waits."""
        if self._hops == 0 and self.phase == "running" and self.waits and self.busy == 0:
            self._hops = HOPS
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._hops -= 1
        if self._hops > 0:
            asyncio.get_running_loop().call_soon(self._look)
            return
        open_waits = [wait for wait in self.waits.values() if not wait.answered]
        if self.phase != "running" or self.busy or not open_waits or len(open_waits) < len(self.waits):
            return
        if self.root is None or self.root.done() or self.cancel_reason is not None or self.timed_out is not None:
            return
        self._suspend(open_waits)

    def _suspend(self, waits: list[OpenWait]) -> None:
        self.phase = "suspending"
        now = self.host.clock.now()
        self._outcome = suspension(waits, self.ledger, now, now - self._pass_began)
        self._disarm("timeout")
        self.mark_dirty()
        self.host.freeing(self)

    def _outcome_written(self, outcome: Outcome, answer: Committed) -> None:
        if not isinstance(outcome, Suspended) or answer.status != "waiting":
            return self._leave()
        self.phase = "lingering"
        lingers = self.host.suspended(self) and not self.blocking
        if lingers and not self._resumed:
            self._arm("linger", self.host.linger, self._lingered)
        elif not self._resumed:
            self.unwind()
        else:
            self._wake_resumed()

    # -- going on -----------------------------------------------------------------------------------------------------

    def resume(self, claim: Claim, view: JournalView) -> None:
        """Goes on with a body that lingered, under a new lease."""
        self.claim = claim
        self.phase = "running"
        self._pass_began = self.host.clock.now()
        self._disarm("linger")
        self._arm("timeout", self.timeout, self._strike)
        self.ledger.feed(view)
        self.offer()
        self._wake_resumed()
        if claim.cancel_reason is not None:
            self.cancel(claim.cancel_reason)
        self.look_soon()

    async def _resume_by_itself(self) -> None:
        """A branch of a body that lingers wants to act: take the lease again, or end here."""
        while self.phase in ("suspending", "lingering"):
            first = not self._resumed
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._resumed.append(future)
            self._disarm("linger")
            if self.phase == "lingering" and first:
                self._wake_resumed()
                await self._claim_again()
            else:
                await future
        if self.unwinding:
            raise asyncio.CancelledError

    async def _claim_again(self) -> None:
        again = await self.host.reacquire(self)
        if self.phase != "lingering":
            return
        if again is None:
            self.unwind()
        else:
            self.resume(*again)

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
            return self.unwind()
        self._stop_body(self.host.cancel_grace)

    def _strike(self) -> None:
        self._time_out("timeout")

    def _strike_deadline(self) -> None:
        self._time_out("deadline")

    def _time_out(self, limit: Literal["timeout", "deadline"]) -> None:
        if self.phase == "running" and self.timed_out is None and self.root is not None:
            self.timed_out = limit
            self._stop_body(self.host.cancel_grace)
            self.root.cancel()

    def _stop_body(self, bound: float) -> None:
        """Makes the body meet its end: an async one at its current await, a `def` one at its next verb."""
        self._arm("grace", bound, self._abandon)
        if not self.blocking:
            if self.root is not None:
                self.root.cancel()
            return
        for future in self.calls:
            future.cancel()

    def fail_drift(self, error: JournalDriftError) -> None:
        """Ends the pass because the journal does not fit the code; nothing is consumed."""
        if self.drift is None and not self.unwinding and self.root is not None:
            self.drift = error
            self.root.cancel()

    def interrupt(self) -> None:
        """Ends the pass for a shutdown: the execution is released and due at once."""
        if self.phase == "lingering":
            self.unwind()
        elif self.phase == "running" and self.root is not None:
            self._release = Released(self.host.clock.now())
            self._end_pass()

    def lose(self, error: BaseException | None) -> None:
        """The lease is another's: everything stops and nothing more is written."""
        if self.phase == "gone":
            return
        logger.warning(
            "execution %s: lease lost%s", self.claim.id, f" ({error})" if error else "",
            extra={"execution_id": self.claim.id, "task": self.claim.task_name, "attempt": self.claim.attempt},
        )  # fmt: skip
        self._release = _LOST
        self.outbox.fail(LeaseLostError(f"execution {self.claim.id} is another worker's now"))
        if self.root is None or self.root.done():
            self._leave()
        elif self.phase != "unwinding":
            self._end_pass()

    def _lingered(self) -> None:
        if self.awaits_other:
            self._arm("linger", self.host.linger, self._lingered)
        else:
            self.unwind()

    def unwind(self) -> None:
        """Gives up the body in memory; a later pass replays it."""
        if self.phase == "lingering":
            self._end_pass()

    def _end_pass(self) -> None:
        self.phase = "unwinding"
        self._disarm("timeout", "linger", "progress")
        self._wake_resumed()
        if self.root is None or self.root.done():
            return self._leave()
        self._stop_body(UNWIND_BOUND)

    def _abandon(self) -> None:
        """A body that does not end within its bound: its token is dead, its task is left to itself."""
        logger.warning("execution %s: its body does not end; it is abandoned", self.claim.id)
        if self.root is not None:
            self.root.remove_done_callback(self._body_ended)
            self._body_ended(self.root)

    def _body_ended(self, root: asyncio.Task[Any]) -> None:
        self._disarm("timeout", "deadline", "grace", "linger", "progress")
        for task in tuple(self._branches):
            task.cancel()
        if root.done() and not root.cancelled():
            root.exception()  # what an unwound body raised is of no interest; marks it as seen
        if self._release is _LOST or (self.phase == "unwinding" and self._release is None):
            return self._leave()
        outcome = self._release or self._concluded(self, root)
        self.phase = "ending"
        self._outcome = outcome
        self.mark_dirty()
        self.host.freeing(self)

    def _leave(self) -> None:
        if self.phase != "gone":
            self.phase = "gone"
            self._disarm(*list(self._timers))
            self._wake_resumed()
            self.outbox.fail(LeaseLostError(f"execution {self.claim.id} ended here"))
            self.host.gone(self)

    # -- timers -------------------------------------------------------------------------------------------------------

    def _arm(self, name: str, delay: float | None, strike: Callable[[], object]) -> None:
        self._disarm(name)
        if delay is not None:
            self._timers[name] = self.host.clock.call_later(max(delay, 0.0), lambda: self._fired(name, strike))

    def _fired(self, name: str, strike: Callable[[], object]) -> None:
        self._timers.pop(name, None)
        strike()

    def _disarm(self, *names: str) -> None:
        for name in names:
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()


_LOST: Final = Released(0)
