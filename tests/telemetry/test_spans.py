"""Spans: one trace from the enqueue over crashes and retries to the children, nothing told twice by a replay."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta
from typing import Any, cast

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from perdure import Abort, BlockingContext, ConfigurationError, Context, Continue, Done, Perdure, Retry, Spawn
from perdure.engine.telling import part
from perdure.engine.verbs import Verbs
from perdure.errors import ActivityFailedError, ExecutionFailedError
from perdure.model.records import NewExecution
from perdure.otel import OpenTelemetry
from perdure.telemetry import Kind, Telemetry
from perdure.testing import TestApp
from tests.telemetry.conftest import Seen, facts_of, id_of, parent_of, trace_of

REPLAY = pytest.mark.parametrize("always_replay", [False, True])


def outcomes(spans: list[ReadableSpan]) -> list[str]:
    return [facts_of(span)["durable.attempt.outcome"] for span in spans]


def five() -> int:
    return 5


async def trace_column(t: TestApp, execution_id: str) -> str | None:
    return (await t.app.client.row(execution_id)).trace


async def test_one_trace_over_enqueue_crash_resume_and_children(seen: Seen) -> None:
    app, crashes = seen.app(), 0

    @app.activity
    async def act(number: int) -> int:
        return number

    @app.task
    async def below(number: int) -> int:
        return await act(number)

    @app.task
    async def above(ctx: Context) -> int:
        nonlocal crashes
        first = await act(1)
        await ctx.sleep(60)
        if crashes == 0:
            crashes += 1
            await t.crash()
        return first + await below(2)

    async with TestApp(app, always_replay=True) as t:
        with seen.tracers.get_tracer("mine").start_as_current_span("request") as request:
            handle = await above.enqueue()
        assert await handle.result() == 3
        assert t.crashes == 1
    assert {trace_of(span) for span in seen.spans} == {request.get_span_context().trace_id}
    enqueue, child = seen.one("enqueue above"), seen.one("child below")
    passes = seen.named("run above")
    assert parent_of(enqueue) == request.get_span_context().span_id
    assert {parent_of(span) for span in passes} == {id_of(enqueue)}
    assert outcomes(passes) == ["suspended", "lost", "suspended", "completed"]
    assert parent_of(child) == id_of(passes[2])
    assert parent_of(seen.one("run below")) == id_of(child)
    assert [parent_of(span) for span in seen.named("activity act")] == [id_of(passes[0]), id_of(seen.one("run below"))]
    assert (enqueue.kind, child.kind) == (SpanKind.PRODUCER, SpanKind.PRODUCER)
    assert {span.kind for span in passes} == {SpanKind.CONSUMER}
    assert {span.kind for span in seen.named("activity act")} == {SpanKind.INTERNAL}


async def test_what_spans_say(seen: Seen) -> None:
    app = seen.app()

    @app.task(queue="default")
    async def task(secret: str) -> str:
        return secret

    async with TestApp(app):
        handle = await task.enqueue("hunter2")
        await handle.result()
    assert facts_of(seen.one("enqueue task")) == {
        "durable.execution.id": handle.id, "durable.execution.name": "task", "durable.operation.type": "enqueue",
        "messaging.system": "perdure", "messaging.operation.type": "send", "messaging.destination.name": "default",
    }  # fmt: skip
    assert facts_of(seen.one("run task")) == {
        "durable.execution.id": handle.id, "durable.execution.name": "task", "durable.execution.status": "completed",
        "durable.operation.type": "run", "durable.attempt.number": 0, "durable.attempt.outcome": "completed",
        "messaging.system": "perdure", "messaging.operation.type": "process", "messaging.destination.name": "default",
        "perdure.root.id": handle.id, "perdure.generation": 0, "perdure.token": 1,
    }  # fmt: skip
    assert not re.search("hunter2", "".join(span.to_json() for span in seen.spans))


async def test_retries_are_siblings(seen: Seen) -> None:
    app, tries = seen.app(), 0

    @app.task(retries=Retry(2, delay=10, jitter=False))
    async def task() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("not yet")

    async with TestApp(app):
        await task.run()
    passes = seen.named("run task")
    assert outcomes(passes) == ["retried", "retried", "completed"]
    assert [facts_of(span)["durable.attempt.number"] for span in passes] == [0, 1, 2]
    assert {parent_of(span) for span in passes} == {id_of(seen.one("enqueue task"))}
    assert [span.status.status_code for span in passes] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert passes[0].status.description == "ValueError: not yet"
    assert facts_of(passes[0])["error.type"] == "ValueError"
    whole = seen.one("execution task")
    assert whole.start_time is not None
    assert whole.end_time is not None
    assert whole.end_time - whole.start_time == 30 * 10**9
    assert facts_of(whole)["durable.execution.status"] == "completed"


async def test_tries_of_an_activity_are_siblings(seen: Seen) -> None:
    app, tries = seen.app(), 0

    @app.activity(retries=Retry(1, delay=1))
    async def act() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("busy")

    @app.task
    async def task() -> None:
        await act()

    async with TestApp(app):
        await task.run()
    first, second = seen.named("activity act")
    assert parent_of(first) == parent_of(second) == id_of(seen.one("run task"))
    assert outcomes([first, second]) == ["failed", "completed"]
    assert facts_of(first)["error.type"] == "OSError"
    assert seen.values("perdure.activity.retries") == {("act",): 1}


async def test_a_replay_tells_nothing_twice(seen: Seen) -> None:
    app, bodies = seen.app(), 0

    @app.activity
    async def act(number: int) -> int:
        if number == 9:
            raise ValueError("bad")
        return number

    @app.task
    async def below() -> None: ...

    @app.task
    async def beside() -> None: ...

    @app.task
    async def above(ctx: Context) -> None:
        nonlocal bodies
        bodies += 1
        await act(1)
        with pytest.raises((ValueError, ActivityFailedError)):
            await act(9)
        await ctx.record(five, key="mine")
        await beside.enqueue()
        child = await ctx.spawn(below.call())
        for _ in range(3):
            await ctx.sleep(10)
        await child.result()

    async with TestApp(app, always_replay=True):
        await above.run()
    assert bodies == 4
    counts = {span.name: len(seen.named(span.name)) for span in seen.spans}
    assert counts == {
        "enqueue above": 1, "run above": 4, "execution above": 1, "activity act": 2, "activity five": 1,
        "enqueue beside": 1, "run beside": 1, "child below": 1, "run below": 1,
    }  # fmt: skip
    assert parent_of(seen.one("enqueue beside")) == id_of(seen.named("run above")[0])


async def test_a_body_in_memory_goes_on_in_its_span(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def above(ctx: Context) -> None:
        await ctx.wait_for("go")

    async with TestApp(app, always_replay=False) as t:
        handle = await above.enqueue()
        await t.idle()
        await handle.signal("go")
        await handle.result()
    only = seen.one("run above")
    assert [event.name for event in only.events] == ["resumed"]
    assert outcomes([only]) == ["completed"]


async def test_a_linked_trace_after_a_day(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def below() -> None: ...

    @app.task
    async def above(ctx: Context) -> None:
        await ctx.sleep(timedelta(hours=23))
        await ctx.sleep(timedelta(hours=2))
        await below()

    async with TestApp(app, always_replay=True):
        await above.run()
    enqueue, passes = seen.one("enqueue above"), seen.named("run above")
    assert [trace_of(span) == trace_of(enqueue) for span in passes[:3]] == [True, True, False]
    late = passes[2]
    assert late.parent is None
    assert [link.context.span_id for link in late.links] == [id_of(enqueue)]
    assert trace_of(seen.one("run below")) == trace_of(seen.one("child below")) == trace_of(late)
    assert trace_of(seen.one("execution above")) == trace_of(enqueue)
    assert not passes[1].links


@pytest.mark.parametrize(("link_after", "linked"), [(None, False), (60, True), (timedelta(days=3), False)])
async def test_when_traces_are_linked_is_an_option(seen: Seen, link_after: Any, linked: bool) -> None:
    app = seen.app(link_after=link_after)

    @app.task
    async def task(ctx: Context) -> None:
        await ctx.sleep(timedelta(days=2))

    async with TestApp(app, always_replay=True):
        await task.run()
    assert bool(seen.named("run task")[1].links) is linked


@pytest.mark.parametrize("wrong", ["soon", -1, float("nan")])
def test_a_wrong_link_after(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="link_after"):
        Seen().bridge(link_after=wrong)


@pytest.mark.parametrize("wrong", ["x", 5, Seen()], ids=lambda value: type(value).__name__)
def test_wrong_providers(wrong: Any) -> None:
    for name in ("tracer_provider", "meter_provider"):
        with pytest.raises(ConfigurationError, match=f"{name} is .*OpenTelemetry"):
            OpenTelemetry(**{name: wrong})


async def test_parts_of_a_body(seen: Seen) -> None:
    app = seen.app()

    @app.activity
    async def act(number: int) -> None: ...

    async def look(ctx: Context) -> Continue | Done[int]:
        await act(ctx.iteration)
        return Continue() if ctx.iteration < 2 else Done(5)

    loop = app.loop("look", look)

    @app.task
    async def item(ctx: Context) -> None:
        await ctx.sleep(5)
        await act(7)

    async with TestApp(app, always_replay=True):
        await loop.run()
        await (await app.enqueue_list("l", [item.call()])).result()
    rounds = seen.named("iteration look")
    assert [facts_of(span)["perdure.number"] for span in rounds] == [0, 1, 2]
    assert [parent_of(span) for span in seen.named("activity act")][:3] == [id_of(span) for span in rounds]
    first, second = seen.named("item item")
    assert outcomes([first, second]) == ["suspended", "completed"]
    assert parent_of(seen.named("activity act")[3]) == id_of(second)


@pytest.mark.parametrize(("kind", "of_kind"), [("state", SpanKind.INTERNAL), ("remote", SpanKind.CLIENT)])
async def test_parts_for_styles_to_come(seen: Seen, kind: Kind, of_kind: SpanKind) -> None:
    app = seen.app()

    @app.activity
    async def act() -> None: ...

    @app.task
    async def task(ctx: Context) -> None:
        verbs = cast("Verbs", ctx._verbs)
        with part(verbs, kind, "paid"):
            await act()
        with pytest.raises(ZeroDivisionError), part(verbs, kind, "fails", 7):
            raise ZeroDivisionError

    async with TestApp(app):
        await task.run()
    good, bad = seen.one(f"{kind} paid"), seen.one(f"{kind} fails")
    assert (good.kind, parent_of(good)) == (of_kind, id_of(seen.one("run task")))
    assert parent_of(seen.one("activity act")) == id_of(good)
    assert outcomes([good, bad]) == ["completed", "failed"]
    assert facts_of(bad)["perdure.number"] == 7


async def test_trees_and_lists_elsewhere(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def leaf(number: int) -> int:
        return number

    @app.parent_task
    async def tree(count: int) -> Spawn[None]:
        return Spawn(None, [leaf.call(number) for number in range(count)])

    @app.task
    async def mapped(ctx: Context) -> None:
        await ctx.map(leaf, range(2))

    async with TestApp(app):
        await tree.run(3)
        await mapped.run()
    children = seen.named("child leaf")
    assert len(children) == 5
    assert sorted(map(str, map(parent_of, seen.named("run leaf")))) == sorted(str(id_of(span)) for span in children)
    assert {parent_of(span) for span in children[:3]} == {id_of(seen.named("run tree")[0])}


async def test_many_at_once_are_one_span(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task(number: int) -> None: ...

    async with TestApp(app):
        handles = await app.enqueue_many([task.call(number) for number in range(5)])
        for handle in handles:
            await handle.result()
    enqueue = seen.one("enqueue task")
    assert facts_of(enqueue)["messaging.batch.message_count"] == 5
    assert {parent_of(span) for span in seen.named("run task")} == {id_of(enqueue)}


async def test_def_bodies_and_activities_carry_the_span_into_their_threads(seen: Seen) -> None:
    app = seen.app()
    found: list[int] = []

    @app.activity
    def act() -> None:
        found.append(trace.get_current_span().get_span_context().span_id)

    @app.task
    def task(ctx: BlockingContext) -> None:
        found.append(trace.get_current_span().get_span_context().span_id)
        act()

    async with TestApp(app):
        await task.run()
    assert found == [id_of(seen.one("run task")), id_of(seen.one("activity act"))]
    assert parent_of(seen.one("activity act")) == found[0]


async def test_own_spans_belong_to_what_runs(seen: Seen) -> None:
    app, tracer = seen.app(), seen.tracers.get_tracer("mine")

    @app.activity
    async def act() -> None:
        with tracer.start_as_current_span("query"):
            await asyncio.sleep(0)

    @app.task
    async def task() -> None:
        with tracer.start_as_current_span("prepare"):
            await asyncio.gather(act(), act.options(key="again")())

    async with TestApp(app):
        await task.run()
    assert parent_of(seen.one("prepare")) == id_of(seen.one("run task"))
    assert {parent_of(span) for span in seen.named("activity act")} == {id_of(seen.one("prepare"))}
    assert {parent_of(span) for span in seen.named("query")} == set(map(id_of, seen.named("activity act")))


async def test_how_passes_end(seen: Seen) -> None:
    app = seen.app()

    @app.task(retries=0)
    async def fails() -> None:
        raise ValueError("no")

    @app.task(retries=0, timeout=5)
    async def slow() -> None:
        await asyncio.Event().wait()

    @app.task
    async def aborts() -> None:
        raise Abort("enough")

    @app.task
    async def waits(ctx: Context) -> None:
        await ctx.wait_for("never")

    async with TestApp(app, patience=0.05) as t:
        for task in (fails, aborts):
            with pytest.raises(ExecutionFailedError):
                await task.run()
        handle = await slow.enqueue()
        await t.advance(6)
        assert await handle.wait()
        handle = await waits.enqueue()
        await t.idle()
        await handle.cancel()
        await handle.wait()
    assert outcomes(seen.named("run fails")) == ["failed"]
    assert outcomes(seen.named("run aborts")) == ["failed"]
    assert outcomes(seen.named("run slow")) == ["timed_out"]
    assert seen.one("run slow").status.status_code is StatusCode.ERROR
    assert outcomes(seen.named("run waits")) in (["suspended"], ["cancelled"])
    assert seen.one("run waits").status.status_code is StatusCode.UNSET


async def test_an_enqueue_that_is_refused_by_the_storage(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task() -> None: ...

    async with TestApp(app) as t:
        t.faults.fail("enqueue", error=ValueError("this cannot be stored"), times=2)
        with pytest.raises(ValueError, match="cannot be stored"):
            await task.enqueue()
    assert seen.one("enqueue task").status.status_code is StatusCode.ERROR
    assert seen.values("perdure.storage.errors") == {("enqueue",): 2}
    assert seen.values("perdure.executions.enqueued") == {}


def test_a_synchronous_program(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task() -> int:
        return 5

    with app as client, seen.tracers.get_tracer("mine").start_as_current_span("request") as request:
        assert client.run(task.call()) == 5
    assert parent_of(seen.one("enqueue task")) == request.get_span_context().span_id


# --- what is stored


async def test_the_row_keeps_the_place_and_no_baggage(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task() -> None: ...

    async with TestApp(app) as t:
        token = context.attach(baggage.set_baggage("customer", "secret"))
        try:
            handle = await task.enqueue()
        finally:
            context.detach(token)
        kept = await trace_column(t, handle.id)
    enqueue = seen.one("enqueue task")
    assert kept is not None
    assert re.fullmatch(f"00-{trace_of(enqueue):032x}-{id_of(enqueue):016x}-0[13]", kept)


async def test_a_fork_belongs_to_whoever_forked(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task() -> None: ...

    async with TestApp(app) as t:
        handle = await task.enqueue()
        await handle.result()
        forked = await handle.fork()
        await forked.result()
        kept = {await trace_column(t, each) for each in (handle.id, forked.id)}
    assert len(kept) == 2
    assert len({trace_of(span) for span in seen.named("run task")}) == 2


@pytest.mark.parametrize(
    "kept", ["", " ", "rubbish", "00-0-0-00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000, "00-é a=b"]
)
async def test_a_place_that_cannot_be_read_begins_a_trace(seen: Seen, kept: str) -> None:
    app = seen.app()

    @app.task
    async def task() -> int:
        return 5

    async with TestApp(app) as t:
        t.faults.enqueue([NewExecution("e", "task", "{}", trace=kept)], t.clock.now())
        assert await app.handle("e").result() == 5
    assert seen.one("run task").parent is None


PLACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def handed_on(app: Perdure, place: str) -> str | None:
    """What a child keeps of the place in which its parent was enqueued."""

    @app.task
    async def below() -> None: ...

    @app.task
    async def above() -> None:
        await below()

    async with TestApp(app) as t:
        t.faults.enqueue([NewExecution("e", "above", "{}", trace=place)], t.clock.now())
        await app.handle("e").result()
        (child,) = await app.handle("e").children()
        return await trace_column(t, child.id)


async def test_who_does_not_listen_hands_the_place_on(seen: Seen) -> None:
    assert await handed_on(Perdure("memory://", telemetry=False), PLACE) == PLACE
    assert seen.spans == []


async def test_a_state_that_is_too_long_stays_behind(seen: Seen) -> None:
    state = ",".join(f"vendor{number}={'x' * 200}" for number in range(5))
    kept = await handed_on(seen.app(), f"{PLACE} {state}")
    assert kept is not None
    assert len(kept) == 55


async def test_the_state_of_a_trace_travels(seen: Seen) -> None:
    kept = await handed_on(seen.app(), f"{PLACE} vendor=x1,other=y2")
    assert kept is not None
    assert kept.endswith(" vendor=x1,other=y2")
    assert trace_of(seen.one("run below")) == 0x0AF7651916CD43DD8448EB211C80319C


# --- listeners that fail


class Broken(Telemetry):
    """Raises whatever it is told."""

    def span(self, *given: object) -> Any:
        raise RuntimeError("span")

    def count(self, *given: object) -> None:
        raise RuntimeError("count")

    def measure(self, *given: object) -> None:
        raise RuntimeError("measure")

    def level(self, *given: object) -> None:
        raise RuntimeError("level")


class BrokenSpans(SpanProcessor):
    """Raises at the beginning or the end of every span."""

    def __init__(self, when: str) -> None:
        self.when = when

    def on_start(self, span: Span, parent_context: object = None) -> None:
        if self.when == "start":
            raise RuntimeError("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        if self.when == "end":
            raise RuntimeError("on_end")


def broken(kind: str, seen: Seen) -> Telemetry:
    if kind == "listener":
        return Broken()
    seen.tracers.add_span_processor(BrokenSpans(kind))
    return seen.bridge()


@REPLAY
@pytest.mark.parametrize("kind", ["listener", "start", "end"])
async def test_a_listener_that_raises_harms_nobody(
    seen: Seen, kind: str, always_replay: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app, other = Perdure("memory://", telemetry=[broken(kind, seen), Seen().bridge()]), []

    @app.activity(retries=Retry(1, delay=1))
    async def act(number: int) -> int:
        if not other:
            other.append(number)
            raise OSError("once")
        return number

    @app.task
    async def below(number: int) -> int:
        return await act(number)

    @app.task(retries=Retry(1, delay=1))
    async def above(ctx: Context) -> int:
        await ctx.sleep(5)
        return await below(4)

    with caplog.at_level(logging.WARNING):
        async with TestApp(app, always_replay=always_replay):
            assert await above.run() == 4
    told = [record for record in caplog.records if "telemetry failed" in record.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info is not None
