"""A tree of parts as a Mermaid flowchart: the same text for the same parts, whatever they are called.

Names and notes are data: what Mermaid would read as its own is written as an entity. Of many parts that look alike, and of
what lies too deep, a box says how many are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from perdure.mermaid.statechart import COLORS, draw_graph
from perdure.model.outline import Part, Shape

WIDEST: Final = 50
DEEPEST: Final = 50
BOXES: Final[dict[Shape, tuple[str, str]]] = {
    "task": ("[", "]"), "external": ("[/", "/]"), "finalize": ("([", "])"), "more": (">", "]"),
}  # fmt: skip
_SPECIAL: Final = re.compile(r"[^\w .,:;/()=+*?!'@$%~-]")


def draw(part: Part, *, widest: int = WIDEST, deepest: int = DEEPEST) -> str:
    """The Mermaid text of a tree of parts; below a part at most `widest` boxes, at most `deepest` levels."""
    if part.graph is not None:
        return draw_graph(part.graph, dict(part.marks))
    chart = _Chart(widest, deepest)
    chart.add(part, 0)
    used = [status for status in COLORS if status in chart.statuses]
    lines = ["flowchart TD", *(f"    {line}" for line in chart.lines)]
    return "\n".join(lines + [f"    classDef {status} {COLORS[status]}" for status in used]) + "\n"


def fenced(text: str) -> str:
    """The text as a block of Markdown."""
    return f"```mermaid\n{text}```\n"


class _Chart:
    """The lines of one drawing. A part is entered at its own box and left at its last ones."""

    def __init__(self, widest: int, deepest: int) -> None:
        self.lines: list[str] = []
        self.statuses: set[str] = set()
        self._widest, self._deepest, self._count = max(widest, 1), max(deepest, 1), 0

    def add(self, part: Part, depth: int) -> tuple[str, list[str]]:
        """Draws a part; answers its box, and the boxes after which all of it is over."""
        box = self._box(part)
        if part.again:
            self.lines.append(f'{box} -->|"{_safe(part.again)}"| {box}')
        ends = self._below(part, box, depth)
        if part.last is not None:
            last, after = self.add(part.last, depth + 1)
            self.lines += [f"{end} --> {last}" for end in ends]
            ends = after
        return box, ends

    def _below(self, part: Part, box: str, depth: int) -> list[str]:
        ends = [box]
        if not part.parts:
            return ends
        if depth + 1 >= self._deepest:
            more = self._box(Part(f"{_size(part.parts):,} more below", shape="more"))
            self.lines.append(f"{box} --> {more}")
            return [more]
        if part.order == "sequence":
            for each in self._shown(part.parts):
                entry, after = self.add(each, depth + 1)
                self.lines += [f"{end} --> {entry}" for end in ends]
                ends = after
            return ends
        ends.clear()
        for each in self._shown(part.parts):
            entry, after = self.add(each, depth + 1)
            self.lines.append(f"{box} --> {entry}")
            ends += after
        return ends

    def _shown(self, parts: Sequence[Part]) -> Iterator[Part]:
        if len(parts) <= self._widest:
            yield from parts
            return
        yield from parts[: self._widest - 1]
        rest = parts[self._widest - 1 :]
        counts = Counter((part.status or "").replace("_", " ") for part in rest)
        note = ", ".join(f"{count:,} {status}" for status, count in counts.items() if status)
        yield Part(f"{len(rest):,} more", note, "more")

    def _box(self, part: Part) -> str:
        name = f"n{self._count}"
        self._count += 1
        left, right = BOXES[part.shape]
        label = "<br/>".join(_safe(text) for text in (part.name, part.note) if text)
        style = ""
        if part.status is not None:
            self.statuses.add(part.status)
            style = f":::{part.status}"
        self.lines.append(f'{name}{left}"{label}"{right}{style}')
        return name


def _safe(text: str) -> str:
    """A text inside quotes, nothing of which Mermaid or a page reads as its own."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};" if found[0].isprintable() else " ", text)


def _size(parts: Sequence[Part]) -> int:
    """How many parts there are, with all below them."""
    count, left = 0, list(parts)
    while left:
        part = left.pop()
        count += 1
        left += part.parts
        left += [part.last] if part.last is not None else []
    return count
