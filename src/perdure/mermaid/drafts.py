"""From statements to a graph, with the place of each thing at hand for whoever finds fault with it.

Here belongs what can be said statement by statement: what nests, what is declared twice, which texts Mermaid would read as
something else. What the whole must fulfil stands in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from perdure.mermaid.problems import Problems, Word
from perdure.mermaid.statements import Statement
from perdure.model.diagram import BACKOFF_MS, Arrow, Direction, Kind, Node, Note, Region, Side

STAR: Final = "[*]"
DEEPEST: Final = 50
KINDS: Final[dict[str, Kind]] = {"choice": "choice", "fork": "fork", "join": "join"}
DIRECTIONS: Final = ("TB", "BT", "LR", "RL")
MOST: Final = 1_000_000_000


@dataclass(slots=True)
class Draft:
    """A state while its diagram is read. `scope` is the region it belongs to."""

    word: Word
    scope: Scope
    kind: Kind = "state"
    texts: list[str] = field(default_factory=list[str])
    notes: list[Note] = field(default_factory=list[Note])
    attributes: dict[str, int] = field(default_factory=dict[str, int])
    regions: list[Scope] = field(default_factory=list["Scope"])

    def node(self) -> Node:
        """The state as it is kept."""
        attempts, backoff = self.attributes.get("attempts", 1), self.attributes.get("backoffMs", BACKOFF_MS)
        regions = tuple(scope.region() for scope in self.regions)
        return Node(self.word.text, self.kind, tuple(self.texts), tuple(self.notes), attempts, backoff, regions)


@dataclass(slots=True)
class Scope:
    """A region while it is read. `places` are where each arrow's label, or the arrow itself, stands."""

    owner: Draft | None
    word: Word
    depth: int = 0
    drafts: dict[str, Draft] = field(default_factory=dict[str, Draft])
    arrows: list[tuple[Arrow, Word]] = field(default_factory=list[tuple[Arrow, Word]])
    direction: Direction = ""

    def region(self) -> Region:
        """The region as it is kept."""
        nodes = tuple(draft.node() for draft in self.drafts.values())
        return Region(nodes, tuple(arrow for arrow, _ in self.arrows), self.direction)


class Drafting:
    """Takes statements in order."""

    def __init__(self, problems: Problems, first: int) -> None:
        self.problems, self._add = problems, problems.at
        self.root = Scope(None, Word("", first, 1))
        self.drafts: dict[str, Draft] = {}
        self._nested: list[Scope] = [self.root]
        self._styled: list[Word] = []

    @property
    def _scope(self) -> Scope:
        return self._nested[-1]

    def take(self, statements: Iterable[Statement]) -> None:
        """Takes all of them."""
        for statement in statements:
            for word in statement.classes:
                if not re.fullmatch(r"[A-Za-z0-9_]+", word.text):
                    self._add(word, f"{word.text!r} is no name of a class")
            getattr(self, f"_on_{statement.kind}")(statement)
        for scope in self._nested[1:]:
            self._add(scope.word, f"the braces of {scope.word.text} are never closed")
        for word in self._styled:
            for name in word.text.split(","):
                if name not in self.drafts:
                    self._add(word, f"there is no state {name} to style")

    # -- states -------------------------------------------------------------------------------------------------------

    def _draft(self, word: Word) -> Draft | None:
        """The state of that name in this region, which is made when it is first met."""
        known = self.drafts.get(word.text)
        if known is None:
            known = self.drafts[word.text] = self._scope.drafts[word.text] = Draft(word, self._scope)
        if known.scope is not self._scope:
            self._add(word, f"{word.text} belongs to {_place(known.scope)} (line {known.word.line}), not to "
                            f"{_place(self._scope)}; arrows do not cross the border of a composite state")  # fmt: skip
            return None
        return known

    def _on_mention(self, statement: Statement) -> None:
        word = statement.words[0]
        if word.text == STAR:
            self._add(word, "[*] alone says nothing; write [*] --> STATE, or STATE --> [*]")
        else:
            self._draft(word)

    _on_declared = _on_mention

    def _on_described(self, statement: Statement) -> None:
        word, label = statement.words
        if word.text == STAR:
            self._add(word, "a start or an end has no description")
        elif (draft := self._draft(word)) is not None and (text := self._text(label)):
            draft.texts.append(text)

    def _on_alias(self, statement: Statement) -> None:
        quoted, word = statement.words
        draft, text = self._draft(word), self._quoted(quoted)
        if draft is not None and text:
            draft.texts.append(text)

    def _on_typed(self, statement: Statement) -> None:
        word, kind = statement.words
        name = kind.text.strip("<>[]")
        if name not in KINDS:
            self._add(kind, f"{kind.text} is not supported; there are <<choice>>, <<fork>> and <<join>>")
        elif (draft := self._draft(word)) is not None:
            self._become(draft, KINDS[name], word)

    def _become(self, draft: Draft, kind: Kind, word: Word) -> bool:
        if draft.kind in ("state", kind):
            draft.kind = kind
            return True
        self._add(word, f"{draft.word.text} is a {draft.kind} already (line {draft.word.line})")
        return False

    # -- what nests ---------------------------------------------------------------------------------------------------

    def _on_open(self, statement: Statement) -> None:
        *quoted, word = statement.words
        draft, scope = self._draft(word), Scope(None, word, self._scope.depth + 1)
        for text in filter(None, map(self._quoted, quoted)):
            if draft is not None:
                draft.texts.append(text)
        if scope.depth > DEEPEST:
            self._add(word, f"composite states are nested deeper than {DEEPEST}")
        elif draft is not None and draft.regions:
            self._add(word, f"{word.text} is a composite state already (line {draft.word.line})")
        elif draft is not None and self._become(draft, "composite", word):
            scope.owner = draft
            draft.regions.append(scope)
        self._nested.append(scope)

    def _on_close(self, statement: Statement) -> None:
        if len(self._nested) > 1:
            self._nested.pop()
        else:
            self.problems.add(statement.line, 1, "there is no composite state that } could close")

    def _on_divider(self, statement: Statement) -> None:
        before = self._scope
        if len(self._nested) == 1:
            self.problems.add(statement.line, 1, "-- divides a composite state; here is none")
            return
        scope = Scope(before.owner, Word(before.word.text, statement.line, 1), before.depth)
        if before.owner is not None:
            before.owner.regions.append(scope)
        self._nested[-1] = scope

    def _on_direction(self, statement: Statement) -> None:
        word = statement.words[0]
        if word.text in DIRECTIONS:
            self._scope.direction = cast("Direction", word.text)
        else:
            self._add(word, f"{word.text} is no direction; there are {', '.join(DIRECTIONS)}")

    # -- arrows -------------------------------------------------------------------------------------------------------

    def _on_arrow(self, statement: Statement) -> None:
        source, target, *labels = statement.words
        label = self._text(labels[0]) if labels else ""
        ends = [None if word.text == STAR else self._draft(word) for word in (source, target)]
        if label is None or any(
            end is None and word.text != STAR for end, word in zip(ends, statement.words, strict=False)
        ):
            return
        if source.text == target.text == STAR:
            self._add(source, "[*] --> [*] is a diagram of nothing")
        elif source.text == target.text:
            self._configure(cast("Draft", ends[0]), labels[0] if labels else source, label)
        else:
            first, last = (None if end is None else end.word.text for end in ends)
            arrow = Arrow(first, last, label)
            self._scope.arrows.append((arrow, source))

    def _configure(self, draft: Draft, word: Word, label: str) -> None:
        """An arrow to itself: its label says how often a state is tried."""
        if draft.kind == "choice":
            self._add(word, f"the choice {draft.word.text} leads to itself")
        elif not label:
            self._add(word, f"the arrow from {draft.word.text} to itself provides no information; "
                            r"label it, for example: attempts=3\nbackoffMs=2000")  # fmt: skip
        for part in label.split(r"\n") if label and draft.kind != "choice" else ():
            self._attribute(draft, word, part.strip())

    def _attribute(self, draft: Draft, word: Word, part: str) -> None:
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            self._add(word, f"{part!r} is no attribute of {draft.word.text}; write attempts=3 or backoffMs=2000")
        elif name not in ("attempts", "backoffMs"):
            self._add(word, f"{draft.word.text} has the unknown attribute {name!r}; known are attempts and backoffMs")
        elif name in draft.attributes:
            self._add(word, f"{name} of {draft.word.text} is given twice")
        elif not re.fullmatch(r"[+-]?\d+(\.\d*)?", value, re.ASCII):
            self._add(word, f"{name} of {draft.word.text} is {value!r}, which is not a number")
        elif not re.fullmatch(r"\+?0*[1-9]\d{0,8}", value, re.ASCII):
            self._add(word, f"{name} of {draft.word.text} is {value}; only whole positive numbers are allowed")
        else:
            draft.attributes[name] = int(value)

    # -- decoration ---------------------------------------------------------------------------------------------------

    def _on_note(self, statement: Statement) -> None:
        side, word, body = statement.words
        draft = self._draft(word)
        if body.text.startswith(":"):
            text = self._text(body) or ""
            if ":" in text:
                self._add(body, "a note on one line has no second colon; write it on several, up to end note")
        else:
            lines = [line.strip() for line in body.text.split("\n") if not line.strip().startswith("%%")]
            text = "\n".join(lines[1:-1]).strip()
            if text.startswith(":"):
                self._add(body, "the text of a note must not begin with a colon")
        if draft is not None and text:
            draft.notes.append(Note(cast("Side", " ".join(side.text.split())), text))
        elif not text and not body.text.startswith(":"):
            self._add(body, "the note is empty")

    def _on_classdef(self, statement: Statement) -> None:
        name = statement.words[0]
        if "," in name.text or name.text.lower() == "default":
            self._add(name, f"{name.text!r} is no name of a class")

    def _on_classes(self, statement: Statement) -> None:
        self._styled.append(statement.words[0])

    _on_style = _on_classes

    # -- texts --------------------------------------------------------------------------------------------------------

    def _text(self, label: Word) -> str | None:
        """The text after a colon, or `None` where Mermaid would read it as something else."""
        text = label.text[1:].strip()
        wrong = (
            "there is no text after the colon" if not text
            else "a text neither begins nor ends with a colon, nor has two in a row"
            if text.startswith(":") or text.endswith(":") or "::" in text
            else "a text has no semicolon; Mermaid ends it there" if ";" in text
            else "a comment stands on a line of its own" if "%%" in text
            else "a text has no attributes of HTML" if re.search(r"<\w+[^>]*=", text)
            else ""
        )  # fmt: skip
        if wrong:
            self._add(label, wrong)
        return None if wrong else text

    def _quoted(self, quoted: Word) -> str | None:
        text = quoted.text[1:-1].strip()
        if not text or "<<" in text or "[[" in text:
            self._add(quoted, "the text in quotes is empty" if not text else "a text in quotes has no << and no [[")
            return None
        return text


def _place(scope: Scope) -> str:
    return "the diagram itself" if scope.depth == 0 else f"the composite state {scope.word.text}"
