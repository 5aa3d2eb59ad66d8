"""External tasks: tasks that nobody runs, completed from outside by key.

An execution of one waits for its key. `complete` and `fail` answer the key, not an execution: before, while or after
somebody waits; the first answer stands, and all who wait for the key get it. The pass of such an execution is this
module's `_drive`; that no completion is missed is the storage's part (R8, R12).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Unpack, cast

from perdure.codec import DecodeError, codec_for, decode_failure, encode_failure, exception_of
from perdure.engine.options import (
    CallOptions,
    CallSettings,
    CodelessSettings,
    OnVersion,
    TaskOptions,
    Timeout,
    task_options,
)
from perdure.engine.ports import Owner, Transport
from perdure.engine.signature import Arguments
from perdure.engine.task import Task
from perdure.engine.waiting import completion
from perdure.errors import ConfigurationError, Failure, InvalidInputError, NotSerializableError
from perdure.model.execution import Answer, moment
from perdure.model.externals import NewCompletion
from perdure.model.outline import Part
from perdure.model.policy import Retry

if TYPE_CHECKING:
    from perdure.engine.verbs import Verbs

R = TypeVar("R")
FAILED: Final = "ExternalFailure"
"""The type of the failure that `fail` leaves."""
LONGEST_WHY: Final = 4_000
SHOWN: Final = 60
WHY_NOT: Final = {"key": "its own key tells its calls apart", "retries": "nothing of it runs that could be tried again"}
"""Options of a call that an external task does not have."""


class ExternalSettings(CodelessSettings, total=False):
    """Keyword options of `app.external_task`."""

    timeout: Timeout
    on_version: OnVersion


class ExternalTask(Task[[str], R], Generic[R]):
    """A task that is completed from outside, by key: `await approval(key)` inside a body or `approval.enqueue(key)`
    wait, `await approval.complete(key, value)` answers. Awaiting one key twice in a body is one wait. A key is a text of 1
    to 255 printable characters, else `InvalidInputError`. Declared by `app.external_task`."""

    def __init__(
        self, name: str, hint: object, settings: TaskOptions, owner: Owner, call: CallOptions | None = None
    ) -> None:
        self.hint = hint
        super().__init__(cast("Any", _nobody), name, settings, owner, call, drive=self._drive, returns=hint)
        self.__doc__ = "A task that is completed from outside, by key."

    # -- waiting ------------------------------------------------------------------------------------------------------

    def external_key(self, arguments: Arguments) -> str:
        """The key among the arguments. Raises `InvalidInputError`."""
        return checked_key(self.name, arguments["key"], self.owner.sizes.name)

    def options(self, **settings: Unpack[CallSettings]) -> ExternalTask[R]:
        """The same task with options for its next calls. Raises `ConfigurationError`."""
        for name, why in WHY_NOT.items():
            if name in settings:
                raise ConfigurationError(f"external task {self.name} has no option {name!r}: {why}")
        call = super().options(**settings).call_options
        return ExternalTask(self.name, self.hint, self.settings, self.owner, call)

    def outline(self) -> Part:
        """One box, which somebody outside fills."""
        return Part(self.name, "completed from outside", "external")

    async def _drive(self, verbs: Verbs, args: list[object], kwargs: dict[str, object]) -> object:
        """The pass of an execution: its `timeout` is how long it waits, not how long it runs."""
        driver, key = verbs.driver, cast("str", kwargs["key"] if kwargs else args[0])
        limit = driver.timeout
        driver.set_timeout(None)
        found = await completion(verbs, key, limit)
        if found is None:
            message = f"external task {self.name} was not completed for key {key!r} within {limit:g} s"
            raise exception_of(Failure("timed_out", "TimeoutError", message, retryable=False))
        if found.value is None:
            raise exception_of(decode_failure(cast("str", found.failure)))
        try:
            return self.signature.result.decode(verbs.host.payloads.unwrap(found.value))
        except DecodeError as error:
            raise verbs.drifted(f"the value for key {key!r} does not decode: {error}") from error

    # -- answering ----------------------------------------------------------------------------------------------------

    async def complete(self, key: str, value: R) -> Answer[R]:
        """Answers a key, whether somebody waits for it or not, and tells what stands for it: the first answer does. In a
        body it is done once. Raises `InvalidInputError`, `PayloadTooLargeError`."""
        return await self.answer(self.transport, key, self.encoded(value), None)

    async def fail(self, key: str, why: str) -> Answer[R]:
        """Answers a key so that who waits for it fails with this message; else as `complete`."""
        return await self.answer(self.transport, key, None, self.refusal(why))

    async def answer(self, transport: Transport, key: str, value: str | None, failure: str | None) -> Answer[R]:
        """Sends an encoded value or failure by a client, and reads what stands."""
        checked = checked_key(self.name, key, self.owner.sizes.name)
        answered = await transport.complete(self, NewCompletion("", self.origin, checked, value, failure))
        stands = answered.completion
        return Answer(
            task_name=self.name,
            key=key,
            value=None if stands.value is None else cast("R", self._decoded(stands.value)),
            failure=None if stands.failure is None else decode_failure(stands.failure),
            completed_at=moment(stands.completed_at),
            first=answered.first,
        )

    def encoded(self, value: object) -> str:
        """A value as it is sent. Raises `InvalidInputError` for one of another type."""
        codec = codec_for(self.hint, f"the value of external task {self.name}")
        try:
            return codec.encode(codec.convert(value))
        except (ValueError, NotSerializableError) as error:
            raise InvalidInputError(str(error)) from error

    def refusal(self, why: object) -> str:
        """A failure as it is sent. Raises `InvalidInputError` for what is no text."""
        if not isinstance(why, str):
            raise InvalidInputError(f"external task {self.name} fails for {why!r}; it must be a text that says why")
        return encode_failure(Failure("error", FAILED, why[:LONGEST_WHY], retryable=False))

    def _decoded(self, text: str) -> object:
        """A value that stands, as JSON natives where it was completed under an older declaration."""
        codec = self.signature.result
        try:
            return codec.decode(text)
        except DecodeError:
            return codec.native(text)


class Completing(ABC):
    """The verbs by which an app completes external tasks by name."""

    @abstractmethod
    def find_task(self, name: str) -> Task[..., object]:
        """The task of a name."""

    @abstractmethod
    def _here(self) -> Transport:
        """Who answers."""

    async def complete(self, name: str, key: str, value: object = None) -> Answer[object]:
        """Completes an external task by its name; see `ExternalTask.complete`. Raises `TaskNotFoundError`,
        `InvalidInputError` for a task that is not external or a value of another type, `PayloadTooLargeError`."""
        task = external(self.find_task(name))
        return await task.answer(self._here(), key, task.encoded(value), None)

    async def fail(self, name: str, key: str, why: str) -> Answer[object]:
        """Completes an external task by its name with a failure; see `ExternalTask.fail`. Raises as `complete`."""
        task = external(self.find_task(name))
        return await task.answer(self._here(), key, None, task.refusal(why))


def external(task: Task[..., object]) -> ExternalTask[object]:
    """The task, which must be external. Raises `InvalidInputError`."""
    if not isinstance(task, ExternalTask):
        raise InvalidInputError(f"task {task.name} is not external: a worker runs it, nobody completes it from outside")
    return task


def external_options(name: str, **settings: Unpack[ExternalSettings]) -> TaskOptions:
    """Checked options of an external task. Raises `ConfigurationError` naming the option and what it may be."""
    known = sorted(ExternalSettings.__annotations__)
    for option in settings:
        if option not in known:
            raise ConfigurationError(f"external task {name} has no option {option!r}; options are {', '.join(known)}")
    return replace(task_options(f"external task {name}", **settings), retries=Retry.none())


def checked_key(name: str, key: object, longest: int) -> str:
    """A key of an external task. Raises `InvalidInputError`."""
    if isinstance(key, str) and 1 <= len(key) <= longest and key.isprintable():
        return key
    shown = repr(key) if len(repr(key)) <= SHOWN else f"{repr(key)[:SHOWN]}…"
    raise InvalidInputError(f"task {name}: key is {shown}; it must be a text of 1 to {longest} printable characters")


def _nobody(key: str) -> None:
    """The signature of every external task."""
