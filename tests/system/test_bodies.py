"""Bodies that end in every way they should not: errors that cannot be written down, exits, threads of their own, leases that
are lost meanwhile. The worker lives on, its other work does not notice, and nothing open is left behind."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from perdure import (
    BlockingContext,
    ConfigurationError,
    Context,
    ExecutionFailedError,
    InvalidInputError,
    NotSerializableError,
    PayloadTooLargeError,
    Perdure,
    PerdureError,
    Retry,
    Sizes,
    current_context,
)
from perdure.storage.check import check
from tests.system.rig import until

pytestmark = pytest.mark.timeout(60)
SURROGATE = "bad \ud800 text"


class Mute(Exception):
    """Cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Spiteful(Exception):
    """Refuses to be looked at."""

    @property
    def failure(self) -> NoReturn:
        raise RuntimeError("no")

    @property
    def args(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("no")


class Picky(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__("only this")
        self.lock = threading.Lock()


class Beyond(BaseException):
    """No `Exception`."""


def endless() -> Exception:
    error = ValueError("round")
    error.__cause__ = error
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "surrogate": lambda: ValueError(SURROGATE),
    "huge": lambda: ValueError("x" * 5_000_000),
    "mute": Mute,
    "spiteful": lambda: Spiteful("x"),
    "picky": lambda: Picky(1, 2),
    "lock": lambda: ValueError(threading.Lock()),
    "deep": lambda: ValueError(nested(5000)),
    "endless": endless,
    "beyond": lambda: Beyond("beyond"),
    "generator exit": lambda: GeneratorExit("odd"),
    "stop iteration": lambda: StopIteration(1),
    "stop async iteration": lambda: StopAsyncIteration(1),
    "cancelled": lambda: asyncio.CancelledError("by itself"),
    "group": lambda: ExceptionGroup(SURROGATE, [Mute(), ValueError(2)]),
    "base group": lambda: BaseExceptionGroup("g", [Beyond(), ValueError(2)]),
    "exit": lambda: SystemExit(3),
    "zero": lambda: ValueError("a\0b"),
    "bytes": lambda: ValueError(b"\xff", {1: object()}, float("nan")),
}


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Perdure]:
    app = Perdure(f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.1, retries=0, lease=5, drain=1)
    app.parts.cancel_grace = 1.0

    @app.task
    async def neighbour() -> str:
        return "here"

    yield app
    if app.is_open:
        await app.close(drain=0)


async def sound(app: Perdure, of: int | None = None) -> None:
    """The worker works, and what is stored is in order."""
    assert await app.run(app.call("neighbour")) == "here"
    storage = app.opened.store.storage
    with storage.transaction():
        assert check(storage) == []
    assert await app.count("status:running") == 0


CASES = [(name, where) for name in ERRORS for where in ("body", "activity", "thread", "def", "branch", "child")]


@pytest.mark.parametrize(("name", "where"), CASES)
async def test_errors_that_cannot_be_written_down(app: Perdure, name: str, where: str) -> None:
    def fail() -> NoReturn:
        raise ERRORS[name]()

    @app.activity
    async def bad() -> None:
        fail()

    @app.activity
    def bad_thread() -> None:
        fail()

    @app.task
    async def in_body() -> None:
        fail()

    @app.task
    async def in_activity() -> None:
        await bad()

    @app.task
    async def in_thread() -> None:
        await bad_thread.aio()

    @app.task
    def in_def() -> None:
        fail()

    async def branch() -> None:
        await asyncio.sleep(0)
        fail()

    @app.task
    async def in_branch() -> None:
        await asyncio.gather(branch(), asyncio.sleep(0.05))

    @app.task
    async def in_child() -> None:
        await in_body()

    async with app:
        handle = await app.enqueue(app.call(f"in_{where}"))
        with pytest.raises(ExecutionFailedError) as caught:
            await handle.result(timeout=10)
        failure = caught.value.failure
        assert failure is not None
        assert len(failure.message) < 5000
        assert (await handle.execution()).failure == failure
        await handle.activities()
        assert await app.count("status:failed") == (2 if where == "child" else 1)
        await app.search("error:text")
        await sound(app)


async def test_what_can_be_stored_of_an_odd_error_is_caught_in_the_body_the_same_live_and_on_replay(
    app: Perdure,
) -> None:
    app.parts.linger = 0.0
    seen: list[tuple[str, str]] = []

    @app.activity
    async def bad(name: str) -> None:
        raise ERRORS[name]()

    @app.task
    async def look(ctx: Context) -> int:
        for name in ("surrogate", "mute", "spiteful", "picky", "lock", "deep", "zero", "bytes", "group"):
            try:
                await bad(name)
            except Exception as error:
                seen.append((name, f"{type(error).__name__} {error.failure.message}"))  # type: ignore[attr-defined]
        await ctx.sleep(0.05)
        return len(seen)

    async with app:
        assert await app.run(look.call()) == 18
        assert seen[:9] == seen[9:]
        await sound(app)


@pytest.mark.parametrize("kind", ["activity", "body"])
async def test_a_keyboard_interrupt_in_a_thread_is_an_error_like_others(app: Perdure, kind: str) -> None:
    """Nobody typed it: signals reach the main thread alone."""

    @app.task
    def in_body() -> None:
        raise KeyboardInterrupt("typed by nobody")

    @app.activity
    def thread() -> None:
        raise KeyboardInterrupt("typed by nobody")

    @app.task
    async def in_activity() -> None:
        await thread.aio()

    async with app:
        handle = await app.enqueue(app.call(f"in_{kind}"))
        with pytest.raises(ExecutionFailedError, match="KeyboardInterrupt"):
            await handle.result(timeout=10)
        await sound(app)


async def test_exits_name_what_they_were(app: Perdure) -> None:
    @app.activity
    async def leave() -> None:
        sys.exit(4)

    @app.task
    async def body() -> None:
        sys.exit("goodbye")

    @app.task
    async def through() -> None:
        await leave()

    async with app:
        with pytest.raises(ExecutionFailedError, match=r"body of task body called exit\(goodbye\)"):
            await app.run(body.call())
        with pytest.raises(ExecutionFailedError, match=r"activity leave called exit\(4\)"):
            await app.run(through.call())
        await sound(app)


# -- threads --------------------------------------------------------------------------------------------------------------


async def test_threads_of_a_def_body_call_verbs(app: Perdure) -> None:
    """They either work or say why not; nothing hangs, and the execution ends."""
    said: list[str] = []

    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.task
    def body(ctx: BlockingContext) -> int:
        def work(number: int) -> None:
            try:
                ctx.record(double.fn, number, key=f"t{number}")
                ctx.sleep(0.01, key=f"s{number}")
                said.append("did")
            except BaseException as error:
                said.append(type(error).__name__)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        return double(21)

    async with app:
        assert await app.run(body.call()) == 42
        assert len(said) >= 8
        assert set(said) <= {"did", "Unwound"}, said
        await sound(app)


async def test_threads_of_an_async_body_call_verbs(app: Perdure) -> None:
    said: list[str] = []

    @app.activity
    async def double(number: int) -> int:
        return number * 2

    @app.task
    async def body(ctx: Context) -> int:
        def work() -> None:
            for verb in (lambda: ctx.sleep(0.01), lambda: double(3), lambda: ctx.wait_for("x", int, timeout=0.01)):
                try:
                    asyncio.run(asyncio.wait_for(verb(), 3))
                    said.append("did")
                except BaseException as error:
                    said.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=work)
        thread.start()
        await asyncio.to_thread(thread.join)
        return await double(21)

    async with app:
        handle = await app.enqueue(body.call())
        assert await handle.result(timeout=20) == 42
        assert len(said) >= 3
        assert not [each for each in said if each.startswith("TimeoutError") and "no signal" not in each], said
        await sound(app)


async def test_a_thread_that_outlives_its_body_cannot_act_any_more(app: Perdure) -> None:
    done = threading.Event()
    said: list[str] = []

    @app.task
    def body(ctx: BlockingContext) -> str:
        def late() -> None:
            time.sleep(0.5)
            try:
                ctx.record(lambda: 1, key="late")
                said.append("did")
            except BaseException as error:
                said.append(type(error).__name__)
            done.set()

        threading.Thread(target=late, daemon=True).start()
        return "early"

    async with app:
        handle = await app.enqueue(body.call())
        assert await handle.result(timeout=10) == "early"
        await asyncio.to_thread(done.wait, 10)
        assert said
        assert said != ["did"]
        assert await handle.activities() == []
        await sound(app)


# -- leases lost ------------------------------------------------------------------------------------------------------------


async def test_a_body_that_returns_after_its_lease_was_lost_changes_nothing(app: Perdure) -> None:
    passes: list[int] = []

    @app.activity
    async def late(which: int) -> int:
        return which

    @app.task
    async def body() -> str:
        passes.append(len(passes))
        mine = len(passes)
        try:
            await asyncio.sleep(5.5 if mine == 1 else 1.2)
        except asyncio.CancelledError:
            if mine > 1:
                raise
        await late(mine)
        return f"pass {mine}"

    async with app:
        handle = await app.enqueue(body.call())
        await until(lambda: passes)
        storage = app.opened.store.storage
        taken = storage.reclaim(app.parts.clock.now() + 5100)
        assert handle.id in taken.released
        assert await handle.result(timeout=15) == "pass 2"
        assert [entry.value for entry in await handle.activities()] == [2]
        await asyncio.sleep(0.3)
        assert (await handle.execution()).result == "pass 2"
        await sound(app)


async def test_old_news_of_a_lost_lease_does_not_interrupt_the_new_pass(app: Perdure) -> None:
    """A heartbeat made before a wait and answered after it speaks of a pass that is over."""
    began: list[str] = []

    @app.activity
    async def work() -> int:
        began.append("work")
        await asyncio.sleep(0.6)
        return 1

    @app.task
    async def body(ctx: Context) -> int:
        await asyncio.sleep(0.05)
        await ctx.sleep(0.05)
        return await work()

    async with app:
        worker = app.opened.worker
        assert worker is not None
        handle = await app.enqueue(body.call())
        old = None
        for _ in range(2000):
            beat = worker._beat()
            if any(id == handle.id for id, _ in beat.running) and old is None:
                old = beat
            if began:
                break
            await asyncio.sleep(0.002)
        assert old is not None
        answer = await app.opened.store.ask("heartbeat", old)
        worker._heard(old, answer)
        assert await handle.result(timeout=10) == 1
        assert began == ["work"]
        await sound(app)


# -- what cannot be stored ------------------------------------------------------------------------------------------------------


async def test_text_that_cannot_be_stored_is_refused_where_it_is_given(app: Perdure) -> None:
    """Nothing is stored, and neighbours in the same batch are unaffected."""

    @app.task
    async def echo(text: str) -> str:
        return text

    refused = (InvalidInputError, NotSerializableError, ConfigurationError)
    async with app:
        good = [asyncio.ensure_future(app.run(echo.call(f"{n}"))) for n in range(5)]
        for call in (
            lambda: echo.call(SURROGATE),
            lambda: echo.options(id=SURROGATE).call("x"),
            lambda: echo.options(idempotency_key=SURROGATE).call("x"),
            lambda: echo.options(tags={"k": SURROGATE}).call("x"),
            lambda: echo.options(tags={SURROGATE: "v"}).call("x"),
            lambda: echo.options(priority=10**30).call("x"),
            lambda: echo.options(priority=2**62).call("x"),
            lambda: echo.options(queue=SURROGATE).call("x"),
            lambda: echo.options(start_delay=10**30).call("x"),
        ):
            with pytest.raises(refused):
                await app.enqueue(call())
        assert await asyncio.gather(*good) == [f"{n}" for n in range(5)]
        assert await app.count("task:echo") == 5
        await sound(app)


async def test_steering_with_text_that_cannot_be_stored(app: Perdure) -> None:
    @app.task
    async def waits(ctx: Context) -> object:
        return await ctx.wait_for("go")

    async with app:
        handle = await app.enqueue(waits.call())
        with pytest.raises((PerdureError, ValueError)):
            await handle.signal("go", SURROGATE)
        with pytest.raises((PerdureError, ValueError)):
            await handle.signal(SURROGATE, 1)
        await asyncio.sleep(0.3)
        assert await handle.status() == "waiting"
        await handle.signal("go", 1)
        assert await handle.result(timeout=10) == 1
        other = await app.enqueue(waits.call())
        try:
            await other.cancel(SURROGATE)
        except (PerdureError, ValueError):
            await other.cancel("plain")
        await other.wait(timeout=10)
        assert await other.status() == "cancelled"
        await sound(app)


@pytest.mark.parametrize(
    "what",
    [
        "progress text", "progress number", "progress nan", "result", "activity result", "child input", "record key",
        "sleep key", "spawn tag", "activity argument", "wait name", "deep result",
    ],
)  # fmt: skip
async def test_a_body_that_gives_what_cannot_be_stored_fails_and_is_not_stuck(app: Perdure, what: str) -> None:
    @app.activity
    async def give(value: str) -> str:
        return SURROGATE if value == "bad" else value

    @app.task
    async def child(value: str) -> str:
        return value

    @app.task
    async def body(ctx: Context) -> object:
        await give("before")
        if what == "progress text":
            ctx.progress(1, 2, SURROGATE)
        elif what == "progress number":
            ctx.progress(10**400, 2, "much")
        elif what == "progress nan":
            ctx.progress(float("nan"), 2, "none")
        elif what == "activity result":
            return await give("bad")
        elif what == "child input":
            return await child(SURROGATE)
        elif what == "record key":
            return await ctx.record(lambda: 1, key=SURROGATE)
        elif what == "sleep key":
            await ctx.sleep(0.01, key=SURROGATE)
        elif what == "spawn tag":
            await ctx.spawn(child.options(tags={"k": SURROGATE}).call("x"))
        elif what == "activity argument":
            await give(SURROGATE)
        elif what == "wait name":
            await ctx.wait_for(SURROGATE, int, timeout=0.1)
        await give("after")
        if what == "deep result":
            return nested(100_000)
        return SURROGATE if what == "result" else "fine"

    async with app:
        handle = await app.enqueue(body.call())
        row = await handle.wait(timeout=10)
        if not what.startswith("progress"):
            assert row.status == "failed", row
            assert row.failure is not None
        elif row.status == "completed":
            assert row.result == "fine"
        await sound(app)


async def test_results_that_are_too_large_fail_alone(tmp_path: Path) -> None:
    app = Perdure(
        f"sqlite:///{tmp_path / 'jobs.db'}", poll=0.1, retries=3, sizes=Sizes(result=1000, input=1000, signal=1000)
    )

    @app.task
    async def neighbour() -> str:
        return "here"

    @app.task
    async def give(size: int) -> str:
        return "ä" * size

    async with app:
        handles = [await app.enqueue(give.call(size)) for size in (10, 498, 499, 500, 100_000, 10)]
        rows = [await handle.wait(timeout=10) for handle in handles]
        assert [row.status for row in rows] == ["completed", "completed", "completed", "failed", "failed", "completed"]
        assert all(row.failure is None or row.failure.kind == "too_large" for row in rows)
        assert [row.attempt for row in rows] == [0] * 6
        with pytest.raises(PayloadTooLargeError):
            await app.enqueue_many([neighbour.call(), app.call("give", 10**1000)])
        assert await app.count("task:neighbour") == 0
        await sound(app)


# -- retries meet odd errors ----------------------------------------------------------------------------------------------------


async def test_a_policy_that_raises_ends_the_execution(app: Perdure) -> None:
    def never(attempt: int) -> float:
        raise ZeroDivisionError("policy")

    @app.task(retries=Retry(3, delay=never))
    async def body() -> None:
        raise ValueError("first")

    @app.task(timeout=lambda attempt: 1 / 0)
    async def limited() -> None:
        return None

    async with app:
        for call in (body.call(), limited.call()):
            row = await (await app.enqueue(call)).wait(timeout=10)
            assert row.status == "failed"
            assert row.failure is not None
        await sound(app)


async def test_an_activity_knows_nothing_of_the_storage(app: Perdure) -> None:
    """A context kept beyond its execution refuses, whatever is asked of it."""
    kept: list[Any] = []

    @app.task
    async def body(ctx: Context) -> str:
        kept.append(ctx)
        kept.append(current_context())
        return "x"

    async with app:
        handle = await app.enqueue(body.call())
        await handle.result(timeout=10)
        for ctx in kept:
            with pytest.raises((PerdureError, asyncio.CancelledError)):
                await ctx.sleep(0.01)
            with pytest.raises((PerdureError, asyncio.CancelledError)):
                await ctx.record(os.getpid, key="late")
            ctx.progress(1, 2, "late")
        assert await handle.activities() == []
        assert (await handle.execution()).progress is None
        await sound(app)
