"""A state diagram as data: what `perdure.mermaid` reads and draws, and what generated code carries.

A graph is a tree of regions: the diagram itself, and those within each composite state. It holds all that a drawing shows but
for its styling. Nothing here knows the text it came from; that a graph makes sense its reader has checked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["state", "choice", "fork", "join", "composite"]
Direction: TypeAlias = Literal["", "TB", "BT", "LR", "RL"]
Side: TypeAlias = Literal["left of", "right of"]

BACKOFF_MS: Final = 1000
SUFFIXES: Final = ("workflow", "diagram")
_RUN: Final = re.compile(r"[^\W_]+")


class Note(msgspec.Struct, frozen=True):
    """A remark beside a state."""

    side: Side
    text: str


class Arrow(msgspec.Struct, frozen=True):
    """From one state of a region to another. No `source` is the region's start, no `target` its end."""

    source: str | None
    target: str | None
    label: str = ""


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state. `texts` describe it; `attempts` are all tries, `backoff_ms` scales the delay between two. `regions` are what a
    composite one consists of: several run at the same time."""

    name: str
    kind: Kind = "state"
    texts: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    attempts: int = 1
    backoff_ms: int = BACKOFF_MS
    regions: tuple[Region, ...] = ()


class Region(msgspec.Struct, frozen=True, omit_defaults=True):
    """States and the arrows between them, in the order of the text."""

    nodes: tuple[Node, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    direction: Direction = ""


class Graph(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole diagram. `cycles`: may a choice lead back?"""

    title: str
    root: Region
    cycles: bool = False

    def nodes(self) -> Iterator[Node]:
        """Every state, those within others after them."""
        return nodes_of(self.root)


def nodes_of(region: Region) -> Iterator[Node]:
    """Every state of a region and within it."""
    for node in region.nodes:
        yield node
        for inner in node.regions:
            yield from nodes_of(inner)


def words(text: str) -> list[str]:
    """The words of a name or label, in lower case: `chooseLeft` and `choose left` have the same two. Letters are as Python
    compares them in names (NFKC)."""
    found: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text)):
        start = 0
        for at in range(1, len(run)):
            if run[at].isupper() and (not run[at - 1].isupper() or run[at + 1 : at + 2].islower()):
                found.append(run[start:at])
                start = at
        found.append(run[start:])
    return [word.lower() for word in found]


def snake(text: str) -> str:
    """A name or label as Python writes functions: `chooseLeft` becomes `choose_left`. It may be no identifier."""
    return "_".join(words(text))


def pascal(text: str) -> str:
    """A name or label as Python writes classes: `choose left` becomes `ChooseLeft`."""
    return "".join(word[:1].upper() + word[1:] for word in words(text))


def title_name(title: str) -> str:
    """The title as classes and tasks are named, without a trailing "workflow" or "diagram"."""
    found = words(title)
    if len(found) > 1 and found[-1] in SUFFIXES:
        found.pop()
    return pascal(" ".join(found))
