"""Testing durable code: virtual time, and a crash at every durable boundary.

python examples/testing_example.py      or      pytest examples/testing_example.py
"""

import asyncio
from collections import Counter

from perdure import Context, Perdure
from perdure.testing import TestApp, crash_everywhere

app = Perdure()
sent: Counter[str] = Counter()


@app.activity
async def send(address: str, text: str) -> None:
    sent[f"{text} {address}"] += 1


@app.task
async def remind(ctx: Context, address: str) -> str:
    await send(address, "welcome")
    await ctx.sleep(30 * 86_400)
    await send(address, "still there?")
    try:
        await ctx.wait_for("answer", timeout=7 * 86_400)
    except TimeoutError:
        return "lost"
    return "kept"


async def test_a_month_passes_in_no_time() -> None:
    sent.clear()
    async with TestApp(app) as t:
        handle = await remind.enqueue("ada@example.org")
        await t.advance(days=29)
        assert list(sent) == ["welcome ada@example.org"]
        await t.advance(days=1)
        await handle.signal("answer")
        assert await handle.result() == "kept"
    assert set(sent.values()) == {1}


async def test_no_answer_within_a_week() -> None:
    async with TestApp(app):
        assert await remind.run("bob@example.org") == "lost"  # awaiting moves the clock when nothing else can go on


@crash_everywhere(app)
async def test_it_survives_a_crash_anywhere(t: TestApp) -> None:
    sent.clear()
    handle = await remind.enqueue("cleo@example.org")
    await handle.signal("answer")
    assert await handle.result() == "kept"
    assert max(sent.values()) <= 2  # only what was in flight when the process died ran again


if __name__ == "__main__":
    for test in (test_a_month_passes_in_no_time, test_no_answer_within_a_week, test_it_survives_a_crash_anywhere):
        asyncio.run(test())
        print("passed", test.__name__)
