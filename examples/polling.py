"""A loop: asks a slow service until a report is ready, with growing pauses that hold no slot.

python examples/polling.py
"""

import asyncio

from perdure import Context, Continue, Done, Perdure

app = Perdure()
asked = 0


@app.activity(retries=3)
async def state_of(report: str) -> str:
    global asked
    asked += 1
    return "ready" if asked >= 4 else "busy"


async def look(ctx: Context, report: str) -> Continue | Done[str]:
    """One iteration: safe by itself, with its own attempts."""
    state = await state_of(report)
    ctx.logger.info("look %d: %s", ctx.iteration, state)
    return Done(f"{report}.pdf") if state == "ready" else Continue()


fetch_report = app.loop("fetch_report", look, delay=lambda iteration: 0.02 * 2**iteration, max_iterations=20)


async def main() -> None:
    async with app:
        result = await fetch_report.run("march")
        print(result.value, "after", result.iterations, "looks")


if __name__ == "__main__":
    asyncio.run(main())
