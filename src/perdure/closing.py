"""`Steps`: an orderly end that a cancel hurries but does not break off.

Who closes something may be cancelled meanwhile: a time limit, Ctrl-C, a server that shuts down. What is left half closed
then lives on where nobody sees it, so the steps after the one that was cut short are taken all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Steps:
    """One step after another. A cancel cuts short the step in which it comes, and is passed on by `end`."""

    def __init__(self) -> None:
        self._cut: asyncio.CancelledError | None = None

    @property
    def is_cut(self) -> bool:
        """Whether a step was cut short."""
        return self._cut is not None

    async def take(self, step: Awaitable[object]) -> None:
        """Awaits a step, until it is done or cut short."""
        try:
            await step
        except asyncio.CancelledError as error:
            self._cut = error

    def end(self) -> None:
        """All steps are taken. Raises `CancelledError` when one was cut short."""
        if self._cut is not None:
            raise self._cut
