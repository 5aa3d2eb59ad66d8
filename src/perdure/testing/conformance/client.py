"""The client conformance suite: every verb of a client and of its handles, as tests that any client can be held to.

A client is held to it by one class whose fixture runs an engine for `app` somewhere and gives a client of it:

    class TestMyClient(ClientConformance):
        @pytest.fixture
        async def client(self, app):
            async with app, MyClient(...) as client:
                yield client

`OperatorConformance` adds the verbs of operators (counts, bulk, statistics). The tests run on real time, in hundredths of a
second, because a client may be anywhere.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from perdure.app import Perdure
from perdure.errors import (
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionTimedOutError,
    IdempotencyConflictError,
    InvalidInputError,
    PayloadTooLargeError,
)
from perdure.model.policy import Sizes
from perdure.testing.conformance.client_externals import AnswerConformance
from perdure.testing.conformance.client_handles import HandleConformance
from perdure.testing.conformance.client_operators import BulkConformance
from perdure.testing.conformance.client_tasks import ClientLike, Point, Tasks, reached

UNKNOWN = "00000000-0000-7000-8000-000000000000"


class StartConformance:
    """Starting work, and its results."""

    @pytest.fixture
    def url(self) -> str:
        """The store of the engine."""
        return "memory://"

    @pytest.fixture
    def app(self, url: str) -> Perdure:
        """The engine's app, not open; looks around often, because the tests wait for what it does."""
        return Perdure(url, poll=0.05, sizes=Sizes(signal=1000, input=10_000, result=10_000))

    @pytest.fixture
    def tasks(self, app: Perdure) -> Tasks:
        """The suite's tasks. `client` need not ask for them: they are declared before it opens anything."""
        return Tasks(app)

    @pytest.fixture(autouse=True)
    def _declared(self, tasks: Tasks) -> None:
        """Declares before the engine starts."""

    async def test_run(self, client: ClientLike, tasks: Tasks) -> None:
        assert await client.run(tasks.add.call(1, 2)) == 3

    async def test_defaults_and_names(self, client: ClientLike, tasks: Tasks) -> None:
        assert await client.run(tasks.add.call(1)) == 2
        assert await client.run(tasks.add.call(y=5, x=1)) == 6

    async def test_types_come_back(self, client: ClientLike, tasks: Tasks) -> None:
        assert await client.run(tasks.mirror.call(Point(1, 2))) == Point(2, 1)

    async def test_enqueue_answers_a_handle(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.add.call(1, 2))
        assert await handle.result() == 3
        assert await handle.result() == 3
        assert await client.handle(handle.id).result() == 3
        assert client.handle(handle.id) == handle

    async def test_enqueue_many(self, client: ClientLike, tasks: Tasks) -> None:
        handles = await client.enqueue_many([tasks.add.call(number) for number in range(20)])
        assert len({handle.id for handle in handles}) == 20
        assert await asyncio.gather(*(handle.result() for handle in handles)) == list(range(1, 21))
        assert await client.enqueue_many([]) == []

    async def test_many_are_stored_all_or_none(self, client: ClientLike, tasks: Tasks) -> None:
        bad = cast("Any", tasks.add).call("no number")
        with pytest.raises(InvalidInputError, match="x"):
            await client.enqueue_many([tasks.add.call(1), bad])
        assert len(await client.search("task:add")) == 0

    async def test_an_id_is_ones_own(self, client: ClientLike, tasks: Tasks) -> None:
        first = await client.enqueue(tasks.add.options(id="mine").call(1))
        again = await client.enqueue(tasks.add.options(id="mine").call(1))
        assert first.id == again.id == "mine"
        with pytest.raises(IdempotencyConflictError) as caught:
            await client.enqueue(tasks.add.options(id="mine").call(2))
        assert caught.value.execution_id == "mine"

    async def test_an_idempotency_key_starts_once(self, client: ClientLike, tasks: Tasks) -> None:
        keyed = tasks.steps.options(idempotency_key="k")
        first = await client.enqueue(keyed.call([1, 2]))
        assert await first.result() == [2, 4]
        again = await client.enqueue(keyed.call([1, 2]))
        assert again.id == first.id
        assert await again.result() == [2, 4]
        assert tasks.ran == ["double 1", "double 2"]
        with pytest.raises(IdempotencyConflictError):
            await client.enqueue(keyed.call([3]))
        other = await client.enqueue(tasks.add.options(idempotency_key="k").call(1))
        assert other.id != first.id

    async def test_bad_input_names_the_field(self, client: ClientLike, tasks: Tasks) -> None:
        bad = cast("Any", tasks.mirror).call({"x": "east"})
        with pytest.raises(InvalidInputError, match="point"):
            await client.enqueue(bad)
        assert len(await client.search()) == 0

    async def test_an_input_has_a_size(self, client: ClientLike, tasks: Tasks) -> None:
        with pytest.raises(PayloadTooLargeError):
            await client.enqueue(tasks.break_down.call("x" * 20_000))
        assert len(await client.search()) == 0

    async def test_options_of_a_call(self, client: ClientLike, tasks: Tasks) -> None:
        options = tasks.ask.options(tags={"tenant": "a"}, priority=7, queue="elsewhere", start_delay=3600)
        execution = await (await client.enqueue(options.call())).execution()
        assert (execution.tags, execution.priority, execution.queue) == ({"tenant": "a"}, 7, "elsewhere")
        assert execution.status == "pending"
        assert execution.due_at is not None
        assert timedelta(minutes=59) < execution.due_at - execution.created_at <= timedelta(hours=1)

    async def test_a_start_in_the_future(self, client: ClientLike, tasks: Tasks) -> None:
        moment = datetime(2100, 1, 1, tzinfo=UTC)
        handle = await client.enqueue(tasks.add.options(start_at=moment).call(1))
        assert (await handle.execution()).due_at == moment

    async def test_a_failure_is_raised_and_kept(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.break_down.call("it broke"))
        with pytest.raises(ExecutionFailedError, match="it broke") as caught:
            await handle.result()
        assert caught.value.execution_id == handle.id
        assert caught.value.failure is not None
        assert (caught.value.failure.kind, caught.value.failure.type) == ("error", "ValueError")

    async def test_a_time_out_is_its_own_error(self, client: ClientLike, tasks: Tasks) -> None:
        with pytest.raises(ExecutionTimedOutError) as caught:
            await client.run(tasks.too_slow.call())
        assert not isinstance(caught.value, TimeoutError)

    async def test_a_deadline_ends_a_wait(self, client: ClientLike, tasks: Tasks) -> None:
        with pytest.raises(ExecutionTimedOutError):
            await client.run(tasks.ask.options(deadline=0.05).call())

    async def test_ones_own_timeout_leaves_the_execution_alone(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.call())
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.02)
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=timedelta(milliseconds=20))
        await handle.signal("answer", "late but fine")
        assert await handle.result(timeout=60) == "late but fine"

    async def test_many_may_wait_for_one(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.call())
        waiting = [asyncio.ensure_future(client.handle(handle.id).result()) for _ in range(10)]
        await reached(handle, "waiting")
        await handle.signal("answer", "all")
        assert await asyncio.gather(*waiting) == ["all"] * 10

    async def test_a_wait_that_is_given_up_harms_nobody(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.call())
        given_up = asyncio.ensure_future(handle.result())
        stays = asyncio.ensure_future(handle.result())
        await reached(handle, "waiting")
        given_up.cancel()
        await handle.signal("answer", "here")
        assert await stays == "here"

    async def test_an_unknown_id(self, client: ClientLike) -> None:
        handle = client.handle(UNKNOWN)
        verbs = (
            handle.result(), handle.wait(), handle.status(), handle.execution(), handle.cancel(), handle.signal("x"),
            handle.retry(), handle.fork(), handle.activities(), handle.children(), anext(handle.watch()),
        )  # fmt: skip
        for verb in verbs:
            with pytest.raises(ExecutionNotFoundError, match=UNKNOWN):
                await verb


class ClientConformance(StartConformance, HandleConformance, AnswerConformance):
    """What every client must do."""


class OperatorConformance(ClientConformance, BulkConformance):
    """What a client with an operator's verbs must do."""
