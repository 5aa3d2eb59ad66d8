"""A durable program: it indexes every text file of a folder, and survives being killed at any moment.

Run `perdure demo` to see it happen. A *task* is an ordinary function; what it calls by *activities* is recorded, once each.
When its worker dies, another one runs `index_folder` again from the top: recorded results are answered from the journal,
and only what was in flight runs again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from perdure import Context, Perdure, Sizes
from perdure.cli.demo.effects import effect
from perdure.cli.demo.search import is_file, is_text, write_index

app = Perdure(sizes=Sizes(result=1 << 26))

LARGEST = 2 << 20
PASSED_OVER = {"__pycache__", "site-packages", "dist-packages", "node_modules"}


@dataclass
class File:
    """What is known of a file. `skipped` says why it has no text: binary, huge, unreadable."""

    path: str
    lines: int = 0
    words: int = 0
    sha256: str = ""
    common: dict[str, int] = field(default_factory=dict[str, int])
    skipped: str = ""


@dataclass
class Summary:
    """What became of a folder."""

    files: int
    indexed: int
    lines: int
    words: int
    skipped: dict[str, int]


@app.task
async def index_folder(ctx: Context, folder: str, index: str) -> Summary:
    """Read every file of a folder, eight at a time, and make one index of them all."""
    paths = await list_files.aio(folder)
    ctx.progress(0, len(paths), "reading")
    files = await ctx.map(read_file, paths, concurrency=8)
    ctx.progress(len(paths), len(paths), "indexing")
    return await build_index.aio(folder, index, files)


@app.activity
def list_files(folder: str) -> list[str]:
    """The paths of all files below a folder; hidden ones, caches and links, which may lead out of it, are left out."""
    with effect("list_files", folder):
        found: list[str] = []
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in PASSED_OVER and not name.startswith("."))
            paths = [os.path.join(place, name) for name in sorted(names) if not name.startswith(".")]
            found += [path for path in paths if is_file(path) and is_text(path)]
        return found


@app.activity
def read_file(path: str) -> File:
    """Read one file: its lines, its words, the commonest of them, its hash. It runs in a thread."""
    with effect("read_file", path):
        try:
            data = Path(path).read_bytes() if os.path.getsize(path) <= LARGEST else None
        except OSError:
            return File(path, skipped="unreadable")
        if data is None:
            return File(path, skipped="huge")
        if b"\0" in data:
            return File(path, skipped="binary")
        text = data.decode("utf-8", "replace")
        words = Counter(re.findall(r"\w+", text.lower()))
        digest = hashlib.sha256(data).hexdigest()
        return File(path, text.count("\n"), words.total(), digest, dict(words.most_common(5)))


@app.activity
def build_index(folder: str, index: str, files: list[File]) -> Summary:
    """Make the full-text index. Doing it twice makes the same one, as an activity should."""
    with effect("build_index", index):
        readable = [file for file in files if not file.skipped]
        write_index(index, folder, [file.path for file in readable])
        skipped = Counter(file.skipped for file in files if file.skipped)
        lines, words = sum(file.lines for file in files), sum(file.words for file in files)
        return Summary(len(files), len(readable), lines, words, dict(skipped))
