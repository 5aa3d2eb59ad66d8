"""Keys of calls, and what a ledger answers for them."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import JournalDriftError
from perdure.engine.journal import STARTED, Branch, Ledger, activity_key, chapter_prefix, verb_key, within_chapter
from perdure.model.records import MEMO, Child, Entry, JournalView, Received


def entry(key: str, kind: Any = "activity", scope: str = MEMO, **rest: Any) -> Entry:
    return Entry(key, scope, rest.pop("position", 0), kind, rest.pop("name", key), **rest)


def child(slot: str, generation: int = 0, status: Any = "running", *, stale: bool = False) -> Child:
    return Child(f"{slot}~{generation}", slot, generation, "t", status, stale, None, None, 0)


def signal(name: str, value: str, position: int) -> Received:
    return Received(f"s{position}", name, value, position, 0)


def ledger(*entries: Entry, scope: str = "0.0", **view: Any) -> Ledger:
    return Ledger(JournalView(entries, **view), scope)


# -- branches -----------------------------------------------------------------------------------------------------------


def test_equal_calls_of_one_branch_are_counted() -> None:
    branch = Branch()
    assert [branch.numbered("sleep") for _ in range(3)] == ["sleep@0#0", "sleep@0#1", "sleep@0#2"]
    assert branch.numbered("now") == "now@0#0"


def test_branches_count_for_themselves_and_are_named_by_their_place() -> None:
    root = Branch()
    first, second = root.child(), root.child()
    assert (first.path, second.path, second.child().path) == ("0.0", "0.1", "0.1.0")
    second.numbered("sleep")
    assert first.numbered("sleep") == "sleep@0.0#0"


def test_calls_do_not_move_the_places_of_branches() -> None:
    root = Branch()
    root.numbered("sleep")
    assert root.child().path == "0.0"


def test_an_explicit_key_needs_no_branch() -> None:
    branch = Branch()
    assert verb_key(branch, "sleep", "nap") == "=nap"
    assert verb_key(branch, "sleep", None) == "sleep@0#0"
    assert activity_key("a", "digest", None) != activity_key("a", "digest", "digest")


# -- memos and failures -------------------------------------------------------------------------------------------------


def test_a_recorded_result_is_found_by_its_key_in_every_attempt() -> None:
    recorded = entry("a", value="1")
    assert ledger(recorded, scope="0.7").memo("a", "activity", "activity a") is recorded
    assert ledger(recorded).memo("b", "activity", "activity b") is None


def test_the_first_record_of_a_key_holds() -> None:
    first, second = entry("a", value="1"), entry("a", value="2")
    found = ledger(first, second)
    assert found.memo("a", "activity", "a") is first
    assert found.size == 1


@pytest.mark.parametrize("kind", ["activity", "timer", "signal", "value"])
def test_a_key_met_by_another_kind_of_verb_is_drift(kind: Any) -> None:
    other = "timer" if kind != "timer" else "value"
    with pytest.raises(JournalDriftError, match=f"which a {other} recorded"):
        ledger(entry("=k", other)).memo("=k", kind, "sleep")


def test_a_failure_holds_in_the_attempt_that_saw_it() -> None:
    failed = entry("a", scope="0.1", failure="{}")
    assert ledger(failed, scope="0.1").failure("a") is failed
    assert ledger(failed, scope="0.2").failure("a") is None
    assert ledger(failed, scope="1.1").failure("a") is None


def test_an_at_most_once_activity_that_neither_succeeded_nor_failed_was_interrupted() -> None:
    mark = entry("a", scope=STARTED + "0.0")
    assert ledger(mark).interrupted("a")
    assert ledger(mark, scope="0.1").interrupted("a")
    assert not ledger(mark, entry("a", scope="0.0", failure="{}")).interrupted("a")
    assert not ledger().interrupted("a")
    assert ledger(mark, entry("a", scope="0.1", failure="{}")).interrupted("a")


def test_positions_go_on_where_the_journal_ends() -> None:
    found = ledger(entry("a", position=4), entry("b", position=2))
    assert [found.take_position(), found.take_position()] == [5, 6]


def test_names_are_those_of_activities_but_not_of_ad_hoc_records() -> None:
    found = ledger(
        entry("a:1", name="a"), entry("record b:1", name="b"), entry("sleep@0#0", "timer", name="sleep"),
        entry("c:1", scope="0.0", name="c", failure="{}"), entry("d:1", scope="9.9", name="d", failure="{}"),
    )  # fmt: skip
    assert found.names() == {"a", "c"}


# -- signals ------------------------------------------------------------------------------------------------------------


def test_signals_of_a_name_are_taken_in_the_order_of_acceptance() -> None:
    found = ledger(signals=(signal("x", "1", 0), signal("y", "2", 1), signal("x", "3", 2)))
    first = found.next_signal("x")
    assert first is not None
    assert first.value == "1"
    found.add(entry("wait_for:x@0#0", "signal", name="x", value="1", token=1))
    second = found.next_signal("x")
    assert second is not None
    assert second.value == "3"
    found.add(entry("wait_for:x@0#1", "signal", name="x", value="3", token=1))
    assert found.next_signal("x") is None
    assert found.next_signal("y") is not None


def test_a_wait_that_was_late_took_no_signal() -> None:
    found = ledger(entry("wait_for:x@0#0", "signal", name="x", failure="{}"), signals=(signal("x", "1", 0),))
    assert found.next_signal("x") is not None


def test_news_never_take_a_signal_away() -> None:
    found = ledger(signals=(signal("x", "1", 0), signal("x", "2", 1)))
    found.feed(JournalView(signals=(signal("x", "1", 0),)))
    found.add(entry("k", "signal", name="x", value="1", token=1))
    left = found.next_signal("x")
    assert left is not None
    assert left.value == "2"


# -- children -----------------------------------------------------------------------------------------------------------


def test_the_latest_generation_of_a_slot_holds() -> None:
    found = ledger(children=(child("s", 1), child("s", 0, "failed", stale=True)))
    met = found.child("s")
    assert met is not None
    assert met.generation == 1
    assert found.child_by_id("s~1") is met
    assert found.child_by_id("unknown") is None


def test_a_settled_child_is_not_opened_by_old_news() -> None:
    found = ledger(children=(child("s", 0, "completed"),), children_settled=1)
    found.feed(JournalView(children=(child("s", 0, "running"),), children_settled=0))
    met = found.child("s")
    assert met is not None
    assert met.status == "completed"


def test_a_signal_that_a_fork_copied_was_taken_from_another_queue() -> None:
    found = ledger(entry("wait_for:x@0#0", "signal", name="x", value="1"), signals=(signal("x", "2", 0),))
    left = found.next_signal("x")
    assert left is not None
    assert left.value == "2"


# -- chapters -----------------------------------------------------------------------------------------------------------


def test_keys_of_a_chapter_begin_with_its_number_in_all_of_its_branches() -> None:
    branch = Branch("0", chapter_prefix(7))
    assert branch.numbered("sleep") == "7/sleep@0#0"
    assert branch.child().child().numbered("sleep") == "7/sleep@0.0.0#0"
    assert branch.key("act:1.ab") == "7/act:1.ab"
    assert verb_key(branch, "sleep", "mine") == "7/=mine"


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("7/act:1", ("7/", "act:1")), ("70/", ("70/", "")), ("=7/x", ("", "=7/x")), ("7", ("", "7")),
        ("record a/b:1", ("", "record a/b:1")), ("act=1/2", ("", "act=1/2")), ("/x", ("", "/x")), ("\u0667/x", ("", "\u0667/x")),
    ],
)  # fmt: skip
def test_a_key_tells_its_chapter(key: str, parts: tuple[str, str]) -> None:
    assert within_chapter(key) == parts


def test_an_alias_renames_within_a_chapter() -> None:
    view = JournalView((entry("7/old:1", name="old"), entry("7/enqueue old:1", "value", name="enqueue old")))
    renamed = Ledger(view, "0.0", {"old": "new"})
    assert set(renamed.memos) == {"7/new:1", "7/enqueue new:1"}


def test_a_turn_drops_what_a_chapter_recorded_and_keeps_taken_signals() -> None:
    failure = entry("1/act:2", scope="0.3", failure="{}")
    started = entry("1/act:3", scope=STARTED + "0.3")
    taken, late = (
        entry(f"1/{key}", "signal", name="go", value=value, token=1) for key, value in (("a", "1"), ("b", None))
    )
    kept = entry("2/", "iteration", name="iteration")
    found = ledger(entry("1/act:1"), failure, started, taken, late, kept, scope="0.3")
    assert found.failure("1/act:2") is not None
    found.turn("0.0", "1/")
    assert set(found.memos) == {"1/a", "2/"}
    assert (found.scope, found.failures, found.interrupted("1/act:3"), found.size) == ("0.0", {}, False, 2)
    assert found.taken["go"] == 1


def test_what_items_that_ended_recorded_is_not_held_against_the_code() -> None:
    over = (entry("0/", "item", name="first"), entry("0/gone:1", name="gone"), entry("0/record x:1", name="x"))
    found = ledger(*over, entry("1/here:1", name="here"), entry("1/record x:1", name="x"), children=(
        Child("a", "0/lost:1@0#0", 0, "lost", "completed", False, "1", None, 0),
        Child("b", "1/there:1@0#0", 0, "there", "running", False, None, None, 0),
    ))  # fmt: skip
    assert (found.names(), found.task_names()) == ({"here"}, {"there"})
