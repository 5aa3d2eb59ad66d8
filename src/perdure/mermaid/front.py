"""The front matter of a diagram: the YAML between two lines of three dashes.

Mermaid reads `title`, `config` and `displayMode` there; `cycles` is ours, and passes Mermaid by. Every other key is an error,
so that a slip of the pen is none of silence.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, cast

import yaml

from perdure.mermaid.problems import Problems, Word

MARK: Final = re.compile(r"---[ \t]*")
KNOWN: Final = ("title", "cycles", "config", "displayMode")
DECORATION: Final = frozenset({"config", "displayMode"})


class Front(NamedTuple):
    """What the front matter says. `lines` is how many lines it takes, both marks included; `place` is the title's."""

    title: str
    cycles: bool
    lines: int
    place: Word


def read_front(lines: list[str], first: int, problems: Problems) -> Front:
    """The front matter at the beginning of these lines, of which the first one has that number."""
    if not lines or not MARK.fullmatch(lines[0]):
        problems.add(first, 1, "the diagram has no title; begin with front matter: ---, title: …, ---")
        return Front("", False, 0, Word("", first, 1))
    end = next((at for at, line in enumerate(lines[1:], 1) if MARK.fullmatch(line)), None)
    if end is None:
        problems.add(first, 1, "the front matter does not end; close it with a line of three dashes")
        return Front("", False, len(lines), Word("", first, 1))
    values = _values("\n".join(lines[1:end]), first + 1, problems)
    if values is None:
        return Front("", False, end + 1, Word("", first, 1))
    title, cycles = values.get("title", Word("", first, 1)), values.get("cycles", Word("false", first, 1))
    if not title.text.strip():
        problems.at(title, "the front matter has no title; write title: …")
    if cycles.text not in ("true", "false"):
        problems.at(cycles, f"cycles is {cycles.text!r}; it must be true or false")
    return Front(" ".join(title.text.split()), cycles.text == "true", end + 1, title)


def _values(text: str, first: int, problems: Problems) -> dict[str, Word] | None:
    """Its plain values by key, or `None` where it cannot be read at all."""
    try:
        found = cast("yaml.Node | None", yaml.compose(text, yaml.BaseLoader))  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        problems.add(first + line, column + 1, f"the front matter is no YAML: {error.problem}")
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problems.add(first, 1, f"the front matter is no YAML: {str(error).splitlines()[0]}")
        return None
    if not isinstance(found, yaml.MappingNode):
        problems.add(first, 1, "the front matter is no mapping; write title: …")
        return None
    values: dict[str, Word] = {}
    for key, value in found.value:
        line, column = first + key.start_mark.line, key.start_mark.column + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else "this key"
        if name not in KNOWN:
            problems.add(line, column, f"{name!r} is not known in the front matter; known are {', '.join(KNOWN)}")
        elif name in values:
            problems.add(line, column, f"{name} stands twice in the front matter")
        elif name in DECORATION:
            values[name] = Word("", line, column)
        elif isinstance(value, yaml.ScalarNode):
            values[name] = Word(str(value.value), first + value.start_mark.line, value.start_mark.column + 1)
        else:
            problems.add(line, column, f"{name} must be one value in the front matter")
    return values
