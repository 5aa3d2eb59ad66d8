"""`perdure diagram`: a declared diagram as it was written, an execution drawn into it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perdure.cli.main import program
from perdure.mermaid import parse
from tests.diagrams.flows.checkout_payloads import ChargePayload
from tests.diagrams.flows.trip_payloads import PlanPayload
from tests.diagrams.implemented import Trip
from tests.diagrams.shop import app, checkout, outer, parcels, trip

HERE = "tests.diagrams.shop"


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[None]:
    before = app.settings
    app.settings = dataclasses.replace(before, url=f"sqlite:///{tmp_path / 'shop.db'}")
    yield
    app.settings = before


def perdure(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(program, list(words), prog_name="perdure")
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


def work(*fetches: str, call: Any) -> str:
    """Enqueues, fetches work by these queries, and answers the id."""

    async def run() -> str:
        async with app.connect():
            handle = await app.enqueue(call)
            for query in fetches:
                assert await app.run_one(query) is not None
            return handle.id

    return asyncio.run(run())


def marks(text: str) -> dict[str, str]:
    lines = [line.split() for line in text.splitlines()]
    return {words[1]: words[2] for words in lines if words[:1] == ["class"]}


def test_a_declared_diagram() -> None:
    text = perdure("diagram", f"{HERE}:checkout").stdout
    assert parse(text) == checkout.outline().graph
    assert perdure("--app", f"{HERE}:app", "diagram", "Checkout").stdout == text
    assert perdure("diagram", f"{HERE}:checkout", "--fenced").stdout == f"```mermaid\n{text}```\n"


def test_where_an_execution_stands() -> None:
    id = work("", "", call=checkout.call(ChargePayload("visa", 5)))
    text = perdure("diagram", f"{HERE}:checkout", "--execution", id).stdout
    assert marks(text) == {"paid": "passed", "charge": "passed", "ship": "waiting"}
    assert "    classDef waiting fill:#fff3bf" in text
    assert parse(text) == checkout.outline().graph
    assert perdure("--app", f"{HERE}:app", "diagram", id).stdout == text


def test_the_beginning_of_an_id_is_enough() -> None:
    id = work("", "", call=checkout.call(ChargePayload("visa", 5)))
    text = perdure("diagram", f"{HERE}:checkout", "--execution", id).stdout
    assert marks(text)["ship"] == "waiting"
    short = id[:-1]
    assert perdure("diagram", f"{HERE}:checkout", "--execution", short).stdout == text
    assert perdure("--app", f"{HERE}:app", "diagram", short).stdout == text


def test_other_children_are_no_branches() -> None:
    id = work("", "", call=parcels.call(ChargePayload("visa", 5)))
    assert marks(perdure("diagram", id, "--app", f"{HERE}:app").stdout) == {
        "paid": "passed",
        "charge": "passed",
        "ship": "waiting",
    }


def test_before_the_first_state() -> None:
    id = work(call=checkout.call(ChargePayload("visa", 5)))
    assert marks(perdure("diagram", f"{HERE}:checkout", "--execution", id).stdout) == {"charge": "pending"}


def test_branches_are_drawn_too() -> None:
    id = work("", "", "task:Trip.split.fly", call=trip.call(PlanPayload("Rome")))
    text = perdure("diagram", f"{HERE}:trip", "--execution", id).stdout
    assert marks(text) == {
        "plan": "passed",
        "fly": "passed",
        "split": "waiting",
        "seat": "pending",
        "search": "pending",
    }


def test_a_branch_that_was_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drained(id: str | None) -> str:
        async with app.connect():
            handle = await trip.enqueue(PlanPayload("Rome")) if id is None else app.handle(id)
            if id is not None:
                await handle.retry()
            while await app.run_one():
                pass
            return handle.id

    with monkeypatch.context() as patch:
        patch.setattr(Trip, "room", 5)  # which is no text
        id = asyncio.run(drained(None))
    failed = marks(perdure("diagram", f"{HERE}:trip", "--execution", id).stdout)
    assert (failed["search"], failed["split"]) == ("failed", "failed")
    asyncio.run(drained(id))
    drawn = marks(perdure("diagram", f"{HERE}:trip", "--execution", id).stdout)
    assert set(drawn.values()) == {"passed"}
    assert {"plan", "split", "fly", "search", "fits", "reserve", "both", "travel"} <= set(drawn)


def test_another_diagram_that_a_state_runs_is_not_drawn_in() -> None:
    id = work("", "", "", call=outer.call(ChargePayload("visa", 5)))
    text = perdure("--app", f"{HERE}:app", "diagram", "shop.outer", "--execution", id).stdout
    assert marks(text) == {"charge": "waiting"}


def test_what_is_no_diagram() -> None:
    id = work(call=checkout.call(ChargePayload("visa", 5)))
    assert "task plain is no state diagram" in perdure("diagram", f"{HERE}:plain", "--execution", id, code=2).stderr
    said = perdure("diagram", f"{HERE}:trip", "--execution", id, code=2).stderr
    assert f"execution {id} is of task Checkout, not of Trip" in said
    assert "there is no execution" in perdure("diagram", f"{HERE}:trip", "--execution", "nope", code=4).stderr
    assert "no task 'nope'" in perdure("--app", f"{HERE}:app", "diagram", "nope", "--execution", id, code=4).stderr
