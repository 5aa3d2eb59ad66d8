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


NAMES = [
    "stateful",
    "notebook",
    "classy",
    "classDefs",
    "styled",
    "clicker",
    "defaulted",
    "hrefs",
    "scaled",
    "endpoint",
    "hide",
    "end",
    "fork",
    "join",
    "choice",
    "_x",
    "TB",
    "directional",
    "left",
    "right",
    "note1",
    "state_",
    "Größe",
    "日本",
    "STATEMENT",
    "accTitle1",
    "width",
    "subgraph",
    "v2",
]
TEXTS = (
    "a:b", "a b: c", "# hash", "x #", "100%", "a--b", "-->", "--", "<b>hi</b>", "{x}", "}", "[*]", '"q"', "it's", "state x",
    "note left of a", "direction", "a\\nb", "🙂", "<<choice>>", "[[fork]]", "$x$", "`x`", "http://x.y/z", "&amp", "#quot",
    "1. one", "**b**", "stateDiagram-v2", "---", "class a b", "a<b>c", '<a x="y">', "a::b", "x; y", "%% c", "direction TB",
    "trail:", "| block", "yes", "0x10", "*a", "&a x", "[a", "{a: b}", "x # y", "@x", "'x'",
)  # fmt: skip
FORMS = (
    "{front}[*] --> a: {text}\na --> [*]", "{front}a: {text}\n[*] --> a\na --> [*]",
    '{front}state "{text}" as a\n[*] --> a\na --> [*]', "{front}note left of a : {text}\n[*] --> a\na --> [*]",
    "{front}[*] --> a\na --> [*]\nnote left of a\n  {text}\n  more\nend note\n# {text}\n%% {text}",
    "{front}[*] --> a\na --> [*]\nclassDef c {text}\nclass a {text}\nstyle a {text}",
    "---\ntitle: {text}\n---\nstateDiagram-v2\n[*] --> a\na --> [*]",
)  # fmt: skip
FRONT = "---\ntitle: T\n---\nstateDiagram-v2\n"


def test_words_and_texts_that_look_like_something_else(mermaid: Ask) -> None:
    ends = [*NAMES, "[*]"]
    chain = "\n".join(f"{name} --> {after}" for name, after in zip(["[*]", *NAMES], ends, strict=True))
    declared = "\n".join(f'state {name}\nstate "the {name}" as {name}\n{name}: more' for name in NAMES)
    texts = [f"{FRONT}{chain}", f"{FRONT}{declared}\n{chain}"]
    for form in FORMS:
        for text in TEXTS:
            made = form.format(front=FRONT, text=text)
            try:
                parse(made)
            except DiagramError:
                continue
            texts.append(made)
    assert len(texts) > 200
    agree(mermaid, texts)


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
