"""Generated code: the same bytes each time, which formatters leave alone, and what the user wrote is left as it is."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings

from perdure.cli.main import program
from perdure.mermaid import Graph
from perdure.mermaid.code import code, is_untouched
from tests.mermaid.diagrams import CHECKOUT, COUNTDOWN, FULFIL, graphs

GOLDEN = Path(__file__).parents[1] / "golden" / "diagrams"
NAMES = ("checkout", "countdown", "fulfil")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("checkout.mermaid").write_text(CHECKOUT, "utf-8")
    return tmp_path


def generate(*words: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(program, ["generate", *words], prog_name="perdure")
    assert result.exit_code == exit_code, (result.output, result.stderr, result.exception)
    return result


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes(name: str) -> None:
    shutil.copy(GOLDEN / f"{name}.mermaid", ".")
    generate(f"{name}.mermaid")
    for made in (f"{name}_diagram.py", f"{name}_payloads.py"):
        assert Path(made).read_bytes() == (GOLDEN / made).read_bytes()
    assert "as it was" in generate(f"{name}.mermaid").stdout
    generate("--check", f"{name}.mermaid")


def test_formatters_leave_it_alone() -> None:
    for name in NAMES:
        shutil.copy(GOLDEN / f"{name}_diagram.py", ".")
    ruff = Path(sys.executable).with_name("ruff")
    for width in ("60", "88", "120"):
        subprocess.run([ruff, "format", "--isolated", f"--line-length={width}", "."], check=True, capture_output=True)
    fix = ["--isolated", "--select=ALL", "--fix", "--unsafe-fixes"]
    subprocess.run([ruff, "check", *fix, "."], check=False, capture_output=True)
    for name in NAMES:
        assert Path(f"{name}_diagram.py").read_bytes() == (GOLDEN / f"{name}_diagram.py").read_bytes()


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_diagram_becomes_a_module(graph: Graph) -> None:
    text = code(graph, "some file.mermaid", "payloads")
    assert is_untouched(text)
    tree = ast.parse(text)
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= {
        "__future__",
        "abc",
        "collections.abc",
        "dataclasses",
        "typing",
        "perdure.styles.diagram",
        "payloads",
    }
    found = next(each for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign))
    names = {name: getattr(__import__("perdure.styles.diagram", fromlist=[name]), name)
             for name in ("Arrow", "Graph", "Node", "Note", "Region")}  # fmt: skip
    assert eval(compile(ast.Expression(found.value), "graph", "eval"), names) == graph


def test_titles() -> None:
    for title, name in (
        ("order processing WORKFLOW", "OrderProcessing"),
        ("'../../x \"\\ y'", "XY"),
        ("Workflow", "Workflow"),
    ):
        Path("a.mermaid").write_text(CHECKOUT.replace("title: Checkout", f"title: {title}"), "utf-8")
        generate("a.mermaid", "--force")
        assert f"class {name}Diagram(StateDiagram[ChargePayload]):" in Path("a_diagram.py").read_text("utf-8")
        ast.parse(Path("a_diagram.py").read_bytes())
    assert sorted(path.name for path in Path().iterdir()) == [
        "a.mermaid",
        "a_diagram.py",
        "a_payloads.py",
        "checkout.mermaid",
    ]


def test_imports_are_relative_in_a_package(folder: Path) -> None:
    (folder / "__init__.py").touch()
    generate("checkout.mermaid")
    assert "\nfrom .checkout_payloads import " in Path("checkout_diagram.py").read_text("utf-8")


def test_payload_classes_are_appended_and_nothing_else_changes() -> None:
    mine = b"# mine, \xe4\xb8\xad\r\nimport dataclasses\r\n\r\n@dataclasses.dataclass\r\nclass ChargePayload:\r\n  x : int\r\nShipPayload=int"
    Path("checkout_payloads.py").write_bytes(mine)
    generate("checkout.mermaid")
    now = Path("checkout_payloads.py").read_bytes()
    assert now.startswith(mine + b"\r\n")
    assert now.count(b"class ") == 2
    assert b"class NotifyPayload:" in now
    assert now.count(b"\n") == now.count(b"\r\n")
    compile(now, "payloads", "exec")
    generate("--check", "checkout.mermaid")


def test_payloads_that_are_no_python_are_left_alone() -> None:
    Path("checkout_payloads.py").write_text("class X(:\n", "utf-8")
    said = generate("checkout.mermaid", exit_code=1).stderr
    assert "checkout_payloads.py:1:1: it cannot be read as Python, so nothing is appended" in said
    assert Path("checkout_payloads.py").read_text("utf-8") == "class X(:\n"
    assert not Path("checkout_diagram.py").exists()


def test_check_writes_nothing_and_tells_what_is_stale() -> None:
    assert (
        "checkout_diagram.py, checkout_payloads.py is not what its diagram says"
        in generate("--check", ".", exit_code=1).stderr
    )
    assert not Path("checkout_diagram.py").exists()
    generate(".")
    Path("checkout.mermaid").write_text(CHECKOUT.replace("accepted", "approved"), "utf-8")
    assert "checkout_diagram.py is not what" in generate("--check", ".", exit_code=1).stderr
    generate(".")
    generate("--check", ".")


def test_what_was_edited_by_hand_is_refused() -> None:
    generate("checkout.mermaid")
    made = Path("checkout_diagram.py").read_bytes()
    for edited in (made.replace(b"ship", b"SHIP", 1), b"print('mine')\n", b"", made + b"\n"):
        Path("checkout_diagram.py").write_bytes(edited)
        said = generate("checkout.mermaid", exit_code=3).stderr
        assert "checkout_diagram.py was edited by hand, or was not generated" in said
        assert "--force" in said
        assert Path("checkout_diagram.py").read_bytes() == edited
    generate("checkout.mermaid", "--force")
    assert Path("checkout_diagram.py").read_bytes() == made


def test_all_problems_of_all_files_and_nothing_written() -> None:
    Path("b.mmd").write_text("stateDiagram-v2\nfoo bar\n", "utf-8")
    Path("c.mermaid").write_bytes(b"\xff\xfe\x00")
    Path("notes.txt").write_text("x", "utf-8")
    Path("plain.md").write_text("# nothing\n", "utf-8")
    said = generate(
        "checkout.mermaid", "b.mmd", "c.mermaid", "notes.txt", "plain.md", "nowhere.mmd", exit_code=1
    ).stderr
    for line in (
        "b.mmd:1:1: the diagram has no title", "b.mmd:2:5: unexpected 'bar'", "c.mermaid:1:1: the file is no text in UTF-8",
        "notes.txt:1:1: the file is no diagram; those end in", "plain.md:1:1: the file has no state diagram",
        "nowhere.mmd:1:1: the file cannot be read: No such file or directory", "nothing was written",
    ):  # fmt: skip
        assert line in said
    assert not Path("checkout_diagram.py").exists()


def test_blocks_of_markdown() -> None:
    other = "```mermaid\nflowchart TD\na --> b\n```\n"
    Path("one.md").write_text(f"# Shop\n\n{other}\n1. so:\n   ```mermaid\n{indented(CHECKOUT)}   ```\n", "utf-8")
    generate("one.md")
    assert Path("one_diagram.py").read_bytes().partition(b"\n")[2] == (GOLDEN / "checkout_diagram.py").read_bytes().replace(
        b"checkout_payloads", b"one_payloads").partition(b"\n")[2].replace(*stamps("one_diagram.py"))  # fmt: skip
    Path("two.md").write_text(f"```mermaid\n{CHECKOUT}```\n~~~mermaid\n{COUNTDOWN}~~~\n", "utf-8")
    generate("two.md", "--force")
    assert Path("countdown_diagram.py").exists()
    Path("bad.md").write_text(f"\n\n```mermaid\n{CHECKOUT.replace('[*] --> charge', 'oh no')}```\n", "utf-8")
    assert "bad.md:9:8: unexpected 'no'" in generate("bad.md", exit_code=1).stderr


def indented(text: str) -> str:
    return "".join(f"   {line}\n" for line in text.splitlines())


def stamps(name: str) -> tuple[bytes, bytes]:
    """The line that tells one generated file from another, as it is and as it should be."""
    return (GOLDEN / "checkout_diagram.py").read_bytes().split(b"\n")[1], Path(name).read_bytes().split(b"\n")[1]


def test_two_diagrams_for_one_module() -> None:
    Path("checkout.mmd").write_text(CHECKOUT, "utf-8")
    said = generate("checkout.mermaid", "checkout.mmd", exit_code=1).stderr
    assert "checkout_diagram.py is generated from checkout.mermaid already" in said


@pytest.mark.parametrize("name", ["2nd.mermaid", "---.mermaid"])
def test_a_file_that_no_module_can_be_named_after(name: str) -> None:
    Path(name).write_text(CHECKOUT, "utf-8")
    assert "has a name that no module can have" in generate("--", name, exit_code=1).stderr


def test_an_empty_folder() -> None:
    Path("empty").mkdir()
    assert "there is no diagram in empty" in generate("empty", exit_code=4).stderr


MINE = '''"""Mine."""
from checkout_diagram import CheckoutDiagram
import   os   # odd spacing stays

class Checkout( CheckoutDiagram ):
\t"""Tabs."""

\tasync def ship(self, payload): return None   # mine

\tx = 1
\t# the end

print( "after" )'''


def test_stubs_are_added_and_nothing_else_changes() -> None:
    Path("shop.py").write_text(MINE, "utf-8")
    generate("checkout.mermaid", "--stubs", "shop.py")
    now = Path("shop.py").read_text("utf-8")
    added = [line for line in now.splitlines() if line not in MINE.splitlines()]
    assert added == [
        "from checkout_diagram import PaidOutcome",
        "from checkout_payloads import ChargePayload, NotifyPayload",
        "\tasync def charge(self, payload: ChargePayload) -> PaidOutcome:",
        "\t\traise NotImplementedError",
        "\tasync def notify(self, payload: NotifyPayload) -> None:",
        "\t\traise NotImplementedError",
    ]
    kept = iter(now.splitlines())
    assert all(line in kept for line in MINE.splitlines())
    compile(now, "shop", "exec")
    generate("checkout.mermaid", "--stubs", "shop.py")
    assert Path("shop.py").read_text("utf-8") == now
    generate("checkout.mermaid", "--stubs", "shop.py", "--check")


def test_stubs_into_a_new_file() -> None:
    generate("checkout.mermaid", "--stubs", "shop.py")
    text = Path("shop.py").read_text("utf-8")
    assert text.startswith("from checkout_diagram import CheckoutDiagram, PaidOutcome\n")
    assert "class Checkout(CheckoutDiagram):\n    async def charge(self" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Checkout(CheckoutDiagram): pass\n", "put the body of class Checkout on lines of its own"),
        ("def x(:\n", "it cannot be read as Python"),
    ],
)
def test_stubs_into_what_cannot_take_them(text: str, said: str) -> None:
    Path("shop.py").write_text(text, "utf-8")
    assert said in generate("checkout.mermaid", "--stubs", "shop.py", exit_code=1).stderr
    assert Path("shop.py").read_text("utf-8") == text


def test_stubs_elsewhere_need_the_import() -> None:
    Path("src").mkdir()
    assert (
        "it does not import CheckoutDiagram"
        in generate("checkout.mermaid", "--stubs", "src/shop.py", exit_code=1).stderr
    )
    Path("src/shop.py").write_text("from flows.checkout_diagram import CheckoutDiagram\n", "utf-8")
    generate("checkout.mermaid", "--stubs", "src/shop.py")
    assert "from flows.checkout_payloads import ChargePayload" in Path("src/shop.py").read_text("utf-8")


def test_watch_generates_after_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def changes(*folders: Path, raise_interrupt: bool):
        Path("checkout.mermaid").write_text(CHECKOUT.replace("notify", "inform"), "utf-8")
        yield {(1, "checkout.mermaid")}
        Path("checkout.mermaid").write_text("oh", "utf-8")
        yield {(1, "checkout.mermaid"), (1, "other.txt")}
        yield {(1, "other.txt")}

    monkeypatch.setattr("watchfiles.watch", changes)
    result = generate("--watch", ".")
    assert "Checkout: +inform -notify" in result.stdout
    assert "the diagram must begin with stateDiagram-v2" in result.stderr
    assert "InformPayload" in Path("checkout_diagram.py").read_text("utf-8")


def test_watch_and_check_exclude_each_other() -> None:
    assert "choose one" in generate("--watch", "--check", ".", exit_code=2).stderr


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lark", None)
    for name in [name for name in sys.modules if name.startswith("perdure.mermaid.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'perdure[codegen]'" in generate("checkout.mermaid", exit_code=3).stderr


def test_the_corpus_is_the_golden_one() -> None:
    assert [(GOLDEN / f"{name}.mermaid").read_text("utf-8") for name in NAMES] == [CHECKOUT, COUNTDOWN, FULFIL]
