"""What a bench consists of: workloads, their cells, and the gates that their figures are held against."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

UNITS: dict[str, tuple[str, str]] = {
    "rate": ("per second", ",.0f"),
    "cpu": ("CPU s per 1,000", ".3f"),
    "server": ("CPU s per 1,000, server", ".3f"),
    "ms": ("ms", ",.2f"),
    "p50": ("p50, ms", ",.2f"),
    "p99": ("p99, ms", ",.2f"),
    "back": ("with the result, p50, ms", ",.2f"),
    "us": ("µs each", ",.2f"),
    "commits": ("commits each", ".3f"),
    "statements": ("statements each", ".3f"),
    "per_second": ("statements per second", ".1f"),
    "percent": ("% of a core", ".2f"),
    "mib": ("MiB at the peak", ",.0f"),
    "asleep": ("s until all sleep", ",.1f"),
}
"""The metrics by name: unit and format. The first one of a cell is what it is about."""


@dataclass(frozen=True)
class Cell:
    """One thing to measure: `function` (`module:name` below `bench`) in a process of its own, with `parameters`. `most`
    bounds its rounds, for what takes long or is counted and not timed."""

    key: str
    label: str
    function: str
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    most: int = 1000


@dataclass(frozen=True)
class Figure:
    """What the rounds of one metric came to."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value of the middle round."""
        return statistics.median(self.values)


Figures = dict[str, dict[str, Figure]]
"""By the key of the cell, then by metric."""
Reading = Callable[[str, str], float]
"""The median of a cell's metric. Raises `KeyError` when that was not measured."""


@dataclass(frozen=True)
class Gate:
    """A target of `design/performance.md`: a value made of medians, and where it must lie."""

    text: str
    value: Callable[[Reading], float]
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """The bound in words."""
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"

    def passes(self, value: float) -> bool:
        """Whether a value lies within the bound."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Workload:
    """Cells that are measured by turns, and the gates on them."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Result:
    """A measured workload; `problems` are cells that could not be measured, by key."""

    workload: Workload
    figures: Figures
    problems: Mapping[str, str]

    def read(self, cell: str, metric: str) -> float:
        """The median of a cell's metric. Raises `KeyError`."""
        return self.figures[cell][metric].median

    def verdicts(self) -> list[tuple[Gate, float | None]]:
        """Each gate with its value; `None` where a cell that it needs is missing."""
        found: list[tuple[Gate, float | None]] = []
        for gate in self.workload.gates:
            try:
                found.append((gate, gate.value(self.read)))
            except (KeyError, ZeroDivisionError):
                found.append((gate, None))
        return found
