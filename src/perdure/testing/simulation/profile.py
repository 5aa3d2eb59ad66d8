"""What can go wrong in a simulated run, and how often.

It is drawn from the seed and not from the tape: a tape that shrinks leaves out blows, it does not change the weather.
"""

from __future__ import annotations

from typing import Final

from perdure.ids import seeded

KINDS: Final = ("crash", "pause", "partition", "stop")
PAUSES: Final = ((0.0, 0.001), (0.0, 0.05, 0.6, 3.0), (0.6, 3.0, 6.0))
"""How long activities take, in a run where all is quick, and in one where a lease may end under them."""
SPANS: Final = (0.01, 0.5, 5.0, 7.0, 9.0, 12.0)


class Profile:
    """What can go wrong in a run, and how often: drawn per seed, because a run with everything at once hides faults."""

    def __init__(self, seed: int) -> None:
        draw = seeded(f"profile {seed}")
        self.workers = draw.choice((1, 2, 2, 3))
        self.roots = draw.randint(1, 5)
        self.shuffle = draw.choice((0.0, 0.02, 0.3))
        self.faults = draw.choice((0.0, 0.005, 0.03, 0.12))
        self.storm = draw.choice((10.0, 30.0, 60.0))
        self.stride = draw.choice((7, 23))
        self.chaos = draw.choice((0.0, 0.05, 0.15, 0.4))
        self.kinds = [kind for kind in KINDS if draw.random() < 0.6] or ["pause"]
        self.hints = draw.choice((0.0, 0.5, 1.0))
        self.linger = draw.choice((0.0, 0.05, 1.0))
        self.cancels = draw.choice((0.0, 0.0, 0.3))
        self.pauses = draw.choice(PAUSES)
        self.poison = draw.random() < 0.15
        if draw.random() < 0.3:
            self._zombies()

    def _zombies(self) -> None:
        """A run in which workers stand still under long activities until others have taken over."""
        self.workers, self.kinds, self.pauses, self.faults = 3, ["pause"], PAUSES[-1], 0.0
        self.chaos, self.stride, self.storm = 0.4, 7, 60.0
