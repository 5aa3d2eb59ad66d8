"""An app's settings: arguments over environment over pyproject.toml over defaults; a wrong one is named with its range."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import ConfigurationError, Perdure, Retry, Sizes
from perdure.settings import READERS, Settings, settings


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in READERS:
        monkeypatch.delenv(f"PERDURE_{name.upper()}", raising=False)


def test_the_documented_defaults() -> None:
    found = settings({}, {})
    assert found == Settings()
    assert (found.url, found.schema, found.concurrency) == ("sqlite:///perdure.db", "perdure", 100)
    assert (found.queues, found.retries, found.retention) == (("default",), Retry(), None)
    assert (found.lease, found.poll, found.drain, found.telemetry) == (15, 1.0, 30, True)
    assert found.sizes == Sizes()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("url", "memory://", "memory://"),
        ("schema", "jobs", "jobs"),
        ("concurrency", "7", 7),
        ("queues", "a, b,c", ("a", "b", "c")),
        ("retries", "5", Retry(5)),
        ("retention", "3600", 3600.0),
        ("retention", "forever", None),
        ("lease", "2.5", 2.5),
        ("poll", "0.01", 0.01),
        ("drain", "0", 0.0),
        ("sizes", "input=10,tags=3", Sizes(input=10, tags=3)),
        ("telemetry", "false", False),
        ("telemetry", "TRUE", True),
        ("telemetry", "0", False),
    ],
)
def test_each_option_from_the_environment(name: str, text: str, value: object) -> None:
    assert getattr(settings({}, {f"PERDURE_{name.upper()}": text}), name) == value


def test_each_option_from_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.perdure]\nurl = "memory://"\nqueues = ["a", "b"]\nlease = 3\nsizes = { input = 10 }\n'
        "retries = { max_retries = 2, delay = 3.5 }\ntelemetry = false\nretention = 60\n"
    )
    found = settings({}, {}, tmp_path)
    assert (found.url, found.queues, found.lease, found.sizes) == ("memory://", ("a", "b"), 3.0, Sizes(input=10))
    assert (found.retries, found.telemetry, found.retention) == (Retry(2, delay=3.5), False, 60.0)


def test_pyproject_of_a_folder_above_counts_the_nearest_wins(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.perdure]\nlease = 3\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert settings({}, {}, inner).lease == 3
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.perdure]\nlease = 4\n")
    assert settings({}, {}, inner).lease == 4


def test_arguments_beat_the_environment_which_beats_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.perdure]\nlease = 3\npoll = 3\ndrain = 3\n")
    found = settings({"lease": 1}, {"PERDURE_LEASE": "2", "PERDURE_POLL": "2"}, tmp_path)
    assert (found.lease, found.poll, found.drain) == (1, 2, 3)


def test_an_empty_variable_is_none_at_all() -> None:
    assert settings({}, {"PERDURE_LEASE": ""}).lease == 15


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("url", 5, "text"), ("url", "", "text"), ("schema", None, "text"),
        ("concurrency", 0, "whole number from 1 to 100000"), ("concurrency", 1.5, "whole number"),
        ("concurrency", "many", "whole number"), ("concurrency", True, "whole number"),
        ("queues", [], "list of queue names"), ("queues", 5, "list of queue names"), ("queues", ["a b"], "letters"),
        ("queues", [1], "letters"), ("queues", "a,,b", "letters"), ("retries", -1, "retries from 0"), ("retries", "x", "whole number"),
        ("retries", {"max": 1}, "max"), ("retention", -1, "between"), ("retention", "x", "seconds"),
        ("lease", 0, "between 0.5 and 86400"), ("lease", "soon", "seconds"), ("lease", float("nan"), "between"),
        ("lease", True, "seconds"), ("poll", -1, "between 0.001"), ("drain", 1e9, "between 0 and 86400"),
        ("sizes", {"input": 0}, "Sizes input"), ("sizes", {"inputs": 1}, "inputs"), ("sizes", 5, "Sizes"),
        ("sizes", "input=x", "whole number"), ("telemetry", "perhaps", "true or false"), ("telemetry", 2, "true or false"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_option_and_range(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        settings({name: value}, {})
    assert name in str(caught.value).lower()


def test_a_wrong_value_says_where_it_was_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\$PERDURE_LEASE is 'x'"):
        settings({}, {"PERDURE_LEASE": "x"})
    (tmp_path / "pyproject.toml").write_text("[tool.perdure]\nlease = 'x'\n")
    with pytest.raises(ConfigurationError, match=r"\[tool\.perdure\] lease is 'x'"):
        settings({}, {}, tmp_path)


def test_an_unknown_option_of_pyproject_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.perdure]\nleese = 3\n")
    with pytest.raises(ConfigurationError, match="no option 'leese'; options are url"):
        settings({}, {}, tmp_path)


@pytest.mark.parametrize("text", ["[tool", "[tool]\nperdure = 5\n", "tool = 5\n"])
def test_a_broken_pyproject_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml"):
        settings({}, {}, tmp_path)


def test_durations_may_be_timedeltas() -> None:
    found = settings({"lease": timedelta(minutes=1), "retention": timedelta(days=1)}, {})
    assert (found.lease, found.retention) == (60, 86_400)


def test_an_app_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_URL", "memory://")
    monkeypatch.setenv("PERDURE_CONCURRENCY", "3")
    assert (Perdure().settings.url, Perdure(concurrency=4).settings.concurrency) == ("memory://", 4)
    monkeypatch.setenv("PERDURE_LEASE", "-1")
    with pytest.raises(ConfigurationError, match="PERDURE_LEASE"):
        Perdure()


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"queues": ["ä"]}, {"drain": -1}, {"retries": "many"}])
def test_an_app_refuses_a_wrong_option_when_it_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Perdure("memory://", **options)


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "sqlite", "://"])
async def test_an_unknown_database_is_named_when_the_app_is_opened(url: str) -> None:
    app = Perdure(url)
    with pytest.raises(ConfigurationError, match="url"):
        await app.start()


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"queues": []}, {"drain": "x"}])
def test_a_worker_refuses_a_wrong_option(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Perdure("memory://").worker(**options)
