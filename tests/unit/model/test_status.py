"""The table of legal moves, and the diagram that is drawn from it."""

from __future__ import annotations

from itertools import pairwise

from perdure.model.status import SETTLED, STATUSES, TRANSITIONS, UNSUCCESSFUL, WAIT_KINDS, mermaid


def test_the_documented_words() -> None:
    assert " ".join(STATUSES) == "pending running waiting completed failed timed_out cancelled"
    assert " ".join(WAIT_KINDS) == "timer signal children finalize external limit"


def test_moves_lead_from_and_to_known_statuses() -> None:
    assert {status for move in TRANSITIONS for status in move} == set(STATUSES)


def test_settled_is_final_but_for_an_operator() -> None:
    for source, target in TRANSITIONS:
        if source in SETTLED:
            assert (source, target) == (source, "pending")
            assert source in UNSUCCESSFUL
            assert "operator" in TRANSITIONS[source, target]


def test_completed_never_moves_again() -> None:
    assert not [target for source, target in TRANSITIONS if source == "completed"]


def test_only_running_completes_or_fails() -> None:
    assert {source for source, target in TRANSITIONS if target in ("completed", "failed")} == {"running"}


def test_every_status_is_reached_from_pending() -> None:
    reached = {"pending"}
    for _, _ in pairwise(STATUSES):
        reached |= {target for source, target in TRANSITIONS if source in reached}
    assert reached == set(STATUSES)


def test_the_diagram_draws_the_table() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    [*] --> pending: enqueue" in lines
    for (source, target), why in TRANSITIONS.items():
        assert f"    {source} --> {target}: {why}" in lines
    for status in STATUSES:
        assert (f"    {status} --> [*]" in lines) == (status in SETTLED)
