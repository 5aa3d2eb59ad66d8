"""Line, from line.mermaid. Written by `perdure generate`: change the diagram, not this file."""
# perdure generate: diagram 6a2ee0e7cb62ec8d, text d13690be0f3eedc3
# ruff: noqa
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable
from typing import ClassVar, Final, Literal, TypeAlias

from perdure.styles.diagram import Arrow, Graph, Node, Region, StateDiagram

from .line_payloads import (
    FifthPayload,
    FirstPayload,
    FourthPayload,
    SecondPayload,
    ThirdPayload,
)

GRAPH: Final = Graph(
    "Line",
    Region(
        (
            Node("first"),
            Node("second"),
            Node("third"),
            Node("fourth"),
            Node("fifth"),
        ),
        (
            Arrow(None, "first"),
            Arrow("first", "second"),
            Arrow("second", "third"),
            Arrow("third", "fourth"),
            Arrow("fourth", "fifth"),
            Arrow("fifth", None),
        ),
    ),
)


LineState: TypeAlias = Literal[
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
]


class LineDiagram(StateDiagram[FirstPayload]):
    """Line: subclass it, with a method for each state."""

    graph: ClassVar[Graph] = GRAPH
    payloads: ClassVar[dict[str, type[object]]] = {
        "first": FirstPayload,
        "second": SecondPayload,
        "third": ThirdPayload,
        "fourth": FourthPayload,
        "fifth": FifthPayload,
    }
    outcomes: ClassVar[dict[str, tuple[type[object], ...]]] = {}

    @abstractmethod
    def first(
        self,
        payload: FirstPayload,
        /,
    ) -> Awaitable[SecondPayload] | SecondPayload:
        """The state first. Then second."""

    @abstractmethod
    def second(
        self,
        payload: SecondPayload,
        /,
    ) -> Awaitable[ThirdPayload] | ThirdPayload:
        """The state second. Then third."""

    @abstractmethod
    def third(
        self,
        payload: ThirdPayload,
        /,
    ) -> Awaitable[FourthPayload] | FourthPayload:
        """The state third. Then fourth."""

    @abstractmethod
    def fourth(
        self,
        payload: FourthPayload,
        /,
    ) -> Awaitable[FifthPayload] | FifthPayload:
        """The state fourth. Then fifth."""

    @abstractmethod
    def fifth(self, payload: FifthPayload, /) -> Awaitable[None] | None:
        """The state fifth. Then the end."""
