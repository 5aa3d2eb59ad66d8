"""`Contained`: a coroutine that cannot end the event loop.

asyncio hands a `SystemExit` of any task on to its loop, which would end the worker and all that runs beside. In a branch of
a body, or a task that an activity made, an exit is an error like others.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Contained(Coroutine[Any, Any, T]):
    """The same coroutine, but for exits. No coroutine around it: one that is cancelled before it began would leave this
    one behind, never awaited. All else about it, such as its name and frame, is asked of itself."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """As the coroutine."""
        try:
            return self._coroutine.send(value)
        except SystemExit as error:
            raise _left(error) from error

    def throw(self, *given: Any) -> Any:
        """As the coroutine."""
        try:
            return self._coroutine.throw(*given)
        except SystemExit as error:
            raise _left(error) from error

    def close(self) -> None:
        """As the coroutine."""
        self._coroutine.close()


def _left(error: SystemExit) -> RuntimeError:
    return RuntimeError(f"a branch called exit({error.code})")
