"""Diagrams for the tests: valid graphs by hypothesis, and the same graph written in many ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st

from perdure.mermaid import Arrow, Graph, Node, Note, Region

CHECKOUT = """---
title: Checkout
---
stateDiagram-v2
    state paid <<choice>>
    [*] --> charge
    charge --> charge: attempts=3\\nbackoffMs=2000
    charge --> paid
    paid --> ship: accepted
    paid --> notify: declined
    ship --> [*]
    notify --> [*]
"""

FULFIL = """---
title: Fulfil order workflow
config:
  theme: dark
---
%% the whole of a warehouse
%%{init: {"theme": "forest"}}%%
stateDiagram-v2
    direction LR
    state split <<fork>>
    state both [[join]]
    [*] --> take: begin
    take:::warm --> split

    split --> pack
    split --> bill
    %% --- a comment with dashes ---
    pack --> both
    bill --> both
    both --> Ship
    state "Ship it" as Ship {
        direction TB
        [*] --> pick
        pick: Pick, from "shelf" #4
        pick --> send
        send --> [*]
        --
        [*] --> inform
        note left of inform : by mail
        inform --> [*]
    }
    Ship --> done
    done --> [*]
    note right of done
        That: is all;
        there --> is
    end note
    classDef warm fill:#fa0,stroke:#000
    class done,split warm
    style pack fill:#f00
"""

COUNTDOWN = """---
title: Countdown
cycles: true
---
stateDiagram-v2
  state decide <<choice>>
  [*] --> count
  count --> decide
  decide --> count: again
  decide --> [*]: over
"""

WORDS = ("task", "chooseLeft", "step_two", "Größe", "HTTPCall", "x", "日本")
LETTERS = "abcdefXYZ äöü日 0123456789 .,!?()='/&*+@$^~|_- #"


def texts() -> st.SearchStrategy[str]:
    """Texts that may stand after a colon."""
    return st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool)


def notes() -> st.SearchStrategy[tuple[Note, ...]]:
    lines = st.lists(texts().filter(lambda text: text != "end note"), min_size=1, max_size=3).map("\n".join)
    return st.lists(st.builds(Note, st.sampled_from(["left of", "right of"]), lines), max_size=1).map(tuple)


@dataclass
class Builder:
    """Draws a region from its start to its end, each name once."""

    draw: st.DrawFn
    number: int = 0
    ending: set[str | None] = field(default_factory=set)
    """Choices, and composite states that end with one."""

    def name(self) -> str:
        self.number += 1
        return self.draw(st.sampled_from(WORDS)) + str(self.number)

    def node(self, kind: str = "state", regions: tuple[Region, ...] = ()) -> Node:
        described = self.draw(st.lists(texts(), max_size=1 if kind == "composite" else 2)) if kind != "fork" else []
        plain = kind == "state"
        return Node(
            self.name(), kind, tuple(described), self.draw(notes()),
            self.draw(st.integers(1, 5)) if plain else 1, self.draw(st.sampled_from([1000, 1, 250])) if plain else 1000,
            regions,
        )  # fmt: skip

    def region(self, depth: int) -> Region:
        nodes: list[Node] = []
        arrows: list[Arrow] = []
        ways = [(None, "")]
        for at in range(self.draw(st.integers(1, 3))):
            ways = self.stage(depth, at == 0, ways, nodes, arrows)
        arrows += [Arrow(source, None, label) for source, label in ways]
        order = self.draw(st.permutations(nodes)) if self.draw(st.booleans()) else nodes
        return Region(tuple(order), tuple(arrows), self.draw(st.sampled_from(["", "TB", "LR"])))

    def stage(self, depth: int, first: bool, ways: list, nodes: list[Node], arrows: list[Arrow]) -> list:
        """One more state, choice, fork or composite state, entered by the ways that are open."""
        kind = self.draw(st.sampled_from(["state", "choice", "fork", "composite"] if depth else ["state", "choice"]))
        if kind == "choice" and (first or any(label or source in self.ending for source, label in ways)):
            kind = "state"
        if kind == "composite":
            regions = tuple(self.region(depth - 1) for _ in range(self.draw(st.integers(1, 2))))
            node = self.node("composite", regions)
            if any(
                arrow.target is None and arrow.source in self.ending for region in regions for arrow in region.arrows
            ):
                self.ending.add(node.name)
        else:
            node = self.node(kind)
        nodes.append(node)
        arrows += [Arrow(source, node.name, label) for source, label in ways]
        if kind == "fork":
            return [(self.fork(node, nodes, arrows), "")]
        if kind == "choice":
            self.ending.add(node.name)
            return [
                (node.name, f"way{at} {word}")
                for at, word in enumerate(self.draw(st.lists(texts(), min_size=1, max_size=3)))
            ]
        return (
            [(node.name, self.draw(st.one_of(st.just(""), texts())))] if self.draw(st.booleans()) else [(node.name, "")]
        )

    def fork(self, fork: Node, nodes: list[Node], arrows: list[Arrow]) -> str:
        join = self.node("join")
        for _ in range(self.draw(st.integers(2, 3))):
            branch = self.node()
            nodes.append(branch)
            arrows += [Arrow(fork.name, branch.name), Arrow(branch.name, join.name)]
        nodes.append(join)
        return join.name


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A valid graph: chains of states, choices whose ways meet again, forks that are joined, composite states."""
    title = "T " + draw(st.text("abc XYZ'\"\\:#é-", max_size=10)).strip()
    return Graph(" ".join(title.split()), Builder(draw).region(2), draw(st.booleans()))


def varied(text: str, seed: int) -> str:
    """The same diagram with other blanks, comments and brackets."""
    random = Random(seed)
    lines: list[str] = []
    body = False
    for line in text.splitlines():
        if body and random.random() < 0.3:
            line = line.replace("<<choice>>", "[[choice]]").replace("    ", "\t").replace(" --> ", "-->")
        lines.append(line)
        body = body or line.startswith("stateDiagram")
        if body and not line.strip().startswith("note") and random.random() < 0.1:
            lines.append(random.choice(["", "   %% a remark --- {", "%%"]))
    return "\n".join(lines)


def mutated(text: str, random: Random) -> str:
    """The text with a few slips of the pen."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        match random.randrange(4):
            case 0:
                text = text[:at] + text[at + random.randint(1, 4) :]
            case 1:
                text = (
                    text[:at]
                    + random.choice([*list(' :;#%{}[]<>-"*\n=é_.,|'), " --> ", "state ", "note ", "::: "])
                    + text[at:]
                )
            case 2:
                other = random.randrange(len(text))
                text = text[:at] + text[other : other + random.randint(1, 12)] + text[at:]
            case _:
                lines = text.split("\n")
                here, there = random.randrange(len(lines)), random.randrange(len(lines))
                lines[here], lines[there] = lines[there], lines[here]
                text = "\n".join(lines)
    return text
