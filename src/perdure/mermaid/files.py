"""What `perdure generate` would write: for each diagram its base class, and a file of payload classes that is the user's.

Nothing is written here. What the user has written is never changed: payload classes that are missing are appended, and a
generated file that somebody edited is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from perdure.mermaid.code import code, is_untouched
from perdure.mermaid.names import written
from perdure.mermaid.problems import DiagramError, wrong
from perdure.mermaid.reading import parse
from perdure.mermaid.sources import Source, sources_of, stem_of_file
from perdure.model.diagram import Graph, snake, title_name
from perdure.model.machine import lower

IMPORT: Final = "from dataclasses import dataclass"


class Output(NamedTuple):
    """A file as it should be, and as it is (`None` where it is missing). `edited`: generated once, and changed by hand."""

    path: Path
    new: bytes
    old: bytes | None
    edited: bool = False

    @property
    def stale(self) -> bool:
        """Whether it has to be written."""
        return self.new != self.old


class Plan(NamedTuple):
    """What one diagram comes to. `module` is what its generated classes are imported from, `payloads` the user's."""

    source: Source
    graph: Graph
    outputs: tuple[Output, ...]
    module: str
    payloads: str


def plans(paths: Sequence[Path]) -> list[Plan]:
    """The plans of all diagrams in these files. Raises `DiagramError` with what is wrong in all of them."""
    made: list[Plan] = []
    errors: list[DiagramError] = []
    for path in paths:
        try:
            found = sources_of(path)
            if not found:
                raise wrong(path, "the file has no state diagram (a fenced block, mermaid, with stateDiagram-v2)")
        except DiagramError as error:
            errors.append(error)
            continue
        for source in found:
            try:
                made.append(_plan(source, len(found) == 1))
            except DiagramError as error:
                errors.append(error)
    owners: dict[Path, Source] = {}
    for plan in made:
        other = owners.setdefault(plan.outputs[0].path, plan.source)
        if other is not plan.source:
            errors.append(wrong(plan.source.path, f"{plan.outputs[0].path.name} is generated from {other.path.name} already",
                                plan.source.first))  # fmt: skip
    if errors:
        raise DiagramsError(errors)
    return made


class DiagramsError(DiagramError):
    """What is wrong with several diagrams: the message has each."""

    def __init__(self, errors: Sequence[DiagramError]) -> None:
        super().__init__(errors[0].source, [problem for error in errors for problem in error.problems])
        self.args = ("\n".join(str(error) for error in errors),)


def _plan(source: Source, alone: bool) -> Plan:
    graph = parse(source.text, str(source.path), source.first)
    stem, folder = stem_of_file(source.path) if alone else snake(title_name(graph.title)), source.path.parent
    dot = "." if (folder / "__init__.py").exists() else ""
    module, payloads = f"{dot}{stem}_diagram", f"{dot}{stem}_payloads"
    outputs = (_base(folder / f"{stem}_diagram.py", code(graph, source.path.name, payloads)),
               _payloads(folder / f"{stem}_payloads.py", graph))  # fmt: skip
    return Plan(source, graph, outputs, module, payloads)


def _base(path: Path, text: str) -> Output:
    old, new = _read(path), text.encode()
    if old is None:
        return Output(path, new, None)
    plain = old.replace(b"\r\n", b"\n")  # as some version control checks files out
    if plain == new:
        return Output(path, old, old)
    return Output(path, new, old, edited=not is_untouched(plain.decode("utf-8", "replace")))


def _payloads(path: Path, graph: Graph) -> Output:
    """The user's payload classes, missing ones appended; what stands there is kept byte for byte."""
    old = _read(path)
    text, names = "", list(dict.fromkeys(written(lower(graph))))
    if old is None:
        head = f'"""What the states of {title_name(graph.title)} are given. Yours to fill in: missing classes are appended."""'
        return Output(path, "\n".join([head, "", IMPORT, *_dataclasses(names), ""]).encode(), None)
    try:
        text = old.decode("utf-8")
        bound = set(bound_names(ast.parse(old).body))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise wrong(path, f"it cannot be read as Python, so nothing is appended: {error}", line) from error
    missing = [name for name in names if name not in bound]
    if not missing:
        return Output(path, old, old)
    start = [] if "dataclass" in bound else ["", "", IMPORT]
    added = "\n".join([*start, *_dataclasses(missing), ""])
    newline = "\r\n" if "\r\n" in text else "\n"
    added = (added if not text or text.endswith("\n") else "\n" + added).replace("\n", newline)
    return Output(path, old + added.encode(), old)


def _dataclasses(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from ("", "", "@dataclass(frozen=True)", f"class {name}:", f'    """{_doc(name)}"""')


def _doc(name: str) -> str:
    if name.endswith("Result"):
        return f"What the branch that begins with `{snake(name.removesuffix('Result'))}` comes to."
    return f"What the state `{snake(name.removesuffix('Payload'))}` is given."


def bound_names(body: Sequence[ast.stmt | ast.ExceptHandler]) -> Iterator[str]:
    """The names that a module or a class gives, at its top or within an `if`, a `try` or a `with` there."""
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (each.asname or each.name.partition(".")[0] for each in names)
            case ast.If() | ast.Try() | ast.With() | ast.ExceptHandler():
                for field in ("body", "handlers", "orelse", "finalbody"):
                    yield from bound_names(getattr(statement, field, ()))
            case _:
                names = (each for each in ast.walk(statement) if isinstance(each, ast.Name))
                yield from (each.id for each in names if isinstance(each.ctx, ast.Store))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise wrong(path, f"the file cannot be read: {error.strerror}") from error
