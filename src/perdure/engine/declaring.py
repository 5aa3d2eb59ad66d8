"""How a style adds its way of declaring to apps and registries: as a base class of `Registry` that asks it to add tasks.

This module must never know which styles there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from perdure.engine.options import TaskOptions
from perdure.engine.ports import Transport
from perdure.engine.task import Task
from perdure.model.policy import Sizes

Make = Callable[[str, TaskOptions], list[Task[..., Any]]]
"""The tasks of one declaration, by name and options: the one that is declared first."""


class Declarer(ABC):
    """Whoever declares. It is the owner of what it declares."""

    @property
    @abstractmethod
    def sizes(self) -> Sizes:
        """The sizes that hold for it."""

    @abstractmethod
    def transport(self) -> Transport:
        """The open client."""

    @abstractmethod
    def _add_task(self, function: Callable[..., object], settings: Mapping[str, Any], make: Make) -> Task[..., Any]:
        """Declares what `make` makes, under the function's name or the one in the settings. Raises `ConfigurationError`."""
