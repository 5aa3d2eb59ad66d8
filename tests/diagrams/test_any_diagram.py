"""Whatever diagram is read can be generated and run: every way through it comes to the end, in a crash too."""

from __future__ import annotations

import itertools
import sys
from dataclasses import make_dataclass
from random import Random
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure import Perdure
from perdure.mermaid import Graph
from perdure.mermaid.code import code
from perdure.mermaid.names import base_name, edge_name, payload_of, written
from perdure.model.diagram import pascal, snake
from perdure.model.machine import END, Machine, Step, lower
from perdure.testing import TestApp
from tests.mermaid.diagrams import graphs

number = itertools.count()


class Maker:
    """Implements a diagram: each state answers what may follow it, a choice by lot."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.machine: Machine = lower(graph)
        self.random = Random(seed)
        self.passed: list[str] = []
        name = f"made{next(number)}"
        given = ModuleType(f"{name}_payloads")
        for each in written(self.machine):
            setattr(given, each, make_dataclass(each, [], namespace={"__module__": given.__name__}))
        self.module = ModuleType(name)
        sys.modules |= {given.__name__: given, name: self.module}
        exec(code(graph, "made.mermaid", given.__name__), vars(self.module))
        states = {snake(step.name): self.method(step) for step in self.machine.steps.values() if step.runs}
        self.cls: type[Any] = type("Made", (getattr(self.module, base_name(graph)),), states)

    def method(self, step: Step) -> Any:
        async def state(instance: Any, payload: Any) -> Any:
            assert isinstance(payload, getattr(self.module, payload_of(step.name)))
            self.passed.append(step.name)
            return self.answer(step, step.targets[0])

        return state

    def answer(self, step: Step, target: str) -> Any:
        if target == END:
            return None
        after = self.machine.steps[target]
        if after.kind == "choice":
            at = self.random.randrange(len(after.targets))
            outcome = getattr(self.module, edge_name(after, after.labels[at]))
            return outcome(*([] if after.targets[at] == END else [self.answer(step, after.targets[at])]))
        if after.kind == "join":
            assert step.branch is not None
            entry = self.machine.steps[step.branch.fork].targets[step.branch.index]
            return getattr(self.module, pascal(entry) + "Result")()
        return self.payload(target)

    def payload(self, name: str) -> Any:
        step = self.machine.steps[name]
        parts = {snake(entry): self.payload(entry) for entry in step.targets} if step.kind == "fork" else {}
        return getattr(self.module, payload_of(name))(**parts)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.integers(0, 1000))
async def test_every_way_comes_to_the_end(graph: Graph, seed: int) -> None:
    maker = Maker(graph, seed)
    app = Perdure("memory://")
    task = app.diagram(maker.cls, name="made")
    async with TestApp(app) as t:
        handle = await task.enqueue(maker.payload(maker.machine.start))
        await t.advance(minutes=1)
        assert await handle.result() is None
        entries = [entry.name for entry in await handle.activities() if entry.kind == "state"]
    assert len(maker.passed) == len(set(maker.passed))
    assert [name for name in entries if maker.machine.steps[name].kind != "fork"] == [
        name for name in maker.passed if maker.machine.steps[name].branch is None
    ]
