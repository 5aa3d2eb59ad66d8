"""What a handle does: reading, steering, watching; and searching pages of executions. Part of the client suite."""

from __future__ import annotations

from typing import Any, cast

import pytest

from perdure.engine.signal import Signal
from perdure.errors import (
    ConfigurationError,
    ExecutionCancelledError,
    ExecutionFailedError,
    InvalidQueryError,
    PayloadTooLargeError,
)
from perdure.testing.conformance.client_tasks import ClientLike, Tasks, reached


class HandleConformance:
    """One execution, seen and steered."""

    async def test_snapshots(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.options(tags={"a": "b"}).call("who"))
        waiting = await reached(handle, "waiting")
        assert (waiting.id, waiting.task_name, waiting.input) == (handle.id, "ask", {"name": "who"})
        assert (waiting.waiting_on, waiting.waits[0].name) == ("signal", "who")
        assert not waiting.settled
        await handle.signal("who", "me")
        settled = await handle.wait()
        assert (settled.status, settled.result, settled.failure) == ("completed", "me", None)
        assert settled.settled
        assert settled.finished_at is not None
        assert settled.started_at is not None
        assert settled.created_at <= settled.started_at <= settled.finished_at
        assert await handle.status() == "completed"
        assert await handle.execution() == settled

    async def test_wait_does_not_raise_for_a_failure(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.break_down.call("no"))
        execution = await handle.wait()
        assert execution.status == "failed"
        assert execution.failure is not None
        assert execution.failure.message == "no"

    async def test_signals_queue_up_in_order(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.options(start_delay=0.03).call())
        await handle.signal(Signal("answer", str), "first")
        await handle.signal("answer", "second")
        assert await handle.result() == "first"

    async def test_a_signal_has_a_size(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.call())
        with pytest.raises(PayloadTooLargeError):
            await handle.signal("answer", "x" * 2000)
        await handle.signal("answer", "small")
        assert await handle.result() == "small"

    async def test_cancel_what_waits(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.ask.call())
        await reached(handle, "waiting")
        await handle.cancel("no longer needed")
        with pytest.raises(ExecutionCancelledError, match="no longer needed"):
            await handle.result()
        execution = await handle.execution()
        assert (execution.status, execution.cancel_reason) == ("cancelled", "no longer needed")

    async def test_cancel_what_runs(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.hang.call())
        await reached(handle, "running")
        await handle.cancel("stop")
        assert (await handle.wait()).status == "cancelled"

    async def test_cancel_what_is_not_begun(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.add.options(start_delay=3600).call(1))
        await handle.cancel()
        assert (await handle.wait()).status == "cancelled"

    async def test_cancel_of_what_is_settled_changes_nothing(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.add.call(1))
        assert await handle.result() == 2
        await handle.cancel("too late")
        assert await handle.result() == 2

    async def test_retry_keeps_what_is_recorded(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.break_once.call(4))
        with pytest.raises(ExecutionFailedError):
            await handle.result()
        tasks.broken = False
        await handle.retry()
        assert await handle.result() == 8
        assert tasks.ran == ["double 4"]
        assert (await handle.execution()).generation == 1

    async def test_only_what_did_not_complete_is_retried(self, client: ClientLike, tasks: Tasks) -> None:
        done, waiting = await client.enqueue(tasks.add.call(1)), await client.enqueue(tasks.ask.call())
        await done.result()
        await reached(waiting, "waiting")
        for handle in (done, waiting):
            with pytest.raises(ConfigurationError):
                await handle.retry()

    async def test_a_fork_starts_afresh(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.steps.call([1, 2]))
        await handle.result()
        fork = await handle.fork()
        assert fork.id != handle.id
        assert await fork.result() == [2, 4]
        assert tasks.ran == ["double 1", "double 2"] * 2

    async def test_a_fork_goes_on_from_an_entry(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.steps.call([1, 2, 3]))
        await handle.result()
        key = (await handle.activities())[1].key
        fork = await handle.fork(from_activity=key, input={"numbers": [1, 5]})
        assert await fork.result() == [2, 10]
        assert tasks.ran[3:] == ["double 5"]
        with pytest.raises(ConfigurationError, match="nowhere"):
            await handle.fork(from_activity="nowhere")

    async def test_activities_are_listed_in_order(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.steps.call([1, 2]))
        await handle.result()
        entries = await handle.activities()
        assert [(entry.kind, entry.name, entry.outcome, entry.value) for entry in entries] == [
            ("activity", "double", "recorded", 2),
            ("activity", "double", "recorded", 4),
        ]

    async def test_children_are_listed(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.family.call([1, 2, 3]))
        assert await handle.result() == 9
        children = await handle.children()
        assert sorted(cast("int", child.result) for child in children) == [2, 3, 4]
        assert {(child.parent, child.root, child.depth) for child in children} == {(handle.id, handle.id, 1)}
        execution = await handle.execution()
        assert (execution.children_total, execution.children_settled) == (3, 3)
        assert execution.progress is not None
        assert (execution.progress.done, execution.progress.text) == (1, "half")

    async def test_watching(self, client: ClientLike, tasks: Tasks) -> None:
        handle = await client.enqueue(tasks.steps.call([1, 2]))
        events = [event async for event in handle.watch()]
        assert events[-1].execution.status == "completed"
        assert [entry.value for event in events for entry in event.entries] == [2, 4]
        assert len([event async for event in handle.watch()]) == 1

    # -- searching ----------------------------------------------------------------------------------------------------

    async def test_search_by_terms(self, client: ClientLike, tasks: Tasks) -> None:
        good = await client.enqueue(tasks.add.options(tags={"team": "a"}).call(1))
        bad = await client.enqueue(tasks.break_down.call("an odd failure"))
        open_one = await client.enqueue(tasks.ask.call())
        await good.wait()
        await bad.wait()
        await reached(open_one, "waiting")
        expected = {
            "": {good.id, bad.id, open_one.id}, "status:completed": {good.id}, "status:failed,waiting": {bad.id, open_one.id},
            "task:add": {good.id}, "-task:add": {bad.id, open_one.id}, "tag:team=a": {good.id}, 'error:"odd failure"': {bad.id},
            "waiting:signal": {open_one.id}, f"id:{bad.id}": {bad.id}, "since:1h task:ask": {open_one.id}, "task:nothing": set[str](),
        }  # fmt: skip
        found = {query: {each.id for each in await client.search(query)} for query in expected}
        assert found == expected

    async def test_search_in_pages(self, client: ClientLike, tasks: Tasks) -> None:
        handles = await client.enqueue_many([tasks.add.options(start_delay=3600).call(number) for number in range(7)])
        for order in ("oldest", "newest"):
            seen: list[str] = []
            after: str | None = None
            for size in (3, 3, 1):
                page = await client.search("task:add", cast("Any", order), limit=3, after=after)
                assert len(page) == size
                seen += [each.id for each in page]
                after = page.after
            assert after is None
            assert len(set(seen)) == 7
            assert set(seen) == {handle.id for handle in handles}

    @pytest.mark.parametrize("query", ["status:odd", "nonsense", "color:red", "since:yesterday"])
    async def test_a_bad_query_says_where(self, client: ClientLike, query: str) -> None:
        with pytest.raises(InvalidQueryError) as caught:
            await client.search(f"task:add {query}")
        assert caught.value.position >= len("task:add ")

    async def test_bad_paging_is_refused(self, client: ClientLike) -> None:
        for wrong in ({"limit": 0}, {"limit": 10_001}, {"after": "no cursor"}, {"order": "odd"}):
            with pytest.raises(InvalidQueryError):
                await client.search("", **cast("Any", wrong))
