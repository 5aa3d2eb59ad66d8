"""How often and when to try again, and how large things may be: policies as plain values.

Nothing here draws a random number or reads a clock: jitter is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

from perdure.errors import ConfigurationError

Delay = float | timedelta
Errors = tuple[type[BaseException], ...]

LONGEST = 3.2e9
"""The longest duration accepted anywhere, in seconds: about a hundred years."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again after a failure.

    `max_retries` extra tries follow the first one (`None`: for ever). The pause before retry n (from 0) is
    `delay * factor**n` seconds, at most `max_delay`, or what `delay` as a function of the attempt answers; with `jitter`
    it is drawn from [pause / 2, pause]. Only errors in `retry_on` are retried, those in `give_up_on` never.
    Raises `ConfigurationError` for values out of range. Source of the jitter: "equal jitter" in AWS's architecture blog.
    """

    max_retries: int | None = 3
    delay: Delay | Callable[[int], Delay] = 1.0
    factor: float = 2.0
    max_delay: Delay = 60.0
    jitter: bool = True
    retry_on: type[BaseException] | Errors = (Exception,)
    give_up_on: type[BaseException] | Errors = ()
    _constant: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_retries is not None and (type(self.max_retries) is not int or self.max_retries < 0):
            raise ConfigurationError(
                f"Retry max_retries is {self.max_retries!r}; it must be a whole number from 0, or None"
            )
        if not callable(self.delay):
            _checked(self.delay, "Retry delay")
        _checked(self.max_delay, "Retry max_delay")
        if type(self.factor) not in (int, float) or not 1.0 <= self.factor <= 1e6:
            raise ConfigurationError(f"Retry factor is {self.factor!r}; it must be a number from 1 to 1,000,000")
        _error_types(self.retry_on, "Retry retry_on")
        _error_types(self.give_up_on, "Retry give_up_on")

    @staticmethod
    def forever(delay: Delay | Callable[[int], Delay] = 5) -> Retry:
        """Endless tries with a constant delay (seconds or a timedelta), without jitter."""
        longest = LONGEST if callable(delay) else delay
        return Retry(None, delay, 1.0, longest, jitter=False)

    @staticmethod
    def none() -> Retry:
        """One try and no other."""
        return Retry(0)

    def allows(self, attempt: int) -> bool:
        """Whether a retry may follow attempt number `attempt` (from 0)."""
        return self.max_retries is None or attempt < self.max_retries

    def wants(self, error: BaseException) -> bool:
        """Whether errors of this class are retried at all."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def pause(self, attempt: int, draw: Callable[[float, float], float]) -> float:
        """Seconds to wait after attempt `attempt` failed; `draw(low, high)` supplies the jitter.

        Raises `ConfigurationError` when a delay function answers nonsense.
        """
        if callable(self.delay):
            pause = _checked(self.delay(attempt), "what Retry delay's function answered")
        else:
            pause = _checked(self.delay, "Retry delay") * _power(self.factor, attempt)
        pause = min(pause, _checked(self.max_delay, "Retry max_delay"))
        return draw(pause / 2, pause) if self.jitter else pause


@dataclass(frozen=True, slots=True)
class SquareBackoff(Retry):
    """The policy of a diagram's state: the pause after try n (from 1) is drawn from [0, `delay` × n²]."""

    def pause(self, attempt: int, draw: Callable[[float, float], float]) -> float:
        """Seconds to wait after attempt `attempt` failed."""
        if callable(self.delay):
            return Retry.pause(self, attempt, draw)
        return draw(0.0, min(_checked(self.delay, "Retry delay") * (attempt + 1) ** 2, LONGEST))


def _power(factor: float, attempt: int) -> float:
    """`factor**attempt`, and the longest duration where that is more than any: powers of floats overflow."""
    return LONGEST if attempt * math.log(factor) > math.log(LONGEST) else factor**attempt


def retry_policy(value: int | Retry | None, default: Retry, what: str) -> Retry:
    """`retries=` as a policy: a number is that many retries, all else as in `default`. Raises `ConfigurationError` for
    anything else."""
    if value is None:
        return default
    if isinstance(value, Retry):
        return value
    if type(value) is int and value >= 0:
        return replace(default, max_retries=value)
    raise ConfigurationError(f"{what} is {value!r}; it must be a number of retries from 0, or a Retry")


def exceeds(text: str, limit: int) -> bool:
    """Whether a text has over `limit` bytes of UTF-8. One that cannot have, at four bytes a character, is not encoded."""
    return len(text) * 4 > limit and len(text.encode()) > limit


@dataclass(frozen=True, slots=True)
class Sizes:
    """The largest things accepted. `input`, `result` and `signal` are bytes of UTF-8, the others counts.

    Raises `ConfigurationError` for a size that is no positive whole number.
    """

    input: int = 1 << 20
    result: int = 1 << 20
    signal: int = 1 << 20
    journal: int = 1_000_000
    children: int = 100_000
    depth: int = 10_000
    items: int = 10_000
    name: int = 255
    tags: int = 32

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"Sizes {name} is {value!r}; it must be a whole number from 1")


def _checked(value: object, what: str) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LONGEST:
        raise ConfigurationError(f"{what} is {value!r}; it must be seconds from 0 to {LONGEST:g}, or a timedelta")
    return float(value)


def _error_types(value: object, what: str) -> None:
    types = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
        raise ConfigurationError(f"{what} is {value!r}; it must be an exception class or a tuple of them")
