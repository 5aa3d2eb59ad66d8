"""What a type checker says of code on a diagram: nothing of what is right, and each mistake by both of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.mermaid.files import plans
from perdure.mermaid.stubs import stubbed
from tests.mermaid.diagrams import CHECKOUT, COUNTDOWN, FULFIL

HEAD = """
from collections.abc import Awaitable

from typing_extensions import assert_never, assert_type, override

from checkout_diagram import CheckoutDiagram, CheckoutState, PaidAccepted, PaidDeclined, PaidOutcome
from checkout_payloads import ChargePayload, NotifyPayload, ShipPayload
from perdure import Handle, Perdure

app = Perdure("memory://")


class Checkout(CheckoutDiagram):
    @override
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.accepted(ShipPayload())

    @override
    async def ship(self, payload: ShipPayload) -> None: ...

    @override
    def notify(self, payload: NotifyPayload) -> None: ...


def told(state: CheckoutState) -> str:
    match state:
        case "charge" | "ship" | "notify":
            return state
        case _:
            assert_never(state)


def chosen(outcome: PaidOutcome) -> str:
    match outcome:
        case PaidAccepted(payload):
            assert_type(payload, ShipPayload)
            return outcome.label
        case PaidDeclined():
            return outcome.to


checkout = app.diagram(Checkout)
made = app.diagram(lambda: Checkout(), name="made", timeout=5)


async def use() -> None:
    assert_type(await checkout.enqueue(ChargePayload()), Handle[None])
    assert_type(await checkout.run(ChargePayload()), None)
    await made.run(ChargePayload())
"""

MISTAKES = {
    "a state is not implemented": """
class Half(CheckoutDiagram):
    @override
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.accepted(ShipPayload())
Half()
""",
    "an outcome that is not in the diagram": """
class Lost(Checkout):
    @override
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.refunded(ShipPayload())
""",
    "a state returns what does not follow": """
class Other(Checkout):
    @override
    async def ship(self, payload: ShipPayload) -> NotifyPayload:
        return NotifyPayload()
""",
    "it overrides what drives it": """
class Driver(Checkout):
    @property
    def paid(self) -> int:
        return 3
""",
    "a method is no state any more": """
class Renamed(Checkout):
    @override
    async def send(self, payload: ShipPayload) -> None: ...
""",
    "a match misses a state": """
def missed(state: CheckoutState) -> str:
    match state:
        case "charge" | "ship":
            return state
        case _:
            assert_never(state)
""",
    "the payload of another state": """
class Wrong(Checkout):
    @override
    async def charge(self, payload: ChargePayload) -> PaidOutcome:
        return self.paid.accepted(NotifyPayload())
""",
    "an outcome is subclassed": """
class Mine(PaidAccepted): ...
""",
    "it is enqueued with another payload": """
async def wrong() -> None:
    await checkout.enqueue(ShipPayload())
""",
    "what it asks of its context is not there": """
class Asking(Checkout):
    @override
    async def ship(self, payload: ShipPayload) -> None:
        await self.ctx.teleport()
""",
}


def slug(text: str) -> str:
    return re.sub(r"\W", "_", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The diagrams, generated, code on them that is right, and a file for each mistake."""
    folder = tmp_path_factory.mktemp("shop")
    for name, text in (("checkout", CHECKOUT), ("fulfil", FULFIL), ("countdown", COUNTDOWN)):
        (folder / f"{name}.mermaid").write_text(text, "utf-8")
    for plan in plans(sorted(folder.glob("*.mermaid"))):
        for output in plan.outputs:
            output.path.write_bytes(output.new)
        stem = plan.source.path.stem
        (folder / f"stubs_{stem}.py").write_bytes(stubbed(plan, folder / f"stubs_{stem}.py", None).new)
    (folder / "right.py").write_text(HEAD, "utf-8")
    for name, code in MISTAKES.items():
        (folder / f"{slug(name)}.py").write_text(HEAD + code, "utf-8")
    settings = {"typeCheckingMode": "strict", "reportUnusedImport": False, "reportMissingModuleSource": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    return folder


@pytest.fixture(scope="module")
def pyright(folder: Path) -> dict[str, list[str]]:
    """What pyright, strict, says of each file, below the code that is right."""
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, list[str]] = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            line = each["range"]["start"]["line"] + 1
            found.setdefault(Path(each["file"]).stem, []).append(f"{line}: {each['message']}")
    return found


@pytest.fixture(scope="module")
def mypy(folder: Path) -> dict[str, list[str]]:
    """What mypy, strict, says of each file."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "."]
    done = subprocess.run(
        [*command, f"--cache-dir={folder / 'cache'}"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        file, number, kind, message = line.split(":", 3)
        if kind.strip() == "error":
            found.setdefault(Path(file).stem, []).append(f"{number}: {message}")
    return found


@pytest.mark.timeout(400)
def test_what_is_right_passes(folder: Path, pyright: dict[str, list[str]], mypy: dict[str, list[str]]) -> None:
    right = {path.stem for path in folder.glob("*.py")} - {slug(name) for name in MISTAKES}
    assert {"right", "checkout_diagram", "fulfil_payloads", "stubs_countdown"} <= right
    assert {name: said for name, said in {**pyright, **mypy}.items() if name in right} == {}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(mistake: str, pyright: dict[str, list[str]], mypy: dict[str, list[str]]) -> None:
    first = HEAD.count("\n")
    for said in (pyright.get(slug(mistake), []), mypy.get(slug(mistake), [])):
        assert said
        assert all(int(each.partition(":")[0]) > first for each in said)
