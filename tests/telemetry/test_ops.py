"""The files in ops/: every metric and label that they name is one that Prometheus gets from us."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from perdure import telemetry
from perdure.prometheus import Prometheus, shown
from perdure.telemetry import METRICS, Metric

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
ATTRIBUTE = re.compile(r"(?:durable|messaging|error|perdure)(?:\.[a-z_]+)+")
FILES = ["grafana-dashboard.json", "prometheus-alerts.yml"]
NAME = re.compile(r"\bperdure_[a-z_]+")
BY = re.compile(r"\bby \(([^)]*)\)")
CHOSEN = re.compile(r"\{([^{}$][^{}]*)\}")


def told(metric: Metric) -> set[str]:
    """The series of a metric."""
    ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[metric.kind]
    return {shown(metric) + end for end in ends}


SERIES = {name: metric for metric in METRICS for name in told(metric)}


def expressions(file: str) -> list[str]:
    text = (OPS / file).read_text("utf-8")
    if file.endswith(".yml"):
        return re.findall(r"expr: (?:\|\n)?((?:.+\n)(?:            .+\n)?)", text)
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(value[name] for name in ("expr", "definition") if name in value)
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                walk(each)

    walk(json.loads(text))
    return found


def test_the_names_are_those_that_prometheus_shows() -> None:
    metrics = Prometheus()
    for metric in METRICS:
        labels = tuple("x" for _ in metric.labels)
        {"counter": metrics.count, "histogram": metrics.measure, "gauge": metrics.level}[metric.kind](metric, labels, 1)
    text = prometheus_client.generate_latest(metrics.registry).decode()
    shown_there = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    assert {name for name in shown_there if not name.endswith("_created")} == set(SERIES)


@pytest.mark.parametrize("file", FILES)
def test_every_metric_is_one_of_ours(file: str) -> None:
    found = {name for expression in expressions(file) for name in NAME.findall(expression)}
    assert len(found) >= 5
    assert found <= set(SERIES), found - set(SERIES)
    everywhere = set(NAME.findall((OPS / file).read_text("utf-8")))
    assert {name for name in everywhere if not name.endswith("_")} <= set(SERIES)


@pytest.mark.parametrize("file", FILES)
def test_every_label_is_one_that_the_metric_has(file: str) -> None:
    for expression in expressions(file):
        have = {label for name in NAME.findall(expression) for label in SERIES[name].labels} | {"le"}
        asked = {label.strip() for group in BY.findall(expression) for label in group.split(",")}
        asked |= {name for chosen in CHOSEN.findall(expression) for name in re.findall(r"(\w+)=", chosen)}
        assert asked <= have, (expression, asked - have)


def test_the_dashboard_shows_every_metric() -> None:
    found = {name for expression in expressions(FILES[0]) for name in NAME.findall(expression)}
    assert {metric.name for metric in METRICS} == {SERIES[name].name for name in found}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads((OPS / FILES[0]).read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own


def test_the_alerts() -> None:
    text = (OPS / FILES[1]).read_text("utf-8")
    names = re.findall(r"alert: (\w+)", text)
    assert names == [
        "PerdureOldestDue", "PerdureFailureRatio", "PerdureLeaseLost", "PerdureNoWorker", "PerdureStorageErrors",
    ]  # fmt: skip
    assert len(expressions(FILES[1])) == text.count("summary:") == text.count("severity:") == len(names)


def test_every_attribute_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "telemetry.md").read_text("utf-8")
    constants = {name: value for name, value in vars(telemetry).items() if name.isupper()}
    named = [value for value in constants.values() if isinstance(value, str) and ATTRIBUTE.fullmatch(value)]
    assert len(named) >= 15
    assert [each for each in named if f"`{each}`" not in page] == []
