"""SQLite's statements and the marks in their files.

Three marks are filled in here. `{rows:3}` becomes rows of three parameters, `{each:2:TEXT:UNION ALL}` repeats
a text with two parameters of its own, `{terms}` takes the conditions of a query. Numbers of rows are rounded up to a
few sizes (two per power of two), the rest is filled with NULL rows which no statement keeps: so few texts are enough,
and each is prepared once.

What rows share stands in a file as `?1`, `?2`, … and is bound after the rows: SQLite's time to prepare grows with the
square of the number of *numbered* parameters, so the many must be plain. This module must never run anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from perdure.storage._sql.session import Value
from perdure.storage._sql.statements import texts

MOST_PARAMETERS: Final = 4096
"""Per statement; well below what databases allow, and beyond it nothing is gained."""
MOST_ROWS: Final = 256

_ROWS = re.compile(r"\{rows:(\d+)\}")
_EACH = re.compile(r"\{each:(\d+):(.*?):([A-Z ]+)\}", re.DOTALL)
_NUMBERED = re.compile(r"\?(\d+)")
_OPEN = re.compile(r"\?(?!\d)")


class Statement:
    """One statement and its texts for different numbers of rows."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.head = max((int(number) for number in _NUMBERED.findall(text)), default=0)
        """How many parameters all rows share."""
        rows, each = _ROWS.search(text), _EACH.search(text)
        self.width = int(rows[1]) if rows else int(each[1]) if each else 0
        """How many parameters each row has."""
        self.most = min(MOST_ROWS, MOST_PARAMETERS // self.width) if self.width else 0
        self._texts: dict[int, str] = {}

    def sized(self, count: int) -> str:
        """The text for `count` rows; `count` should come from `size`."""
        text = self._texts.get(count)
        if text is None:
            text = self._texts[count] = self._expand(count)
        return text

    def parameters(self, head: Sequence[Value], rows: Sequence[Sequence[Value]], count: int) -> list[Value]:
        """The parameters for that text: rows, NULL rows up to `count`, head."""
        found: list[Value] = []
        for row in rows:
            found += row
        found += [None] * ((count - len(rows)) * self.width)
        found += head
        return found

    def matching(self, terms: Sequence[tuple[str, bool]]) -> str:
        """The text with conditions, each with one parameter and perhaps negated, in the place of `{terms}`. However often a
        condition says `?`, it means its parameter."""
        texts = [
            _OPEN.sub(f"?{self.head + place}", f"NOT coalesce(({term}), 0)" if negated else f"({term})")
            for place, (term, negated) in enumerate(terms, 1)
        ]
        return self.text.replace("{terms}", " AND ".join(texts) or "TRUE")

    def _expand(self, count: int) -> str:
        used = count * self.width
        text = _NUMBERED.sub(lambda found: f"?{used + int(found[1])}", self.text)
        row = f"({', '.join('?' * self.width)})"
        text = _ROWS.sub(", ".join([row] * count), text)
        return _EACH.sub(lambda found: _number(f"\n{found[3]}\n".join([found[2]] * count), 0), text)


def _number(text: str, used: int) -> str:
    """The text with its open parameters numbered from `used + 1`."""
    pieces = _OPEN.split(text)
    return pieces[0] + "".join(f"?{used + place}{piece}" for place, piece in enumerate(pieces[1:], 1))


@cache
def size(count: int) -> int:
    """The size of text for so many rows: the next power of two, or three quarters of it where that suffices."""
    whole = 1 << max(count - 1, 0).bit_length()
    return whole * 3 // 4 if whole >= 4 and count <= whole * 3 // 4 else whole


@cache
def load(package: str) -> dict[str, Statement]:
    """All statements of a package's `.sql` files by name."""
    return {name: Statement(name, text) for name, text in texts(package).items()}
