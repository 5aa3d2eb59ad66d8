"""The diagrams that a file contains: a `.mermaid` or `.mmd` file is one, a Markdown file has them in fenced blocks.

Of Markdown only blocks that are state diagrams count; others are somebody else's drawings, and a block within a block is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from perdure.mermaid.problems import wrong
from perdure.model.diagram import snake

MARKDOWN: Final = frozenset({".md", ".markdown"})
SUFFIXES: Final = frozenset({".mermaid", ".mmd"}) | MARKDOWN
LARGEST: Final = 16 << 20
FENCE: Final = re.compile(r"([ \t]*)(`{3,}(?=[^`]*$)|~{3,})[ \t]*(\S*).*")
HEADER: Final = re.compile(r"[ \t]*stateDiagram(-v2)?[ \t]*")


class Source(NamedTuple):
    """The text of one diagram; its first line has the number `first` in the file."""

    path: Path
    text: str
    first: int


def sources_of(path: Path) -> list[Source]:
    """The diagrams of a file. Raises `DiagramError` where it cannot be read, or is no file for diagrams."""
    if path.suffix.lower() not in SUFFIXES:
        raise wrong(path, f"the file is no diagram; those end in {', '.join(sorted(SUFFIXES))}")
    try:
        if path.stat().st_size > LARGEST:
            raise wrong(path, f"the file has over {LARGEST} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise wrong(path, f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise wrong(path, f"the file is no text in UTF-8 (byte {error.start})") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix.lower() not in MARKDOWN:
        return [Source(path, text, 1)]
    return list(_fenced(path, text.split("\n")))


def _fenced(path: Path, lines: list[str]) -> Iterator[Source]:
    at = 0
    while at < len(lines):
        opening = FENCE.fullmatch(lines[at])
        at += 1
        if opening is None:
            continue
        indent, fence = opening[1], opening[2]
        closing = re.compile(rf"[ \t]*{fence[0]}{{{len(fence)},}}[ \t]*")
        end = next((after for after in range(at, len(lines)) if closing.fullmatch(lines[after])), len(lines))
        block = [line.removeprefix(indent) for line in lines[at:end]]
        if opening[3] == "mermaid" and any(HEADER.fullmatch(line) for line in block):
            yield Source(path, "\n".join(block), at + 1)
        at = end + 1


def stem_of_file(path: Path) -> str:
    """The file's name as modules are named. Raises `DiagramError` for one that no module can have."""
    stem = snake(path.stem)
    if not stem.isidentifier():
        raise wrong(path, "the file has a name that no module can have; begin it with a letter")
    return stem
