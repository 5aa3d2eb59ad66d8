"""One pass over a diagram: the state that was reached, then the next, until the end.

Each state is a chapter of the journal, and one entry: what it answered, which is where it leads and with which payload. A fork
runs its branches as children and hands what they came to on to the join. What is recorded and does not fit the diagram any
more is drift: nothing here ever guesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from perdure.codec import DecodeError, Payloads
from perdure.engine import chapters, progress
from perdure.engine.bodies import running_time
from perdure.engine.chapters import Chapter
from perdure.engine.children import check_depth, enter, prepared, settling, spec_of, standing
from perdure.engine.journal import Ledger, chapter_number
from perdure.engine.signature import Arguments, Signature
from perdure.engine.styling import Encoded, children_failed
from perdure.engine.verbs import Verbs
from perdure.errors import Abort, JournalDriftError, PayloadTooLargeError
from perdure.model.diagram import snake
from perdure.model.machine import END, Step
from perdure.model.policy import SquareBackoff, exceeds
from perdure.model.records import Child, NewExecution, Row
from perdure.model.status import SETTLED, UNSUCCESSFUL
from perdure.styles.diagram.states import Onward, States

if TYPE_CHECKING:
    from perdure.engine.task import Task


class Passed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the entry of a state says: where it led, by which outcome of a choice, and with which payload."""

    to: str
    payload: msgspec.Raw
    label: str = ""


class Misfit:
    """An input that does not fit the first state any more; it matters only to an execution that has not left it."""

    def __init__(self, why: str) -> None:
        self.why = why


class Misplaced(Exception):  # noqa: N818 - it becomes a drift, or a sentence
    """An execution stands where the diagram has no place for it."""


class Beginning(Signature):
    """The input of a diagram: the first state's payload, under that state's name. One of a diagram whose start has changed
    since is read all the same."""

    def decode(self, text: str) -> Arguments:
        """The payload, or a `Misfit`."""
        try:
            arguments = super().decode(text)
        except DecodeError as error:
            return {self.names[0]: Misfit(str(error))}
        return arguments or {self.names[0]: Misfit(f"it was enqueued for another first state than {self.names[0]}")}


_passed: Final = msgspec.json.Decoder(Passed)


class Walk:
    """What drives a diagram from `start` to `end`, or a branch of it to where it is joined."""

    beginning: Beginning

    def __init__(self, states: States, start: str, end: str = END) -> None:
        self.states, self.start, self.end = states, start, end
        self.runs: dict[str, Task[..., Any]] = {}
        self.branches: dict[tuple[str, str], Task[..., Any]] = {}

    async def __call__(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> Any:
        """Goes on at the state that was reached."""
        return await _Way(self, verbs).go([*args, *kwargs.values()][0])

    def problems(self, row: Row, ledger: Ledger, payloads: Payloads) -> list[str]:
        """What of an execution does not fit the diagram, in words."""
        given = self.beginning.decode(payloads.unwrap(row.input))[self.beginning.names[0]]
        try:
            self.reached(ledger, payloads, given)
        except Misplaced as error:
            return [str(error)]
        return []

    def reached(self, ledger: Ledger, payloads: Payloads, given: object) -> tuple[int, Onward]:
        """The number of the chapter that is on, and the state. Raises `Misplaced` where the diagram has no such state any
        more, or its payload does not decode."""
        entries = [entry for entry in ledger.memos.values() if entry.kind == "state"]
        if not entries:
            if isinstance(given, Misfit):
                raise Misplaced(f"its input does not fit the state {self.start}: {given.why}")
            return 0, Onward(self.start, value=given)
        last = max(entries, key=lambda entry: entry.position)
        passed = _passed.decode(payloads.unwrap(cast("str", last.value)))
        text = bytes(passed.payload).decode()
        return chapter_number(last.key) + 1, Onward(passed.to, text, self.read(passed.to, text))

    def read(self, name: str, text: str) -> object:
        """The payload of a step. Raises `Misplaced`."""
        if name == self.end:
            return None
        step = self.states.machine.steps.get(name)
        if step is None or step.kind == "choice":
            raise Misplaced(f"it stands at {name}, which the diagram does not have any more")
        if step.branch != self.states.machine.steps[self.start].branch:
            raise Misplaced(f"it stands at {name}, which belongs to another branch of the diagram now")
        try:
            return self.states.codec(name).decode(text)
        except DecodeError as error:
            raise Misplaced(f"the payload with which it stands at {name} does not decode: {error}") from error


class _Way:
    """One pass."""

    def __init__(self, walk: Walk, verbs: Verbs) -> None:
        self._walk, self._verbs, self._states = walk, verbs, walk.states
        self._driver, self._payloads = verbs.driver, verbs.host.payloads

    async def go(self, given: object) -> Any:
        number, here = self._reached(given)
        self._note_change(here.target)
        while here.target != self._walk.end:
            step = self._step(here)
            if number == 0 and self._driver.ledger.untouched:
                progress.keep(self._driver, self._state_of(step.name))
            onward = await (self._fork if step.kind == "fork" else self._state)(number, step, here)
            passed = Passed(onward.target, msgspec.Raw(onward.text.encode()), onward.label)
            value = self._payloads.wrap(msgspec.json.encode(passed).decode())
            entry = chapters.entry_of(self._verbs, "state", number, step.name, value)
            if onward.target == self._walk.end:
                self._verbs.keep(entry)
                self._driver.chapter = None
            else:
                self._driver.outbox.progress = self._state_of(onward.target)
                await chapters.turn(self._verbs, entry)
                if self._verbs.host.singly:
                    await self._leave()
            number, here = number + 1, onward
        return None if self._walk.end == END else Encoded(self._payloads.wrap(here.text))

    async def _leave(self) -> None:
        """One state was asked for: the next one is for whoever fetches it."""
        self._driver.interrupt()
        await self._driver.ready()

    # -- where it stands ----------------------------------------------------------------------------------------------

    def _reached(self, given: object) -> tuple[int, Onward]:
        try:
            return self._walk.reached(self._driver.ledger, self._payloads, given)
        except Misplaced as error:
            raise self._drift(error) from error

    def _step(self, here: Onward) -> Step:
        return self._states.machine.steps[here.target]

    def _note_change(self, name: str) -> None:
        task = self._verbs.host.directory.task(self._driver.claim.task_name)
        begun, now = self._driver.claim.version, None if task is None else task.settings.version
        if begun != now:
            self._verbs.host.logger.info(
                "%s (%s) goes on at %s under diagram %s; it was enqueued under %s",
                self._verbs.task_name, self._driver.claim.id, name, now, begun,
            )  # fmt: skip

    def _drift(self, error: Misplaced) -> JournalDriftError:
        return JournalDriftError(f"{self._verbs.task_name} ({self._driver.claim.id}): {error}")

    def _state_of(self, name: str) -> str:
        return msgspec.json.encode({"state": name}).decode()

    # -- one step -----------------------------------------------------------------------------------------------------

    async def _state(self, number: int, step: Step, here: Onward) -> Onward:
        """Runs the method of a state."""
        policy = SquareBackoff(step.attempts - 1, step.backoff_ms / 1000)
        chapter = Chapter(number, self._verbs.name, state=step.name, policy=policy)
        task = cast("Task[..., Any]", self._verbs.host.directory.task(self._driver.claim.task_name))
        timeout = running_time(task, self._driver.claim)
        run = self._walk.runs[step.name]
        returned = await chapters.run(self._verbs, chapter, run, [here.value], {}, timeout)
        if isinstance(returned, Abort):
            raise returned
        onward = self._states.onward(step, returned)
        if exceeds(onward.text, limit := self._verbs.host.sizes.result):
            raise PayloadTooLargeError(
                f"what the state {step.name} of {self._verbs.task_name} returned has over {limit} bytes; "
                "see Sizes(result=...)"
            )
        return onward

    async def _fork(self, number: int, fork: Step, here: Onward) -> Onward:
        """Runs the branches as children, until all have come to the join."""
        chapter = Chapter(number, self._verbs.name, state=fork.name)
        inside = chapters.outside(self._verbs, chapter)
        slots = {entry: f"{chapter.prefix}#{snake(entry)}" for entry in fork.targets}
        while True:
            met = [standing(inside, self._verbs.task_name, slot) for slot in slots.values()]
            children = [child for child in met if child is not None]
            failed = [(at, child) for at, child in enumerate(met) if child is not None and child.status in UNSUCCESSFUL]
            if failed:
                raise children_failed(failed, len(met))
            if len(children) < len(met):
                await self._start(
                    inside, fork, here, [e for e, child in zip(slots, met, strict=True) if child is None], slots
                )
            elif all(child.status in SETTLED for child in children):
                return self._joined(fork, children)
            else:
                await settling(inside, "children", children, failing=True)

    async def _start(
        self, inside: Verbs, fork: Step, here: Onward, entries: list[str], slots: dict[str, str]
    ) -> None:  # fmt: skip
        specs: dict[str, NewExecution] = {}
        for entry in entries:
            task = self._walk.branches[fork.name, entry]
            await check_depth(inside, task.name)
            specs[entry] = spec_of(inside, await prepared(inside, task.call(getattr(here.value, snake(entry)))))
        await inside.ready()
        for entry, spec in specs.items():
            enter(inside, spec, slots[entry])

    def _joined(self, fork: Step, children: list[Child]) -> Onward:
        raws = [msgspec.Raw(self._payloads.unwrap(cast("str", child.result)).encode()) for child in children]
        text = self._states.joined(fork, raws)
        try:
            return Onward(fork.join, text, self._walk.read(fork.join, text))
        except Misplaced as error:
            raise self._drift(error) from error
