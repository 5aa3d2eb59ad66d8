"""What is wrong with a diagram: every problem with its place, in one error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from perdure.errors import ConfigurationError


class Problem(NamedTuple):
    """One thing that is wrong, where it stands: lines and columns from 1."""

    line: int
    column: int
    message: str


class Word(NamedTuple):
    """A piece of a text and its place: line and column from 1."""

    text: str
    line: int
    column: int


class DiagramError(ConfigurationError):
    """A diagram cannot be used. `problems` are all of them, in the order of the text; `source` says which text."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source, self.problems = source, tuple(sorted(set(problems)))
        lines = [f"{source}:{problem.line}:{problem.column}: {problem.message}" for problem in self.problems]
        super().__init__("\n".join(lines))


def wrong(path: Path, message: str, line: int = 1) -> DiagramError:
    """The error of a file that has one problem."""
    return DiagramError(str(path), [Problem(line, 1, message)])


class Problems:
    """Problems while they are found; of very many the first ones are kept."""

    MOST = 200

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, line: int, column: int, message: str) -> None:
        """Notes a problem."""
        if len(self.found) < self.MOST:
            self.found.append(Problem(line, column, message))

    def at(self, word: Word, message: str) -> None:
        """Notes a problem where a word stands."""
        self.add(word.line, word.column, message)
