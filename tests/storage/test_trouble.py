"""What fails again and again is told once of each kind, then seldom, and once more when it is over."""

from __future__ import annotations

import pytest

from perdure.storage.trouble import LONGEST_SILENCE, Trouble
from perdure.testing.clock import VirtualClock


def test_one_line_of_each_kind_and_one_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    trouble = Trouble(clock)
    for _ in range(10):
        trouble.failed("claim", "work cannot be claimed", "away")
        trouble.failed("write", "storage cannot be written", "away")
        clock.move(0.5)
    trouble.over("claim")
    trouble.over("read")
    assert caplog.messages == ["work cannot be claimed: away", "storage cannot be written: away"]
    trouble.over("write")
    trouble.over("write")
    assert caplog.messages[2:] == ["the storage works again, after 5 s"]
    trouble.failed("write", "storage cannot be written", "again")
    assert caplog.messages[3:] == ["storage cannot be written: again"]


def test_what_lasts_is_told_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    trouble, told = Trouble(clock), list[int]()
    for second in range(4000):
        before = len(caplog.records)
        trouble.failed("claim", "work cannot be claimed", "away")
        told += [second] * (len(caplog.records) - before)
        clock.move(1)
    assert told[:5] == [0, 10, 30, 70, 150]
    assert told[-1] - told[-2] == LONGEST_SILENCE
