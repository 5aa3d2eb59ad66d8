"""The only module that makes ids and randomness.

Ids are UUID version 7 as text: time-ordered, so that a store appends instead of scattering, and made by the caller, so
that every mutating call can be sent again after a lost acknowledgement (rule R4). Ids of work that an execution starts
are *derived* from its own id and the call's key: a replay makes the same id and starts nothing twice.

A simulation passes its own seeded `Ids`; nothing else in the package may draw a random number.
Source: RFC 9562 §5.7 for the layout of version 7.
"""

from __future__ import annotations

import os
import random
import re
from hashlib import blake2b
from typing import Final

STAMP: Final = re.compile("[0-9a-f]{12}").fullmatch


def random_bytes(count: int) -> bytes:
    """`count` bytes from the operating system, fit for keys and nonces."""
    return os.urandom(count)


class Ids:
    """A stream of ids and random numbers. With `seed` it is repeatable; without, it is seeded by the system."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed if seed is not None else int.from_bytes(random_bytes(16), "big"))
        self._last = 0

    def new(self, now: int) -> str:
        """A fresh id for something made at `now` (milliseconds); ids of one stream always rise."""
        stamp = now << 12
        self._last = max(stamp, self._last + 1)
        return _layout(self._last, self._random.getrandbits(62))

    def uniform(self, low: float, high: float) -> float:
        """A float between `low` and `high`: jitter."""
        return self._random.uniform(low, high)


def derived(parent: str, key: str) -> str:
    """The id of what `parent` starts under `key`: always the same, and beside the parent in time order."""
    digest = blake2b(f"{parent}\x1f{key}".encode(), digest_size=16).digest()
    head = parent[:8] + parent[9:13]
    stamp = int(head, 16) if STAMP(head) else int.from_bytes(digest[10:16], "big")
    return _layout((stamp << 12) | (digest[8] << 4 | digest[9] >> 4), int.from_bytes(digest[:8], "big") >> 2)


def derived_random(parent: str, key: str) -> random.Random:
    """A source of randomness that belongs to one call of one execution: the same in every pass and attempt."""
    return random.Random(int.from_bytes(blake2b(f"{parent}\x1f{key}".encode(), digest_size=16).digest(), "big"))


def seeded(seed: int | str) -> random.Random:
    """A repeatable source of randomness, for simulations and generated tests."""
    return random.Random(seed)


def _layout(stamp60: int, tail62: int) -> str:
    """48 bits of milliseconds and 12 bits of order, then 62 free bits, as version 7 text."""
    text = f"{stamp60 >> 12 & 0xFFFFFFFFFFFF:012x}7{stamp60 & 0xFFF:03x}{tail62 | 0x8000000000000000:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
