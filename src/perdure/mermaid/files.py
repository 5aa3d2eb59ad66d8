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
from perdure.mermaid.problems import DiagramError, Problem
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
                raise _wrong(path, "the file has no state diagram (a fenced block, mermaid, with stateDiagram-v2)")
            made += [_plan(source, len(found) == 1) for source in found]
        except DiagramError as error:
            errors.append(error)
    owners: dict[Path, Source] = {}
    for plan in made:
        other = owners.setdefault(plan.outputs[0].path, plan.source)
        if other is not plan.source:
            errors.append(_wrong(plan.source.path, f"{plan.outputs[0].path.name} is generated from {other.path.name} already",
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
    edited = old is not None and old != new and not is_untouched(old.decode("utf-8", "replace").replace("\r\n", "\n"))
    return Output(path, new, old, edited)


def _payloads(path: Path, graph: Graph) -> Output:
    """The user's payload classes, missing ones appended; what stands there is kept byte for byte."""
    old = _read(path)
    text, names = "", list(dict.fromkeys(written(lower(graph))))
    if old is None:
        head = f'"""What the states of {title_name(graph.title)} are given. Yours to fill in: missing classes are appended."""'
        return Output(path, "\n".join([head, "", IMPORT, *_dataclasses(names), ""]).encode(), None)
    try:
        text = old.decode("utf-8")
        bound = set(bound_names(ast.parse(old)))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise _wrong(path, f"it cannot be read as Python, so nothing is appended: {error}", line) from error
    missing = [name for name in names if name not in bound]
    if not missing:
        return Output(path, old, old)
    start = [] if "dataclass" in bound or not missing else ["", "", IMPORT]
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


def bound_names(tree: ast.Module) -> Iterator[str]:
    """The names that a module gives, at its top or within an `if` or a `try` there."""
    left: list[ast.stmt] = list(tree.body)
    while left:
        statement = left.pop()
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (each.asname or each.name.partition(".")[0] for each in names)
            case ast.Assign() | ast.AnnAssign():
                yield from (each.id for each in ast.walk(statement) if isinstance(each, ast.Name))
            case ast.If(body=body, orelse=orelse) | ast.Try(body=body, orelse=orelse):
                left += [*body, *orelse]
                left += [each for handler in getattr(statement, "handlers", ()) for each in handler.body]
            case _ if type(statement).__name__ == "TypeAlias":
                yield from (each.id for each in ast.walk(statement) if isinstance(each, ast.Name))
            case _:
                pass


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _wrong(path, f"the file cannot be read: {error.strerror}") from error


def _wrong(path: Path, message: str, line: int = 1) -> DiagramError:
    return DiagramError(str(path), [Problem(line, 1, message)])
