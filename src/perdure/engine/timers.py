"""Named calls on a clock: arming one again replaces it, striking removes it."""

from __future__ import annotations

from collections.abc import Callable

from perdure.clock import Cancellable, Clock


class Timers:
    """The pending calls of one owner, by name."""

    __slots__ = ("_calls", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[str, Cancellable] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._calls

    def arm(self, name: str, delay: float | None, strike: Callable[[], object]) -> None:
        """Calls `strike` after `delay` seconds; `None` only calls off what was armed."""
        self.disarm(name)
        if delay is not None:
            self._calls[name] = self._clock.call_later(max(delay, 0.0), lambda: self._fired(name, strike))

    def disarm(self, *names: str) -> None:
        """Calls off what these names stand for."""
        if not self._calls:
            return
        for name in names:
            call = self._calls.pop(name, None)
            if call is not None:
                call.cancel()

    def disarm_all(self) -> None:
        """Calls off everything."""
        self.disarm(*list(self._calls))

    def _fired(self, name: str, strike: Callable[[], object]) -> None:
        self._calls.pop(name, None)
        strike()
