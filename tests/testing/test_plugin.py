"""The pytest plugin, as installed."""

from __future__ import annotations

import pytest

from perdure import Perdure
from perdure.testing import TestApp

pytest_plugins = ["pytester"]


async def test_the_fixture_is_an_app_to_declare_on(perdure_app: Perdure):
    @perdure_app.task
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with TestApp(perdure_app):
        assert await greet.run("Ada") == "hello Ada"


def test_each_test_gets_its_own(perdure_app: Perdure):
    assert perdure_app.tasks == {}


BODY = """
import pytest
from perdure import Context
from perdure.testing import TestApp

@pytest.mark.asyncio
async def test_passes(perdure_app):
    passes = []

    @perdure_app.task
    async def job(ctx: Context) -> int:
        passes.append(1)
        await ctx.wait_for("x", int)
        return len(passes)

    async with TestApp(perdure_app) as t:
        handle = await job.enqueue()
        await t.idle()
        await handle.signal("x", 1)
        assert await handle.result() == EXPECTED
"""


@pytest.mark.parametrize(("options", "expected"), [((), 1), (("--perdure-always-replay",), 2)])
def test_the_option_replays_always(pytester: pytest.Pytester, options: tuple[str, ...], expected: int):
    pytester.makepyfile(BODY.replace("EXPECTED", str(expected)))
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1)
