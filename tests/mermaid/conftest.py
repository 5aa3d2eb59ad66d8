"""Mermaid's own parser, by one process of Node for many diagrams."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ORACLE = Path(__file__).parent / "oracle"
Ask = Callable[[Sequence[str]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def mermaid() -> Ask:
    """What Mermaid makes of each text: its states and arrows, or an error."""
    assert (ORACLE / "node_modules").is_dir(), "run tools/setup_tests: it installs Mermaid's parser from its lock"
    node = Path(sys.executable).with_name("node")

    def ask(texts: Sequence[str]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [node, "oracle.mjs"], cwd=ORACLE, input=json.dumps(list(texts)), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return ask
