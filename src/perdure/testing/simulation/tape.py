"""The tape: every choice of a simulated run, drawn from one seed, so that the run can be repeated and made smaller.

A choice is a number, and 0 is always the harmless one: the first callback in line, no fault, no crash. Choices are kept per
stream (`program`, `order`, `faults`, `chaos`, `outside`), so that leaving one out does not shift the others. A failing tape shrinks by
writing zeros into it: what is left is what the failure needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from perdure.ids import seeded

Log = dict[str, list[int]]


class Tape:
    """Draws choices from `seed`, or repeats those of `log`; past its end a repeated tape is all zeros."""

    def __init__(self, seed: int = 0, log: Log | None = None) -> None:
        self.seed, self._replay = seed, log
        self._sources = {name: seeded(f"{seed} {name}") for name in ("program", "order", "faults", "chaos", "outside")}
        self.log: Log = defaultdict(list)

    def choose(self, stream: str, count: int) -> int:
        """A number below `count`, all alike."""
        return self._take(stream, count, lambda: self._sources[stream].randrange(count))

    def chance(self, stream: str, share: float) -> bool:
        """True with the probability `share`."""
        return self._take(stream, 2, lambda: int(self._sources[stream].random() < share)) == 1

    def pick(self, stream: str, count: int, share: float) -> int:
        """0 mostly; any number below `count` with the probability `share`."""
        source = self._sources[stream]
        return self._take(stream, count, lambda: source.randrange(count) if source.random() < share else 0)

    def _take(self, stream: str, count: int, draw: Callable[[], int]) -> int:
        """The next choice. A repeated one that is out of range is taken into it."""
        log = self.log[stream]
        if self._replay is None:
            value = draw()
        else:
            old = self._replay.get(stream, [])
            value = old[len(log)] % count if len(log) < len(old) else 0
        log.append(value)
        return value


def weight(log: Log) -> int:
    """How many choices of a tape are not the harmless one."""
    return sum(value != 0 for values in log.values() for value in values)


def shrink(log: Log, fails: Callable[[Log], bool], tries: int = 200) -> Log:
    """A smaller tape that still fails, found within so many tries: zeros in ever smaller blocks, stream by stream."""
    best = {name: list(values) for name, values in log.items()}
    left = tries
    for candidate in _candidates(best):
        if left == 0:
            break
        if weight(candidate) < weight(best):
            left -= 1
            if fails(candidate):
                best.clear()
                best.update(candidate)
    return best


def _candidates(best: Log) -> Iterator[Log]:
    """Tapes with one block zeroed, of the best tape at that moment: whole streams first, single choices last."""
    size = max(map(len, best.values()), default=0)
    while size:
        for name in ("order", "faults", "chaos", "outside", "program"):
            for start in range(0, len(best.get(name, ())), size):
                values = best[name]
                end = min(start + size, len(values))
                if any(values[start:end]):
                    yield {**best, name: values[:start] + [0] * (end - start) + values[end:]}
        size //= 2
