"""Methods that are missing in a user's class, put after its last one. Everything else stays as it is, byte for byte.

Python's own parser says in which lines things stand; the lines are cut and joined here, so that no printer has a say in them.
"""

from __future__ import annotations

import ast
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from perdure.mermaid.code import returned_by
from perdure.mermaid.files import Output, Plan, bound_names
from perdure.mermaid.names import base_name, payload_of, written
from perdure.mermaid.problems import wrong
from perdure.model.diagram import snake, title_name
from perdure.model.machine import Machine, lower

BODY: Final = "raise NotImplementedError"
LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line as Python counts them: form feeds and such separate none."""


class Missing(NamedTuple):
    """A method to be written, and the names that its hints need."""

    name: str
    payload: str
    returned: str


def stubbed(plan: Plan, path: Path, old: bytes | None) -> Output:
    """The file with a method for each state that its class lacks; without the class, with all of it. Raises `DiagramError`."""
    machine = lower(plan.graph)
    wanted = [Missing(snake(step.name), payload_of(step.name), returned_by(machine, step))
              for step in machine.steps.values() if step.runs]  # fmt: skip
    if old is None or not old.strip():
        text = "\n".join([*_imports(plan, machine, wanted, set(), _beside(plan, path)), *_whole(plan, wanted)]) + "\n"
        return Output(path, text.encode(), old)
    mark = BOM_UTF8 if old.startswith(BOM_UTF8) else b""
    try:
        text = old.removeprefix(mark).decode("utf-8")
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise wrong(path, f"it cannot be read as Python: {str(error).splitlines()[0]}", line) from error
    return Output(path, mark + _Splice(plan, machine, path, text, module).result(wanted).encode(), old)


class _Splice:
    def __init__(self, plan: Plan, machine: Machine, path: Path, text: str, module: ast.Module) -> None:
        self._plan, self._machine, self._path, self._text, self._module = plan, machine, path, text, module
        self._lines = LINE.findall(text)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def result(self, wanted: Sequence[Missing]) -> str:
        found = self._class()
        if found is None:
            missing, methods, after = list(wanted), _whole(self._plan, wanted), len(self._lines)
        else:
            indent, after = self._indent(found), _last(found.body[-1])
            defined = set(bound_names(found.body))
            missing = [each for each in wanted if each.name not in defined]
            methods = list(_methods(missing, indent))
        if not missing:
            return self._text
        bound = set(bound_names(self._module.body))
        imports = [line for line in _imports(self._plan, self._machine, missing, bound, self._home()) if line]
        at, lines = self._after_imports(), self._lines
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += self._newline
        for place, added in sorted([(after, methods), (at, imports)], key=lambda each: each[0], reverse=True):
            lines[place:place] = [line + self._newline for line in added]
        return "".join(lines)

    def _class(self) -> ast.ClassDef | None:
        """The class that derives from the generated one."""
        for node in self._module.body:
            if isinstance(node, ast.ClassDef) and any(self._is_base(base) for base in node.bases):
                return node
        return None

    def _is_base(self, base: ast.expr) -> bool:
        name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        return name in _called(self._module, base_name(self._plan.graph))

    def _indent(self, found: ast.ClassDef) -> str:
        """What stands before each statement of the class."""
        first = found.body[0]
        before = self._lines[first.lineno - 1].encode()[: first.col_offset].decode()
        if before.strip():
            message = f"put the body of class {found.name} on lines of its own, so that methods can be added"
            raise wrong(self._path, message, found.lineno)
        return before

    def _after_imports(self) -> int:
        """The number of lines up to the last import, or up to what must stand first."""
        after = 0
        for index, node in enumerate(self._module.body):
            docstring = index == 0 and isinstance(node, ast.Expr)
            if docstring or isinstance(node, ast.Import | ast.ImportFrom):
                after = _last(node)
        return after

    def _home(self) -> tuple[str, str]:
        """The modules of the generated classes and of the payloads, as this file writes them."""
        for node in ast.walk(self._module):
            if isinstance(node, ast.ImportFrom) and any(
                each.name == base_name(self._plan.graph) for each in node.names
            ):
                module = "." * node.level + (node.module or "")
                return module, module.removesuffix("_diagram") + "_payloads"
        return _beside(self._plan, self._path)


def _called(tree: ast.Module, name: str) -> set[str]:
    """A class by its name, and by those that an import gives it."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {name} | {each.asname for node in imports for each in node.names if each.name == name and each.asname}


def _last(node: ast.stmt) -> int:
    """The number of the last line of a statement."""
    return node.end_lineno or node.lineno


def _beside(plan: Plan, path: Path) -> tuple[str, str]:
    """The modules as a file in the diagram's own folder imports them. Raises `DiagramError` for a file elsewhere."""
    if path.resolve().parent != plan.source.path.resolve().parent:
        message = f"it does not import {base_name(plan.graph)}; import it there, or put the file beside the diagram"
        raise wrong(path, message)
    return plan.module, plan.payloads


def _imports(
    plan: Plan, machine: Machine, missing: Sequence[Missing], bound: set[str], home: tuple[str, str]
) -> Iterator[str]:  # fmt: skip
    needed = dict.fromkeys(name for each in missing for name in (each.payload, each.returned) if name != "None")
    users = set(written(machine))
    base = [base_name(plan.graph), *(name for name in needed if name not in users)]
    for module, names in zip(home, (base, [name for name in needed if name in users]), strict=True):
        if names := sorted(set(names) - bound):
            yield f"from {module} import {', '.join(names)}"


def _whole(plan: Plan, wanted: Sequence[Missing]) -> list[str]:
    return [
        "",
        "",
        f"class {title_name(plan.graph.title)}({base_name(plan.graph)}):",
        *list(_methods(wanted, "    "))[1:],
    ]


def _methods(missing: Sequence[Missing], indent: str) -> Iterator[str]:
    for each in missing:
        yield ""
        yield f"{indent}async def {each.name}(self, payload: {each.payload}) -> {each.returned}:"
        yield f"{indent * 2}{BODY}"
