"""A storage that fails, answers twice or loses its answers, under a whole app: what was acknowledged is there once, what was
recorded does not run again, and what can never be stored ends its execution instead of being tried for ever."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from perdure import Context, ExecutionFailedError, Perdure, StorageError
from perdure.model.records import Transition
from perdure.storage.check import check
from perdure.testing import Fault, Operation, TestApp


def make() -> tuple[Perdure, Counter[str]]:
    """An app, and what its activities did."""
    app, done = Perdure("memory://", retries=2), Counter[str]()

    @app.activity
    async def act(what: str) -> str:
        done[what] += 1
        return what

    @app.task
    async def leaf(number: int) -> int:
        await act(f"leaf {number}")
        return number

    @app.task
    async def work(ctx: Context, number: int) -> int:
        await act("before")
        await ctx.sleep(5)
        total = sum(await ctx.map(leaf, list(range(number))))
        said = await ctx.wait_for("go", int, timeout=60)
        await act("after")
        return total + said

    @app.task
    async def cursed() -> None:
        await act("cursed")

    @app.task
    async def cursed_end() -> str:
        return "cursed"

    return app, done


@pytest.mark.parametrize("when", ["before", "after", "twice"])
@pytest.mark.parametrize(
    "operation",
    ["transaction", "enqueue", "commit", "claim", "heartbeat", "reclaim", "signal", "journal", "get", "settled"],
)
async def test_one_failing_operation_after_the_other(operation: str, when: str) -> None:
    """Each call of one operation fails in turn: the first, the second and so on."""
    for skip in range(6):
        app, done = make()
        async with TestApp(app) as t:
            client_sees: list[StorageError] = []
            t.faults.fail(operation, when, skip=skip)  # type: ignore[arg-type]
            call = app.call("work", 3).task.options(id="one").call(3)
            for _ in range(3):
                try:
                    handle = await app.enqueue(call)
                    break
                except StorageError as error:
                    client_sees.append(error)
            else:
                raise AssertionError("the client never got through")
            await t.advance(seconds=10)
            for _ in range(3):
                try:
                    await handle.signal("go", 4)
                    break
                except StorageError as error:
                    client_sees.append(error)
            await t.advance(seconds=60)
            t.faults.heal()
            assert await handle.result() == 7
            assert len(client_sees) <= 1
            assert await app.count() == 4
            assert (await handle.execution()).attempt == 0
            if when != "before" or operation not in ("claim", "transaction"):
                assert max(done.values()) <= 2, done
            assert check(t.faults.storage, now=t.clock.now()) == []


@pytest.mark.parametrize("seed", range(12))
async def test_many_failures_at_random(seed: int) -> None:
    chance = random.Random(seed)

    def decide(operation: Operation) -> Fault | None:
        if operation.name == "migrate" or chance.random() > 0.25:
            return None
        return Fault(chance.choice(["before", "after", "twice"]))

    app, done = make()
    async with TestApp(app, seed=seed) as t:
        handles = [await app.enqueue(app.call("work", 3)) for _ in range(5)]
        for handle in handles:
            await handle.signal("go", 1)
        t.faults.decide = decide
        await t.advance(seconds=40)
        t.faults.heal()
        await t.advance(seconds=60)
        assert [await handle.result() for handle in handles] == [4] * 5
        assert await app.count() == 20
        assert check(t.faults.storage, now=t.clock.now()) == []
        assert [(await handle.execution()).attempt for handle in handles] == [0] * 5
    assert done["before"] >= 5


@pytest.mark.parametrize("name", ["cursed", "cursed_end"])
async def test_what_can_never_be_stored_fails_its_execution_alone(name: str) -> None:
    def decide(operation: Operation) -> Fault | None:
        if operation.name != "commit":
            return None
        for transition in operation.argument:  # type: ignore[attr-defined]
            assert isinstance(transition, Transition)
            texts = [entry.value for entry in transition.entries] + [getattr(transition.outcome, "result", None)]
            if any("cursed" in (text or "") for text in texts):
                return Fault("before", ValueError("no database takes this"))
        return None

    app, _ = make()
    async with TestApp(app) as t:
        t.faults.decide = decide
        handle = await app.enqueue(app.call(name))
        neighbours = [await app.enqueue(app.call("leaf", n)) for n in range(5)]
        with pytest.raises(ExecutionFailedError, match="no database takes this"):
            await handle.result()
        assert [await neighbour.result() for neighbour in neighbours] == list(range(5))
        assert check(t.faults.storage, now=t.clock.now()) == []


async def test_a_codec_that_fails_is_an_error_of_the_attempt() -> None:
    broken = [True]

    class Moody:
        id = "moody"

        def encode(self, data: bytes) -> bytes:
            if broken[0] and b"secret" in data:
                raise KeyError("the key server is away")
            return data

        def decode(self, data: bytes) -> bytes:
            return data

    app = Perdure("memory://", retries=3, codec=Moody())

    @app.task
    async def give() -> str:
        return "secret"

    async with TestApp(app) as t:
        handle = await app.enqueue(give.call())
        await t.idle()
        row = await handle.execution()
        assert (row.status, row.attempt) == ("pending", 1)
        broken[0] = False
        assert await handle.result() == "secret"
        assert check(t.faults.storage, now=t.clock.now()) == []
