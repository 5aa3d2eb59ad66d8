"""Results as lines for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.model import UNITS, Cell, Figure, Gate, Result

HEAD = ("", "what", "median", "lowest to highest")


def markdown(machine: Mapping[str, str], rounds: int, results: Sequence[Result]) -> str:
    """Everything in tables."""
    lines = [
        "# Measured",
        "",
        f"Medians of {rounds} rounds by turns; strict durable (SQLite: WAL, synchronous=FULL).",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for result in results:
        lines += ["", f"## {result.workload.name}: {result.workload.title}", ""]
        lines += _table(HEAD, list(rows(result)))
        lines += ["", *_table(("target", "reached", "asked", ""), list(gates(result)))]
    return "\n".join(lines) + "\n"


def plain(result: Result) -> str:
    """The same for a terminal."""
    lines = [f"\n{result.workload.name}  {result.workload.title}"]
    lines += [f"  {label:<44} {text:>14} {unit:<26} {span}" for label, unit, text, span in rows(result)]
    lines += [f"  {word:<5} {text:<38} {reached:>14}   {target}" for text, reached, target, word in gates(result)]
    return "\n".join(lines)


def rows(result: Result) -> Iterator[tuple[str, str, str, str]]:
    """Label, unit, median, and how far the rounds lay apart."""
    for cell in result.workload.cells:
        if cell.key in result.problems:
            yield cell.label, "", "failed", result.problems[cell.key][:100]
        for number, (metric, figure) in enumerate(result.figures.get(cell.key, {}).items()):
            yield _row(cell if number == 0 else None, metric, figure)


def _row(cell: Cell | None, metric: str, figure: Figure) -> tuple[str, str, str, str]:
    unit, form = UNITS[metric]
    span = f"{min(figure.values):{form}} … {max(figure.values):{form}}" if len(figure.values) > 1 else "one round"
    return cell.label if cell else "", unit, f"{figure.median:{form}}", span


def gates(result: Result) -> Iterator[tuple[str, str, str, str]]:
    """Gate, value, target and verdict."""
    for gate, value in result.verdicts():
        yield gate.text, "–" if value is None else f"{value:,.3g}", gate.target, _word(gate, value)


def _word(gate: Gate, value: float | None) -> str:
    return "?" if value is None else "pass" if gate.passes(value) else "FAIL"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    texts = [" | ".join(line) for line in (head, ["---"] * len(head), *lines)]
    return [f"| {text} |" for text in texts]


def as_json(machine: Mapping[str, str], rounds: int, results: Sequence[Result]) -> dict[str, Any]:
    """Everything, every round."""
    return {
        "machine": dict(machine),
        "rounds": rounds,
        "workloads": [
            {
                "name": result.workload.name,
                "title": result.workload.title,
                "cells": {cell.key: _cell(cell, result) for cell in result.workload.cells},
                "gates": [
                    {"text": gate.text, "value": value, "least": gate.least, "most": gate.most, "verdict": _word(gate, value)}
                    for gate, value in result.verdicts()
                ],
            }
            for result in results
        ],
    }  # fmt: skip


def _cell(cell: Cell, result: Result) -> dict[str, Any]:
    figures = {metric: list(figure.values) for metric, figure in result.figures.get(cell.key, {}).items()}
    return {"label": cell.label, "parameters": dict(cell.parameters), "figures": figures,
            "problem": result.problems.get(cell.key)}  # fmt: skip
