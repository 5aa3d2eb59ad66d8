"""The conformance suite itself: it cites every rule of the contract, and it fails for storages that break one."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from perdure.storage import protocol
from perdure.testing.conformance import StorageConformance

RULES = re.findall(r"^(R\d+) ", protocol.__doc__ or "", re.MULTILINE)


def cited() -> Counter[str]:
    tests = [getattr(StorageConformance, name) for name in dir(StorageConformance) if name.startswith("test_")]
    return Counter(rule for test in tests for rule in re.findall(r"R\d+", test.__doc__ or ""))


def test_the_contract_has_its_rules() -> None:
    assert [f"R{number}" for number in range(1, 17)] == RULES


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_tested(rule: str) -> None:
    assert cited()[rule] >= 2


def test_no_rule_is_invented() -> None:
    assert cited().keys() <= set(RULES)
