"""The index that the demo makes, in one SQLite file: FTS5 where SQLite has it, else an inverted index of its own.

It is written beside its place and moved there whole, so that whoever searches meanwhile sees the old one or the new one.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

WORD = re.compile(r"\w+")
WIDE = 160


class Hit(NamedTuple):
    """A file that holds what was sought: the line where it first stands."""

    path: str
    line: int
    snippet: str
    score: float


def write_index(index: str, folder: str, paths: Iterable[str], *, fts: bool | None = None) -> None:
    """Indexes files; what cannot be read by now is left out. `fts` `None`: where SQLite has it."""
    draft = f"{index}.draft"
    if os.path.exists(draft):
        os.remove(draft)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # what is indexed is its user's alone
    with closing(sqlite3.connect(draft)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE about (kind TEXT, folder TEXT)")
        kind = "fts5" if (has_fts5(connection) if fts is None else fts) else "inverted"
        connection.execute("INSERT INTO about VALUES (?, ?)", (kind, folder))
        (_write_fts5 if kind == "fts5" else _write_inverted)(connection, _texts(paths))
    os.replace(draft, index)


def has_fts5(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite was built with full-text search."""
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.probe USING fts5(text)")
        connection.execute("DROP TABLE temp.probe")
    except sqlite3.OperationalError:
        return False
    return True


def is_file(path: str) -> bool:
    """Whether it is a file, and no link to one."""
    return os.path.isfile(path) and not os.path.islink(path)


def is_text(name: str) -> bool:
    """Whether a name can be stored: one that is no UTF-8 on disk cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                yield path, file.read().decode("utf-8", "replace")
        except OSError:
            continue


def _write_fts5(connection: sqlite3.Connection, texts: Iterable[tuple[str, str]]) -> None:
    connection.execute(
        "CREATE VIRTUAL TABLE file USING fts5(path UNINDEXED, body, tokenize = \"unicode61 tokenchars '_'\")"
    )
    connection.executemany("INSERT INTO file VALUES (?, ?)", texts)


def _write_inverted(connection: sqlite3.Connection, texts: Iterable[tuple[str, str]]) -> None:
    connection.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT, body TEXT, size INTEGER)")
    connection.execute(
        "CREATE TABLE posting (word TEXT, file INTEGER, count INTEGER, PRIMARY KEY (word, file)) WITHOUT ROWID"
    )
    for number, (path, body) in enumerate(texts, 1):
        words = Counter(WORD.findall(body.lower()))
        connection.execute("INSERT INTO file VALUES (?, ?, ?, ?)", (number, path, body, words.total()))
        rows = [(word, number, count) for word, count in words.items()]
        connection.executemany("INSERT INTO posting VALUES (?, ?, ?)", rows)


def has_words(text: str) -> bool:
    """Whether there is anything in it to search for."""
    return WORD.search(text) is not None


def search(index: str, text: str, limit: int) -> tuple[str, int, list[Hit]]:
    """The folder that was indexed, how many files hold all words of `text`, and the best of them."""
    words = WORD.findall(text.lower())
    with closing(sqlite3.connect(index)) as connection:
        kind, folder = connection.execute("SELECT kind, folder FROM about").fetchone()
        find = _find_fts5 if kind == "fts5" else _find_inverted
        count, found = find(connection, words, limit) if words else (0, [])
    return folder, count, [_hit(path, body, score, words) for path, body, score in found]


def count_files(index: str) -> tuple[str, int]:
    """Which kind of index it is, and how many files are in it."""
    with closing(sqlite3.connect(index)) as connection:
        (kind,) = connection.execute("SELECT kind FROM about").fetchone()
        return kind, connection.execute("SELECT count(*) FROM file").fetchone()[0]


Found = tuple[int, list[tuple[str, str, float]]]


def _find_fts5(connection: sqlite3.Connection, words: list[str], limit: int) -> Found:
    match = " ".join(f'"{word}"' for word in words)
    (count,) = connection.execute("SELECT count(*) FROM file WHERE file MATCH ?", (match,)).fetchone()
    rows = connection.execute(
        "SELECT path, body, -bm25(file) FROM file WHERE file MATCH ? ORDER BY bm25(file), path LIMIT ?", (match, limit)
    )
    return count, rows.fetchall()


def _find_inverted(connection: sqlite3.Connection, words: list[str], limit: int) -> Found:
    """By the sum of each word's share of the file, rare words weighing more."""
    (total,) = connection.execute("SELECT count(*) FROM file").fetchone()
    scores: list[dict[int, float]] = []
    for word in words:
        rows = connection.execute(
            "SELECT file, count, size FROM posting JOIN file ON file.id = posting.file WHERE word = ?", (word,)
        ).fetchall()
        rarity = math.log(1 + total / max(len(rows), 1))
        scores.append({file: rarity * count / (size or 1) for file, count, size in rows})
    common = set(scores[0]).intersection(*scores[1:])
    ranked = sorted(common, key=lambda file: (-sum(score[file] for score in scores), file))
    best = [(file, sum(score[file] for score in scores)) for file in ranked[:limit]]
    texts = [connection.execute("SELECT path, body FROM file WHERE id = ?", (file,)).fetchone() for file, _ in best]
    return len(common), [(path, body, score) for (path, body), (_, score) in zip(texts, best, strict=True)]


def _hit(path: str, body: str, score: float, words: list[str]) -> Hit:
    """The first line with all the words, else the first with one of them."""
    lines = body.splitlines()
    folded = [set(WORD.findall(line.lower())) for line in lines]
    wanted = set(words)
    places = [number for number, found in enumerate(folded) if wanted <= found]
    places = places or [number for number, found in enumerate(folded) if wanted & found] or [0]
    line = lines[places[0]].strip() if lines else ""
    return Hit(path, places[0] + 1, line[:WIDE], score)
