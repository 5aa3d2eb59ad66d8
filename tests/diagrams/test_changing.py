"""An execution that outlives an edit of its diagram: it goes on where it stands, or is shown as drift; nothing is guessed."""

from __future__ import annotations

import importlib
import itertools
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from perdure import Perdure
from perdure.engine.compatibility import problems
from perdure.mermaid.files import plans
from perdure.registry import Names
from perdure.testing import TestApp
from tests.tasks.redeploy import redeployed

number = itertools.count()

FIRST = """---
title: Order
---
stateDiagram-v2
    [*] --> pack
    pack --> ship
    ship --> [*]
"""
PAYLOADS = """from dataclasses import dataclass

@dataclass
class PackPayload:
    name: str

@dataclass
class ShipPayload:
    parcel: str
"""


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Generates a diagram and answers an app with it; its states note what they are given, and wait at `gates`."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str, payloads: str = PAYLOADS, **settings: Any) -> tuple[Perdure, Any, list[Any]]:
        stem = f"order{next(number)}"
        (tmp_path / f"{stem}.mermaid").write_text(text, "utf-8")
        (tmp_path / f"{stem}_payloads.py").write_text(payloads, "utf-8")
        (plan,) = plans([tmp_path / f"{stem}.mermaid"])
        for output in plan.outputs:
            output.path.write_bytes(output.new)
        importlib.invalidate_caches()
        module, given = importlib.import_module(f"{stem}_diagram"), importlib.import_module(f"{stem}_payloads")
        seen: list[Any] = []
        app = Perdure("memory://")
        return app, app.diagram(implemented(module, given, seen), **settings), seen

    yield make
    for name in [name for name in sys.modules if name.startswith("order")]:
        del sys.modules[name]


def implemented(module: ModuleType, given: ModuleType, seen: list[Any]) -> type[Any]:
    class Order(module.OrderDiagram):  # type: ignore[name-defined, misc]
        async def pack(self, payload: Any) -> Any:
            seen.append(("pack", payload))
            await self.ctx.wait_for("go", object)
            return given.ShipPayload(payload.name + "!")

        async def ship(self, payload: Any) -> None:
            seen.append(("ship", payload))
            await self.ctx.wait_for("gone", object)
            seen.append("gone")

        async def send(self, payload: Any) -> None:
            seen.append(("send", payload))

    Order.__abstractmethods__ = frozenset()
    return Order


async def at_ship(app: Perdure, order: Any, payloads: Any) -> TestApp:
    async with TestApp(app) as t:
        handle = await order.options(id="o").enqueue(payloads("x"))
        await t.idle()
        await handle.signal("go", None)
        await t.idle()
        progress = (await handle.execution()).progress
        assert progress is not None
        assert progress.state == "ship"
    return t


def first_payload(order: Any) -> Any:
    return order.signature.codecs()["pack"].hint


EDITED = FIRST.replace("    pack --> ship", "    pack --> ship\n    ship --> ship: attempts=3")

FORKED = """---
title: Order
---
stateDiagram-v2
    state split <<fork>>
    state both <<join>>
    [*] --> pack
    pack --> split
    split --> ship
    split --> send
    ship --> both
    send --> both
    both --> [*]
"""
RESULTS = """
@dataclass
class SendPayload:
    parcel: str

@dataclass
class ShipResult:
    parcel: str

@dataclass
class SendResult:
    parcel: str
"""


async def test_it_goes_on_in_the_state_that_still_exists(version: Any, caplog: pytest.LogCaptureFixture) -> None:
    app, order, _ = version(FIRST)
    before = await at_ship(app, order, first_payload(order))
    later, changed, seen = version(EDITED)
    assert changed.settings.version != order.settings.version
    caplog.set_level(logging.INFO, "perdure")
    async with redeployed(before, later) as t:
        await t.idle()
        handle = changed.handle("o")
        await handle.signal("gone", None)
        await t.idle()
        execution = await handle.execution()
        assert (execution.status, execution.version) == ("completed", order.settings.version)
    assert seen[-1] == "gone"
    assert seen[0][1].parcel == "x!"
    assert f"goes on at ship under diagram {changed.settings.version}" in caplog.text


async def test_its_first_state_may_have_gone_when_it_has_left_it(version: Any) -> None:
    app, order, _ = version(FIRST)
    before = await at_ship(app, order, first_payload(order))
    later, changed, seen = version(FIRST.replace("pack", "wrap"), PAYLOADS.replace("Pack", "Wrap"))
    async with redeployed(before, later) as t:
        await t.idle()
        await changed.handle("o").signal("gone", None)
        await t.idle()
        assert (await changed.handle("o").execution()).status == "completed"
    assert seen[-1] == "gone"


@pytest.mark.parametrize(
    ("text", "payloads", "said"),
    [
        (
            FIRST.replace("ship", "send"),
            PAYLOADS.replace("Ship", "Send"),
            "it stands at ship, which the diagram does not have",
        ),
        (FIRST, PAYLOADS.replace("parcel", "parcels"), "the payload with which it stands at ship does not decode"),
        (FORKED, PAYLOADS, "it stands at ship, which belongs to another branch of the diagram now"),
        # It would hand on to the join what is one branch's alone.
        (FORKED, PAYLOADS + RESULTS, "it stands at ship, which belongs to another branch of the diagram now"),
    ],
)
async def test_what_does_not_fit_is_drift(version: Any, text: str, payloads: str, said: str) -> None:
    app, order, _ = version(FIRST)
    before = await at_ship(app, order, first_payload(order))
    later, changed, seen = version(text, payloads)
    async with redeployed(before, later) as t:
        await changed.handle("o").signal("gone", None)
        await t.advance(minutes=10)
        execution = await changed.handle("o").execution()
        assert execution.status == "pending"
        assert execution.failure is not None
        assert execution.failure.type == "JournalDriftError"
        assert said in execution.failure.message
    assert seen == []
    again, order, seen = version(FIRST)
    async with redeployed(t, again) as t:
        await t.advance(minutes=2)
        assert (await order.handle("o").execution()).status == "completed"
    assert seen[-1] == "gone"


async def test_a_check_before_the_deploy_tells(version: Any) -> None:
    app, order, _ = version(FIRST)
    before = await at_ship(app, order, first_payload(order))
    for text, payloads, said in (
        (FIRST, PAYLOADS, []),
        (EDITED, PAYLOADS, []),
        (
            FIRST.replace("ship", "send"),
            PAYLOADS.replace("Ship", "Send"),
            ["it stands at ship, which the diagram does not"],
        ),
        (FIRST, PAYLOADS.replace("parcel", "parcels"), ["the payload with which it stands at ship does not decode"]),
        (FIRST.replace("pack", "wrap"), PAYLOADS.replace("Pack", "Wrap"), []),
    ):
        later, _, _ = version(text, payloads)
        async with redeployed(before, later) as t:
            client = later.client
            row, (view,) = await client.row("o"), await client.store.read(lambda storage: storage.journal(["o"]))
            found = problems(Names(later), later.payloads, row, view)
            before = t
        assert [each[: len(start)] for each, start in zip(found, said, strict=True)] == said


async def test_a_new_first_state_is_not_given_the_old_ones_payload(version: Any) -> None:
    """Both payloads decode; which state it was meant for says the input's name."""
    app, order, _ = version(FIRST)
    async with TestApp(app) as before:
        await order.options(id="o", start_delay=60).enqueue(first_payload(order)("x"))
    later, changed, seen = version(FIRST.replace("pack", "wrap"), PAYLOADS.replace("Pack", "Wrap"))
    async with redeployed(before, later) as t:
        await t.advance(minutes=10)
        execution = await changed.handle("o").execution()
        assert execution.status == "pending"
        assert execution.failure is not None
        assert (
            "its input does not fit the state wrap: it was enqueued for another first state"
            in execution.failure.message
        )
    assert seen == []


async def test_pinned_to_its_version(version: Any) -> None:
    app, order, _ = version(FIRST)
    before = await at_ship(app, order, first_payload(order))
    later, changed, _ = version(EDITED, on_version="pin")
    async with redeployed(before, later) as t:
        await changed.handle("o").signal("gone", None)
        await t.advance(minutes=1)
        execution = await changed.handle("o").execution()
        assert execution.failure is not None
        assert "is pinned" in execution.failure.message
