"""Checks of shape and hygiene that no general linter knows: the table "Size and shape" of the architecture.

Every rule is a pure function of `Source`s (`tools.source`) that yields `Finding`s, and stands in `RULES` under the name it reports.
`tests/unit/test_tidy.py` feeds each one a bad source, so that no rule can be vacuous. Nothing here imports the package.

Run it with `python -m tools.tidy`. It prints `path:line: rule: what to do` and ends with 1 when there is a finding.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

from tools.source import FUNCTION, PACKAGE, Finding, Function, Source, root

ROOT = Path(__file__).parent.parent
MODULE_LINES = 400
FUNCTION_LINES = 60
MEDIAN_LINES = 8
P90_LINES = 25
NESTING = 4
ROOT_NAMES = 55

# What these packages export is public; the rest of the package may change at any time.
PUBLIC_PACKAGES = {"perdure", "perdure.remote", "perdure.storage", "perdure.testing"}

# Where `Any` is the truth, by class and member, each with the number of times it may be written there.
# This table may only shrink; `ANY_CEILING` in the test follows it down.
ANY_EXEMPT: dict[str, int] = {"About.prepared": 1, "ListItem.value": 1, "Perdure.handle": 1}

DEEPER = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)

CLOCK_READS = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time|clock_gettime)(_ns)?"
    r"|time\.(localtime|gmtime|ctime|strftime)|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
)
RANDOMNESS = re.compile(r"(random|secrets)(\..*)?|uuid\.uuid[1-8]|os\.(urandom|getrandom)")
SLEEPS = re.compile(r"(time|asyncio|anyio|trio)\.sleep")
SKIPS = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)|unittest\.(skip\w*|SkipTest|expectedFailure)")
SQL_CLOCK = re.compile(
    r"'now'|\bcurrent_(timestamp|time|date)\b|\bunixepoch\s*\(\s*\)"
    r"|(?<![:@$\w])(now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(",
    re.IGNORECASE,
)
SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
SQL_TEXT = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")


Rule = Callable[[Sequence[Source]], Iterator[Finding]]
RULES: dict[str, Rule] = {}


def every_source(check: Callable[[Source], Iterator[tuple[int, str]]]) -> Rule:
    """Registers a check of single files that yields lines and advice."""
    name = check.__name__.replace("_", "-")

    def rule(sources: Sequence[Source]) -> Iterator[Finding]:
        for source in sources:
            for line, advice in check(source):
                yield Finding(source.path, line, name, advice)

    RULES[name] = rule
    return rule


def all_sources(check: Callable[[Sequence[Source]], Iterator[tuple[str, int, str]]]) -> Rule:
    """Registers a check of the whole repository that yields path, line and advice."""
    name = check.__name__.replace("_", "-")

    def rule(sources: Sequence[Source]) -> Iterator[Finding]:
        for path, line, advice in check(sources):
            yield Finding(path, line, name, advice)

    RULES[name] = rule
    return rule


def docstring_lines(node: Function) -> int:
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and ast.get_docstring(node, clean=False) is not None
    return (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0


def length(node: Function) -> int:
    """Lines of a function from its `def` on, without its docstring and decorators."""
    return (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)


def lengths(sources: Sequence[Source]) -> list[int]:
    return [length(function) for source in sources if source.is_library for function in source.functions]


def percentile_90(numbers: Sequence[int]) -> float:
    return statistics.quantiles(numbers, n=10, method="inclusive")[-1] if len(numbers) > 1 else max(numbers, default=0)


# --- size and shape


@every_source
def module_size(source: Source) -> Iterator[tuple[int, str]]:
    lines = source.text.count("\n")
    if source.is_sized and lines > MODULE_LINES:
        yield MODULE_LINES + 1, f"{lines} lines, at most {MODULE_LINES}: split it along what it owns"


@every_source
def function_size(source: Source) -> Iterator[tuple[int, str]]:
    for function in source.functions if source.is_sized else ():
        if (lines := length(function)) > FUNCTION_LINES:
            yield function.lineno, f"{function.name} has {lines} lines, at most {FUNCTION_LINES}: name its parts"


@all_sources
def typical_function(sources: Sequence[Source]) -> Iterator[tuple[str, int, str]]:
    sizes = lengths(sources)
    if sizes and statistics.median(sizes) > MEDIAN_LINES:
        yield PACKAGE, 0, f"the median function has {statistics.median(sizes)} lines, at most {MEDIAN_LINES}"
    if sizes and percentile_90(sizes) > P90_LINES:
        yield PACKAGE, 0, f"nine of ten functions stay within {percentile_90(sizes):g} lines, at most {P90_LINES}"


@every_source
def nesting(source: Source) -> Iterator[tuple[int, str]]:
    for function in source.functions if source.is_sized else ():
        if (levels := depth(function.body)) > NESTING:
            yield (
                function.lineno,
                f"{function.name} nests {levels} deep, at most {NESTING}: return early or name the inner part",
            )


def depth(body: Sequence[ast.stmt]) -> int:
    """How deep blocks stand in blocks. `elif` is no deeper than its `if`; a function inside counts for itself."""
    return max((depth_of(statement) for statement in body), default=0)


def depth_of(statement: ast.stmt) -> int:
    if not isinstance(statement, DEEPER):
        return 0
    blocks = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.match_case | ast.ExceptHandler)]
    inner = [depth(getattr(part, name, [])) for part in (statement, *blocks) for name in ("body", "finalbody")]
    other: list[ast.stmt] = getattr(statement, "orelse", [])
    if isinstance(statement, ast.If) and len(other) == 1 and isinstance(other[0], ast.If):
        return max(1 + max(inner), depth_of(other[0]))
    return 1 + max(*inner, depth(other))


@every_source
def root_names(source: Source) -> Iterator[tuple[int, str]]:
    count = len(exported(source)) if source.module == "perdure" else 0
    if count > ROOT_NAMES:
        yield 1, f"__all__ has {count} names, at most {ROOT_NAMES}: move some to a submodule"


@every_source
def syntax(source: Source) -> Iterator[tuple[int, str]]:
    if error := source.syntax_error:
        yield error.lineno or 1, f"{error.msg}: nothing else is checked here"


@every_source
def docstring(source: Source) -> Iterator[tuple[int, str]]:
    if source.is_python and not source.is_test and not source.syntax_error and not ast.get_docstring(source.tree):
        yield 1, "open the module with a docstring: what it owns, what it must never do"


@every_source
def no_utils(source: Source) -> Iterator[tuple[int, str]]:
    if source.is_python and re.fullmatch(r"_?(utils?|helpers?|misc|common)\.py", PurePosixPath(source.path).name):
        yield 1, "name the module after what it owns"


# --- imports


@all_sources
def import_cycle(sources: Sequence[Source]) -> Iterator[tuple[str, int, str]]:
    paths = {source.module: source.path for source in sources if source.is_library}
    edges = {source.module: own_imports(source, paths) for source in sources if source.is_library}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][::-1]
        yield paths[cycle[0]], 1, f"break the cycle {' -> '.join(cycle)}"


def own_imports(source: Source, modules: dict[str, str]) -> set[str]:
    """The modules of ours that this one loads; `from package import module` means the module."""
    typing_only = [
        node for node in source.nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    passed = {id(part) for node in typing_only for statement in node.body for part in ast.walk(statement)}
    found: set[str] = set()
    for node in source.nodes:
        if isinstance(node, ast.Import) and id(node) not in passed:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and id(node) not in passed:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in named}
    return (found & modules.keys()) - {source.module}


@every_source
def local_import(source: Source) -> Iterator[tuple[int, str]]:
    for function in source.functions if source.is_library and source.inside != "extras.py" else ():
        for node in ast.walk(function):
            named = [node.module or "perdure"] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(root(name) == "perdure" for name in named) or getattr(node, "level", 0):
                yield getattr(node, "lineno", 0), "import it at the top; optional parts are opened by extras.py"


# --- types


@all_sources
def public_any(sources: Sequence[Source]) -> Iterator[tuple[str, int, str]]:
    left = dict(ANY_EXEMPT)
    seen: set[str] = set()
    for source, name, hint in public_hints(sources):
        seen.add(name)
        for _ in range(count_any(hint, source)):
            left[name] = left.get(name, 0) - 1
            if left[name] < 0:
                yield source.path, hint.lineno, f"{name} says Any: use object, a type variable or the real type"
    for name in sorted(seen & ANY_EXEMPT.keys()):
        if left[name] > 0:
            yield "tools/tidy.py", 1, f"{name} needs fewer Any than ANY_EXEMPT grants: lower it"


def public_hints(sources: Sequence[Source]) -> Iterator[tuple[Source, str, ast.expr]]:
    """Every annotation a user's type checker sees: of what public packages export, and of the bases of that."""
    placed = [(source, node) for source in sources if source.is_library for node in seen_by_users(source.tree.body)]
    public = {name for source in sources if source.module in PUBLIC_PACKAGES for name in exported(source)}
    count = 0
    while count < len(public):
        count = len(public)
        classes = [node for _, node in placed if isinstance(node, ast.ClassDef) and node.name in public]
        public |= {last_name(base) for node in classes for base in node.bases}
    for source, node in placed:
        if getattr(node, "name", None) in public:
            yield from ((source, name, hint) for name, hint in hints_in(node, ""))


def exported(source: Source) -> list[str]:
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def last_name(node: ast.expr) -> str:
    """`Verbs` for `Verbs`, `engine.Verbs` and `Verbs[R]`."""
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]


def hints_in(node: ast.stmt, prefix: str) -> Iterator[tuple[str, ast.expr]]:
    """Annotations below a statement, each under its dotted name; private members are passed over."""
    name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else getattr(node, "name", "")
    if name.startswith("_") and not name.endswith("__"):
        return
    if isinstance(node, ast.ClassDef):
        for member in seen_by_users(node.body):
            yield from hints_in(member, f"{prefix}{name}.")
    elif isinstance(node, FUNCTION):
        yield from ((prefix + name, hint) for hint in signature_hints(node))
    elif isinstance(node, ast.AnnAssign):
        yield prefix + name, node.annotation


def seen_by_users(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements without the implementations of overloads: their signatures no type checker shows to a caller."""
    overloaded: set[str] = set()
    for node in body:
        if not isinstance(node, FUNCTION):
            yield node
        elif any(last_name(decorator) == "overload" for decorator in node.decorator_list):
            overloaded.add(node.name)
            yield node
        elif node.name not in overloaded:
            yield node


def signature_hints(node: Function) -> Iterator[ast.expr]:
    """The annotations of a signature; parameters with a leading underscore are nobody's business."""
    parameters = node.args
    every = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs, parameters.vararg, parameters.kwarg]
    named = [parameter for parameter in every if parameter and not parameter.arg.startswith("_")]
    yield from (parameter.annotation for parameter in named if parameter.annotation)
    if node.returns:
        yield node.returns


def count_any(node: ast.AST, source: Source) -> int:
    """How often `Any` is written, in quotes too. What a coroutine yields and is sent nobody knows: that is no hole."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
        return count_any(ast.parse(node.value, mode="eval"), source)
    if isinstance(node, ast.Subscript) and last_name(node) == "Coroutine" and isinstance(node.slice, ast.Tuple):
        return sum(count_any(part, source) for part in node.slice.elts[2:])
    itself = isinstance(node, ast.expr) and source.dotted(node) == "typing.Any"
    return itself + sum(count_any(part, source) for part in ast.iter_child_nodes(node) if not itself)


# --- time and chance


@every_source
def clock_read(source: Source) -> Iterator[tuple[int, str]]:
    for line, name in source.mentions if source.is_library and source.inside != "clock.py" else ():
        if CLOCK_READS.fullmatch(name):
            yield line, f"{name} reads the time: ask the Clock of perdure.clock"
    for node in source.nodes if source.is_library and source.inside != "clock.py" else ():
        if isinstance(node, ast.Call) and re.search(r"loop(\(\))?\.time$", ast.unparse(node.func)):
            yield node.lineno, "the loop's time is a clock too: ask the Clock of perdure.clock"


@every_source
def randomness(source: Source) -> Iterator[tuple[int, str]]:
    for line, name in source.mentions if source.is_library and source.inside != "ids.py" else ():
        if RANDOMNESS.fullmatch(name):
            yield line, f"{name} is not repeatable under simulation: ask perdure.ids"


# --- SQL


@every_source
def sql_clock(source: Source) -> Iterator[tuple[int, str]]:
    text = SQL_COMMENT.sub("", source.text) if source.path.endswith(".sql") else ""
    for found in SQL_CLOCK.finditer(text):
        yield source.text[: source.text.find(found[0])].count("\n") + 1, f"{found[0]}: pass the time as a parameter"


@every_source
def one_statement(source: Source) -> Iterator[tuple[int, str]]:
    if source.is_statement:
        parts = SQL_TEXT.sub("''", SQL_COMMENT.sub("", source.text)).split(";")
        count = sum(bool(part.strip()) for part in parts)
        if count != 1:
            yield 1, f"{count} statements: one file, one statement"


# --- tests


@every_source
def test_sleep(source: Source) -> Iterator[tuple[int, str]]:
    for node in source.nodes if source.is_test and not source.path.startswith("tests/system/") else ():
        if not isinstance(node, ast.Call) or not SLEEPS.fullmatch(source.dotted(node.func) or ""):
            continue
        if [ast.unparse(argument) for argument in node.args] != ["0"]:  # sleep(0) only gives way, no time passes
            yield node.lineno, "wait for an event or advance the clock; only tests/system may sleep"


@every_source
def test_skip(source: Source) -> Iterator[tuple[int, str]]:
    for line, name in source.mentions if source.is_test else ():
        if SKIPS.fullmatch(name):
            yield line, f"{name}: mend the test or delete it"


def read(folder: Path) -> list[Source]:
    """Every file that a rule looks at."""
    patterns = ("src/perdure/**/*.py", "src/perdure/**/*.sql", "tools/**/*.py", "tests/**/*.py")
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [Source(path.relative_to(folder).as_posix(), path.read_text("utf-8")) for path in found]


def check(sources: Sequence[Source]) -> list[Finding]:
    """All findings of all rules, by path and line."""
    found = [finding for rule in RULES.values() for finding in rule(sources)]
    return sorted(found, key=lambda finding: (finding.path, finding.line, finding.rule))


def main() -> int:
    sources = read(ROOT)
    findings = check(sources)
    for finding in findings:
        print(finding)
    sizes = lengths(sources) or [0]
    modules = sum(source.is_library for source in sources)
    shape = f"functions median {statistics.median(sizes):g}, p90 {percentile_90(sizes):g}, longest {max(sizes)}"
    print(f"tidy: {modules} modules, {len(sizes)} {shape}; {len(findings)} to mend")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
