"""Metrics: what is counted and measured, with which buckets, for OpenTelemetry and for Prometheus alike."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from perdure import ConfigurationError, Context, ExecutionFailedError, Perdure, Retry
from perdure.model.records import NewExecution
from perdure.prometheus import Prometheus, shown
from perdure.telemetry import METRICS
from perdure.testing import TestApp
from tests.telemetry.conftest import Seen


def run_of(app: Perdure) -> None:
    """Declares what the tests run."""

    @app.activity
    async def act(number: int) -> int:
        return number

    @app.task(retries=Retry(1, delay=20, jitter=False))
    async def task(ctx: Context, fails: int) -> None:
        await act(1)
        if ctx.attempt < fails:
            raise ValueError("no")
        await ctx.sleep(40)


async def worked(app: Perdure) -> None:
    """Runs one that completes after a retry and one that fails."""
    task = app.find_task("task")
    async with TestApp(app) as t:
        await task.run(1)
        with pytest.raises(ExecutionFailedError):
            await task.run(2)
        await task.options(start_delay=1000).enqueue(0)
        t.faults.enqueue([NewExecution("strange", "unknown", "{}", queue="far")], t.clock.now())
        await t.advance(100)


async def test_what_is_counted(seen: Seen) -> None:
    app = seen.app()
    run_of(app)
    await worked(app)
    assert seen.values("perdure.executions.enqueued") == {("default", "task"): 3}
    assert seen.values("perdure.executions.started") == {("default", "task"): 2}
    assert seen.values("perdure.executions.retried") == {("default", "task"): 2}
    assert seen.values("perdure.executions.settled") == {
        ("default", "completed", "task"): 1,
        ("default", "failed", "task"): 1,
    }
    assert seen.values("perdure.worker.slots.total") == {(): 100}
    assert seen.values("perdure.worker.slots.used") == {(): 0}
    assert seen.values("perdure.workers.alive") == {(): 1}
    assert seen.values("perdure.tasks.unserved") == {(): 1}
    depths = seen.values("perdure.queue.depth")
    assert (depths["default", "pending"], depths["far", "pending"]) == (1, 1)
    ages = seen.values("perdure.queue.oldest.age")
    assert ages["default",] == 0
    assert 80 <= ages["far",] <= 100


async def test_what_is_measured(seen: Seen) -> None:
    app = seen.app()
    run_of(app)
    await worked(app)
    lives = seen.points("perdure.execution.duration")
    assert lives["default", "completed", "task"].sum == pytest.approx(60)
    assert lives["default", "failed", "task"].sum == pytest.approx(20)
    acts = seen.points("perdure.activity.duration")
    assert acts["act", "completed"].count == 2
    delays = seen.points("perdure.queue.delay")["default", "task"]
    assert delays.count == 5
    passes = seen.points("perdure.pass.duration")
    assert {labels: point.count for labels, point in passes.items()} == {
        ("retried", "default", "task"): 2, ("suspended", "default", "task"): 1,
        ("completed", "default", "task"): 1, ("failed", "default", "task"): 1,
    }  # fmt: skip
    operations = {labels[0] for labels in seen.points("perdure.storage.operation.duration")}
    assert {"transaction", "enqueue", "commit", "claim", "heartbeat", "journal", "stats", "workers"} <= operations
    assert seen.points("perdure.loop.lag")[()].count >= 5


async def test_buckets_fit(seen: Seen) -> None:
    app = seen.app()
    run_of(app)
    await worked(app)
    for metric in METRICS:
        if metric.kind == "histogram":
            for point in seen.points(metric.name).values():
                assert point.explicit_bounds == metric.buckets


def test_the_table_of_metrics() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"perdure(\.[a-z]+)+", metric.name)
        assert not {"id", "execution_id", "worker", "key", "parent"} & set(metric.labels)
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert (metric.unit == "s") == (metric.kind == "histogram" or metric.name.endswith(".age"))


async def test_a_queue_that_is_empty_again_reads_zero(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task() -> None: ...

    async with TestApp(app) as t:
        handle = await task.options(start_delay=50, queue="default").enqueue()
        await t.advance(20)
        assert seen.values("perdure.queue.depth")["default", "pending"] == 1
        await t.advance(100)
        assert (await handle.execution()).status == "completed"
        assert seen.values("perdure.queue.depth")["default", "pending"] == 0


async def test_a_lost_lease_is_counted(seen: Seen) -> None:
    app = seen.app()

    @app.task
    async def task(ctx: Context) -> None:
        if t.crashes == 0:
            await t.crash()

    async with TestApp(app) as t:
        await task.run()
    assert seen.values("perdure.lease.lost") == {("task",): 1}
    assert seen.values("perdure.executions.reclaimed") == {("released",): 1}


async def test_errors_of_the_storage_are_counted_once(seen: Seen) -> None:
    app = seen.app()

    async with TestApp(app) as t:
        await t.advance(20)
        t.faults.fail("reclaim", error=ValueError("no"), times=2)  # a batch that fails is tried item by item
        await t.advance(20)
        t.faults.fail("transaction", "after")
        await t.advance(20)
    assert seen.values("perdure.storage.errors") == {("reclaim",): 2, ("transaction",): 1}


# --- Prometheus


async def test_what_prometheus_reads() -> None:
    metrics = Prometheus()
    app = Perdure("memory://", telemetry=metrics)
    run_of(app)
    await worked(app)
    text = prometheus_client.generate_latest(metrics.registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name for name in families if not name.endswith("_created")} == {shown(metric) for metric in METRICS}
    settled = {
        (sample.labels["task"], sample.labels["status"]): sample.value
        for sample in families["perdure_executions_settled"].samples
        if sample.name.endswith("_total")
    }
    assert settled == {("task", "completed"): 1, ("task", "failed"): 1}
    life = families["perdure_execution_duration_seconds"]
    counts = {
        sample.labels["le"]: sample.value
        for sample in life.samples
        if sample.name.endswith("_bucket") and sample.labels["status"] == "completed"
    }
    assert (counts["15.0"], counts["300.0"], counts["+Inf"]) == (0, 1, 1)


async def test_prometheus_beside_opentelemetry(seen: Seen) -> None:
    metrics = Prometheus()
    app = Perdure("memory://", telemetry=[seen.bridge(), metrics])
    run_of(app)
    await worked(app)
    read = metrics.registry.get_sample_value("perdure_executions_enqueued_total", {"task": "task", "queue": "default"})
    assert read == seen.values("perdure.executions.enqueued")["default", "task"] == 3


def test_it_is_served() -> None:
    metrics = Prometheus()
    served = metrics.serve(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/metrics", timeout=10) as answer:
            assert "# TYPE perdure_worker_slots_total gauge" in answer.read().decode()
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{served.port}.*name another port"):
            metrics.serve(served.port)
    finally:
        served.close()
    metrics.serve(served.port).close()


@pytest.mark.parametrize(("port", "host"), [(70_000, "127.0.0.1"), (-1, "127.0.0.1"), (0, "no.such.host.invalid")])
def test_where_nothing_can_be_served(port: int, host: str) -> None:
    with pytest.raises(ConfigurationError, match="metrics cannot be served"):
        Prometheus().serve(port, host)


@pytest.mark.parametrize("wrong", ["x", 9464, object()])
def test_a_wrong_registry(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="registry is .*CollectorRegistry"):
        Prometheus(wrong)


def test_a_registry_that_has_them_already() -> None:
    registry = CollectorRegistry()
    assert Prometheus(registry).registry is registry
    with pytest.raises(ConfigurationError, match="one Prometheus"):
        Prometheus(registry)
