"""Untrusted text on its way to a terminal or a file: nothing in it may act.

Ids, names, payloads and error messages come from whoever enqueued. Control characters move the cursor or retitle the
window; bidirectional and invisible ones make an id look like another. They are shown as escapes. In JSON they become JSON's
own escapes, so that the document means the same.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Final

# C0, DEL, C1; soft hyphen; Arabic letter mark and other format characters; line and paragraph separators; bidirectional
# marks, embeddings and isolates; zero-width and invisible ones; surrogates; byte order mark; interlinear; tags.
UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
SCALES: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def safe_text(text: object, longest: int | None = None) -> str:
    """One line that shows `text` and does nothing else; longer than `longest` it ends in an ellipsis."""
    shown = str(text)
    if longest is not None and len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return UNSAFE.sub(_escape, shown)


def safe_lines(text: str) -> str:
    """As `safe_text`, but line breaks stay, tabs become spaces: for tracebacks."""
    return "\n".join(safe_text(line.expandtabs(4)) for line in text.splitlines())


def json_text(value: object, *, indent: int | None = 2) -> str:
    """A JSON document of plain values, readable in any language, harmless on a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_unusual)
    return UNSAFE.sub(_json_escape, text)


def _unusual(value: object) -> object:
    if isinstance(value, datetime):
        return stamp(value)
    return str(value)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    """A line break stands only between members: `json.dumps` has escaped those inside strings."""
    return "\n" if match[0] == "\n" else json.dumps(match[0])[1:-1].lower() if ord(match[0]) != 0x7F else "\\u007f"


# --- time


def stamp(moment: datetime) -> str:
    """`2026-11-21T02:23:28.120Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_text(moment: datetime) -> str:
    """`2026-11-21 02:23:28Z`, for people."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """`850 ms`, `3.2 s`, `4 min`, `2 h`, `5 d`: two figures at most."""
    if seconds < 1:
        return f"{max(round(seconds * 1000), 0)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length in SCALES:
        if seconds >= 2 * length or unit == "s":
            return f"{round(seconds / length)} {unit}"
    return ""


def relative(moment: datetime, now: datetime) -> str:
    """`in 3 h`, `4 min ago`, `now`."""
    distance = (moment - now).total_seconds()
    if abs(distance) < 0.5:
        return "now"
    return f"in {span(distance)}" if distance > 0 else f"{span(-distance)} ago"


def upcoming(moment: datetime, now: datetime) -> str:
    """As `relative`, for what is to come: what is late is due now."""
    return relative(max(moment, now), now)


def plural(count: int, noun: str, many: str | None = None) -> str:
    """`1 file`, `1,790 files`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
