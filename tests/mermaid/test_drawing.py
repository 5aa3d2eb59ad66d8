"""A graph drawn and read again is the same graph."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from perdure.mermaid import Graph, draw_graph, parse
from tests.mermaid.diagrams import CHECKOUT, COUNTDOWN, FULFIL, graphs, varied


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_drawn_and_read_again(graph: Graph) -> None:
    text = draw_graph(graph)
    assert parse(text) == graph
    assert draw_graph(parse(text)) == text


@pytest.mark.parametrize("text", [CHECKOUT, FULFIL, COUNTDOWN])
def test_read_and_drawn(text: str) -> None:
    graph = parse(text)
    assert parse(draw_graph(graph)) == graph
    assert parse(varied(text, 7)) == graph
    assert parse(text.replace("\n", "\r\n")) == graph


def test_what_is_drawn_is_what_one_would_write() -> None:
    assert draw_graph(parse(CHECKOUT)) == CHECKOUT.replace("title: Checkout", 'title: "Checkout"')


def test_marks_are_classes() -> None:
    text = draw_graph(parse(CHECKOUT), {"charge": "passed", "ship": "waiting"})
    assert "    class charge passed\n" in text
    assert "    class ship waiting\n" in text
    assert parse(text) == parse(CHECKOUT)
