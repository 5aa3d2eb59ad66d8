"""`World`: some workers, a client and one store, under a storm that ends; then everything must come to its end, and right.

In the storm workers crash, stand still, lose the store or stop in order, and calls of the store fail. After it nothing fails
any more: what has not settled by the horizon is stuck. What has settled must be what the programs promise, and the
storage must pass the checker with all that was acknowledged and all that bodies did.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from copy import copy
from typing import Any, Final

from perdure.app import Parts, Perdure
from perdure.engine.options import LIST
from perdure.errors import StorageError
from perdure.ids import Ids, seeded
from perdure.model.query import Query
from perdure.model.records import Row
from perdure.storage import Storage
from perdure.storage.check import Effect, Observed, Violation, check, read
from perdure.storage.settling import load_waits
from perdure.testing.simulation.bodies import Bodies
from perdure.testing.simulation.clock import SimClock
from perdure.testing.simulation.lists import wrong_list
from perdure.testing.simulation.loop import Process, SimLoop, current_process
from perdure.testing.simulation.profile import SPANS, Profile
from perdure.testing.simulation.programs import Maker, Node, externals, mismatch, signals, succeeds
from perdure.testing.simulation.storage import SimStorage, short
from perdure.testing.simulation.tape import Tape
from perdure.testing.simulation.trees import wrong_tree

LEASE: Final = 4.0
PATIENCE: Final = 900.0


class WrongError(AssertionError):
    """A run came to its end, and the end is wrong."""


class Slot:
    """The place of one worker: its process of the moment, and the app in it."""

    def __init__(self, name: str) -> None:
        self.name, self.lives = name, 0
        self.process: Process
        self.storage: SimStorage
        self.app: Perdure | None = None
        self.up = False

    @property
    def working(self) -> bool:
        """Whether it runs something."""
        if not self.up or self.app is None or not self.app.is_open or self.process.paused > 0:
            return False
        worker = self.app.opened.worker
        return worker is not None and worker.running > 0


class World:
    """One run. `run` returns when all is well and raises what is wrong."""

    def __init__(self, tape: Tape, storage: Storage, profile: Profile) -> None:
        self.tape, self.profile, self.storage = tape, profile, storage
        self.loop = SimLoop(tape, profile.shuffle, profile.storm + PATIENCE)
        self.stormy = True
        self.history: list[Observed] = []
        self.trace: list[str] = []
        self.crashes = 0
        self._over = False
        self._broken: BaseException | None = None
        self.clock = SimClock(self.loop)
        self.bodies = Bodies(
            lambda: self.clock.now() / 1000, lambda count: tape.choose("order", count), self._die, profile.pauses
        )
        self._template = Perdure("memory://", poll=2.0, lease=LEASE, drain=1.0)
        self._template.include(self.bodies.registry)
        maker = Maker(tape, pause=max(profile.pauses))
        self.roots = [maker.root(f"root-{index}") for index in range(profile.roots)]
        self.cancelled: set[str] = set()
        self._slots = [Slot(f"w{index}") for index in range(profile.workers)]
        self._next_chaos = profile.stride

    # -- for the storages ---------------------------------------------------------------------------------------------

    def fault_share(self) -> float:
        """How often a call of the store fails now."""
        return self.profile.faults

    def time(self) -> float:
        """Seconds."""
        return self.loop.seconds

    def note(self, who: object, what: str) -> None:
        """A line of the trace."""
        if not self._over:
            self.trace.append(f"{self.loop.seconds:9.3f}  {who!s:8} {what}")

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole run. Raises `WrongError`, `DeadlockError`, `StalledError` or what a client met."""
        self.loop.each_step = self._each_step
        self.loop.call_later(self.profile.storm, self._heal, context=contextvars.Context())
        try:
            self.loop.run_until_complete(self._live())
        except AssertionError as error:
            error.add_note(self._open_ones())
            raise
        self._judge()

    async def _live(self) -> None:
        for slot in self._slots:
            self._start(slot)
        client = Process("client")
        done = self.loop.create_task(self._client(client), context=client.context.copy())
        done.add_done_callback(lambda _: None)
        await asyncio.wait([done])
        done.result()
        while self.stormy or any(row.closed_at is None for row in self._rows()):
            await self.clock.sleep(1.0)

    def _app(self, process: Process, storage: SimStorage) -> Perdure:
        app = copy(self._template)
        number = seeded(f"{self.tape.seed} {process.name}").randrange(2**60)
        app.parts = Parts(storage, self.clock, Ids(number), self.profile.linger, 1.0)
        return app

    # -- workers ------------------------------------------------------------------------------------------------------

    def _start(self, slot: Slot) -> None:
        slot.lives += 1
        slot.process = Process(f"{slot.name}.{slot.lives}")
        slot.storage = SimStorage(self.storage, self, slot.process)
        slot.app, slot.up = self._app(slot.process, slot.storage), True
        self._as(slot.process, self._work(slot.app))

    def _as(self, process: Process, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs something in a process."""
        context = process.context.copy()
        task = self.loop.create_task(coroutine, context=context)
        task.add_done_callback(self._ended, context=contextvars.Context())

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.note("--", f"a process failed: {error!r}")
            self._broken = error

    async def _work(self, app: Perdure) -> None:
        while True:
            try:
                await app.start()
            except StorageError:
                await asyncio.sleep(0.5)
            else:
                return

    async def _stop(self, slot: Slot, process: Process) -> None:
        assert slot.app is not None
        await slot.app.close()
        self._kill(slot, process, 0.5)

    def _kill(self, slot: Slot, process: Process, delay: float) -> None:
        if slot.process is process and slot.up:
            slot.up = False
            self.loop.kill(process)
            self.loop.call_later(delay, self._start, slot, context=contextvars.Context())

    def _die(self) -> None:
        """Kills the process in which it is called."""
        process = current_process.get()
        slot = next(slot for slot in self._slots if slot.process is process)
        self.note(process, "dies of its own work")
        self.crashes += 1
        self._kill(slot, slot.process, 0.5)

    # -- chaos --------------------------------------------------------------------------------------------------------

    def _each_step(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self.loop.errors:
            raise WrongError(f"a callback failed: {self.loop.errors[0]}")
        if not self.stormy or self.loop.steps < self._next_chaos:
            return
        self._next_chaos += self.profile.stride
        kinds = self.profile.kinds
        working = [slot for slot in self._slots if slot.working]
        if working and self.tape.chance("chaos", self.profile.chaos):
            kind = kinds[self.tape.choose("chaos", len(kinds))]
            slot = working[self.tape.choose("chaos", len(working))]
            self._strike(kind, slot, SPANS[self.tape.choose("chaos", len(SPANS))])

    def _strike(self, kind: str, slot: Slot, span: float) -> None:
        self.note(slot.process, f"** {kind} for {span:g} s")
        if kind == "crash":
            self.crashes += 1
            self._kill(slot, slot.process, span)
        elif kind == "pause":
            slot.process.paused = self.loop.seconds + span
            self.loop.call_later(span, self._go_on, slot.process, context=contextvars.Context())
        elif kind == "partition":
            slot.storage.partitioned = self.loop.seconds + span
        else:
            self._as(slot.process, self._stop(slot, slot.process))

    def _go_on(self, process: Process) -> None:
        process.paused = 0.0

    def hint(self, origin: SimStorage) -> None:
        """Tells the other processes that something changed, if the tape lets it arrive (R14)."""
        for slot in self._slots:
            if slot.up and slot.storage is not origin and self.tape.chance("order", self.profile.hints):
                self.loop.call_soon(slot.storage.hint, context=contextvars.Context())

    def _heal(self) -> None:
        self.note("--", "the storm is over")
        self.stormy = False
        for slot in self._slots:
            slot.process.paused = min(slot.process.paused, self.loop.seconds)
            slot.storage.partitioned = 0.0

    # -- the client ---------------------------------------------------------------------------------------------------

    async def _client(self, process: Process) -> None:
        app = self._app(process, SimStorage(self.storage, self, process))
        await self._stubborn(lambda: app.start(worker=False))
        errands = [self._errand(app, f"root-{index}", root) for index, root in enumerate(self.roots)]
        if self.profile.poison:
            errands.append(self._poison(app))
        await asyncio.gather(*errands)

    async def _stubborn(self, verb: Callable[[], Awaitable[Any]]) -> Any:
        """What a careful client does: the same call again, until it is acknowledged."""
        while True:
            try:
                return await verb()
            except StorageError:
                await asyncio.sleep(0.3)

    async def _errand(self, app: Perdure, id: str, root: Node) -> None:
        """One root: enqueued, sent its signals, perhaps cancelled, awaited."""
        await asyncio.sleep(self.tape.choose("order", 5) * 0.7)
        task = self.bodies.program.options(idempotency_key=id)
        handle = await self._stubborn(lambda: app.enqueue(task.call(root)))
        if self.tape.chance("order", 0.2):
            again = await self._stubborn(lambda: app.enqueue(task.call(root)))
            if again.id != handle.id:
                raise WrongError(f"{id} was started as {short(handle.id)} and as {short(again.id)}")
        self.history.append(Observed(verb="enqueue", execution_id=handle.id, task_name="program", idempotency_key=id))
        if self.tape.chance("chaos", self.profile.cancels):
            self.cancelled.add(handle.id)
            self._as_now(self._cancel(app, handle.id))
        for index, name in enumerate(signals(root)):
            await self._signal(app, handle.id, f"{id} signal {index}", name)
        for name in externals(root):
            self._as_now(self._answer(app, f"{handle.id} {name}", name))
        execution = await self._stubborn(handle.wait)
        self._note_end(handle.id)
        self._judge_root(root, execution)

    def _as_now(self, coroutine: Any) -> None:
        self.loop.create_task(coroutine)

    async def _signal(self, app: Perdure, id: str, signal_id: str, name: str) -> None:
        await asyncio.sleep(self.tape.choose("order", 4) * 0.8)
        await self._stubborn(lambda: app.client.send_signal(signal_id, id, name, f'"{name}"'))
        self.history.append(Observed(verb="signal", execution_id=id, signal_id=signal_id))

    async def _answer(self, app: Perdure, key: str, value: str) -> None:
        """Two that answer one key: the second always reads what the first wrote."""
        await asyncio.sleep(self.tape.choose("outside", 6) * 0.8)
        await self._stubborn(lambda: app.complete("answer", key, value))
        again = await self._stubborn(lambda: app.complete("answer", key, "late"))
        if (again.value, again.first) != (value, False):
            raise WrongError(f"{key} was answered with {value!r}, and then stands {again.value!r}")

    async def _cancel(self, app: Perdure, id: str) -> None:
        await asyncio.sleep(self.tape.choose("order", 8) * 0.9)
        await self._stubborn(lambda: app.client.cancel(id, "enough"))
        self._must_hold()

    async def _poison(self, app: Perdure) -> None:
        handle = await self._stubborn(lambda: app.enqueue(self.bodies.poison.options(id="poison").call()))
        execution = await self._stubborn(handle.wait)
        kind = execution.failure.kind if execution.failure else None
        if kind != "worker_lost":
            raise WrongError(f"what kills its workers ended as {execution.status}, {kind}")

    def _note_end(self, id: str) -> None:
        row = self.storage.get([id])[0]
        if row is None:
            raise WrongError(f"{id} was acknowledged and is gone")
        self.history.append(
            Observed(
                verb="settled",
                execution_id=id,
                generation=row.generation,
                status=row.status,
                result=row.result,
                failure=row.failure,
            )
        )

    def bury(self) -> None:
        """Lets nothing of the run live on."""
        self._over = True
        self.loop.bury()

    # -- judging ------------------------------------------------------------------------------------------------------

    def _judge_root(self, root: Node, execution: Any) -> None:
        if execution.status == "cancelled" and execution.id in self.cancelled:
            return
        wanted = "completed" if succeeds(root) else "failed"
        if execution.status != wanted:
            raise WrongError(f"{root.name} is {execution.status}, not {wanted}: {execution.failure}")
        wrong = mismatch(root, execution.result, self.bodies.values) if wanted == "completed" else None
        if wrong is not None:
            raise WrongError(wrong)

    def _judge(self) -> None:
        """Everything has come to its end."""
        self._must_hold(self.bodies.effects)
        rows = self._rows()
        found = (
            self._started_twice(rows),
            self._not_started_anew(rows),
            wrong_list(self.storage, rows, self.bodies.values),
            wrong_tree(read(self.storage)),
        )
        wrong = next((wrong for wrong in found if wrong), None)
        if wrong is not None:
            raise WrongError(wrong)

    def _must_hold(self, effects: list[Effect] | None = None) -> None:
        """The checker finds nothing, whatever clients and bodies saw."""
        _nothing_in(check(self.storage, self.history, effects))

    def changed(self) -> None:
        """Something was committed: no invariant may be broken at this moment either."""
        try:
            _nothing_in(check(self.storage))
        except WrongError as error:
            self._broken = self._broken or error

    def _started_twice(self, rows: tuple[Row, ...]) -> str | None:
        """R4: what a client started under one key, in however many calls, was started once."""
        acknowledged = {note.execution_id for note in self.history if note.verb == "enqueue"}
        inputs = Counter(row.input for row in rows if row.parent_id is None)
        twice = [row.id for row in rows if row.id in acknowledged and inputs[row.input] > 1]
        return f"started more than once: {', '.join(map(short, twice))}" if twice else None

    def _not_started_anew(self, rows: tuple[Row, ...]) -> str | None:
        """R9: a child that fails for good is started anew by each attempt of its parent, and only then."""
        tries = Counter((row.parent_id, row.slot) for row in rows)
        # The attempts of a loop or list are those of its last iteration or item alone.
        plain = [row for row in rows if row.task_name not in ("repeat", LIST)]
        attempts = {row.id: row.attempt + 1 for row in plain if row.status in ("completed", "failed")}
        for row in rows:
            begun = tries[row.parent_id, row.slot]
            if row.parent_id in attempts and row.status == "failed" and begun != attempts[row.parent_id]:
                return f"child {short(row.id)} of {attempts[row.parent_id]} attempts was started {begun} times"
        return None

    def _rows(self) -> tuple[Row, ...]:
        return self.storage.search(Query(), "oldest", 10_000, None, 0).rows

    def _open_ones(self) -> str:
        """What is not over, for the message."""
        lines = [
            f"  {short(row.id)} {row.task_name} {row.status} due {row.due_at} worker {row.worker_id} "
            f"waits {[wait.kind for wait in load_waits(row.waits)]}"
            for row in self._rows()
            if row.closed_at is None
        ]
        return "open executions:\n" + "\n".join(lines)


def _nothing_in(found: list[Violation]) -> None:
    if found:
        raise WrongError("; ".join(map(str, found[:5])))
