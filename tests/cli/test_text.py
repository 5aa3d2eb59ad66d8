"""Untrusted text cannot act on a terminal, and means the same in JSON."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from perdure.cli.text import json_text, plural, relative, safe_lines, safe_text, span, upcoming

ANY_TEXT = st.text(st.characters(codec=None))
ACTING = {"Cc", "Cs", "Zl", "Zp"}
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def acts(text: str) -> bool:
    return any(unicodedata.category(each) in ACTING or each in BIDI for each in text)


@given(ANY_TEXT)
def test_no_text_acts(text: str) -> None:
    assert not acts(safe_text(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | ANY_TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    )
)
def test_json_is_harmless_and_means_the_same(value: object) -> None:
    text = json_text(value)
    assert not acts(text.replace("\n", ""))
    assert json.loads(text) == json.loads(json.dumps(value))
    assert "\n" not in json_text(value, indent=None)


def test_what_is_shown() -> None:
    assert safe_text("a\x1b[31m\n\x07\u202e\U000e0041") == r"a\x1b[31m\n\x07\u202e\U000e0041"
    assert safe_text("Grüße, 日本 👩") == "Grüße, 日本 👩"
    assert safe_text("abcdef", 4) == "abc…"
    assert safe_lines("a\tb\nc\x1b") == "a   b\nc\\x1b"
    assert json_text({"é": "\x7f\x9b\u2028"}, indent=None) == '{"é": "\\u007f\\u009b\\u2028"}'


def test_spans_and_distances() -> None:
    assert [span(each) for each in (0.0004, 0.85, 3.21, 42, 119, 150, 7200, 200_000)] == [
        "0 ms", "850 ms", "3.2 s", "42 s", "119 s", "2 min", "2 h", "2 d",
    ]  # fmt: skip
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert relative(now + timedelta(hours=3), now) == "in 3 h"
    assert relative(now - timedelta(seconds=5), now) == "5.0 s ago"
    assert relative(now, now) == "now"
    assert upcoming(now + timedelta(hours=3), now) == "in 3 h"
    assert upcoming(now - timedelta(seconds=5), now) == "now"
    assert (plural(1, "entry", "entries"), plural(1200, "entry", "entries")) == ("1 entry", "1,200 entries")
