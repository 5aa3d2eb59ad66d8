"""One file as `tools.tidy` sees it: its text, its syntax tree, and what the names in it stand for.

Pure: nothing here touches the disk, imports the package or knows a rule.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGE = "src/perdure/"


@dataclass(frozen=True)
class Finding:
    """One thing to mend."""

    path: str
    line: int
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.advice}"


@dataclass(frozen=True)
class Source:
    """One file: its path from the root of the repository, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; empty where there is none to be had."""
        return ast.parse(self.text if self.is_python and not self.syntax_error else "", self.path)

    @cached_property
    def syntax_error(self) -> SyntaxError | None:
        try:
            compile(self.text if self.is_python else "", self.path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        except SyntaxError as error:
            return error
        return None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_library(self) -> bool:
        return self.is_python and self.path.startswith(PACKAGE)

    @property
    def is_sized(self) -> bool:
        """Whether the budget of size and shape holds here; tests and data tables may be as long as they like."""
        return self.is_library or (self.is_python and self.path.startswith("tools/"))

    @property
    def is_test(self) -> bool:
        return self.is_python and self.path.startswith("tests/")

    @property
    def is_statement(self) -> bool:
        """Whether this is one statement of SQL, as against a migration, which is a script."""
        return self.path.endswith(".sql") and "migrations" not in PurePosixPath(self.path).parts

    @property
    def inside(self) -> str:
        """The path inside the package."""
        return self.path.removeprefix(PACKAGE)

    @property
    def module(self) -> str:
        """The dotted name; a package's `__init__` has the package's."""
        parts = PurePosixPath(self.path.removeprefix("src/")).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, FUNCTION)]

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for: `from time import sleep as nap` makes `nap` the name of `time.sleep`."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {
                    alias.asname or root(alias.name): alias.name if alias.asname else root(alias.name)
                    for alias in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return found

    @cached_property
    def mentions(self) -> list[tuple[int, str]]:
        """Line and full dotted name of everything imported, or reached through something imported."""
        found: list[tuple[int, str]] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
            elif isinstance(node, ast.Attribute) and (name := self.dotted(node)):
                found.append((node.lineno, name))
        return found

    def dotted(self, node: ast.expr) -> str | None:
        """The full name of an expression like `dt.datetime.now`, where its first part was imported."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self.dotted(node.value)):
            return f"{owner}.{node.attr}"
        return None


def root(name: str) -> str:
    """The first part of a dotted name."""
    return name.partition(".")[0]
