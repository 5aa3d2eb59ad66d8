"""What the tests of the contract share: an app of one's own, on memory."""

from __future__ import annotations

import pytest

from perdure import Perdure


@pytest.fixture
def app() -> Perdure:
    """An app without tasks, not open."""
    return Perdure("memory://")
