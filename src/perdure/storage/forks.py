"""What must happen in a child after a fork, for objects that hold descriptors: each names a method, held weakly.

A child must never use, and never close in earnest, what belongs to its parent. This module knows nothing of what the
methods do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakMethod

_methods: list[WeakMethod[Callable[[], None]]] = []


def in_child(method: Callable[[], None]) -> None:
    """Calls a bound method in every child that is forked from now on, as long as its object lives."""
    _methods[:] = [each for each in _methods if each() is not None]
    _methods.append(WeakMethod(method))


def _run() -> None:
    for each in _methods:
        method = each()
        if method is not None:
            with suppress(Exception):
                method()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run)
