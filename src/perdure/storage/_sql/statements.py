"""Statements, read from files: one statement per `.sql` file, named after what it does.

Each database has its own files, of the same names, and fills its own marks in. This module must never run anything.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)


@cache
def texts(package: str) -> dict[str, str]:
    """The statements of a package's `.sql` files by name, without comments on lines of their own and without the last
    semicolon. Raises `FileNotFoundError` where there are none."""
    found = [entry for entry in files(package).iterdir() if entry.name.endswith(".sql")]
    if not found:
        raise FileNotFoundError(f"no statements in {package}: the installation of perdure is incomplete")
    return {entry.name[:-4]: _COMMENT.sub("", entry.read_text("utf-8")).strip().removesuffix(";") for entry in found}
