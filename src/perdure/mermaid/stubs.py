"""Methods that are missing in a user's class, put after its last one. Everything else stays as it is, byte for byte.

LibCST says where things stand; the text itself is cut and joined here, so that no printer has a say in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider

from perdure.mermaid.code import returned_by
from perdure.mermaid.files import Output, Plan, bound_names
from perdure.mermaid.names import base_name, payload_of, written
from perdure.mermaid.problems import DiagramError, Problem
from perdure.model.diagram import snake, title_name
from perdure.model.machine import Machine, lower

BODY: Final = "raise NotImplementedError"


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
    try:
        text = old.decode("utf-8")
        module = MetadataWrapper(libcst.parse_module(text), unsafe_skip_copy=True)
    except (UnicodeDecodeError, libcst.ParserSyntaxError, RecursionError) as error:
        line = getattr(error, "raw_line", 1)
        raise DiagramError(
            str(path), [Problem(line, 1, f"it cannot be read as Python: {str(error).splitlines()[0]}")]
        ) from error
    return Output(path, _Splice(plan, machine, path, text, module).result(wanted).encode(), old)


class _Splice:
    def __init__(self, plan: Plan, machine: Machine, path: Path, text: str, module: MetadataWrapper) -> None:
        self._plan, self._machine, self._path, self._text, self._module = plan, machine, path, text, module
        self._places = module.resolve(PositionProvider)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def result(self, wanted: Sequence[Missing]) -> str:
        found, lines = self._class(), self._text.splitlines(keepends=True)
        if found is None:
            missing, methods, after = list(wanted), _whole(self._plan, wanted), len(lines)
        else:
            block, after = self._block(found), self._end(found)
            missing = [each for each in wanted if each.name not in self._defined(block)]
            methods = list(_methods(missing, block.indent or self._module.module.default_indent))
        if not missing:
            return self._text
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += self._newline
        lines[after:after] = [line + self._newline for line in methods]
        bound = set(bound_names(ast.parse(self._text)))
        imports = [line for line in _imports(self._plan, self._machine, missing, bound, self._home(found)) if line]
        at = self._after_imports()
        lines[at:at] = [line + self._newline for line in imports]
        return "".join(lines)

    def _class(self) -> libcst.ClassDef | None:
        """The class that derives from the generated one."""
        for node in self._module.module.body:
            if isinstance(node, libcst.ClassDef) and any(self._is_base(base.value) for base in node.bases):
                return node
        return None

    def _is_base(self, base: libcst.BaseExpression) -> bool:
        name = base.attr if isinstance(base, libcst.Attribute) else base
        return isinstance(name, libcst.Name) and name.value == base_name(self._plan.graph)

    def _block(self, found: libcst.ClassDef) -> libcst.IndentedBlock:
        if isinstance(found.body, libcst.IndentedBlock):
            return found.body
        line = self._places[found].start.line
        message = f"put the body of class {found.name.value} on lines of its own, so that methods can be added"
        raise DiagramError(str(self._path), [Problem(line, 1, message)])

    def _defined(self, block: libcst.IndentedBlock) -> set[str]:
        code = libcst.Module([]).code_for_node(block)
        tree = ast.parse("class C:\n" + code.strip("\n") if code.strip() else "class C: pass")
        names = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        return names | {
            each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }

    def _end(self, found: libcst.ClassDef) -> int:
        return self._places[cast("libcst.IndentedBlock", found.body).body[-1]].end.line

    def _after_imports(self) -> int:
        """The number of lines up to the last import, or up to what must stand first."""
        after = 0
        for index, node in enumerate(self._module.module.body):
            statements = node.body if isinstance(node, libcst.SimpleStatementLine) else ()
            docstring = index == 0 and bool(statements) and isinstance(statements[0], libcst.Expr)
            if docstring or any(isinstance(each, libcst.Import | libcst.ImportFrom) for each in statements):
                after = self._places[node].end.line
        return after

    def _home(self, found: libcst.ClassDef | None) -> tuple[str, str]:
        """The modules of the generated classes and of the payloads, as this file writes them."""
        for node in ast.walk(ast.parse(self._text)):
            if isinstance(node, ast.ImportFrom) and any(
                each.name == base_name(self._plan.graph) for each in node.names
            ):
                module = "." * node.level + (node.module or "")
                return module, module.removesuffix("_diagram") + "_payloads"
        return _beside(self._plan, self._path)


def _beside(plan: Plan, path: Path) -> tuple[str, str]:
    """The modules as a file in the diagram's own folder imports them. Raises `DiagramError` for a file elsewhere."""
    if path.resolve().parent != plan.source.path.resolve().parent:
        message = f"it does not import {base_name(plan.graph)}; import it there, or put the file beside the diagram"
        raise DiagramError(str(path), [Problem(1, 1, message)])
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
