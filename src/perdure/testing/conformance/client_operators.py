"""What operators ask of a client: counts, bulk verbs, statistics, workers. Part of the client suite."""

from __future__ import annotations

import pytest

from perdure.errors import InvalidQueryError
from perdure.testing.conformance.client_tasks import OperatorLike, Tasks, reached


class BulkConformance:
    """Many executions at once."""

    async def test_count(self, client: OperatorLike, tasks: Tasks) -> None:
        assert await client.count() == 0
        handles = await client.enqueue_many([tasks.add.call(number) for number in range(3)])
        for handle in handles:
            await handle.wait()
        await client.enqueue(tasks.add.options(start_delay=3600).call(9))
        assert await client.count() == 4
        assert await client.count("status:completed") == 3
        with pytest.raises(InvalidQueryError):
            await client.count("nonsense")

    async def test_cancel_all(self, client: OperatorLike, tasks: Tasks) -> None:
        handles = await client.enqueue_many([tasks.ask.call() for _ in range(5)])
        done = await client.enqueue(tasks.add.call(1))
        await done.result()
        for handle in handles:
            await reached(handle, "waiting")
        assert await client.cancel_all("task:ask", dry_run=True) == 5
        assert await client.count("status:waiting") == 5
        assert await client.cancel_all("task:ask,add", reason="all of you") == 5
        assert {(await handle.wait()).cancel_reason for handle in handles} == {"all of you"}
        assert await done.status() == "completed"

    async def test_retry_all(self, client: OperatorLike, tasks: Tasks) -> None:
        handles = await client.enqueue_many([tasks.break_once.call(number) for number in range(4)])
        for handle in handles:
            assert (await handle.wait()).status == "failed"
        tasks.broken = False
        assert await client.retry_all("task:break_once", dry_run=True) == 4
        assert await client.retry_all("task:break_once") == 4
        assert sorted([await handle.result() for handle in handles]) == [0, 2, 4, 6]
        assert await client.retry_all("task:break_once") == 0

    async def test_stats(self, client: OperatorLike, tasks: Tasks) -> None:
        done = await client.enqueue(tasks.add.call(1))
        await done.wait()
        await client.enqueue(tasks.ask.options(start_delay=3600, queue="slow").call())
        stats = await client.stats()
        assert (stats.counts["completed"], stats.counts["pending"]) == (1, 1)
        assert {(each.task_name, each.queue) for each in stats.tasks} == {("add", "default"), ("ask", "slow")}
        assert stats.unserved == ()

    async def test_workers(self, client: OperatorLike, tasks: Tasks) -> None:
        (worker,) = await client.workers()
        assert worker.alive
        assert not worker.draining
        assert set(worker.tasks) >= {task.name for task in tasks.all}
        assert worker.queues == ("default",)
