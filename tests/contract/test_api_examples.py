"""Every code block of the contract runs, with the names that it only mentions.

`api_examples.md` holds the blocks word for word. A block is compiled as it stands; a function whose body is `...` gets one
from `BODIES`, top-level `await`s run on the test's loop. What a block talks of and does not define is in its setting.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import Context, Joined, Perdure, Retry, Spawn
from perdure.testing import TestApp, crash_everywhere
from tests.diagrams.flows import checkout_diagram, checkout_payloads

BLOCK = re.compile(r"^## (?P<title>§\d+ .+?)\n+```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    m["title"]: m["code"] for m in BLOCK.finditer((Path(__file__).parent / "api_examples.md").read_text("utf-8"))
}
BODIES = {"embed_document": "return len(document_id)", "test_checkout": "assert await remind.run('b') == 'sent'"}
ARGUMENTS: dict[str, tuple[object, ...]] = {"ChargePayload": ("visa", 5), "ShipPayload": ("x",)}


@dataclass
class Decision:
    """What an approval says."""

    approved: bool


class FillIn(ast.NodeTransformer):
    """Gives a body to each function that has none."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if [ast.unparse(each) for each in node.args] == ["..."] and (given := ARGUMENTS.get(ast.unparse(node.func))):
            node.args = [ast.Constant(each) for each in given]
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        if ast.unparse(node.body) == "..." and node.name in BODIES:  # type: ignore[arg-type]
            node.body = ast.parse(BODIES[node.name], feature_version=(3, 11)).body
        return self.generic_visit(node)


def parsed(title: str) -> ast.Module:
    """A block's syntax tree, with the bodies that it leaves out."""
    return ast.fix_missing_locations(FillIn().visit(ast.parse(EXAMPLES[title])))


async def run_block(title: str, names: dict[str, Any]) -> dict[str, Any]:
    """Runs a block among `names`; answers all names that stand there afterwards."""
    code = compile(parsed(title), f"<{title}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    answer = eval(code, names)
    if inspect.isawaitable(answer):
        await answer
    return names


def body_of(title: str, names: dict[str, Any], returns: str) -> Any:
    """A block as the body of a task: an `async def` of a context."""
    function = ast.parse(f"async def body(ctx: Context) -> Any:\n    return {returns}").body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    function.body = [*parsed(title).body, *function.body]
    module = ast.fix_missing_locations(ast.Module([function], []))
    exec(compile(module, f"<{title}>", "exec", dont_inherit=True), names)
    return names["body"]


def test_every_block_of_the_copy_has_a_test() -> None:
    assert list(EXAMPLES) == [
        "§1 An app is made from a URL",
        "§2 A task that calls an activity",
        "§2 Verbs inside an execution",
        "§3 A parent task",
        "§4 A task list",
        "§5 A state diagram",
        "§10 Tests with virtual time, and with crashes everywhere",
    ]


def test_the_copy_is_that_of_the_contract() -> None:
    """Where the design folder is at hand (it is no part of the repository), the copy is compared with it."""
    contract = Path(__file__).parents[3] / "shared" / "design" / "api.md"
    if not contract.is_file():
        return
    text = contract.read_text("utf-8")
    assert all(code in text for code in EXAMPLES.values())
    passages = re.split(r"^## ", text, flags=re.MULTILINE)
    blocks = [
        passage.count("```python")
        for passage in passages
        if passage.startswith(("1. ", "2. ", "3. ", "4. ", "5. ", "10. "))
    ]
    assert sum(blocks) == len(EXAMPLES)


async def test_an_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = await run_block("§1 An app is made from a URL", {})
    app = names["app"]
    async with app:
        assert await app.count() == 0
    assert (tmp_path / "jobs.db").exists()


async def test_a_task(app: Perdure, capsys: pytest.CaptureFixture[str]) -> None:
    names = await run_block("§2 A task that calls an activity", {"app": app})
    assert capsys.readouterr().out == "2\n2\n"
    async with TestApp(app):
        assert await names["embed_documents"].run(["ab", "c", "ab"]) == 5


@pytest.mark.parametrize("always_replay", [False, True])
async def test_verbs(app: Perdure, always_replay: bool) -> None:
    @app.activity
    async def embed_document(document_id: str) -> int:
        if document_id == "broken":
            raise ValueError("no")
        return len(document_id)

    @app.task
    async def other(number: int) -> int:
        return number

    names: dict[str, Any] = {
        "timedelta": timedelta, "Decision": Decision, "other": other, "embed_document": embed_document,
        "ids": ["broken", *map(str, range(40))], "Context": Context, "Any": Any,
    }  # fmt: skip
    task = app.task(
        body_of(
            "§2 Verbs inside an execution", names, "[decision.approved, total, results[1:], str(results[0].message)]"
        )
    )
    async with TestApp(app, always_replay=always_replay) as t:
        handle = await task.enqueue()
        await t.advance(days=29)
        assert (await handle.execution()).waiting_on == "timer"
        await t.advance(days=1)
        assert (await handle.execution()).waiting_on == "signal"
        await handle.signal("approval", Decision(True))
        assert await handle.result() == [True, 1, [len(str(number)) for number in range(40)], "no"]
        progress = (await handle.execution()).progress
        assert progress is not None
        assert (progress.done, progress.total, progress.text) == (120, 1000, "embedding")
        assert len(await handle.children()) == 2


async def test_a_state_diagram(app: Perdure) -> None:
    async with TestApp(app):
        given = {**vars(checkout_diagram), **vars(checkout_payloads)}
        names = await run_block("§5 A state diagram", {**given, "app": app, "__name__": "contract"})
        assert await names["handle"].result() is None
        assert [entry.name for entry in await names["handle"].activities()] == ["charge", "ship"]


async def test_testing(app: Perdure) -> None:
    @app.task
    async def remind(ctx: Context, name: str) -> str:
        await ctx.sleep(timedelta(days=30))
        return "sent"

    setting = {"app": app, "remind": remind, "TestApp": TestApp, "crash_everywhere": crash_everywhere}
    names = await run_block("§10 Tests with virtual time, and with crashes everywhere", setting)
    await names["test_reminder"]()


async def test_testing_with_crashes(app: Perdure) -> None:
    @app.task
    async def remind(ctx: Context, name: str) -> str:
        await ctx.sleep(timedelta(days=30))
        return "sent"

    setting = {"app": app, "remind": remind, "TestApp": TestApp, "crash_everywhere": crash_everywhere}
    names = await run_block("§10 Tests with virtual time, and with crashes everywhere", setting)
    await names["test_checkout"]()


@dataclass
class Upload:
    """What is uploaded."""

    path: str


@dataclass
class Uploaded:
    """What the body came to."""

    size: int


@dataclass
class Summary:
    """What the finalizer comes to."""

    size: int
    title: str
    text: str


@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_parent_task(app: Perdure, always_replay: bool) -> None:
    @app.task
    async def extract_title(path: str) -> str:
        return f"title of {path}"

    @app.task
    async def summarize(path: str) -> str:
        return f"about {path}"

    names: dict[str, Any] = {
        "app": app, "Context": Context, "Joined": Joined, "Spawn": Spawn, "Upload": Upload, "Uploaded": Uploaded,
        "Summary": Summary, "extract_title": extract_title, "summarize": summarize,
    }  # fmt: skip
    task = (await run_block("§3 A parent task", names))["upload_file"]
    async with TestApp(app, always_replay=always_replay):
        assert await task.run(Upload("a.txt")) == Summary(100, "title of a.txt", "about a.txt")


async def test_a_task_list() -> None:
    app = Perdure("memory://")

    async def step(ctx: Context, name: str) -> str:
        if ctx.attempt == 0:
            raise ValueError("again")
        return f"{ctx.task_name} {name}"

    names = ("create_user", "send_email", "bill")
    tasks: dict[str, Any] = {name: app.task(name=name)(step) for name in names}
    async with TestApp(app) as t:
        running = asyncio.create_task(run_block("§4 A task list", {"app": app, "Retry": Retry, **tasks}))
        await t.advance(60)
        items = (await running)["items"]
    assert [(item.status, item.value, item.failure, item.seq, item.name) for item in items] == [
        ("completed", f"{name} a", None, seq, name) for seq, name in enumerate(names)
    ]
