"""`Contained`: a coroutine that cannot end the event loop.

asyncio hands a `SystemExit` or `KeyboardInterrupt` of any task on to its loop, which would end the worker and all that runs
beside. In a body, a branch of it, an activity or a task that it made, an exit is an error like others: nobody typed it there,
since where a loop runs a ^C is given to the loop.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")
EXITS: Final = (SystemExit, KeyboardInterrupt)


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
        except EXITS as error:
            raise left(error, "a branch") from error

    def throw(self, *given: Any) -> Any:
        """As the coroutine."""
        try:
            return self._coroutine.throw(*given)
        except EXITS as error:
            raise left(error, "a branch") from error

    def close(self) -> None:
        """As the coroutine."""
        self._coroutine.close()


def left(error: BaseException, what: str) -> RuntimeError:
    """An exit as an error of what was left by it."""
    said = f"exit({error.code})" if isinstance(error, SystemExit) else "KeyboardInterrupt"
    return RuntimeError(f"{what} {'called' if isinstance(error, SystemExit) else 'raised'} {said}")
