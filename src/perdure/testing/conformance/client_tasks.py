"""The tasks that the client suite runs, and what it needs of a client. Each task shows one way to go or to end.

Nothing here waits for real time beyond a few hundredths of a second: what has to wait, waits for a signal or for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from perdure.app import Perdure
from perdure.engine.context import Context
from perdure.engine.handle import Handle
from perdure.engine.task import Call, Task
from perdure.model.execution import Answer, Execution, Page, Stats, WorkerInfo
from perdure.model.policy import Retry
from perdure.model.status import Status
from perdure.styles.external import ExternalTask

R = TypeVar("R")


class ClientLike(Protocol):
    """What every client can do."""

    async def enqueue(self, call: Call[R]) -> Handle[R]: ...
    async def run(self, call: Call[R]) -> R: ...
    async def enqueue_many(self, calls: Sequence[Call[R]]) -> list[Handle[R]]: ...
    def handle(self, id: str) -> Handle[Any]: ...
    async def complete(self, name: str, key: str, value: object = None) -> Answer[object]: ...
    async def fail(self, name: str, key: str, why: str) -> Answer[object]: ...
    async def search(
        self, query: str = "", order: Literal["newest", "oldest"] = "newest", limit: int = 100, after: str | None = None
    ) -> Page[Execution[object]]: ...


class OperatorLike(ClientLike, Protocol):
    """What a client with an operator's verbs can do."""

    async def count(self, query: str = "") -> int: ...
    async def cancel_all(self, query: str, dry_run: bool = False, *, reason: str = "") -> int: ...
    async def retry_all(self, query: str, dry_run: bool = False) -> int: ...
    async def stats(self) -> Stats: ...
    async def workers(self) -> list[WorkerInfo]: ...


@dataclass(frozen=True)
class Point:
    """A value with a type of its own."""

    x: int
    y: int = 0


class Tasks:
    """The suite's tasks, declared on one app; `ran` names the activity bodies that ran, in order."""

    def __init__(self, app: Perdure) -> None:
        self.ran: list[str] = []
        self.broken = True
        self._declare_quick(app)
        self._declare_waiting(app)
        self._declare_steps(app)
        self.all: tuple[Task[..., object], ...] = (
            self.add, self.mirror, self.break_down, self.break_once, self.ask, self.hang, self.too_slow, self.steps,
            self.family, self.decide, self.note,
        )  # fmt: skip

    def _declare_quick(self, app: Perdure) -> None:
        @app.task(retries=Retry.none())
        async def add(x: int, y: int = 1) -> int:
            return x + y

        @app.task
        async def mirror(point: Point) -> Point:
            return Point(point.y, point.x)

        @app.task(retries=Retry.none())
        async def break_down(message: str) -> None:
            raise ValueError(message)

        self.add, self.mirror, self.break_down = add, mirror, break_down

    def _declare_waiting(self, app: Perdure) -> None:
        @app.task
        async def ask(ctx: Context, name: str = "answer") -> str:
            return await ctx.wait_for(name, str)

        @app.task
        async def hang() -> None:
            self.ran.append("hang")
            await asyncio.Event().wait()

        @app.task(timeout=0.02, retries=Retry.none())
        async def too_slow() -> None:
            await asyncio.Event().wait()

        self.ask, self.hang, self.too_slow = ask, hang, too_slow
        self.decide: ExternalTask[Point] = app.external_task("decide", Point)
        self.note: ExternalTask[str] = app.external_task("note", str)

    def _declare_steps(self, app: Perdure) -> None:
        @app.activity
        async def double(number: int) -> int:
            self.ran.append(f"double {number}")
            return 2 * number

        @app.task(retries=Retry.none())
        async def break_once(number: int) -> int:
            doubled = await double(number)
            if self.broken:
                raise RuntimeError("broken")
            return doubled

        @app.task
        async def steps(numbers: list[int]) -> list[int]:
            return [await double(number) for number in numbers]

        @app.task
        async def family(ctx: Context, numbers: list[int]) -> int:
            ctx.progress(1, 2, "half")
            return sum(await ctx.map(self.add, numbers))

        self.break_once, self.steps, self.family = break_once, steps, family


async def reached(handle: Handle[object], *statuses: Status) -> Execution[object]:
    """The first snapshot with one of the statuses. Raises `AssertionError` when the execution settles otherwise."""
    async for event in handle.watch():
        if event.execution.status in statuses:
            return event.execution
    raise AssertionError(f"{handle} settled and never was {' or '.join(statuses)}")
