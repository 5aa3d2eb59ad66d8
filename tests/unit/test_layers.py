"""The contracts of import-linter name every module that exists: one that is left out would be free to do anything."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "perdure"
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
}


def modules(folder: Path) -> set[str]:
    """The importable names directly in a folder."""
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py")} - {"__init__"}


def test_every_database_is_forbidden_above_storage() -> None:
    contract = CONTRACTS["Databases are opened by perdure.storage.opening and named nowhere above"]
    databases = {f"perdure.storage.{path.parent.name}" for path in (PACKAGE / "storage").glob("*/__init__.py")}
    assert set(contract["forbidden_modules"]) == databases


def test_what_does_no_io_is_complete() -> None:
    contract = CONTRACTS["Records and decisions do no I/O and read no clock"]
    pure = {"perdure.model", "perdure.engine.journal", "perdure.engine.decide"}
    assert set(contract["source_modules"]) == pure | ({"perdure.mermaid"} if "mermaid" in modules(PACKAGE) else set())


def test_every_module_is_kept_from_the_test_libraries() -> None:
    layers = CONTRACTS["Only perdure.testing knows pytest and hypothesis"]["layers"]
    kept = {name.strip().strip("()") for name in layers[-1].split(":")}
    assert {f"perdure.{name}" for name in modules(PACKAGE) - {"testing", "__main__"}} <= kept


def test_there_are_no_exceptions() -> None:
    assert not [name for name, contract in CONTRACTS.items() if "ignore_imports" in contract]
