"""Completing external tasks by name and key. Part of the client suite."""

from __future__ import annotations

from typing import Any, cast

import pytest

from perdure.errors import ExecutionFailedError, InvalidInputError, PayloadTooLargeError, TaskNotFoundError
from perdure.testing.conformance.client_tasks import ClientLike, Point, Tasks, reached


class AnswerConformance:
    """External tasks, answered by a client."""

    async def test_an_external_task_is_completed_by_key(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.decide.call("k"))
        waiting = await reached(handle, "waiting")
        assert (waiting.waiting_on, waiting.waits[0].name, waiting.input) == ("external", "k", {"key": "k"})
        answer = await client.complete("decide", "k", Point(1, 2))
        assert (answer.task_name, answer.key, answer.value, answer.failure) == ("decide", "k", Point(1, 2), None)
        assert answer.first
        assert await handle.result() == Point(1, 2)

    async def test_an_answer_is_kept_until_it_is_asked_for(self, client: ClientLike, tasks: Tasks) -> None:
        await client.complete("decide", "early", {"x": 3})
        assert await client.run(tasks.decide.call("early")) == Point(3)

    async def test_the_first_answer_stands(self, client: ClientLike, tasks: Tasks) -> None:
        first = await client.fail("decide", "no", "because")
        again = await client.complete("decide", "no", Point(1))
        assert (first.first, again.first) == (True, False)
        assert again.completed_at == first.completed_at
        for answer in (first, again):
            assert answer.value is None
            assert answer.failure is not None
            assert answer.failure.message == "because"
        with pytest.raises(ExecutionFailedError, match="because"):
            await client.run(tasks.decide.call("no"))

    async def test_what_completes_nothing(self, client: ClientLike, tasks: Tasks) -> None:
        with pytest.raises(TaskNotFoundError):
            await client.complete("decides", "k", Point(1))
        with pytest.raises(InvalidInputError, match="add"):
            await client.complete(tasks.add.name, "k", Point(1))
        with pytest.raises(InvalidInputError, match="decide"):
            await client.complete("decide", "k", "north")
        with pytest.raises(InvalidInputError, match="key"):
            await client.complete("decide", "", Point(1))
        with pytest.raises(InvalidInputError, match="key"):
            await client.enqueue(cast("Any", tasks.decide).call(10))
        assert (await client.complete("decide", "k", Point(1))).first

    async def test_an_answer_has_a_size(self, client: ClientLike) -> None:
        with pytest.raises(PayloadTooLargeError):
            await client.complete("note", "k", "x" * 20_000)
        assert (await client.complete("note", "k", "short")).first
