"""An app's settings: arguments, then `$PERDURE_<NAME>`, then `[tool.perdure]` in `pyproject.toml`, then defaults."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from perdure.clock import seconds
from perdure.engine.options import checked_name
from perdure.errors import ConfigurationError
from perdure.extras import load
from perdure.model.policy import Retry, Sizes, retry_policy
from perdure.telemetry import Telemetry, Told

DEFAULT_URL: Final = "sqlite:///perdure.db"
OTEL: Final = frozenset({"opentelemetry.trace", "opentelemetry.metrics"})
"""Where nobody has imported one of them, nobody has set up an SDK: what nobody uses is not loaded."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an app is made with. Times in seconds."""

    url: str = DEFAULT_URL
    schema: str = "perdure"
    concurrency: int = 100
    queues: tuple[str, ...] = ("default",)
    retries: Retry = field(default_factory=Retry)
    retention: float | None = None
    lease: float = 15.0
    poll: float = 1.0
    drain: float = 30.0
    sizes: Sizes = field(default_factory=Sizes)
    telemetry: bool | tuple[Telemetry, ...] = True

    def told(self, *others: Telemetry) -> Told | None:
        """Who hears what the engine tells, `others` besides; `None` where nobody does. `True` is OpenTelemetry, where this
        process has set up an SDK of it."""
        if isinstance(self.telemetry, tuple):
            listeners = (*self.telemetry, *others)
        else:
            found = load("perdure.otel:configured")() if self.telemetry and OTEL & sys.modules.keys() else None
            listeners = others if found is None else (found, *others)
        return Told(listeners) if listeners else None


def settings(
    given: Mapping[str, Any], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """The settings that hold. `given` are the arguments that were not `None`.

    Raises `ConfigurationError` naming the option, where it was read, and what it may be.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, Any] = {}
    for name, value in project(folder or Path.cwd()).items():
        if name == "app":  # which app the command line means
            continue
        found[name] = _checked(f"[tool.perdure] {name}", name, value)
    for name in READERS:
        variable = f"PERDURE_{name.upper()}"
        if environment.get(variable):
            found[name] = _checked(f"${variable}", name, environment[variable])
    for name, value in given.items():
        found[name] = _checked(name, name, value)
    return Settings(**found)


def _checked(where: str, name: str, value: object) -> object:
    reader = READERS.get(name)
    if reader is None:
        raise ConfigurationError(f"{where}: there is no option {name!r}; options are {', '.join(READERS)}")
    return reader(where, value)


def project(folder: Path) -> dict[str, Any]:
    """`[tool.perdure]` of the nearest pyproject.toml at or above `folder`."""
    home = project_folder(folder)
    if home is None:
        return {}
    path = home / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
    for name in ("tool", "perdure"):
        table = cast("dict[str, Any]", table.get(name, {}))
        if not isinstance(table, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{path.name}: {name!r} must be a table, as in [tool.perdure]")
    return table


def project_folder(folder: Path) -> Path | None:
    """Where the nearest pyproject.toml at or above `folder` stands."""
    return next((place for place in (folder, *folder.parents) if (place / "pyproject.toml").is_file()), None)


def _text(where: str, value: object) -> str:
    if value == "":
        raise ConfigurationError(f"{where} is empty; it must be a text, or left out")
    if not isinstance(value, str):
        raise ConfigurationError(f"{where} is {value!r}; it must be a text")
    return value


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def read(where: str, value: object) -> int:
        try:
            number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise ConfigurationError(f"{where} is {value!r}; it must be a whole number from {low} to {high}")
        return number

    return read


def _seconds(low: float, high: float) -> Callable[[str, object], float]:
    def read(where: str, value: object) -> float:
        try:
            given = float(value) if isinstance(value, str) else value
        except ValueError:
            given = value
        return seconds(cast("Any", given), where, least=low, most=high)

    return read


def _queues(where: str, value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ConfigurationError(f"{where} is {value!r}; it must be a list of queue names")
    return tuple(
        checked_name(where, name.strip() if isinstance(name, str) else name) for name in cast("list[Any]", names)
    )


def _sizes(where: str, value: object) -> Sizes:
    if isinstance(value, Sizes):
        return value
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",")]
        value = {name.strip(): _whole(1, 2**40)(f"{where} {name}", size) for name, _, size in pairs}
    if isinstance(value, dict):
        try:
            return Sizes(**cast("dict[str, int]", value))
        except TypeError as error:
            raise ConfigurationError(f"{where}: {error}") from None
    raise ConfigurationError(f"{where} is {value!r}; it must be Sizes(...)")


def _retries(where: str, value: object) -> Retry:
    if isinstance(value, str):
        value = _whole(0, 1_000_000)(where, value)
    if isinstance(value, dict):
        try:
            return Retry(**cast("dict[str, Any]", value))
        except TypeError as error:
            raise ConfigurationError(f"{where}: {error}") from None
    return retry_policy(cast("Any", value), Retry(), where)


def _optional_seconds(where: str, value: object) -> float | None:
    return None if value in (None, "forever") else _seconds(0, 3.2e9)(where, value)


def _flag(where: str, value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise ConfigurationError(f"{where} is {value!r}; it must be true or false")
    return found


def _telemetry(where: str, value: object) -> bool | tuple[Telemetry, ...]:
    given = cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,)
    listeners = tuple(each for each in given if isinstance(each, Telemetry))
    if given and len(listeners) == len(given):
        return listeners
    try:
        return _flag(where, cast("object", value))
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}, a perdure.telemetry.Telemetry, or several in a list") from None


READERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "url": _text,
    "schema": _text,
    "concurrency": _whole(1, 100_000),
    "queues": _queues,
    "retries": _retries,
    "retention": _optional_seconds,
    "lease": _seconds(0.5, 86_400),
    "poll": _seconds(0.001, 3_600),
    "drain": _seconds(0, 86_400),
    "sizes": _sizes,
    "telemetry": _telemetry,
}
