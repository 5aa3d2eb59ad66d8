"""The one module that opens parts of the package by name while the program runs.

So that `import perdure` and `perdure --help` load only what is asked for. Everywhere else imports stand at the top. It
must never be asked for a name that comes from stored data, and imports nothing of Perdure itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(target: str) -> Any:
    """What `module` or `module:name` stands for, from one of this package's own tables."""
    module, _, name = target.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found
