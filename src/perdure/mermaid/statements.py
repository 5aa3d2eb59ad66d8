"""From lines to statements: each is read by itself, so that one that is wrong hides no other.

The grammar stands in `grammar.lark`. Here is what stands around it: comments, the lines of a note, words that Mermaid keeps for
itself, and what it documents but nobody can execute, each refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, cast

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from perdure.mermaid.problems import Problems, Word

HEADER: Final = re.compile(r"stateDiagram(-v2)?[ \t]*")
COMMENT: Final = re.compile(r"\s*(%%(?!\{).*|%%\{\s*\w+\s*(:\s*\{.*\}\s*)?\}%%\s*|#[^;]*)")
NOTE: Final = re.compile(r"\s*note\s+(left|right) of\s+[^\s:]+\s*")
END_NOTE: Final = re.compile(r"[ \t]*end note\b")
DIRECTION: Final = re.compile(r"direction\s+(TB|BT|RL|LR)", re.IGNORECASE)
KEPT: Final = frozenset(
    {"state", "note", "class", "classdef", "style", "scale", "click", "href", "default", "direction", "acctitle",
     "accdescr", "statediagram"}
)  # fmt: skip
UNSUPPORTED: Final = (
    (re.compile(r"\s*accTitle\b"), "accTitle is not supported; the front matter has the title"),
    (re.compile(r"\s*accDescr\b"), "accDescr is not supported; write a comment: %% …"),
    (re.compile(r"\s*click\b"), "click is not supported: a diagram that runs has no links"),
    (re.compile(r"\s*scale\s+\d"), "scale is not supported"),
    (re.compile(r"\s*hide empty description"), "hide empty description is not supported"),
    (re.compile(r'\s*note\s+"'), "a note without a state is not supported; write note right of STATE: …"),
    (re.compile(r"\s*state\s.*(<<(start|end|history)>>|\[H\*?\])"), "only <<choice>>, <<fork>> and <<join>> are supported"),
    (re.compile(r".*\[H\*?\]"), "history states are not supported"),
    (re.compile(r"\s*%%\{"), "a directive is written as %%{init: {…}}%%, on one line"),
)  # fmt: skip
EXPECTED: Final = {
    "NAME": "a name", "LABEL": "a colon and a text", "STRING": "a text in quotes", "KIND": "<<choice>>, <<fork>> or <<join>>",
    "STAR": "[*]", "SIDE": "left of or right of", "BLOCK": "the lines of the note, up to end note", "IDS": "names of classes",
    "REST": "a style", "$END": "the end of the line", "LBRACE": "{", "RBRACE": "}", "_AS": "as", "_STATE": "state", "_ARROW": "-->", "_STYLED": ":::",
}  # fmt: skip


class Statement(NamedTuple):
    """A statement of a `kind` as the grammar names it. An `end` of an arrow with a class is two words in a row, of which the
    second one is in `classes`."""

    kind: str
    words: tuple[Word, ...]
    classes: tuple[Word, ...]
    line: int


@cache
def _parser() -> Lark:
    grammar = files("perdure.mermaid").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)


def read_statements(lines: list[str], first: int, problems: Problems) -> Iterator[Statement]:
    """The statements of the lines after the front matter; the first line has that number."""
    at = _header(lines, first, problems)
    while at < len(lines):
        number, text = first + at, lines[at]
        at += 1
        if not text.strip() or COMMENT.fullmatch(text):
            continue
        if NOTE.fullmatch(text):
            at, text = _note(lines, at)
        if (statement := _statement(text, number, problems)) is not None:
            yield statement


def _header(lines: list[str], first: int, problems: Problems) -> int:
    """The index after the line that says what diagram it is."""
    for at, line in enumerate(lines):
        if not line.strip() or (COMMENT.fullmatch(line) and not line.lstrip().startswith("#")):
            continue
        if HEADER.fullmatch(line.lstrip(" \t")):
            return at + 1
        problems.add(first + at, _indent(line), "the diagram must begin with stateDiagram-v2")
        return at if "-->" in line else len(lines)
    problems.add(first, 1, "there is no diagram; after the front matter write stateDiagram-v2, and the states below it")
    return len(lines)


def _note(lines: list[str], at: int) -> tuple[int, str]:
    """A note of several lines as one text, and the index after it. Without its end it is its first line alone."""
    for end in range(at, len(lines)):
        if END_NOTE.fullmatch(lines[end].rstrip()):
            return end + 1, "\n".join([lines[at - 1], *(line.rstrip() for line in lines[at : end + 1])])
        if END_NOTE.match(lines[end]) or NOTE.match(lines[end]):
            break
    return at, lines[at - 1]


def _statement(text: str, number: int, problems: Problems) -> Statement | None:
    for pattern, why in UNSUPPORTED:
        if pattern.match(text):
            problems.add(number, _indent(text), why)
            return None
    single = "\n" not in text
    if single and (found := DIRECTION.search(text)) and not re.fullmatch(r"\s*direction\s+(TB|BT|RL|LR)\s*", text):
        problems.add(number, found.start() + 1, f"Mermaid reads {found[0]!r} as a direction wherever it stands")
        return None
    try:
        tree = _parser().parse(text)  # pyright: ignore[reportUnknownMemberType]
    except UnexpectedInput as error:
        _explain(error, text, number, problems)
        return None
    return _made(cast("Tree[Token]", tree.children[0]), number, problems)


def _made(tree: Tree[Token], number: int, problems: Problems) -> Statement | None:
    words: list[Word] = []
    classes: list[Word] = []
    for child in tree.children:
        if isinstance(child, Token):
            words.append(_word(child, number))
            continue
        name, *styles = (_word(cast("Token", each), number) for each in child.children)
        words.append(name)
        classes += styles
    for word, kind in zip(words, _tokens(tree), strict=True):
        if kind == "NAME" and tree.data != "direction" and not _is_name(word, problems):
            return None
    return Statement(tree.data, tuple(words), tuple(classes), number)


def _tokens(tree: Tree[Token]) -> Iterator[str]:
    for child in tree.children:
        yield child.type if isinstance(child, Token) else cast("Token", child.children[0]).type


def _word(token: Token, number: int) -> Word:
    return Word(str(token), number + (token.line or 1) - 1, token.column or 1)


def _is_name(word: Word, problems: Problems) -> bool:
    """Whether a word can name a state. Mermaid takes more; what becomes no name of Python's is of no use here."""
    first = re.split(r"\W", word.text, maxsplit=1)[0]
    if first.lower() in KEPT:
        problems.at(word, f"Mermaid keeps the word {first!r} for itself; {_alias(word.text)}")
    elif not re.fullmatch(r"\w+", word.text) or word.text[0].isdecimal():
        problems.at(
            word,
            f"{word.text!r} cannot name a state: use letters, digits and underscores, a letter first; {_alias(word.text)}",
        )  # fmt: skip
    else:
        return True
    return False


def _alias(text: str) -> str:
    return f'show it by an alias: state "{text}" as …'


def _explain(error: UnexpectedInput, text: str, number: int, problems: Problems) -> None:
    """What was met and what could stand there, in words."""
    line, column = number + max(getattr(error, "line", 1), 1) - 1, max(getattr(error, "column", 1), 1)
    wanted: set[str] = set()
    met = ""
    if isinstance(error, UnexpectedToken):
        wanted, token = set(error.accepts or error.expected), cast("Any", error.token)
        met = "the end of the line" if token.type == "$END" else repr(str(token))[:40]
        column = len(text.rstrip()) + 1 if token.type == "$END" else column
    elif isinstance(error, UnexpectedCharacters):
        wanted, met = set(error.allowed or ()), repr(text[cast("int", error.pos_in_stream)])
    first = text.split()[0]
    if first.lower() in KEPT and column > len(first) and re.match(r"\s*\S+\s*(-->|:)", text):
        problems.add(number, _indent(text), f"Mermaid keeps the word {first!r} for itself; {_alias(first)}")
        return
    words = sorted(EXPECTED.get(each, f"{each.lower()!r}") for each in wanted)
    expected = (
        f"; expected {' or '.join(words)}" if 0 < len(words) <= 4 else "; this is no statement of a state diagram"
    )
    problems.add(line, column, f"unexpected {met}{expected}")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip()) + 1
