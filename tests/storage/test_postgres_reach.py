"""What stays within one tree: the statements of the hot path do, by the word of the planner."""

from __future__ import annotations

import psycopg
import pytest

from perdure.ids import Ids, derived
from perdure.model.execution import moment
from perdure.model.records import NewSignal, Suspended, Wait
from perdure.storage.postgres import PostgresStorage
from perdure.testing.conformance.hand import DONE, FAILED, START, Hand, activity, joining
from tools import reach

PREFIX = 13
"""Characters of an id that hold its milliseconds."""


class Asked(dict[str, bytes]):
    """The statements, and which were asked for."""

    def __init__(self, texts: dict[str, bytes]) -> None:
        super().__init__(texts)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> bytes:
        self.names.add(name)
        return super().__getitem__(name)


@pytest.fixture(scope="module")
def found(module_url: str) -> dict[str, set[reach.Found]]:
    with psycopg.connect(module_url, autocommit=True) as connection:
        return reach.found_by(connection)


def test_the_page_has_the_table(found: dict[str, set[reach.Found]]) -> None:
    assert reach.table(found) in reach.PAGE.read_text("utf-8"), "python -m tools.reach"


def test_the_ids_of_a_tree_stand_together() -> None:
    root = Ids(1).new(START)
    below = [derived(root, f"child {number}") for number in range(50)]
    below += [derived(id, "grandchild") for id in below]
    assert {id[:PREFIX] for id in below} == {root[:PREFIX]}
    assert len(set(below)) == 100
    assert moment(int(root[:8] + root[9:PREFIX], 16)) == moment(START)


def asked_by_a_life(hand: Hand, asked: Asked) -> set[str]:
    """What is asked for while a tree lives, but for what hands its work out (claim, heartbeat)."""
    names = set[str]()

    def out_of_sight(id: str) -> None:
        names.update(asked.names)
        hand.start(id)
        asked.names.clear()

    root = Ids(1).new(START)
    good, bad = derived(root, "good"), derived(root, "bad")
    hand.beat("w1")
    asked.names.clear()
    hand.add(root)
    out_of_sight(root)
    hand.commit(root, entries=[activity("x")])
    hand.commit(root, joining(all=2), spawns=hand.children(root, good, bad))
    for id, outcome in ((good, DONE), (bad, FAILED)):
        out_of_sight(id)
        hand.commit(id, entries=[activity("y")])
        hand.commit(id, outcome)
    out_of_sight(root)
    hand.commit(root, Suspended((Wait("signal", "go"),), None, ("go",), (0,)))
    hand.storage.signal([NewSignal("s1", root, "go", "1")], hand.now)
    hand.storage.signal([NewSignal("s1", root, "go", "1")], hand.now)
    out_of_sight(root)
    hand.storage.journal([root])
    assert hand.commit(root, DONE, entries=[activity("z")]).status == "completed"
    assert (hand.row(root).children_settled, hand.row(root).closed_at) == (2, hand.now)
    return names | asked.names


def test_nothing_on_the_hot_path_leaves_its_tree(
    postgres_url: str, found: dict[str, set[reach.Found]], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = PostgresStorage(f"{postgres_url}?hints=off")
    hand = Hand(storage)
    storage.schema_version()
    link = storage._database.take()
    texts = link.session._texts
    storage._database.give(link)
    asked = Asked(texts.of)
    monkeypatch.setattr(texts, "of", asked)
    names = asked_by_a_life(hand, asked)
    storage.close()
    assert {"record", "spawn", "complete", "end_pass", "count_children", "keep_signals", "load_up", "enqueue"} <= names
    assert {name: found[name] for name in names if reach.kind(found[name]) != reach.TREE} == {}


def test_what_hands_work_out_reads_an_index(found: dict[str, set[reach.Found]]) -> None:
    """So that nobody takes the above for more than it is."""
    assert {reach.kind(found[name]) for name in ("choose", "suspect", "promote", "outlook")} == {reach.MANY}
    assert {reach.kind(found[name]) for name in ("named", "lease", "leased")} == {reach.TREE}
    assert reach.kind(found["standing"]) == reach.kind(found["waiting_external"]) == reach.BY_KEY
