"""Everything that we accept Mermaid accepts, and the models agree: states with their kind, arrows with their label."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.mermaid import DiagramError, Graph, Region, draw_graph, parse
from tests.mermaid.conftest import Ask
from tests.mermaid.diagrams import CHECKOUT, COUNTDOWN, FULFIL, graphs, mutated, varied

CORPUS = (CHECKOUT, FULFIL, COUNTDOWN)


def model(graph: Graph) -> tuple[dict[str, list[str]], list[list[str]]]:
    """States by name with place and kind, and the arrows."""
    states: dict[str, list[str]] = {}
    arrows: list[list[str]] = []

    def walk(region: Region, place: str) -> None:
        for node in region.nodes:
            states[node.name] = [place, "default" if node.kind == "state" else node.kind]
            for inner in node.regions:
                walk(inner, f"{place}/{node.name}")
        arrows.extend([place, arrow.source or "[*]", arrow.target or "[*]", arrow.label] for arrow in region.arrows)

    walk(graph.root, "")
    return states, arrows


def theirs(answer: dict[str, Any]) -> Iterator[Any]:
    yield answer["states"]
    yield sorted(arrow for arrow in answer["arrows"] if arrow[1] != arrow[2] or arrow[1] == "[*]")


def agree(mermaid: Ask, texts: list[str]) -> None:
    for text, answer in zip(texts, mermaid(texts), strict=True):
        assert "error" not in answer, f"{answer['error']}\n{text}"
        states, arrows = model(parse(text))
        assert [states, sorted(arrows)] == list(theirs(answer)), text


def test_the_corpus(mermaid: Ask) -> None:
    agree(mermaid, [*CORPUS, *(varied(text, seed) for text in CORPUS for seed in range(3))])


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(graphs(), min_size=15, max_size=30))
def test_what_is_drawn(mermaid: Ask, drawn: list[Graph]) -> None:
    agree(mermaid, [varied(draw_graph(graph), at) for at, graph in enumerate(drawn)])


def test_slips_of_the_pen(mermaid: Ask) -> None:
    random, accepted = Random(5), list[str]()
    while len(accepted) < 80:
        text = mutated(random.choice(CORPUS), random)
        try:
            parse(text)
        except DiagramError:
            continue
        accepted.append(text)
    agree(mermaid, accepted)
