"""Telemetry: one trace from a request over a retry to a child, drawn as a tree; and metrics for Prometheus.

pip install 'perdure[otel,prometheus]' opentelemetry-sdk
python examples/observed.py
"""

import asyncio

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure import Context, Perdure, Retry
from perdure.otel import OpenTelemetry
from perdure.prometheus import Prometheus

exporter = InMemorySpanExporter()  # yours sends spans somewhere
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
metrics = Prometheus()
app = Perdure(telemetry=[OpenTelemetry(provider), metrics])


@app.activity
async def charge(cents: int) -> str:
    return f"receipt for {cents}"


@app.task
async def ship(article: str) -> str:
    return f"parcel with a {article}"


@app.task(retries=Retry(1, delay=0.01))
async def order(ctx: Context, article: str) -> str:
    await charge(2450)  # recorded: the second attempt does not charge, and shows no span for it
    if ctx.attempt == 0:
        raise OSError("no paper in the printer")
    return await ship(article)


def draw(spans: list[ReadableSpan], below: int | None = None, depth: int = 0) -> None:
    for span in spans:
        if (span.parent.span_id if span.parent else None) == below and span.context:
            outcome = (span.attributes or {}).get("durable.attempt.outcome", "")
            print("  " * depth + span.name, outcome)
            draw(spans, span.context.span_id, depth + 1)


async def main() -> None:
    async with app:
        with provider.get_tracer("shop").start_as_current_span("POST /orders"):
            handle = await order.enqueue("teapot")
        print(await handle.result())
    draw(sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0))
    labels = {"task": "order", "queue": "default", "status": "completed"}
    print("orders completed:", metrics.registry.get_sample_value("perdure_executions_settled_total", labels))


if __name__ == "__main__":
    asyncio.run(main())
