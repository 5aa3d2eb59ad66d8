"""Measuring by turns: every round runs each cell of a workload once, so that a slow minute is slow for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.model import Cell, Figure, Figures, Result, Workload

ROOT = Path(__file__).parent.parent
LONGEST = 900.0
"""Seconds for one cell."""


def measure(workload: Workload, rounds: int, said: Callable[[str], None]) -> Result:
    """Runs a workload's cells; one that fails is left out and its last words are kept."""
    values: dict[str, dict[str, list[float]]] = {}
    problems: dict[str, str] = {}
    for turn in range(rounds):
        for cell in workload.cells:
            if turn >= cell.most or cell.key in problems:
                continue
            said(f"{workload.name} round {turn + 1} of {rounds}: {cell.label}")
            try:
                figures = run(cell)
            except RuntimeError as error:
                problems[cell.key] = str(error)
                continue
            for metric, value in figures.items():
                values.setdefault(cell.key, {}).setdefault(metric, []).append(value)
    figures: Figures = {
        key: {metric: Figure(tuple(found)) for metric, found in metrics.items()} for key, metrics in values.items()
    }
    return Result(workload, figures, problems)


def run(cell: Cell) -> dict[str, float]:
    """One measurement in a process of its own. Raises `RuntimeError` with its last words."""
    command = [sys.executable, "-m", "bench.cell", cell.function, json.dumps(dict(cell.parameters))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, cwd=ROOT)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done within {LONGEST:g} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no words"])[-1])
    return json.loads(done.stdout.splitlines()[-1])
